// Servers that are killed, clients that go away, and many documents at once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as Automerge from "@automerge/automerge";
import { plain } from "./stage/client.js";
import { Stage } from "./stage/harness.js";
import { contact, email } from "./stage/people.js";

const DOCUMENTS = 100;
const KILLS = 3;

let stage;
before(async () => {
  stage = await Stage.set();
});
after(() => stage?.end());

test("what was acknowledged is there after a kill, also without the client that wrote it", async () => {
  for (let round = 0; round < KILLS; round += 1) {
    const writer = await stage.client();
    const made = writer.repo.create(contact(email(), { notes: "" }));
    await writer.acknowledged(made);
    const edited = writer.repo.create(contact(email()));
    await writer.acknowledged(edited);
    edited.change((doc) => (doc.fields.title = `CEO ${round}`));
    await writer.acknowledged(edited);
    const killed = stage.kill();
    writer.end();
    await killed;
    await stage.serve();

    const reader = await stage.client();
    assert.equal(plain((await reader.find(made.url)).doc()).fields.last_name, "Lovelace");
    assert.equal(plain((await reader.find(edited.url)).doc()).fields.title, `CEO ${round}`);
    assert.equal((await stage.acme.recordOf(edited.url)).title, `CEO ${round}`);
    reader.end();
  }
});

test("clients come back by themselves after a kill, and bring what they wrote meanwhile", async () => {
  const [one, two] = [await stage.client(), await stage.client()];
  const mine = one.repo.create(contact(email()));
  await one.acknowledged(mine);
  const theirs = await two.find(mine.url);
  await stage.kill();
  await Promise.all([one.disconnected(), two.disconnected()]);
  mine.change((doc) => (doc.fields.title = "CEO"));
  theirs.change((doc) => (doc.fields.first_name = "Ada"));
  const born = two.repo.create(contact(email(), { title: "New" }));
  await stage.serve();
  await Promise.all([one.connected(), two.connected()]);
  const both = ({ fields }) => fields.title === "CEO" && fields.first_name === "Ada";
  await Promise.all([one.until(mine, "both edits", both), two.until(theirs, "both edits", both)]);
  await stage.acme.untilRecord(mine.url, { title: "CEO", first_name: "Ada" });
  await stage.acme.untilRecord(born.url, { title: "New" });
});

test("a server that is asked to end says so to its clients, and they come back", async () => {
  const client = await stage.client();
  const handle = client.repo.create(contact(email()));
  await client.acknowledged(handle);
  const told = client.closed();
  const ended = await stage.terminate();
  assert.equal(ended.code, 0);
  const { code } = await told;
  assert.ok(code === 1001 || code === 1012 || code >= 4000, `closed with ${code}`);
  handle.change((doc) => (doc.fields.title = "CEO"));
  await stage.serve();
  await client.connected();
  await stage.acme.untilRecord(handle.url, { title: "CEO" });
});

test("a kill in the middle of many edits loses none", async () => {
  const writer = await stage.client();
  const handle = writer.repo.create(contact(email(), { interests: {} }));
  await writer.acknowledged(handle);
  const members = Array.from({ length: 30 }, (_, at) => `m${at}`);
  for (const [at, member] of members.entries()) {
    handle.change((doc) => (doc.fields.interests[member] = true));
    if (at === 10) await stage.kill().then(() => stage.serve());
    if (at % 10 === 5) await writer.acknowledged(handle);
  }
  await writer.acknowledged(handle);
  writer.end();
  await stage.acme.untilRecord(handle.url, { interests: [...members].sort() });
});

test("a hundred documents at once, and an in-sync return that sends no change", async () => {
  const storage = stage.newFolder("client");
  const [one, two] = [await stage.client({}, { storage }), await stage.client()];
  const made = Array.from({ length: DOCUMENTS }, (_, at) => one.repo.create(contact(email(), { employees: at })));
  await Promise.all(made.map((handle) => one.acknowledged(handle)));
  const records = new Map((await stage.acme.records()).map((record) => [record._meta.automerge_url, record]));
  assert.deepEqual(
    made.map(({ url }) => records.get(url)?.employees),
    made.map((_, at) => at),
  );
  const found = await Promise.all(made.map(({ url }) => two.find(url)));
  assert.deepEqual(
    found.map((handle) => handle.doc().fields.employees),
    made.map((_, at) => at),
  );

  one.offline();
  one.received.length = 0;
  await one.online();
  await hearsOnly(one, made, found.at(-1), 1);

  await one.repo.flush();
  one.end();
  const again = await stage.client({}, { storage });
  const handles = await Promise.all(made.map(({ url }) => again.find(url)));
  await hearsOnly(again, handles, found.at(-1), 2);
});

/** After the client has come back, the server sends it the change that somebody makes now, and no other. */
async function hearsOnly(client, handles, theirs, number) {
  theirs.change((doc) => (doc.fields.title = `Edit ${number}`));
  await client.untilFields(handles.at(-1), { title: `Edit ${number}` });
  const syncs = client.received.filter(({ type }) => type === "sync");
  assert.ok(syncs.length <= 2 * DOCUMENTS, `${syncs.length} messages for ${DOCUMENTS} documents`);
  const changed = syncs.filter(({ data }) => Automerge.decodeSyncMessage(data).changes.length > 0);
  assert.deepEqual(new Set(changed.map(({ documentId }) => documentId)), new Set([handles.at(-1).documentId]));
}

test("edits of an offline day, with a restart of the client in the middle, arrive", async () => {
  const storage = stage.newFolder("offline");
  const record = await stage.acme.create({ email: email(), title: "CFO" });
  const url = record._meta.automerge_url;
  const morning = await stage.client({}, { storage });
  const before = await morning.find(url);
  morning.offline();
  before.change((doc) => (doc.fields.first_name = "Ann"));
  const born = morning.repo.create(contact(email(), { title: "Born offline" }));
  await morning.repo.flush();
  morning.end();
  await stage.acme.edit(record._meta.id, { title: "COO" });

  const evening = await stage.client({}, { storage });
  const after = await evening.find(url);
  await evening.untilFields(after, { first_name: "Ann", title: "COO" });
  await stage.acme.untilRecord(url, { first_name: "Ann", title: "COO" });
  await evening.find(born.url);
  await stage.acme.untilRecord(born.url, { title: "Born offline" });
});

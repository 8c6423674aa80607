// The basic stories with the reference sync server in place of ours. If one of these fails, the clients of this suite are
// at fault, and not the server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as Automerge from "@automerge/automerge";
import { generateAutomergeUrl, parseAutomergeUrl } from "@automerge/automerge-repo";
import { Reference } from "./stage/harness.js";
import { Wire } from "./stage/wire.js";

let reference;
before(async () => {
  reference = await Reference.start();
});
after(() => reference?.end());

const ann = () => ({
  type: "contact",
  fields: { email: "ann@example.com", first_name: "Ann", notes: "", interests: {} },
});

/** Two clients that have one document open. */
async function pair(initial = ann()) {
  const [one, two] = [await reference.client(), await reference.client()];
  const mine = one.repo.create(initial);
  await one.acknowledged(mine);
  return { one, two, mine, theirs: await two.find(mine.url) };
}

test("a document is found by another client, and edits go both ways", async () => {
  const { one, two, mine, theirs } = await pair();
  assert.equal(theirs.doc().fields.email, "ann@example.com");
  mine.change((doc) => (doc.fields.title = "CEO"));
  await two.untilFields(theirs, { title: "CEO" });
  theirs.change((doc) => (doc.fields.first_name = "Anna"));
  await one.untilFields(mine, { first_name: "Anna", title: "CEO" });
});

test("edits made apart meet: fields, members, characters, list items", async () => {
  const { one, two, mine, theirs } = await pair({ ...ann(), list: ["a"] });
  one.offline();
  two.offline();
  mine.change((doc) => {
    doc.fields.title = "CEO";
    doc.fields.interests.billing = true;
    Automerge.updateText(doc, ["fields", "notes"], "one ");
    doc.list.push("b");
  });
  theirs.change((doc) => {
    doc.fields.first_name = "Anna";
    doc.fields.interests.analytics = true;
    Automerge.splice(doc, ["fields", "notes"], 0, 0, "two ");
    doc.list.push("c");
  });
  await Promise.all([one.online(), two.online()]);
  const whole = ({ fields, list }) =>
    fields.title === "CEO" &&
    fields.first_name === "Anna" &&
    Object.keys(fields.interests).sort().join() === "analytics,billing" &&
    ["one two ", "two one "].includes(fields.notes) &&
    [...list].sort().join() === "a,b,c";
  const [ours, others] = await Promise.all([
    one.until(mine, "all edits", whole),
    two.until(theirs, "all edits", whole),
  ]);
  assert.deepEqual(ours, others);
});

test("what nobody has is unavailable", async () => {
  const client = await reference.client();
  await assert.rejects(client.find(generateAutomergeUrl()), /is unavailable/);
});

test("what was acknowledged a while ago survives a kill, and clients come back by themselves", async () => {
  const { one, two, mine, theirs } = await pair();
  await reference.kill();
  await Promise.all([one.disconnected(), two.disconnected()]);
  mine.change((doc) => (doc.fields.title = "CEO"));
  await reference.serve();
  await Promise.all([one.connected(), two.connected()]);
  await two.untilFields(theirs, { title: "CEO" });
  const newcomer = await reference.client();
  const found = await newcomer.find(mine.url);
  await newcomer.untilFields(found, { title: "CEO" });
});

test("a hundred documents at once", async () => {
  const [one, two] = [await reference.client(), await reference.client()];
  const made = Array.from({ length: 100 }, (_, at) => one.repo.create({ at }));
  await Promise.all(made.map((handle) => one.acknowledged(handle)));
  const found = await Promise.all(made.map(({ url }) => two.find(url)));
  assert.deepEqual(
    found.map((handle) => handle.doc().at),
    made.map((_, at) => at),
  );
});

test("a client with a store comes back in sync, and nothing is sent again", async () => {
  const storage = reference.newFolder("client");
  const first = await reference.client({ storage });
  const mine = first.repo.create(ann());
  await first.acknowledged(mine);
  await first.repo.flush();
  first.end();
  const again = await reference.client({ storage });
  const handle = await again.find(mine.url);
  await again.acknowledged(handle);
  for (const message of again.received.filter(({ type }) => type === "sync")) {
    assert.equal(Automerge.decodeSyncMessage(message.data).changes.length, 0);
  }
});

test("ephemeral messages reach the other clients of a document", async () => {
  const { one, two, mine, theirs } = await pair();
  theirs.broadcast({ cursor: 3 });
  assert.deepEqual(await one.ephemeral(mine, "a cursor", ({ cursor }) => cursor), { cursor: 3 });
  mine.broadcast({ cursor: 5 });
  assert.deepEqual(await two.ephemeral(theirs, "a cursor", ({ cursor }) => cursor), { cursor: 5 });
});

test("a connection by hand is let in and gets its answer", async () => {
  const wire = await Wire.join(reference.url);
  const { documentId } = parseAutomergeUrl(generateAutomergeUrl());
  wire.request(documentId);
  const answer = await wire.next("an answer", (message) => message.documentId === documentId);
  assert.equal(answer.type, "doc-unavailable");
  wire.end();
});

// Clients that mean harm, or do it: they are refused with a reason, and nobody else notices.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as Automerge from "@automerge/automerge";
import { plain } from "./stage/client.js";
import { Stage } from "./stage/harness.js";
import { contact, email } from "./stage/people.js";

/** More characters than any field may hold, and more operations than are taken at once. */
const FAR_TOO_LONG = 110_000;
/** More refused changes than any client is allowed. */
const TOO_MANY = 20;

let stage;
before(async () => {
  stage = await Stage.set();
});
after(() => stage?.end());

/** A record that two clients of different names have open. */
async function pair() {
  const record = await stage.acme.create({ email: email(), last_name: "Lee", title: "CFO" });
  const url = record._meta.automerge_url;
  const [one, two] = [await stage.client({ name: `one-${url}` }), await stage.client({ name: `two-${url}` })];
  return { url, one, two, mine: await one.find(url), theirs: await two.find(url) };
}

/** The document under the name of another writer. */
function as(handle, actor) {
  handle.update((doc) => Automerge.clone(doc, { actor }));
}

test("changes in another client's name are refused, and that client's own go on", async () => {
  const { url, one, two, mine, theirs } = await pair();
  mine.change((doc) => (doc.fields.title = "CEO"));
  await two.untilFields(theirs, { title: "CEO" });

  as(theirs, Automerge.getActorId(mine.doc()));
  theirs.change((doc) => (doc.fields.title = "Forged"));
  assert.ok(await two.refused(theirs));

  mine.change((doc) => (doc.fields.title = "COO"));
  await one.acknowledged(mine);
  await stage.acme.untilRecord(url, { title: "COO" });
  assert.equal(plain(mine.doc()).fields.title, "COO");
});

test("changes in the name of the one who made the record are refused", async () => {
  const { one, two, mine, theirs } = await pair();
  const [first] = Automerge.getAllChanges(theirs.doc()).map(Automerge.decodeChange);
  as(theirs, first.actor);
  theirs.change((doc) => (doc.fields.title = "Forged"));
  assert.ok(await two.refused(theirs));
  mine.change((doc) => (doc.fields.title = "COO"));
  await one.acknowledged(mine);
});

test("a document that is far too large is refused, and the client's other documents go on", async () => {
  const client = await stage.client({ name: "large" });
  const large = client.repo.create(contact(email(), { notes: "x".repeat(FAR_TOO_LONG) }));
  assert.ok(await client.refused(large));
  assert.equal(await stage.acme.recordOf(large.url), undefined);
  const small = client.repo.create(contact(email()));
  await client.acknowledged(small);
});

test("an edit that is far too large is refused, and the record stays as it is", async () => {
  const { url, one, two, mine, theirs } = await pair();
  mine.change((doc) => (doc.fields.notes = "x".repeat(FAR_TOO_LONG)));
  assert.ok(await one.refused(mine));
  theirs.change((doc) => (doc.fields.title = "COO"));
  await two.acknowledged(theirs);
  const record = await stage.acme.untilRecord(url, { title: "COO" });
  assert.equal(record.notes ?? null, null);
});

test("a refused document of this browser is not offered for ever", async () => {
  const { one, mine } = await pair();
  mine.change((doc) => (doc.fields = { title: "All new" }));
  await one.refused(mine);
  one.received.length = 0;
  mine.change((doc) => (doc.fields.title = "Again"));
  // Whatever is said about the refused document comes before the answer about this one.
  const other = one.repo.create(contact(email()));
  await one.acknowledged(other);
  const about = one.received.filter(({ documentId }) => documentId === mine.documentId);
  assert.ok(about.length <= 2, `${about.length} messages about a refused document`);
});

test("who keeps sending what is refused is sent away, and others are not", async () => {
  const offender = await stage.client({ name: "offender" });
  const bystander = await stage.client({ name: "bystander" });
  const handle = bystander.repo.create(contact(email()));
  await bystander.acknowledged(handle);
  const closed = offender.closed();
  for (let at = 0; at < TOO_MANY; at += 1) {
    offender.repo.create(contact(email(), { notes: "x".repeat(FAR_TOO_LONG) }));
  }
  assert.equal((await closed).code, 4403);
  handle.change((doc) => (doc.fields.title = "Still here"));
  await bystander.acknowledged(handle);
  assert.ok(bystander.isConnected && !offender.isConnected);
});

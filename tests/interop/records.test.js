// One client and the HTTP API on the same records.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as Automerge from "@automerge/automerge";
import { plain } from "./stage/client.js";
import { Stage } from "./stage/harness.js";
import { contact, email } from "./stage/people.js";

let stage;
before(async () => {
  stage = await Stage.set();
});
after(() => stage?.end());

/** A record with a value in every field, and a client that has its document open. */
async function open(token) {
  const record = await stage.acme.create({
    email: email(),
    first_name: "Ann",
    last_name: "Lee",
    title: "CFO",
    employees: 3,
    stage: "lead",
    interests: ["analytics"],
    logins: 1,
    notes: "one two",
  });
  const client = await stage.client(token);
  const handle = await client.find(record._meta.automerge_url);
  return { record, client, handle, url: handle.url };
}

test("a document that a client creates becomes a record", async () => {
  const client = await stage.client({ name: "browser-7" });
  const fields = { email: email(), last_name: "Lovelace", employees: 7, interests: { billing: true }, notes: "Hello" };
  const handle = client.repo.create({ type: "contact", fields });
  const record = await stage.acme.untilRecord(handle.url, { ...fields, interests: ["billing"] });
  assert.equal(record._meta.last_action, "created");
  assert.deepEqual(record._meta.origins.last_name, { kind: "client", id: "backend/browser-7" });
  await client.acknowledged(handle);
});

test("a created document whose values come a moment later becomes a record as well", async () => {
  const client = await stage.client();
  const handle = client.repo.create();
  await client.hears("the server has seen it", ({ documentId }) => documentId === handle.documentId);
  const address = email();
  handle.change((doc) => Object.assign(doc, contact(address)));
  await stage.acme.untilRecord(handle.url, { email: address });
});

test("a record's document is found by its address and says what the API says", async () => {
  const { record, handle } = await open();
  const { type, fields } = plain(handle.doc());
  assert.equal(type, "contact");
  const { _meta, interests, ...scalars } = record;
  assert.deepEqual(fields, { ...scalars, interests: { analytics: true } });
  assert.equal(Automerge.isImmutableString(handle.doc().fields.title), true, "the server writes scalar strings");
});

for (const [what, change, shown] of [
  ["a text", (fields) => (fields.title = "CEO"), { title: "CEO" }],
  ["a scalar string", (fields) => (fields.title = new Automerge.ImmutableString("CTO")), { title: "CTO" }],
  ["a number", (fields) => (fields.employees = 42), { employees: 42 }],
  ["a blank", (fields) => (fields.title = null), { title: null }],
  ["a removed value", (fields) => delete fields.title, { title: null }],
  ["a value of a list", (fields) => (fields.stage = "mql"), { stage: "mql" }],
  [
    "a spelling that is made canonical",
    (fields) => (fields.email = "  X.Y@Example.COM "),
    { email: "x.y@example.com" },
  ],
  ["a new member", (fields) => (fields.interests.billing = true), { interests: ["analytics", "billing"] }],
  ["a member less", (fields) => delete fields.interests.analytics, { interests: [] }],
  ["a counter", (fields) => fields.logins.increment(2), { logins: 3 }],
  [
    "many fields at once",
    (fields) => Object.assign(fields, { title: "CEO", employees: 9 }),
    { title: "CEO", employees: 9 },
  ],
]) {
  test(`a client's edit shows over the API: ${what}`, async () => {
    const { client, handle, url } = await open({ name: "browser-2" });
    handle.change((doc) => change(doc.fields));
    const record = await stage.acme.until(`the record shows ${JSON.stringify(shown)}`, async () => {
      const record = await stage.acme.recordOf(url);
      return shows(record, shown) && record;
    });
    for (const field of Object.keys(shown).filter((field) => record._meta.origins[field])) {
      assert.deepEqual(record._meta.origins[field], { kind: "client", id: "backend/browser-2" });
    }
    await client.acknowledged(handle);
  });
}

/** Blank, empty and absent are one. */
function shows(record, wanted) {
  const said = (value) => JSON.stringify(Array.isArray(value) && !value.length ? null : (value ?? null));
  return record && Object.entries(wanted).every(([field, value]) => said(record[field]) === said(value));
}

for (const [values, fields] of [
  [{ title: "CEO" }, { title: "CEO" }],
  [{ title: null }, { title: null }],
  [
    { employees: 42, stage: "customer" },
    { employees: 42, stage: "customer" },
  ],
  [{ interests: ["analytics", "billing"] }, { interests: { analytics: true, billing: true } }],
  [{ interests: ["billing"] }, { interests: { billing: true } }],
  [{ logins: 5 }, { logins: 5 }],
  [{ notes: "one three" }, { notes: "one three" }],
]) {
  test(`an edit over the API shows in the client's document: ${JSON.stringify(values)}`, async () => {
    const { record, client, handle } = await open();
    await stage.acme.edit(record._meta.id, values);
    await client.untilFields(handle, fields);
  });
}

test("a text field is edited in place", async () => {
  const { handle, url } = await open();
  handle.change((doc) => Automerge.updateText(doc, ["fields", "notes"], "one or two"));
  await stage.acme.untilRecord(url, { notes: "one or two" });
  handle.change((doc) => Automerge.splice(doc, ["fields", "notes"], 0, 3, "All"));
  await stage.acme.untilRecord(url, { notes: "All or two" });
});

test("a plain string in an ordinary field may be edited in place", async () => {
  const { handle, url } = await open();
  handle.change((doc) => (doc.fields.title = "Chief"));
  handle.change((doc) => Automerge.splice(doc, ["fields", "title"], 5, 0, " Listener"));
  await stage.acme.untilRecord(url, { title: "Chief Listener" });
  handle.change((doc) => {
    // The server may have repeated the value as a scalar string, which is replaced whole.
    if (typeof doc.fields.title === "string") Automerge.updateText(doc, ["fields", "title"], "Head Listener");
    else doc.fields.title = "Head Listener";
  });
  await stage.acme.untilRecord(url, { title: "Head Listener" });
});

for (const [what, change, stands] of [
  ["a text in a number", (fields) => (fields.employees = "many"), { employees: 3 }],
  ["a map in a number", (fields) => (fields.employees = { of: 3 }), { employees: 3 }],
  ["a list in a text", (fields) => (fields.title = ["CEO"]), { title: "CFO" }],
  ["a value that is none of the list", (fields) => (fields.stage = "vip"), { stage: "lead" }],
  ["a number in a set", (fields) => (fields.interests = 7), { interests: { analytics: true } }],
  ["a field that the model does not have", (fields) => (fields.nonsense = 1), { nonsense: null }],
]) {
  test(`what the model does not allow is put back: ${what}`, async () => {
    const { record, client, handle, url } = await open();
    handle.change((doc) => change(doc.fields));
    await client.untilFields(handle, stands);
    await client.acknowledged(handle);
    // What is written after it is taken.
    handle.change((doc) => (doc.fields.first_name = "Anna"));
    const now = await stage.acme.untilRecord(url, { first_name: "Anna" });
    const { _meta: before, ...values } = record;
    const { _meta: after, ...present } = now;
    assert.deepEqual(present, { ...values, first_name: "Anna" });
  });
}

test("a value that is too long reaches nobody", async () => {
  const { client, handle, url } = await open();
  const other = await stage.client();
  const theirs = await other.find(url);
  handle.change((doc) => (doc.fields.title = "x".repeat(5000)));
  await Promise.race([client.refused(handle), client.untilFields(handle, { title: "CFO" })]);
  theirs.change((doc) => (doc.fields.first_name = "Anna"));
  const record = await stage.acme.untilRecord(url, { first_name: "Anna" });
  assert.equal(record.title, "CFO");
  assert.equal(plain(theirs.doc()).fields.title, "CFO");
});

test("a replaced map of fields is refused with a reason, and other documents go on", async () => {
  const { client, handle, url } = await open();
  const bystander = client.repo.create(contact(email()));
  const other = await stage.client();
  const theirs = await other.find(url);

  handle.change((doc) => (doc.fields = { title: "All new" }));
  assert.match(await client.refused(handle), /fields/);

  bystander.change((doc) => (doc.fields.title = "Still here"));
  await stage.acme.untilRecord(bystander.url, { title: "Still here" });
  theirs.change((doc) => (doc.fields.title = "COO"));
  const record = await stage.acme.untilRecord(url, { title: "COO" });
  assert.equal(record.last_name, "Lee");
  assert.equal(plain(theirs.doc()).fields.last_name, "Lee");
});

test("a document that is marked as deleted deletes its record, and a restored record says so", async () => {
  const { record, client, handle, url } = await open();
  const id = record._meta.id;
  handle.change((doc) => (doc.deleted = new Date()));
  await stage.acme.until("the record is deleted", async () => (await stage.acme.record(id))._meta.deleted_at);
  assert.equal(await stage.acme.recordOf(url), undefined, "the list does not show it");

  assert.equal((await stage.acme.call("POST", `/v1/records/contact/${id}/undelete`)).status, 200);
  await client.until(handle, "the document is there again", ({ deleted }) => deleted === undefined || deleted === null);
});

test("a record that is deleted over the API says so in its document", async () => {
  const { record, client, handle } = await open();
  await stage.acme.remove(record._meta.id);
  await client.until(handle, "the document is deleted", ({ deleted }) => deleted);
});

test("a created document that matches a record moves there with its values", async () => {
  const { record, client, url } = await open();
  const twin = client.repo.create(contact(record.email, { title: "Twin" }));
  const { moved_to } = await client.until(twin, "the document has moved", (doc) => doc.moved_to);
  assert.equal(moved_to, url);
  await stage.acme.untilRecord(url, { title: "Twin" });
  assert.equal((await stage.acme.records()).filter((other) => other.email === record.email).length, 1);
});

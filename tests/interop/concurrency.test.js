// Several clients on one record, apart and together.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import * as Automerge from "@automerge/automerge";
import { plain } from "./stage/client.js";
import { Stage } from "./stage/harness.js";
import { email } from "./stage/people.js";

let stage;
before(async () => {
  stage = await Stage.set();
});
after(() => stage?.end());

/** A record and two clients that have its document open. */
async function pair() {
  const fields = {
    email: email(),
    first_name: "Ann",
    title: "CFO",
    interests: ["a", "b"],
    logins: 1,
    notes: "one two",
  };
  const record = await stage.acme.create(fields);
  const url = record._meta.automerge_url;
  const [one, two] = [await stage.client({ name: "browser-1" }), await stage.client({ name: "browser-2" })];
  const [mine, theirs] = [await one.find(url), await two.find(url)];
  return { id: record._meta.id, url, one, two, mine, theirs };
}

/** Both clients edit without a network, and come back at once. */
async function apart({ one, two, mine, theirs }, change, other) {
  one.offline();
  two.offline();
  mine.change((doc) => change(doc.fields, doc));
  theirs.change((doc) => other(doc.fields, doc));
  await Promise.all([one.online(), two.online()]);
}

/** Waits until both documents meet a condition, and checks that they, and the record's scalars, are equal. */
async function agree({ id, one, two, mine, theirs }, what, holds) {
  await Promise.all([one.until(mine, what, holds), two.until(theirs, what, holds)]);
  await Promise.all([one.acknowledged(mine), two.acknowledged(theirs)]);
  // Each may hold what was waited for before it has heard of the other's edit.
  await stage.acme.until("both hold the same", async () => isDeepStrictEqual(plain(mine.doc()), plain(theirs.doc())));
  const record = await stage.acme.record(id);
  for (const field of ["title", "first_name", "notes", "logins"]) {
    assert.equal(record[field], plain(mine.doc()).fields[field], field);
  }
  return record;
}

test("two clients see each other's edits through the server", async () => {
  const { one, two, mine, theirs, url } = await pair();
  mine.change((doc) => (doc.fields.title = "CEO"));
  await two.untilFields(theirs, { title: "CEO" });
  theirs.change((doc) => (doc.fields.title = "COO"));
  await one.untilFields(mine, { title: "COO" });
  await stage.acme.untilRecord(url, { title: "COO" });
});

test("edits of different fields both stand", async () => {
  const all = await pair();
  await apart(
    all,
    (fields) => (fields.title = "CEO"),
    (fields) => (fields.first_name = "Anna"),
  );
  const both = ({ fields }) => fields.title === "CEO" && fields.first_name === "Anna";
  await agree(all, "both edits", both);
});

test("of two edits of one field one stands, and the other is kept as a conflict", async () => {
  const all = await pair();
  await apart(
    all,
    (fields) => (fields.title = "CEO"),
    (fields) => (fields.title = "COO"),
  );
  const conflict = await stage.acme.until("the conflict is kept", async () =>
    (await stage.acme.conflicts()).find(({ record, field }) => record === all.id && field === "title"),
  );
  const { title } = await agree(all, "a new title", ({ fields }) => fields.title !== "CFO");
  assert.deepEqual([conflict.winner.value, conflict.loser.value].sort(), ["CEO", "COO"]);
  assert.equal(conflict.winner.value, title);
});

test("an edit of a client that was away meets one over the API", async () => {
  const all = await pair();
  all.one.offline();
  all.mine.change((doc) => (doc.fields.title = "CEO"));
  await stage.acme.edit(all.id, { first_name: "Anna", title: "COO" });
  await all.one.online();
  await stage.acme.until("the conflict is kept", async () =>
    (await stage.acme.conflicts()).find(({ record, field }) => record === all.id && field === "title"),
  );
  await agree(all, "both edits", ({ fields }) => fields.first_name === "Anna" && fields.title !== "CFO");
});

test("members that are added and removed apart are merged", async () => {
  const all = await pair();
  await apart(
    all,
    ({ interests }) => (interests.c = true),
    ({ interests }) => {
      delete interests.a;
      interests.d = true;
    },
  );
  const merged = ({ fields }) => Object.keys(fields.interests).sort().join() === "b,c,d";
  await agree(all, "merged members", merged);
  assert.deepEqual((await stage.acme.record(all.id)).interests, ["b", "c", "d"]);
});

test("counts made apart add up", async () => {
  const all = await pair();
  await apart(
    all,
    ({ logins }) => logins.increment(2),
    ({ logins }) => logins.increment(3),
  );
  await agree(all, "the sum", ({ fields }) => fields.logins === 6);
});

test("characters written apart into a text field are merged", async () => {
  const all = await pair();
  const notes = ["fields", "notes"];
  await apart(
    all,
    (_, doc) => Automerge.splice(doc, notes, 0, 0, "zero "),
    (_, doc) => Automerge.updateText(doc, notes, "one two three"),
  );
  await agree(all, "merged text", ({ fields }) => fields.notes === "zero one two three");
});

test("an edit by a platform's user, by the API and by two clients meet in one record", async () => {
  const all = await pair();
  const address = email();
  const object = await stage.actAsUser("salesforce", "/users/jo/Contact", {
    method: "POST",
    body: { LastName: "Kim", Email: address },
  });
  const found = await stage.acme.until("the person is read", async () =>
    (await stage.acme.records()).find((record) => record.email === address),
  );
  const url = found._meta.automerge_url;
  const [mine, theirs] = [await all.one.find(url), await all.two.find(url)];
  mine.change((doc) => (doc.fields.notes = "by one"));
  theirs.change((doc) => (doc.fields.title = "by two"));
  await stage.actAsUser("salesforce", `/users/jo/Contact/${object.id}`, { method: "PATCH", body: { FirstName: "Jo" } });
  await stage.acme.edit(found._meta.id, { employees: 5 });
  const whole = ({ fields }) =>
    fields.notes === "by one" && fields.title === "by two" && fields.first_name === "Jo" && fields.employees === 5;
  await Promise.all([all.one.until(mine, "all four edits", whole), all.two.until(theirs, "all four edits", whole)]);
});

test("a hundred edits of each of two clients at once all arrive", async () => {
  const all = await pair();
  for (let at = 1; at <= 100; at += 1) {
    all.mine.change((doc) => doc.fields.logins.increment(1));
    all.theirs.change((doc) => doc.fields.logins.increment(1));
  }
  await agree(all, "all counts", ({ fields }) => fields.logins === 201);
});

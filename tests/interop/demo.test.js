// The demo's address for clients: any automerge-repo program can be pointed at it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Demo } from "./stage/demo.js";
import { plain } from "./stage/client.js";
import { contact, email } from "./stage/people.js";

let demo;
before(async () => {
  demo = await Demo.start();
});
after(() => demo?.end());

test("the demo's address lets a client create a contact, and finds those that are there", async () => {
  const client = await demo.client();
  const handle = client.repo.create(contact(email(), { first_name: "Demo" }));
  await demo.api.untilRecord(handle.url, { first_name: "Demo", last_name: "Lovelace" });
  const [known] = (await demo.api.records()).filter(({ _meta }) => _meta.automerge_url !== handle.url);
  const { fields } = plain((await client.find(known._meta.automerge_url)).doc());
  assert.equal(fields.last_name, known.last_name);
});

test("the demo keeps documents of no known type", async () => {
  const [one, two] = [await demo.client(), await demo.client()];
  const mine = one.repo.create({ todos: [{ done: false }] });
  await one.acknowledged(mine);
  const theirs = await two.find(mine.url);
  theirs.change((doc) => (doc.todos[0].done = true));
  await one.until(mine, "it is done", ({ todos }) => todos[0].done);
});

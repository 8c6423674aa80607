// Documents of no model, which a server keeps if it is told to.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { plain } from "./stage/client.js";
import { Stage } from "./stage/harness.js";

let stage;
before(async () => {
  stage = await Stage.set({ repo: { free_documents: true } });
});
after(() => stage?.end());

const board = () => ({ kind: "board", cards: [{ name: "first" }], seen: new Date(0), bytes: new Uint8Array([1, 2]) });

/** A free document, open in two clients. */
async function pair() {
  const [one, two] = [await stage.client(), await stage.client()];
  const mine = one.repo.create(board());
  await one.acknowledged(mine);
  return { one, two, mine, theirs: await two.find(mine.url) };
}

test("a document of no known type is kept for the tenant's clients, and is no record", async () => {
  const { theirs } = await pair();
  assert.deepEqual(plain(theirs.doc()), plain(board()));
  assert.deepEqual(await stage.acme.records(), []);
});

test("an empty document can be shared and filled later", async () => {
  const [one, two] = [await stage.client(), await stage.client()];
  const mine = one.repo.create();
  mine.change((doc) => (doc.cards = []));
  await one.acknowledged(mine);
  const theirs = await two.find(mine.url);
  theirs.change((doc) => doc.cards.push("a"));
  await one.until(mine, "a card", ({ cards }) => cards.length === 1);
});

test("lists and nested values that are edited apart are merged", async () => {
  const { one, two, mine, theirs } = await pair();
  one.offline();
  two.offline();
  mine.change((doc) => {
    doc.cards.push({ name: "second" });
    doc.cards[0].done = true;
  });
  theirs.change((doc) => {
    doc.cards.unshift({ name: "zeroth" });
    doc.cards[1].name = "renamed";
  });
  await Promise.all([one.online(), two.online()]);
  const merged = ({ cards }) => cards.map(({ name }) => name).join() === "zeroth,renamed,second" && cards[1].done;
  await Promise.all([one.until(mine, "both edits", merged), two.until(theirs, "both edits", merged)]);
});

test("a free document survives a kill", async () => {
  const { one, mine } = await pair();
  mine.change((doc) => doc.cards.push({ name: "last" }));
  await one.acknowledged(mine);
  one.end();
  await stage.kill();
  await stage.serve();
  const found = await (await stage.client()).find(mine.url);
  assert.deepEqual(
    plain(found.doc()).cards.map(({ name }) => name),
    ["first", "last"],
  );
});

test("another tenant does not find it", async () => {
  const { mine } = await pair();
  const stranger = await stage.client({ api: stage.globex });
  await assert.rejects(stranger.find(mine.url), /is unavailable/);
});

test("who asks for a document before it exists is told when it comes", async () => {
  const [one, two] = [await stage.client(), await stage.client()];
  one.offline();
  const mine = one.repo.create(board());
  await assert.rejects(two.repo.find(mine.url), /unavailable/);
  const { handle } = two.repo.findWithProgress(mine.url);
  await one.online();
  await handle.whenReady();
  assert.deepEqual(plain(handle.doc()), plain(board()));
  mine.change((doc) => doc.cards.push({ name: "second" }));
  await two.until(handle, "a second card", ({ cards }) => cards.length === 2);
});

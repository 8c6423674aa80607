// What passes between clients without being kept: ephemeral messages and heads.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { generateAutomergeUrl, parseAutomergeUrl } from "@automerge/automerge-repo";
import { Stage } from "./stage/harness.js";
import { untilEvent } from "./stage/patience.js";
import { contact, email } from "./stage/people.js";
import { Wire } from "./stage/wire.js";

let stage;
before(async () => {
  stage = await Stage.set();
});
after(() => stage?.end());

/** A document that two clients have open. */
async function pair(options = {}) {
  const [one, two] = [await stage.client({}, options.one), await stage.client({}, options.two)];
  const mine = one.repo.create(contact(email()));
  await one.acknowledged(mine);
  return { one, two, mine, theirs: await two.find(mine.url) };
}

test("ephemeral messages pass between the clients of a document, and come once", async () => {
  const { one, two, mine, theirs } = await pair();
  theirs.broadcast({ cursor: 3, by: "two" });
  await one.ephemeral(mine, "a cursor", ({ cursor }) => cursor === 3);
  mine.broadcast({ cursor: 4, by: "one" });
  await two.ephemeral(theirs, "a cursor", ({ cursor }) => cursor === 4);
  mine.broadcast({ cursor: 5, by: "one" });
  await two.ephemeral(theirs, "a cursor", ({ cursor }) => cursor === 5);
  const count = ({ received }) => received.filter(({ type }) => type === "ephemeral").length;
  assert.deepEqual([count(one), count(two)], [1, 2], "nobody hears itself or anything twice");
});

test("another tenant hears nothing of them, and is not heard", async () => {
  const { one, two, mine, theirs } = await pair();
  const wire = await Wire.join((await stage.globex.token({ name: "spy" })).url);
  const { documentId } = parseAutomergeUrl(mine.url);
  wire.request(documentId);
  await wire.next("an answer", (message) => message.documentId === documentId);
  const shout = {
    type: "ephemeral",
    documentId,
    count: 1,
    sessionId: "spy",
    data: new Uint8Array([0xa1, 0x61, 0x78, 1]),
  };
  wire.tell(shout);

  mine.broadcast({ secret: true });
  await two.ephemeral(theirs, "the message", ({ secret }) => secret);
  // What the server had for the spy, it has sent before it answers this.
  const fence = parseAutomergeUrl(generateAutomergeUrl()).documentId;
  wire.request(fence);
  await wire.next("an answer", (message) => message.documentId === fence);
  assert.ok(!wire.received.some(({ type }) => type === "ephemeral"));
  assert.ok(![...one.received, ...two.received].some(({ senderId }) => senderId === wire.peerId));
  wire.end();
});

test("a client that has not opened a document gets no messages about it", async () => {
  const { two, mine, theirs } = await pair();
  const elsewhere = await stage.client();
  mine.broadcast({ here: true });
  await two.ephemeral(theirs, "the message", ({ here }) => here);
  await assert.rejects(elsewhere.find(generateAutomergeUrl()), /is unavailable/);
  assert.ok(!elsewhere.received.some(({ type }) => type === "ephemeral"));
});

test("a client learns through the server's heads that its edit is kept", async () => {
  const client = await stage.client({}, { gossip: true, storage: stage.newFolder("gossip") });
  const { storageId } = client.serverMetadata;
  assert.ok(storageId, "the server says which store it has");
  const handle = client.repo.create(contact(email()));
  handle.change((doc) => (doc.fields.title = "CEO"));
  await kept(handle, storageId, () => handle.heads());
});

test("a client learns the heads of another one that it subscribes to", async () => {
  const { one, two, mine, theirs } = await pair({
    one: { gossip: true, storage: stage.newFolder("one") },
    two: { gossip: true, storage: stage.newFolder("two") },
  });
  two.repo.subscribeToRemotes([await one.repo.storageId()]);
  mine.change((doc) => (doc.fields.title = "CEO"));
  await kept(theirs, await one.repo.storageId(), () => mine.heads());
});

/** Waits until the handle has heard that this store holds these heads. */
function kept(handle, storageId, heads) {
  const agree = () => handle.getSyncInfo(storageId)?.lastHeads.join() === heads().join();
  return untilEvent("the store holds the edit", handle, "remote-heads", agree, () =>
    JSON.stringify(handle.getSyncInfo(storageId)),
  );
}

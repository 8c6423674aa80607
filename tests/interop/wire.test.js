// What no well-behaved client sends: it ends that connection by the book, and nobody else notices.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cbor, generateAutomergeUrl, parseAutomergeUrl } from "@automerge/automerge-repo";
import { Stage } from "./stage/harness.js";
import { contact, email } from "./stage/people.js";
import { Wire } from "./stage/wire.js";

let stage, bystander, handle;
let edits = 0;
before(async () => {
  stage = await Stage.set();
  bystander = await stage.client();
  handle = bystander.repo.create(contact(email()));
  await bystander.acknowledged(handle);
});
after(() => stage?.end());

const address = async () => (await stage.acme.token({ name: "wire" })).url;
const documentId = () => parseAutomergeUrl(generateAutomergeUrl()).documentId;

/** A connection that was there before goes on as if nothing had happened. */
async function othersGoOn() {
  edits += 1;
  handle.change((doc) => (doc.fields.employees = edits));
  await bystander.acknowledged(handle);
  assert.ok(bystander.isConnected);
}

const PROTOCOL_ERROR = 1002;
const UNSUPPORTED = 1003;
const INVALID = 1007;
const POLICY = 1008;
const TOO_BIG = 1009;
/** A ping of 126 bytes; a control frame has at most 125. */
const LONG_PING = Buffer.concat([Buffer.from([0x89, 0xfe, 0, 126, 0, 0, 0, 0]), Buffer.alloc(126)]);
const UNMASKED = Buffer.from([0x82, 1, 0xa0]);
const RESERVED_BITS = Buffer.from([0xf2, 0x81, 0, 0, 0, 0, 0xa0]);
const BROKEN_TEXT = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]);

// Where no codes are given, the server may as well go on with that connection.
for (const [what, send, codes] of [
  ["a text frame", (wire) => wire.sendBytes("hello", { text: true }), [UNSUPPORTED]],
  ["bytes that are no CBOR", (wire) => wire.sendBytes(Buffer.from([0xff, 0xff])), [INVALID, UNSUPPORTED, POLICY]],
  ["an empty frame", (wire) => wire.sendBytes(Buffer.alloc(0)), [INVALID, UNSUPPORTED, POLICY]],
  ["CBOR that is no map", (wire) => wire.send([1, 2, 3]), [INVALID, UNSUPPORTED, POLICY]],
  ["two messages in one frame", (wire) => wire.sendBytes(twice()), [INVALID, UNSUPPORTED, POLICY]],
  [
    "CBOR that nests without end",
    (wire) => wire.sendBytes(Buffer.alloc(100_000, 0x81)),
    [INVALID, UNSUPPORTED, POLICY],
  ],
  [
    "a length that is not there",
    (wire) => wire.sendBytes(Buffer.from([0x5b, 0, 0, 1, 0, 0, 0, 0, 0])),
    [INVALID, UNSUPPORTED, POLICY],
  ],
  ["a document id that is none", (wire) => wire.request("not-an-id"), null],
  [
    "sync data that are none",
    (wire) => wire.tell({ type: "sync", documentId: documentId(), data: new Uint8Array([9, 9]) }),
    null,
  ],
  ["a control frame that is too long", (wire) => wire.socket._socket.write(LONG_PING), [PROTOCOL_ERROR, 1006]],
  ["a frame without a mask", (wire) => wire.socket._socket.write(UNMASKED), [PROTOCOL_ERROR, 1006]],
  ["reserved bits", (wire) => wire.socket._socket.write(RESERVED_BITS), [PROTOCOL_ERROR, 1006]],
  ["text that is no UTF-8", (wire) => wire.socket._socket.write(BROKEN_TEXT), [INVALID, UNSUPPORTED, 1006]],
  ["a frame that is far too big", (wire) => wire.sendBytes(Buffer.alloc(80 << 20)), [TOO_BIG, 1006]],
]) {
  test(`${what}: that connection ends, the others go on`, async () => {
    const wire = await Wire.join(await address());
    send(wire);
    if (codes) {
      const { code } = await wire.closed();
      assert.ok(codes.includes(code), `closed with ${code}`);
    }
    await othersGoOn();
    wire.end();
  });
}

function twice() {
  const message = cbor.encode({ type: "leave", senderId: "a" });
  return Buffer.concat([message, message]);
}

test("a message type that does not exist is passed over", async () => {
  const wire = await Wire.join(await address());
  wire.tell({ type: "from-the-future", documentId: documentId(), data: new Uint8Array([1]) });
  const id = documentId();
  wire.request(id);
  await wire.next("an answer", (message) => message.documentId === id);
  await othersGoOn();
  wire.end();
});

test("a message before the introduction ends the connection", async () => {
  const wire = await Wire.open(await address());
  wire.send({ type: "leave", senderId: wire.peerId });
  await wire.closed();
  assert.ok(!wire.received.some(({ type }) => type === "peer"));
  await othersGoOn();
});

test("an unknown version of the protocol is answered with an error", async () => {
  const wire = await Wire.open(await address());
  wire.send({ type: "join", senderId: wire.peerId, peerMetadata: {}, supportedProtocolVersions: ["99"] });
  await wire.next("an error", ({ type }) => type === "error");
  await wire.closed();
  await othersGoOn();
});

test("a storm of fragments harms nobody else", async () => {
  const wire = await Wire.join(await address());
  for (let at = 0; at < 50_000 && wire.socket.readyState === wire.socket.OPEN; at += 1) {
    wire.socket.send(Buffer.alloc(0), { binary: true, fin: false });
  }
  await othersGoOn();
  wire.end();
});

test("a store that is named as nothing is no obstacle", async () => {
  const wire = await Wire.open(await address());
  wire.send({
    type: "join",
    senderId: wire.peerId,
    peerMetadata: { storageId: undefined, isEphemeral: true },
    supportedProtocolVersions: ["1"],
  });
  const peer = await wire.next("the server introduces itself", ({ type }) => type === "peer");
  assert.equal(peer.selectedProtocolVersion, "1");
  assert.equal(peer.targetId, wire.peerId);
  assert.equal(typeof peer.peerMetadata, "object");
  wire.end();
});

test("numbers that are written as floats are understood", async () => {
  const wire = await Wire.join(await address());
  const { documentId } = parseAutomergeUrl(handle.url);
  wire.request(documentId);
  await wire.next("the document", (message) => message.documentId === documentId);
  const told = { senderId: wire.peerId, targetId: wire.peer.senderId, documentId, sessionId: "s" };
  const message = Buffer.from(cbor.encode({ type: "ephemeral", ...told, data: new Uint8Array([0xf5]) }));
  assert.equal(message[0], 0xb9, "a map with a count of two bytes");
  // One more pair, whose value no encoder here would write so: the count 1 as a float of eight bytes.
  message.writeUInt16BE(message.readUInt16BE(1) + 1, 1);
  wire.sendBytes(Buffer.concat([message, cbor.encode("count"), Buffer.from("fb3ff0000000000000", "hex")]));
  await bystander.ephemeral(handle, "the message", (contents) => contents === true);
  wire.end();
});

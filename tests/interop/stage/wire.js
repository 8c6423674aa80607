// The protocol by hand, for what no well-behaved client sends.

import { EventEmitter } from "node:events";
import * as Automerge from "@automerge/automerge";
import { cbor } from "@automerge/automerge-repo";
import WebSocket from "ws";
import { untilEvent, within } from "./patience.js";

/** A bare connection that has not introduced itself. */
export class Wire {
  received = [];
  #events = new EventEmitter();

  /** `headers` go with the handshake. */
  static async open(url, headers = {}) {
    const wire = new Wire();
    wire.peerId = `wire-${Math.random().toString(36).slice(2)}`;
    wire.socket = new WebSocket(url, { headers });
    wire.socket.binaryType = "arraybuffer";
    wire.socket.on("message", (data, isBinary) => {
      wire.received.push(isBinary ? cbor.decode(new Uint8Array(data)) : { text: data.toString() });
      wire.#events.emit("message");
    });
    wire.ended = new Promise((resolve) => {
      wire.socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    await within(
      "the socket opens",
      new Promise((resolve, reject) => {
        wire.socket.once("open", resolve).once("error", reject);
      }),
    );
    return wire;
  }

  /** A connection that has joined; `peer` is the server's answer. */
  static async join(url, headers) {
    const wire = await Wire.open(url, headers);
    wire.send({
      type: "join",
      senderId: wire.peerId,
      peerMetadata: { isEphemeral: true },
      supportedProtocolVersions: ["1"],
    });
    wire.peer = await wire.next("the server introduces itself", ({ type }) => type === "peer");
    return wire;
  }

  /** Sends one message as CBOR. */
  send(message) {
    this.sendBytes(cbor.encode(message));
  }

  /** Sends a message to the server's peer, as a client does. */
  tell(message) {
    this.send({ senderId: this.peerId, targetId: this.peer.senderId, ...message });
  }

  /** Asks for a document that this peer does not have. */
  request(documentId) {
    const [, data] = Automerge.generateSyncMessage(Automerge.init(), Automerge.initSyncState());
    this.tell({ type: "request", documentId, data });
  }

  /** Sends bytes as one binary frame, or as a text frame. */
  sendBytes(bytes, { text = false } = {}) {
    this.socket.send(bytes, { binary: !text });
  }

  /** Waits for a message, also one that came already. */
  next(what, holds) {
    return untilEvent(
      what,
      this.#events,
      "message",
      () => this.received.find(holds),
      () => JSON.stringify(this.received),
    );
  }

  /** Waits until the server has closed the connection; `{ code, reason }`. */
  closed() {
    return within("the server closes the connection", this.ended, () => JSON.stringify(this.received));
  }

  end() {
    this.socket.terminate();
  }
}

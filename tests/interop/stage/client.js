// An unmodified automerge-repo client on an unmodified WebSocket adapter, with what stories want to know about it.

import { EventEmitter } from "node:events";
import * as Automerge from "@automerge/automerge";
import { Repo, cbor, decodeHeads } from "@automerge/automerge-repo";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs";
import { untilEvent, within } from "./patience.js";

/** The adapter's own is 5 s; what is tested is that it comes back, not how long it takes. */
const RETRY_MS = 250;

/** What a document says, in plain JSON: scalar strings and texts are strings, counters are numbers. */
export function plain(doc) {
  return JSON.parse(JSON.stringify(doc));
}

/** One client. */
export class Client {
  /** Messages that came in over the wire, in order. */
  received = [];
  #wire = new EventEmitter();
  #serverHeads = new Map();

  /** `storage` is a folder to keep documents in; without it they are in memory only. */
  constructor(url, { storage, gossip = false, peerId, retryMs = RETRY_MS } = {}) {
    this.#wire.setMaxListeners(0);
    this.adapter = new WebSocketClientAdapter(url, retryMs);
    this.repo = new Repo({
      peerId,
      network: [this.adapter],
      storage: storage && new NodeFSStorageAdapter(storage),
      enableRemoteHeadsGossiping: gossip,
    });
    // After the repo's own listeners, so that it knows already what is told here.
    this.adapter.on("message", (message) => this.#receive(message));
    this.adapter.on("peer-candidate", ({ peerMetadata }) => {
      this.serverMetadata = peerMetadata;
      this.#wire.emit("connection");
    });
    this.adapter.on("peer-disconnected", () => {
      this.#serverHeads.clear();
      this.#wire.emit("connection");
    });
  }

  #receive(message) {
    this.received.push(message);
    if (message.type === "sync") {
      this.#serverHeads.set(message.documentId, Automerge.decodeSyncMessage(message.data).heads);
    }
    this.#wire.emit("message", message);
  }

  get isConnected() {
    return this.repo.peers.length > 0;
  }

  /** Waits until the server has let it in. */
  async connected() {
    // The repo registers the peer after the adapter's own event.
    await untilEvent("the client is connected", this.#wire, "connection", () => this.isConnected);
    return this;
  }

  async disconnected() {
    await untilEvent("the client is disconnected", this.#wire, "connection", () => !this.isConnected);
    return this;
  }

  /** Waits until the server closes the socket, and tells with which code and reason. */
  closed() {
    const socket = this.adapter.socket;
    return within(
      "the server closes the connection",
      new Promise((resolve) => socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }))),
    );
  }

  /** Leaves the network; edits go on. */
  offline() {
    this.adapter.disconnect();
  }

  /** Comes back. */
  online() {
    this.adapter.connect(this.adapter.peerId, this.adapter.peerMetadata);
    return this.connected();
  }

  find(url) {
    return within(`${url} is found`, this.repo.find(url));
  }

  /** Waits until the document, as plain JSON, meets a condition, and returns it. */
  until(handle, what, holds) {
    const look = () => {
      const doc = plain(handle.doc());
      return holds(doc) && doc;
    };
    return untilEvent(what, handle, "change", look, () => JSON.stringify(handle.doc()));
  }

  /** Waits until the document's fields have these values. */
  untilFields(handle, values) {
    return this.until(handle, `the document shows ${JSON.stringify(values)}`, ({ fields }) =>
      Object.entries(values).every(
        ([field, value]) => JSON.stringify(fields?.[field] ?? null) === JSON.stringify(value ?? null),
      ),
    );
  }

  /** Waits until the server has said, since the connection was made, that it holds exactly what this client does. */
  acknowledged(handle) {
    const agree = () => {
      const theirs = this.#serverHeads.get(handle.documentId);
      return theirs && [...theirs].sort().join() === [...decodeHeads(handle.heads())].sort().join();
    };
    // The server may have said so before the client has taken in what came with it.
    const look = () => this.#wire.emit("message");
    handle.on("heads-changed", look);
    const seen = () => JSON.stringify([handle.documentId, this.#serverHeads.get(handle.documentId)]);
    const reached = untilEvent("the server holds what the client does", this.#wire, "message", agree, seen);
    return reached.finally(() => handle.off("heads-changed", look));
  }

  /** Waits for an ephemeral message about a document, also one that came already. */
  ephemeral(handle, what, holds) {
    const find = () => {
      const messages = this.received.filter(
        ({ type, documentId }) => type === "ephemeral" && documentId === handle.documentId,
      );
      return messages.map(contents).find(holds);
    };
    return untilEvent(what, this.#wire, "message", find, () => this.#heardLately());
  }

  /** Waits for a message of the server, also one that came already. */
  hears(what, holds) {
    return untilEvent(
      what,
      this.#wire,
      "message",
      () => this.received.find(holds),
      () => this.#heardLately(),
    );
  }

  #heardLately() {
    return `${this.received.length} messages, the last: ${this.received.slice(-5).map(({ type }) => type)}`;
  }

  /** Waits until the server has refused a change of the document, and returns the reason. */
  async refused(handle) {
    const message = await this.ephemeral(
      handle,
      "the server refuses the change",
      (contents) => contents?.syncline?.kind === "refused",
    );
    return message.syncline.reason;
  }

  /** Is gone, for good. */
  end() {
    if (this.adapter.socket) this.adapter.disconnect();
    // A socket that was closed by the server has a retry under way that nothing cancels.
    this.adapter.connect = () => {};
  }
}

function contents({ data }) {
  return cbor.decode(new Uint8Array(data));
}

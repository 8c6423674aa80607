// The page's repo, and its connection to Syncline.

import { Repo, initializeWasm } from "@automerge/automerge-repo/slim";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";
import { IndexedDBStorageAdapter } from "@automerge/automerge-repo-storage-indexeddb";
import wasm from "@automerge/automerge/automerge.wasm?url";

/** How soon a token is asked for again after that has failed. */
const ASK_AGAIN_MS = 5000;

/** Documents that are kept in this browser and, while there is a connection, kept the same as the server's. */
export class Link extends EventTarget {
  state = "connecting";
  #adapter;
  #url;
  #renewal;
  /** How often the network was joined or left, so that what is overtaken stops. */
  #turn = 0;

  /** Opens the repo; documents of this browser are there at once, and a connection as soon as there can be one. */
  static async open() {
    await initializeWasm(wasm);
    const link = new Link();
    link.repo = new Repo({ storage: new IndexedDBStorageAdapter("syncline-contacts") });
    link.goOnline();
    return link;
  }

  /** Connects; edits that were made meanwhile are merged by themselves. */
  async goOnline() {
    const turn = ++this.#turn;
    this.#tell("connecting");
    await this.#renew();
    if (turn !== this.#turn) return;
    this.#adapter = new WebSocketClientAdapter(this.#url);
    this.#adapter.on("peer-candidate", () => this.#tell("live"));
    // A token that has ended is one reason for a closed connection, and the adapter is about to come back with it.
    this.#adapter.on("peer-disconnected", () => {
      if (this.state !== "live") return;
      this.#tell("connecting");
      this.#renew();
    });
    this.repo.networkSubsystem.addNetworkAdapter(this.#adapter);
  }

  /** Leaves the network. Edits go on, and stay in this browser. */
  goOffline() {
    this.#turn += 1;
    this.#tell("offline");
    clearTimeout(this.#renewal);
    const adapter = this.#adapter;
    this.#adapter = undefined;
    if (!adapter) return;
    // An attempt that the adapter has planned would still be made.
    adapter.connect = () => {};
    if (adapter.socket) this.repo.networkSubsystem.removeNetworkAdapter(adapter);
  }

  /** Gets an address with a fresh token, also before the present one ends. Without one, the old one is kept. */
  async #renew() {
    const turn = this.#turn;
    clearTimeout(this.#renewal);
    let next = ASK_AGAIN_MS;
    try {
      const response = await fetch("/api/token", { method: "POST" });
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
      const { url, expires_at } = await response.json();
      this.#url = url;
      // The adapter reads its address whenever it connects again.
      if (this.#adapter) this.#adapter.url = url;
      next = Math.max((new Date(expires_at) - Date.now()) / 2, ASK_AGAIN_MS);
    } catch (error) {
      console.warn("no token:", error.message);
    }
    if (turn !== this.#turn) return;
    const again = new Promise((renewed) => (this.#renewal = setTimeout(() => renewed(this.#renew()), next)));
    if (!this.#url) await again;
  }

  #tell(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

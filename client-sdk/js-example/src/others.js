// Who else has this contact open, and where they are: nothing of it is kept anywhere.

import { Presence } from "@automerge/automerge-repo/slim";

const HEARTBEAT_MS = 2000;
const ANIMALS = ["Badger", "Crane", "Dormouse", "Heron", "Ibex", "Lynx", "Marten", "Otter", "Plover", "Stoat", "Wren"];

/** This tab's name for the others. */
const name =
  (sessionStorage.name ??= `${ANIMALS[Math.floor(Math.random() * ANIMALS.length)]} ${Math.floor(Math.random() * 90) + 10}`);

/** The other tabs that show the same document. */
export class Others {
  #presence;
  #element;
  #inputs;
  #leave = new AbortController();

  constructor(handle, element, inputs) {
    this.#element = element;
    this.#inputs = inputs;
    this.#presence = new Presence({ handle });
    for (const event of ["update", "snapshot", "goodbye", "pruning", "heartbeat"]) {
      this.#presence.on(event, () => this.#show());
    }
    this.#presence.start({
      initialState: { name, field: null },
      heartbeatMs: HEARTBEAT_MS,
      peerTtlMs: 3 * HEARTBEAT_MS,
    });
    const { signal } = this.#leave;
    for (const [field, input] of Object.entries(inputs)) {
      input.addEventListener("focus", () => this.#presence.broadcast("field", field), { signal });
      input.addEventListener("blur", () => this.#presence.broadcast("field", null), { signal });
    }
    window.addEventListener("pagehide", () => this.leave(), { signal });
    this.#show();
  }

  #show() {
    const others = Object.values(this.#presence.getPeerStates().value).map(({ value }) => value);
    const said = others.map(({ name, field }) => (field ? `${name}, in ${field.replace("_", " ")}` : name));
    this.#element.textContent = said.length ? `Also here: ${said.join("; ")}` : "";
    for (const [field, input] of Object.entries(this.#inputs)) {
      input.toggleAttribute(
        "data-taken",
        others.some((other) => other.field === field),
      );
    }
  }

  leave() {
    this.#presence.stop();
    this.#leave.abort();
  }
}

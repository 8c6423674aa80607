// The list of contacts, from the page's own server.

const KEPT = "contacts";
/** One long-poll, and the least time between two of them. */
const WAIT_S = 25;
const PAUSE_MS = 500;

const pause = (ms) => new Promise((over) => setTimeout(over, ms));

/** A list that follows the feed, and shows what was last seen while there is no connection. */
export class ContactList {
  #items = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
  #element;
  #isOffline;
  #chosen;

  /** `choose` is called with a document's address. */
  constructor(element, { isOffline, choose }) {
    this.#element = element;
    this.#isOffline = isOffline;
    element.addEventListener("click", ({ target }) => {
      const url = target.closest("button")?.dataset.url;
      if (url) choose(url);
    });
    this.#render();
  }

  /** Follows the feed for as long as the page is open. */
  async follow() {
    let cursor = null;
    for (;;) {
      try {
        if (!this.#isOffline()) {
          if (cursor === null) {
            cursor = await this.#newest();
            await this.#load();
          }
          const { items, cursor: now } = await get(`/api/changes?after=${cursor}&wait=${WAIT_S}`);
          if (items.length) await this.#load();
          cursor = now;
        }
      } catch (error) {
        // The feed may have been trimmed meanwhile, so the next round begins with the list.
        console.warn("no list:", error.message);
        cursor = null;
      }
      await pause(PAUSE_MS);
    }
  }

  async #newest() {
    let page = { cursor: 0 };
    do page = await get(`/api/changes?after=${page.cursor}`);
    while (page.items.length);
    return page.cursor;
  }

  async #load() {
    const { items } = await get("/api/contacts");
    const chosen = this.#items.find(({ url }) => url === this.#chosen);
    this.#items = items.map(({ _meta, first_name, last_name, title, email }) => ({
      url: _meta.automerge_url,
      fields: { first_name, last_name, title, email },
    }));
    // The list is of the newest; what is open stays in sight.
    if (chosen && !this.#items.some(({ url }) => url === chosen.url)) this.#items.unshift(chosen);
    localStorage.setItem(KEPT, JSON.stringify(this.#items));
    this.#render();
  }

  /** Marks the contact that is open. */
  mark(url) {
    this.#chosen = url;
    this.#render();
  }

  /** Shows what the open document says, which the server may not have heard yet. */
  show(url, fields) {
    const known = this.#items.find((item) => item.url === url);
    if (known) known.fields = fields;
    else this.#items.unshift({ url, fields });
    this.#render();
  }

  #render() {
    this.#element.replaceChildren(...this.#items.map((item) => this.#row(item)));
  }

  #row({ url, fields }) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.dataset.url = url;
    if (url === this.#chosen) button.setAttribute("aria-current", "true");
    const name = [fields.first_name, fields.last_name].filter(Boolean).join(" ") || fields.email || "Nobody yet";
    for (const [tag, text] of [
      ["strong", name],
      ["span", fields.title || fields.email || ""],
    ]) {
      button.append(Object.assign(document.createElement(tag), { textContent: text }));
    }
    const row = document.createElement("li");
    row.append(button);
    return row;
  }
}

async function get(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.json();
}

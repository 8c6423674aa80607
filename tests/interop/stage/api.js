// The server's HTTP API, as a product's backend uses it.

import { Impatient, PATIENCE_MS } from "./patience.js";

/** How long one long-poll waits for a change before the condition is looked at again, in seconds. */
const LOOK_AGAIN_S = 1;

/** `/v1` with one key. */
export class Api {
  #base;
  #headers;
  /** How far the feed was seen to reach. */
  #cursor = 0;

  constructor(base, key, tenant) {
    this.#base = base;
    this.#headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    if (tenant) this.#headers["syncline-tenant"] = tenant;
  }

  /** Any call; answers `{ status, body }`, whatever the status. */
  async call(method, path, body) {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: this.#headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null };
  }

  async #must(method, path, body) {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** A token for `/v1/repo`. */
  token(asked) {
    return this.#must("POST", "/v1/repo/tokens", asked);
  }

  create(fields, model = "contact") {
    return this.#must("POST", `/v1/records/${model}`, fields);
  }

  edit(id, fields) {
    return this.#must("PATCH", `/v1/records/contact/${id}`, fields);
  }

  remove(id) {
    return this.#must("DELETE", `/v1/records/contact/${id}`);
  }

  record(id, model = "contact") {
    return this.#must("GET", `/v1/records/${model}/${id}?origins=true`);
  }

  /** All records of a model. */
  async records(model = "contact") {
    const all = [];
    let cursor = "";
    do {
      const page = await this.#must("GET", `/v1/records/${model}?limit=100${cursor && `&cursor=${cursor}`}`);
      all.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor);
    return all;
  }

  async conflicts() {
    return (await this.#must("GET", "/v1/conflicts?state=all")).items;
  }

  /** The record whose document this is, or undefined. */
  async recordOf(url) {
    const found = (await this.records()).find((record) => record._meta.automerge_url === url);
    return found && this.record(found._meta.id);
  }

  /** Waits until `holds`, an asynchronous condition on what the API shows, and returns what it returned. */
  async until(what, holds) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      // The place in the feed is taken before the look, so that no change falls between the two.
      const cursor = await this.#newest();
      const { result, seen } = await look(holds);
      if (result) return result;
      if (Date.now() > deadline) throw new Impatient(what, seen);
      await this.#must("GET", `/v1/changes?after=${cursor}&wait=${LOOK_AGAIN_S}`);
    }
  }

  async #newest() {
    let page;
    do {
      page = await this.#must("GET", `/v1/changes?after=${this.#cursor}`);
      this.#cursor = page.cursor;
    } while (page.items.length);
    return this.#cursor;
  }

  /** Waits until the record of this document has these values, and returns it. */
  untilRecord(url, values) {
    return this.until(`the record of ${url} has ${JSON.stringify(values)}`, async () => {
      const record = await this.recordOf(url);
      const differs = Object.entries(values).some(([field, value]) => !same(record?.[field], value));
      if (record && !differs) return record;
      throw new NotYet(record ? JSON.stringify(record) : "no such record");
    });
  }
}

/** Says what there is instead of what is waited for. */
class NotYet extends Error {}

async function look(holds) {
  try {
    return { result: await holds(), seen: "" };
  } catch (error) {
    if (error instanceof NotYet) return { result: null, seen: error.message };
    throw error;
  }
}

/** A cleared field is null or absent. */
function same(left, right) {
  return JSON.stringify(left ?? null) === JSON.stringify(right ?? null);
}

// The stage of every story: the real server on a fresh database, with emulated accounts behind it, and the reference
// server in its place.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Api } from "./api.js";
import { Client } from "./client.js";
import { Process } from "./processes.js";

const KEYS = { acme: "acme-key-0123456789abcdef", globex: "globex-key-0123456789abcdef", operator: "operator-key-0123456789" };
const SECRETS_KEY = "0123456789abcdef".repeat(4);
/** Lags of the emulated accounts are a fiftieth of the real ones. */
const TIME_SCALE = 0.02;

/** The fields of a contact, one of each kind. */
export const CONTACT_FIELDS = {
  email: { type: "text", max: 80, canonical: ["trim", "lower"] },
  first_name: { type: "text", max: 40 },
  last_name: { type: "text", max: 80 },
  title: { type: "text", max: 128 },
  phone: { type: "text", max: 40 },
  city: { type: "text", max: 40 },
  employees: { type: "int" },
  stage: { type: "enum", values: ["lead", "mql", "customer"] },
  interests: { type: "set", policy: "set" },
  logins: { type: "int", policy: "counter" },
  notes: { type: "text", max: 32000, policy: "text", canonical: ["newlines"] },
};

function binary() {
  const path = process.env.SYNCLINE_BIN;
  if (!path) {
    throw new Error(
      "SYNCLINE_BIN is not set: build the server with `cargo build --release --package syncline-server`, " +
        "then run `SYNCLINE_BIN=../../target/release/syncline npm test`",
    );
  }
  if (!existsSync(path)) throw new Error(`SYNCLINE_BIN names ${path}, which does not exist: build the server first`);
  return resolve(path);
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((found, failed) => {
    const server = createServer().once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}

/** The real server. `acme` and `globex` are tenants; `acme` has a Salesforce account, `globex` one of HubSpot. */
export class Stage {
  #server;
  #clients = [];

  /**
   * Prepares everything and starts the server. `contacts` people are in each account; `repo` is the configuration's
   * section of that name; `fields` are a contact's.
   */
  static async set({ contacts = 0, repo = {}, fields = CONTACT_FIELDS } = {}) {
    const stage = new Stage();
    stage.folder = mkdtempSync(join(tmpdir(), "syncline-interop-"));
    try {
      stage.binary = binary();
      await stage.#emulate(contacts);
      stage.port = await freePort();
      const config = configuration(stage.port, stage.accounts, fields, repo);
      // YAML contains JSON.
      writeFileSync(join(stage.folder, "syncline.yaml"), JSON.stringify(config, null, 2));
      await stage.serve();
    } catch (error) {
      await stage.end();
      throw error;
    }
    return stage;
  }

  async #emulate(contacts) {
    const args = ["sandbox", "--json", "--faults", "off", "--contacts", `${contacts}`, "--time-scale", `${TIME_SCALE}`];
    this.sandbox = await Process.start(this.binary, args, this.#surroundings("sandbox.log"));
    this.accounts = JSON.parse(this.sandbox.ready);
  }

  #surroundings(log) {
    const env = { ...process.env, SECRETS_KEY, ACME_KEY: KEYS.acme, GLOBEX_KEY: KEYS.globex, OPERATOR_KEY: KEYS.operator };
    for (const name of ["API", "KEY", "TENANT", "CONFIG", "LOG"]) delete env[`SYNCLINE_${name}`];
    for (const [word, account] of Object.entries(this.accounts ?? {})) {
      env[`${word.toUpperCase()}_ID`] = account.client_id;
      env[`${word.toUpperCase()}_SECRET`] = account.client_secret;
      env[`${word.toUpperCase()}_REFRESH`] = account.refresh_token;
    }
    return { cwd: this.folder, env, log: join(this.folder, log) };
  }

  /** Starts the server, again on the same port and database. */
  async serve() {
    this.#server = await Process.start(this.binary, ["serve", "--json"], this.#surroundings("server.log"));
    this.url = JSON.parse(this.#server.ready).api;
    this.acme = new Api(this.url, KEYS.acme);
    this.globex = new Api(this.url, KEYS.globex);
  }

  /** The API with another key or tenant than usual. */
  api({ key = "operator", tenant } = {}) {
    return new Api(this.url, KEYS[key] ?? key, tenant);
  }

  /** The API key of a tenant, for programs that the stories start. */
  key(tenant) {
    return KEYS[tenant];
  }

  get pid() {
    return this.#server.pid;
  }

  /** Ends the server as a power cut would. */
  async kill() {
    await this.#server.kill();
  }

  /** Ends the server as a service manager would. */
  async terminate() {
    return this.#server.terminate();
  }

  serverLog(lines) {
    return this.#server.logTail(lines);
  }

  /** A connected client: `token` is what `POST /v1/repo/tokens` is asked for, `options` are those of `Client`. */
  async client(token = {}, options = {}) {
    const { api = this.acme, ...asked } = token;
    const { url } = await api.token({ name: "browser-1", ...asked });
    return this.visitor(url, options).connected();
  }

  /** A client of an address, connected or not, that is gone at the end. */
  visitor(url, options = {}) {
    const client = new Client(url, options);
    this.#clients.push(client);
    return client;
  }

  /** A user of a platform edits an object there: `account` is `salesforce` or `hubspot`. */
  async actAsUser(account, path, { method = "GET", body } = {}) {
    const response = await fetch(`${this.accounts[account].admin}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** A new folder that goes with the stage. */
  newFolder(name) {
    return mkdtempSync(join(this.folder, `${name}-`));
  }

  /** Ends everything. */
  async end() {
    for (const client of this.#clients) client.end();
    await this.#server?.kill();
    await this.sandbox?.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function configuration(port, { salesforce, hubspot }, fields, repo) {
  const secret = (name) => ({ env: name });
  const side = (object, mapping) => ({ object, poll: "1s", creates: false, mapping });
  return {
    version: 1,
    server: { listen: `127.0.0.1:${port}`, database: "syncline.db", secrets_key: secret("SECRETS_KEY") },
    ...(Object.keys(repo).length && { repo }),
    models: { contact: { fields, match: [["email"]] }, company: { fields: { name: { type: "text", max: 80 } } } },
    integrations: {
      salesforce: {
        provider: "salesforce",
        client_id: secret("SALESFORCE_ID"),
        client_secret: secret("SALESFORCE_SECRET"),
        settings: { login_url: salesforce.url, time_scale: TIME_SCALE },
      },
      hubspot: {
        provider: "hubspot",
        client_id: secret("HUBSPOT_ID"),
        client_secret: secret("HUBSPOT_SECRET"),
        settings: { base_url: hubspot.url, time_scale: TIME_SCALE, app_id: "54321" },
      },
    },
    connections: {
      "acme-salesforce": {
        tenant: "acme",
        integration: "salesforce",
        credentials: { refresh_token: secret("SALESFORCE_REFRESH"), base_url: salesforce.url },
      },
      "globex-hubspot": {
        tenant: "globex",
        integration: "hubspot",
        credentials: { refresh_token: secret("HUBSPOT_REFRESH") },
      },
    },
    syncs: {
      "acme-contacts": {
        tenant: "acme",
        model: "contact",
        approve: "auto",
        sides: {
          "acme-salesforce": side("Contact", {
            email: "Email",
            first_name: "FirstName",
            last_name: "LastName",
            title: "Title",
          }),
        },
      },
      "acme-companies": {
        tenant: "acme",
        model: "company",
        approve: "auto",
        sides: { "acme-salesforce": side("Account", { name: "Name" }) },
      },
      "globex-contacts": {
        tenant: "globex",
        model: "contact",
        approve: "auto",
        sides: {
          "globex-hubspot": side("contacts", { email: "email", first_name: "firstname", last_name: "lastname" }),
        },
      },
    },
    api_keys: [
      { name: "backend", tenant: "acme", key: secret("ACME_KEY") },
      { name: "other", tenant: "globex", key: secret("GLOBEX_KEY") },
      { name: "operator", key: secret("OPERATOR_KEY") },
    ],
  };
}

/** The reference sync server, unmodified. */
export class Reference {
  #server;
  #clients = [];

  static async start() {
    const reference = new Reference();
    reference.folder = mkdtempSync(join(tmpdir(), "syncline-reference-"));
    reference.port = await freePort();
    await reference.serve();
    return reference;
  }

  /** Starts it, again on the same port and folder. */
  async serve() {
    const manifest = createRequire(import.meta.url).resolve("@automerge/automerge-repo-sync-server/package.json");
    this.#server = await Process.start(process.execPath, [join(manifest, "..", "src", "index.js")], {
      cwd: this.folder,
      env: { ...process.env, PORT: `${this.port}`, DATA_DIR: join(this.folder, "data") },
      log: join(this.folder, "server.log"),
      isReady: (line) => line.startsWith("Listening"),
    });
    this.url = `ws://127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.#server.pid;
  }

  async kill() {
    await this.#server.kill();
  }

  async client(options = {}) {
    const client = new Client(this.url, options);
    this.#clients.push(client);
    return client.connected();
  }

  newFolder(name) {
    return mkdtempSync(join(this.folder, `${name}-`));
  }

  async end() {
    for (const client of this.#clients) client.end();
    await this.#server?.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

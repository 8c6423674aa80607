// The stage of every story: the real server on a fresh database, with emulated accounts behind it, and the reference
// server in its place.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { Api } from "./api.js";
import { Client } from "./client.js";
import { TIME_SCALE, configuration } from "./configuration.js";
import { PATIENCE_MS } from "./patience.js";
import { Process } from "./processes.js";

const KEYS = {
  acme: "acme-key-0123456789abcdef",
  globex: "globex-key-0123456789abcdef",
  operator: "operator-key-0123456789",
};
const SECRETS_KEY = "0123456789abcdef".repeat(4);

/** A folder that goes with this process, and not before: clients save what they hold a moment after a story has ended. */
export function temporaryFolder(prefix) {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The path of the server's binary. */
export function binary() {
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

/** This process's variables without the developer's own that the binary would read. */
export function environment() {
  const env = { ...process.env };
  for (const name of ["API", "KEY", "TENANT", "CONFIG", "LOG"]) delete env[`SYNCLINE_${name}`];
  return env;
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
   * Prepares everything and starts the server. `contacts` people are in each account, whose `faults` are a profile of the
   * sandbox; `repo` is the configuration's section of that name; with `both`, acme's contacts are in both accounts, which
   * are asked for changes every `poll`.
   */
  static async set({ contacts = 0, faults = "off", repo = {}, both = false, poll } = {}) {
    const stage = new Stage();
    stage.folder = temporaryFolder("syncline-interop-");
    try {
      stage.binary = binary();
      await stage.#emulate(contacts, faults);
      stage.port = await freePort();
      const config = configuration(stage.port, stage.accounts, { repo, both, poll });
      // YAML contains JSON.
      writeFileSync(join(stage.folder, "syncline.yaml"), JSON.stringify(config, null, 2));
      if (both) await stage.run(["plan", "--create-fields"]);
      await stage.serve();
    } catch (error) {
      await stage.end();
      throw error;
    }
    return stage;
  }

  async #emulate(contacts, faults) {
    const args = [
      "sandbox",
      "--json",
      "--faults",
      faults,
      "--contacts",
      `${contacts}`,
      "--time-scale",
      `${TIME_SCALE}`,
    ];
    this.sandbox = await Process.start(this.binary, args, this.#surroundings("sandbox.log"));
    this.accounts = JSON.parse(this.sandbox.ready);
  }

  #surroundings(log) {
    const keys = { ACME_KEY: KEYS.acme, GLOBEX_KEY: KEYS.globex, OPERATOR_KEY: KEYS.operator };
    const env = { ...environment(), SECRETS_KEY, ...keys };
    for (const [word, account] of Object.entries(this.accounts ?? {})) {
      env[`${word.toUpperCase()}_ID`] = account.client_id;
      env[`${word.toUpperCase()}_SECRET`] = account.client_secret;
      env[`${word.toUpperCase()}_REFRESH`] = account.refresh_token;
    }
    return { cwd: this.folder, env, log: log && join(this.folder, log) };
  }

  /** Starts the server, again on the same port and database. */
  async serve() {
    this.#server = await Process.start(this.binary, ["serve", "--json"], this.#surroundings("server.log"));
    this.url = JSON.parse(this.#server.ready).api;
    this.acme = new Api(this.url, KEYS.acme);
    this.globex = new Api(this.url, KEYS.globex);
  }

  /** Runs a verb of the binary to its end. */
  async run(args) {
    const { cwd, env } = this.#surroundings();
    await promisify(execFile)(this.binary, args, { cwd, env, timeout: PATIENCE_MS });
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
  }
}

/** The reference sync server, unmodified. */
export class Reference {
  #server;
  #clients = [];

  static async start() {
    const reference = new Reference();
    reference.folder = temporaryFolder("syncline-reference-");
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
  }
}

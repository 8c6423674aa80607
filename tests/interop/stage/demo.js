// The demo as a newcomer starts it.

import { join } from "node:path";
import { Api } from "./api.js";
import { Client } from "./client.js";
import { binary, environment, temporaryFolder } from "./harness.js";
import { Process } from "./processes.js";

/** Contacts in each account: few, since nothing here depends on their number. */
const CONTACTS = 20;

/** A running demo. */
export class Demo {
  #process;
  #folder = temporaryFolder("syncline-demo-");
  #clients = [];

  static async start() {
    const demo = new Demo();
    try {
      demo.#process = await Process.start(binary(), ["demo", "--json", "--contacts", `${CONTACTS}`], {
        cwd: demo.#folder,
        env: { ...environment(), TMPDIR: demo.#folder },
        log: join(demo.#folder, "demo.log"),
      });
      const { api, key, repo } = JSON.parse(demo.#process.ready);
      if (!repo) throw new Error(`the demo's first line names no \`repo\`: ${demo.#process.ready}`);
      demo.api = new Api(api, key);
      demo.repo = repo;
    } catch (error) {
      await demo.end();
      throw error;
    }
    return demo;
  }

  async client() {
    const client = new Client(this.repo);
    this.#clients.push(client);
    return client.connected();
  }

  async end() {
    for (const client of this.#clients) client.end();
    await this.#process?.kill();
  }
}

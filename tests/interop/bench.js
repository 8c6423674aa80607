// What a server costs the same JavaScript clients: `node bench.js --help`.

import { fork } from "node:child_process";
import { parseArgs } from "node:util";
import { ImmutableString } from "@automerge/automerge";
import { Client } from "./stage/client.js";
import { Reference, Stage } from "./stage/harness.js";
import { now } from "./bench/subscribers.js";
import { cpuMs, rssKiB } from "./bench/usage.js";

const USAGE = `usage: node bench.js [options]
  --subscribers 1,10,100   clients of one document, in steps
  --seconds 20             length of each paced step
  --rate 5                 changes a second in a paced step
  --burst 1000             changes of a burst
  --no-reference           leave the reference sync server out
  --syncline               the real server, whose binary SYNCLINE_BIN names: once with a record, which it also
                           writes to both emulated accounts, and once with a free document, which it only keeps
  --url ws://…             any repo address whose token may create contacts; --pid names its process, if it is here
A table goes to standard error, one JSON object to standard output.`;

const { values: options } = parseArgs({
  options: {
    subscribers: { type: "string", default: "1,10,100" },
    seconds: { type: "string", default: "20" },
    rate: { type: "string", default: "5" },
    burst: { type: "string", default: "1000" },
    "no-reference": { type: "boolean", default: false },
    syncline: { type: "boolean", default: false },
    url: { type: "string" },
    pid: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** Clients in a process of their own. */
class Subscribers {
  #child = fork(new URL("bench/subscribers.js", import.meta.url));

  ask(task) {
    return new Promise((done, failed) => {
      const gone = (code) => failed(new Error(`the subscribers ended with ${code}`));
      this.#child.once("exit", gone);
      this.#child.once("message", ({ result, error }) => {
        this.#child.off("exit", gone);
        if (error) failed(new Error(error));
        else done(result);
      });
      this.#child.send(task);
    });
  }

  end() {
    this.#child.kill("SIGKILL");
  }
}

/** One client that writes numbered changes into one document. */
class Publisher {
  /** When each change was made. */
  made = [];
  #number = 0;

  constructor(url, type) {
    this.client = new Client(url);
    this.type = type;
  }

  async begin() {
    await this.client.connected();
    const email = `bench-${process.pid}-${Date.now()}@example.com`;
    const texts = { email, last_name: "Bench", title: "0" };
    const fields = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, new ImmutableString(text)]));
    this.handle = this.client.repo.create(this.type ? { type: this.type, fields } : { fields });
    await this.client.acknowledged(this.handle);
  }

  change() {
    this.#number += 1;
    this.made[this.#number] = now();
    this.handle.change((doc) => (doc.fields.title = new ImmutableString(`${this.#number}`)));
    return this.#number;
  }
}

/** One server's figures at each number of subscribers. */
async function measure({ name, url, pid, type }) {
  const publisher = new Publisher(url, type);
  const subscribers = new Subscribers();
  try {
    await publisher.begin();
    const steps = [];
    let joined = 0;
    for (const count of options.subscribers.split(",").map(Number)) {
      const before = pid && rssKiB(pid);
      await subscribers.ask({ task: "join", url, document: publisher.handle.url, count });
      const connected = pid && rssKiB(pid);
      // Only those who came in this step: what the steps before have left behind is not theirs.
      const rss = pid && {
        connected_kib: connected,
        per_connection_kib: round((connected - before) / (count - joined)),
      };
      joined = count;
      const paced = await pace(publisher, subscribers, pid);
      const burst = await hurry(publisher, subscribers, count, pid);
      steps.push({ subscribers: count, ...paced, ...burst, ...rss, after_kib: pid && rssKiB(pid) });
    }
    return { name, steps };
  } finally {
    publisher.client.end();
    subscribers.end();
  }
}

/** Changes at a steady rate: how long one is under way, and what it costs the server. */
async function pace(publisher, subscribers, pid) {
  // What it took to join is no part of this step.
  await subscribers.ask({ task: "collect", number: 0 });
  const cpu = pid && cpuMs(pid);
  const first = publisher.made.length || 1;
  const number = await new Promise((done) => {
    let left = Number(options.seconds) * Number(options.rate);
    const timer = setInterval(
      () => {
        const number = publisher.change();
        left -= 1;
        if (left > 0) return;
        clearInterval(timer);
        done(number);
      },
      1000 / Number(options.rate),
    );
  });
  const { merged, busy_percent } = await subscribers.ask({ task: "collect", number });
  const latencies = merged
    .filter(({ number }) => number >= first)
    .flatMap(({ number, at }) => at.map((at) => at - publisher.made[number]))
    .sort((left, right) => left - right);
  const spent = pid && { cpu_us_per_delivery: round(((cpuMs(pid) - cpu) * 1000) / latencies.length) };
  const share = (part) => round(latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))]);
  return {
    deliveries: latencies.length,
    p50_ms: share(0.5),
    p99_ms: share(0.99),
    max_ms: share(1),
    ...spent,
    clients_busy_percent: busy_percent,
  };
}

/** Many changes at once: the client sends them in few messages, so a delivery is a change that a client has merged. */
async function hurry(publisher, subscribers, count, pid) {
  const changes = Number(options.burst);
  const cpu = pid && cpuMs(pid);
  const begun = now();
  let number;
  for (let at = 0; at < changes; at += 1) {
    number = publisher.change();
    // The socket gets its turn, as it would between the events of a page.
    if (at % 50 === 0) await new Promise(setImmediate);
  }
  await subscribers.ask({ task: "collect", number });
  const seconds = (now() - begun) / 1000;
  const deliveries = changes * count;
  const spent = pid && { burst_cpu_us_per_delivery: round(((cpuMs(pid) - cpu) * 1000) / deliveries) };
  return { burst_deliveries_per_s: Math.round(deliveries / seconds), ...spent };
}

function round(value) {
  return Math.round(value * 10) / 10;
}

const COLUMNS = [
  "subscribers",
  "p50_ms",
  "p99_ms",
  "max_ms",
  "clients_busy_percent",
  "cpu_us_per_delivery",
  "burst_deliveries_per_s",
  "per_connection_kib",
];

function table(servers) {
  const cells = (step) => COLUMNS.map((key) => `${step[key] ?? ""}`);
  const rows = servers.flatMap(({ name, steps }) => steps.map((step) => [name, ...cells(step)]));
  const all = [["server", ...COLUMNS], ...rows];
  const widths = all[0].map((_, at) => Math.max(...all.map((row) => row[at].length)));
  const line = (row) => row.map((cell, at) => (at ? cell.padStart(widths[at]) : cell.padEnd(widths[at]))).join("  ");
  return all.map(line).join("\n");
}

async function reference() {
  const server = await Reference.start();
  return { name: "reference", url: server.url, pid: server.pid, end: () => server.end() };
}

/** The real server; without a type, the document is a free one. */
async function syncline(name, type) {
  // Asking the accounts for changes in between costs the service far more than a document's change does.
  const stage = await Stage.set({ both: true, poll: "1m", repo: { free_documents: true } });
  const { url } = await stage.acme.token({ name: "bench" });
  return { name, type, url, pid: stage.pid, end: () => stage.end() };
}

async function given() {
  return { name: "given", type: "contact", url: options.url, pid: options.pid && Number(options.pid), end: () => {} };
}

if (options.help) {
  console.error(USAGE);
} else {
  const starts = [
    !options["no-reference"] && reference,
    options.syncline && (() => syncline("syncline, free document")),
    options.syncline && (() => syncline("syncline, record", "contact")),
    options.url && given,
  ];
  const servers = [];
  for (const start of starts.filter(Boolean)) {
    const server = await start();
    try {
      servers.push(await measure(server));
    } catch (error) {
      throw new Error(`${server.name}: ${error.message}`, { cause: error });
    } finally {
      await server.end();
    }
  }
  console.error(table(servers));
  console.log(JSON.stringify({ node: process.version, rate: Number(options.rate), servers }));
}
process.exit();

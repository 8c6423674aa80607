// Many clients of one document, in a process of their own so that the publisher's clock is not theirs to hold up.

import { Client } from "../stage/client.js";

/** How long a server may lag behind before it is given up. */
const PATIENCE_MS = 120_000;

const clients = [];
/** Instants at which a change was merged by one of the clients, by the change's number. */
let merged = [];
let goal;

/** The number of the newest change that a document holds. */
export function numberOf(doc) {
  return Number(String(doc.fields.title)) || 0;
}

/** Milliseconds of the machine's own clock, which all its processes share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

async function join({ url, document, count }) {
  while (clients.length < count) {
    const client = new Client(url);
    await client.connected();
    client.handle = await client.find(document);
    client.seen = numberOf(client.handle.doc());
    client.handle.on("change", ({ doc }) => see(client, numberOf(doc), now()));
    clients.push(client);
  }
}

/** Notes a change, and those before it that came in the same message. */
function see(client, number, at) {
  while (client.seen < number) (merged[++client.seen] ??= []).push(at);
  if (goal && clients.every(({ seen }) => seen >= goal.number)) {
    goal.reached();
    goal = undefined;
  }
}

/** Waits until every client holds the change of this number. */
function reach(number) {
  return new Promise((reached, failed) => {
    const seen = () => `${clients.map(({ seen }) => seen)}`;
    const late = setTimeout(
      () => failed(new Error(`change ${number} did not arrive; there are ${seen()}`)),
      PATIENCE_MS,
    );
    const done = () => {
      clearTimeout(late);
      reached();
    };
    goal = { number, reached: done };
    clients.forEach((client) => see(client, client.seen, 0));
  });
}

let last = { at: now(), ...process.cpuUsage() };

/** The share of one core that this process has had since the last time. Near 100, latencies are the clients' own. */
function busyPercent() {
  const { at, user, system } = last;
  last = { at: now(), ...process.cpuUsage() };
  return Math.round((last.user + last.system - user - system) / 10 / (last.at - at));
}

const TASKS = {
  join,
  /** Waits for a change, and tells when each since the last time was merged, and how busy this process was. */
  async collect({ number }) {
    await reach(number);
    const result = { merged: merged.flatMap((at, number) => ({ number, at })), busy_percent: busyPercent() };
    merged = [];
    return result;
  },
};

// The module is also read by the publisher, which has no parent.
process.on("message", async ({ task, ...rest }) => {
  try {
    process.send({ result: await TASKS[task](rest) });
  } catch (error) {
    process.send({ error: error.message });
  }
});

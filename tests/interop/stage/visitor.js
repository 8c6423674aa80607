// A client in a process of its own: `visitor.js <address> <document>`. It opens the document, says when the server closes
// its connection, and then takes a new address and a title from standard input: `{"url": …, "title": …}`.

import { createInterface } from "node:readline";
import { Client, plain } from "./client.js";

const [, , address, url] = process.argv;
const client = await new Client(address).connected();
const handle = await client.find(url);

const { code, reason } = await client.closed();
console.log(JSON.stringify({ closed: code, reason, title: plain(handle.doc()).fields.title }));

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  handle.change((doc) => (doc.fields.title = asked.title));
  // The adapter reads its address whenever it connects again, which it does by itself.
  client.adapter.url = asked.url;
}

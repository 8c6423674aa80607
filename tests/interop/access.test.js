// Who gets in, and what they see.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as Automerge from "@automerge/automerge";
import { generateAutomergeUrl, parseAutomergeUrl } from "@automerge/automerge-repo";
import { plain } from "./stage/client.js";
import { Stage } from "./stage/harness.js";
import { contact, email } from "./stage/people.js";
import { Process } from "./stage/processes.js";
import { Wire } from "./stage/wire.js";

/** Short, because the story waits for it; long enough to get in on a loaded machine. */
const BRIEF_S = 4;

/** Whose pages may connect. */
const ORIGIN = "https://app.example.com";

let stage;
before(async () => {
  stage = await Stage.set({ repo: { allowed_origins: [ORIGIN] } });
});
after(() => stage?.end());

/** A record of acme's, and its document's address. */
async function ann() {
  const record = await stage.acme.create({ email: email(), first_name: "Ann", title: "CFO" });
  return { record, url: record._meta.automerge_url, id: record._meta.id };
}

test("what does not exist and what belongs to another tenant are unavailable alike", async () => {
  const { url } = await ann();
  const stranger = await stage.client({ api: stage.globex });
  await assert.rejects(stranger.find(url), /is unavailable/);
  await assert.rejects(stranger.find(generateAutomergeUrl()), /is unavailable/);

  const wire = await Wire.join((await stage.globex.token({ name: "spy" })).url);
  const answers = [];
  for (const asked of [url, generateAutomergeUrl()]) {
    const { documentId } = parseAutomergeUrl(asked);
    wire.request(documentId);
    const answer = await wire.next("an answer", (message) => message.documentId === documentId);
    answers.push({ ...answer, documentId: "" });
  }
  assert.equal(answers[0].type, "doc-unavailable");
  assert.deepEqual(answers[0], answers[1]);
  wire.end();
});

test("a stranger who holds a copy of a document changes nothing in the record", async () => {
  const { url, id } = await ann();
  const { documentId } = parseAutomergeUrl(url);
  const owner = await stage.client();
  const copy = Automerge.save((await owner.find(url)).doc());

  const stranger = await stage.client({ api: stage.globex });
  const theirs = stranger.repo.import(copy, { docId: documentId });
  theirs.change((doc) => (doc.fields.title = "Stolen"));
  // Whatever the server makes of it, it has done so once it answers what was asked after it.
  await assert.rejects(stranger.find(generateAutomergeUrl()), /is unavailable/);

  assert.equal((await stage.acme.record(id)).title, "CFO");
  assert.equal(plain((await owner.find(url)).doc()).fields.title, "CFO");
  const [mine] = [await owner.find(url)];
  mine.change((doc) => (doc.fields.title = "CEO"));
  await stage.acme.untilRecord(url, { title: "CEO" });
  assert.notEqual(plain(theirs.doc()).fields.title, "CEO");
});

test("a token for other models does not find the document", async () => {
  const { url } = await ann();
  const client = await stage.client({ models: ["company"] });
  await assert.rejects(client.find(url), /is unavailable/);
});

test("who may only read sees edits, and cannot make any", async () => {
  const { url, id } = await ann();
  const reader = await stage.client({ access: ["read"] });
  const seen = await reader.find(url);
  await stage.acme.edit(id, { title: "COO" });
  await reader.untilFields(seen, { title: "COO" });

  seen.change((doc) => (doc.fields.title = "Mine"));
  await reader.refused(seen);
  assert.equal((await stage.acme.record(id)).title, "COO");
});

test("who may not create makes no record, and edits the others", async () => {
  const { url } = await ann();
  const editor = await stage.client({ access: ["read", "write"] });
  const made = editor.repo.create(contact(email()));
  await editor.refused(made);
  assert.equal(await stage.acme.recordOf(made.url), undefined);

  const found = await editor.find(url);
  found.change((doc) => (doc.fields.title = "CEO"));
  await stage.acme.untilRecord(url, { title: "CEO" });
});

for (const [what, asked, api, status] of [
  ["without a key", { name: "a" }, () => stage.api({ key: "wrong" }), 401],
  ["by a bound key, for another tenant", { name: "a" }, () => stage.api({ key: "acme", tenant: "globex" }), 400],
  ["by a free key, for no tenant", { name: "a" }, () => stage.api(), 400],
  ["by a free key, for a tenant that does not exist", { name: "a" }, () => stage.api({ tenant: "initech" }), 400],
  ["for a name that is none", { name: " " }, () => stage.acme, 400],
  ["for a model that does not exist", { name: "a", models: ["nothing"] }, () => stage.acme, 400],
  ["for a right that does not exist", { name: "a", access: ["fly"] }, () => stage.acme, 400],
  ["for no time at all", { name: "a", expires_in_seconds: 0 }, () => stage.acme, 400],
]) {
  test(`a token is not given ${what}`, async () => {
    const answer = await api().call("POST", "/v1/repo/tokens", asked);
    const refused = status === 400 ? [400, 404, 422] : [status];
    assert.ok(refused.includes(answer.status), `${answer.status} ${JSON.stringify(answer.body)}`);
  });
}

test("a token without a name speaks in the name of its key", async () => {
  const { url } = await ann();
  const answer = await stage.acme.call("POST", "/v1/repo/tokens", {});
  const client = await stage.visitor(answer.body.url).connected();
  const handle = await client.find(url);
  handle.change((doc) => (doc.fields.title = "CEO"));
  const { _meta } = await stage.acme.untilRecord(url, { title: "CEO" });
  assert.deepEqual(_meta.origins.title, { kind: "client", id: "backend" });
});

test("a program that can set headers may come with its key", async () => {
  const { url } = await stage.acme.token({ name: "unused" });
  const address = new URL(url);
  address.search = "";
  const wire = await Wire.join(address, { authorization: `Bearer ${stage.key("acme")}` });
  wire.end();
});

test("a page of another origin is let in only to be told so", async () => {
  const { url } = await stage.acme.token({ name: "browser-1" });
  const wire = await Wire.open(url, { origin: "https://evil.example.com" });
  assert.equal((await wire.closed()).code, 4403);
  const allowed = await Wire.join(url, { origin: ORIGIN });
  allowed.end();
});

test("a free key that names a tenant gets a token for that tenant", async () => {
  const { url } = await ann();
  const answer = await stage.api({ tenant: "acme" }).call("POST", "/v1/repo/tokens", { name: "a" });
  assert.equal(answer.status, 201);
  assert.equal(new URL(answer.body.url).searchParams.get("token"), answer.body.token);
  assert.ok(new Date(answer.body.expires_at) > new Date());
  const client = await stage.visitor(answer.body.url).connected();
  await client.find(url);
});

for (const [what, spoil] of [
  ["no token", () => ""],
  ["a garbage token", () => "?token=garbage"],
  ["a token that was cut", (token) => `?token=${token.slice(0, -3)}`],
  [
    "a token that was changed",
    (token) => `?token=${token.slice(0, 5)}${token[5] === "A" ? "B" : "A"}${token.slice(6)}`,
  ],
  ["a key in place of a token", () => `?token=${stage.key("acme")}`],
]) {
  test(`a client with ${what} is let in only to be told so`, async () => {
    const { url, token } = await stage.acme.token({ name: "browser-1" });
    const address = new URL(url);
    address.search = "";
    const wire = await Wire.open(`${address}${spoil(token)}`);
    const { code, reason } = await wire.closed();
    assert.equal(code, 4401);
    assert.ok(reason, "it is told why");
    assert.ok(!wire.received.some(({ type }) => type === "peer"));
  });
}

test("a client whose token ends is told so and lives on, and its edits arrive with a new token", async () => {
  const { url } = await ann();
  const brief = await stage.acme.token({ name: "browser-1", expires_in_seconds: BRIEF_S });
  const program = join(import.meta.dirname, "stage", "visitor.js");
  const log = join(stage.folder, "visitor.log");
  // In a process of its own, since a mishap of the adapter would end the whole process.
  const visitor = await Process.start(process.execPath, [program, brief.url, url], {
    cwd: stage.folder,
    env: process.env,
    log,
    isReady: (line) => line.startsWith('{"closed":4401,'),
  });
  assert.match(visitor.ready, /"title":"CFO"/, "it had the document while the token held");
  const fresh = await stage.acme.token({ name: "browser-1" });
  visitor.tell(JSON.stringify({ url: fresh.url, title: "After" }));
  await stage.acme.untilRecord(url, { title: "After" });
  await visitor.kill();
});

test("two tenants' clients that call themselves the same do not meet", async () => {
  const { url } = await ann();
  const peerId = "the-same-peer";
  const mine = await stage.client({}, { peerId });
  const handle = await mine.find(url);
  const stranger = await stage.client({ api: stage.globex }, { peerId });
  assert.ok(stranger.isConnected);
  handle.change((doc) => (doc.fields.title = "CEO"));
  await stage.acme.untilRecord(url, { title: "CEO" });
  assert.ok(mine.isConnected && stranger.isConnected);
});

test("no token is in the log", async () => {
  const { token } = await stage.acme.token({ name: "browser-1" });
  await Wire.join((await stage.acme.token({ name: "browser-1" })).url).then((wire) => wire.end());
  const signature = token.split(".").at(-1);
  const log = readFileSync(join(stage.folder, "server.log"), "utf8");
  assert.ok(!log.includes("token=") && !log.includes(signature));
});

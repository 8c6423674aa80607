// The example page in a real browser: two tabs, a platform's user and the API on one contact.

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, test } from "node:test";
import * as Automerge from "@automerge/automerge";
import { parseAutomergeUrl } from "@automerge/automerge-repo";
import { Page } from "./stage/page.js";
import { Stage, freePort } from "./stage/harness.js";
import { Impatient, PATIENCE_MS } from "./stage/patience.js";

const CONTACTS = 8;

let stage, page, profile;
before(async () => {
  stage = await Stage.set({ contacts: CONTACTS });
  await stage.acme.until("all contacts are read", async () => (await stage.acme.records()).length === CONTACTS);
  const environment = { SYNCLINE_API: stage.url, SYNCLINE_KEY: stage.key("acme"), SYNCLINE_TENANT: "" };
  page = await Page.open(environment, { folder: stage.folder, port: await freePort() });
});
after(async () => {
  await page?.end();
  await stage?.end();
});
beforeEach(async () => {
  profile = await page.profile();
});
afterEach(async () => {
  await profile.close();
  assert.deepEqual(profile.errors, []);
});

/** A record with an object in Salesforce, which no other story uses. */
async function someone() {
  const { rows } = await stage.actAsUser("salesforce", "/state?object=Contact");
  const object = rows[taken++];
  const record = await stage.acme.until("the contact is read", async () =>
    (await stage.acme.records()).find(({ _meta }) => _meta.external_ids["acme-salesforce"]?.id === object.id),
  );
  return { object, record, url: record._meta.automerge_url };
}
let taken = 0;

const field = (tab, name) => tab.locator(`[name="${name}"]`);

async function choose(tab, url) {
  await tab.locator(`button[data-url="${url}"]`).click();
  await field(tab, "title").waitFor();
}

async function type(tab, name, value) {
  await field(tab, name).fill(value);
  await field(tab, name).blur();
}

/** Waits until the tab shows a value. */
function shows(tab, name, value) {
  return tab.waitForFunction(
    ([name, value]) => document.querySelector(`[name="${name}"]`)?.value === value,
    [name, value],
  );
}

test("edits in two tabs, in Salesforce and over the API meet in one record", async () => {
  const { object, record, url } = await someone();
  const [one, two] = [await page.tab(profile), await page.tab(await page.profile())];
  await Promise.all([choose(one, url), choose(two, url)]);
  await type(one, "title", "Chief Listener");
  await shows(two, "title", "Chief Listener");
  await type(two, "city", "Bergen");
  await one.locator('[name="billing"]').check();
  await stage.actAsUser("salesforce", `/users/jo/Contact/${object.id}`, { method: "PATCH", body: { FirstName: "Jo" } });
  await stage.acme.edit(record._meta.id, { phone: "+15551234" });

  for (const tab of [one, two]) {
    for (const [name, value] of [
      ["title", "Chief Listener"],
      ["city", "Bergen"],
      ["first_name", "Jo"],
      ["phone", "+15551234"],
    ]) {
      await shows(tab, name, value);
    }
    await tab.locator('[name="billing"]:checked').waitFor();
  }
  const whole = {
    title: "Chief Listener",
    city: "Bergen",
    first_name: "Jo",
    phone: "+15551234",
    interests: ["billing"],
  };
  await stage.acme.untilRecord(url, whole);
  await stage.acme.until("Salesforce has the title", async () => {
    const { rows } = await stage.actAsUser("salesforce", "/state?object=Contact");
    return rows.find(({ id }) => id === object.id).fields.Title === "Chief Listener";
  });
  if (process.env.SCREENSHOT) await one.screenshot({ path: process.env.SCREENSHOT });
  await two.context().close();
});

test("edits made offline stay in the tab, and merge when it is back", async () => {
  const { record, url } = await someone();
  const tab = await page.tab(profile);
  await choose(tab, url);
  await tab.locator("#offline").check();
  await tab.locator('#state[data-state="offline"]').waitFor();
  await type(tab, "title", "Written offline");
  await type(tab, "notes", "On a train");
  await stage.acme.edit(record._meta.id, { city: "Oslo", title: record.title ?? null });
  assert.notEqual((await stage.acme.record(record._meta.id)).title, "Written offline");
  assert.notEqual(await field(tab, "city").inputValue(), "Oslo");

  await tab.locator("#offline").uncheck();
  await shows(tab, "city", "Oslo");
  await stage.acme.untilRecord(url, { title: "Written offline", notes: "On a train", city: "Oslo" });
  await shows(tab, "title", "Written offline");
});

test("what was written offline survives that the tab is closed", async () => {
  const { url } = await someone();
  const tab = await page.tab(profile);
  await choose(tab, url);
  await tab.locator("#offline").check();
  await type(tab, "title", "Kept in this browser");
  await isKept(tab, url, "Kept in this browser");
  await tab.close();
  const again = await page.tab(profile);
  await choose(again, url);
  await shows(again, "title", "Kept in this browser");
  await stage.acme.untilRecord(url, { title: "Kept in this browser" });
});

/** Waits until the browser's store holds a document with this title. */
async function isKept(tab, url, title) {
  const { documentId } = parseAutomergeUrl(url);
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const chunks = (await tab.evaluate(stored, documentId)).map((bytes) => new Uint8Array(bytes));
    const doc = chunks.reduce((doc, chunk) => Automerge.loadIncremental(doc, chunk), Automerge.init());
    if (String(doc.fields?.title) === title) return;
    if (Date.now() > deadline) throw new Impatient(`the browser keeps "${title}"`, JSON.stringify(doc));
  }
}

/** In the page: the chunks that the browser's store holds of a document. */
async function stored(documentId) {
  // The store is written between frames.
  await new Promise(requestAnimationFrame);
  const result = (request) => new Promise((done) => (request.onsuccess = () => done(request.result)));
  const database = await result(indexedDB.open("syncline-contacts"));
  const rows = await result(database.transaction("documents").objectStore("documents").getAll());
  database.close();
  const isChunk = ({ key }) => key[0] === documentId && ["snapshot", "incremental"].includes(key[1]);
  // Automerge holds back what it cannot place yet, so snapshots go first only to save it the trouble.
  const own = rows.filter(isChunk).sort((left, right) => right.key[1].localeCompare(left.key[1]));
  return own.map(({ binary }) => [...binary]);
}

test("tabs see each other, and where they are", async () => {
  const { url } = await someone();
  const [one, two] = [await page.tab(profile), await page.tab(profile)];
  await Promise.all([choose(one, url), choose(two, url)]);
  await field(two, "city").focus();
  await one.locator('[name="city"][data-taken]').waitFor();
  await one.locator(".others", { hasText: /in city/ }).waitFor();
  await two.close({ runBeforeUnload: false });
  await one.waitForFunction(() => document.querySelector(".others").textContent === "");
});

test("a new contact of the page becomes a record", async () => {
  const tab = await page.tab(profile);
  await tab.locator("#create").click();
  await type(tab, "email", "new.comer@example.com");
  await type(tab, "last_name", "Comer");
  await stage.acme.until("the record is there", async () =>
    (await stage.acme.records()).find(
      ({ email, last_name }) => email === "new.comer@example.com" && last_name === "Comer",
    ),
  );
});

test("the page comes back by itself after the server was killed", async () => {
  const { url } = await someone();
  const tab = await page.tab(profile);
  await choose(tab, url);
  await stage.kill();
  await tab.locator('#state[data-state="connecting"]').waitFor();
  await type(tab, "title", "Written meanwhile");
  await stage.serve();
  await tab.locator('#state[data-state="live"]').waitFor();
  await stage.acme.untilRecord(url, { title: "Written meanwhile" });
});

test("a page that is opened while the server is away shows what the browser keeps, and catches up", async () => {
  const { record, url } = await someone();
  const before = await page.tab(profile);
  await choose(before, url);
  await isKept(before, url, String(record.title));
  await before.close();
  await stage.kill();
  const tab = await profile.newPage();
  await tab.goto(page.url);
  await choose(tab, url);
  await shows(tab, "title", record.title);
  await type(tab, "city", "Hamar");
  await stage.serve();
  await tab.locator('#state[data-state="live"]').waitFor();
  await stage.acme.untilRecord(url, { city: "Hamar" });
});

test("the key never reaches the browser", async () => {
  const tab = await profile.newPage();
  const bodies = [];
  tab.on("response", (response) => bodies.push(response.text().catch(() => "")));
  await tab.goto(page.url);
  await tab.locator('#state[data-state="live"]').waitFor();
  for (const body of await Promise.all(bodies)) assert.ok(!body.includes(stage.key("acme")));
});

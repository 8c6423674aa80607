// Clients and users of both platforms edit at once, while answers get lost, tokens expire and webhooks come twice or never.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { plain } from "./stage/client.js";
import { Stage } from "./stage/harness.js";

const CONTACTS = 6;
const ROUNDS = 5;
/** Who alone writes which field, so that its last value must stand everywhere. */
const FIELDS = {
  title: { Contact: "Title", contacts: "jobtitle" },
  first_name: { Contact: "FirstName", contacts: "firstname" },
  city: { Contact: "MailingCity", contacts: "city" },
  phone: { Contact: "Phone", contacts: "phone" },
};

let stage;
before(async () => {
  stage = await Stage.set({ contacts: CONTACTS, faults: "usual", both: true });
  await stage.actAsUser("hubspot", "/webhooks", {
    method: "POST",
    body: { target_url: `${stage.url}/v1/webhooks/acme-hubspot` },
  });
});
after(() => stage?.end());

const people = async (account, object) => (await stage.actAsUser(account, `/state?object=${object}`)).rows;

/** The records that are in both accounts, once all are. */
function linked() {
  return stage.acme.until("all contacts are in both accounts", async () => {
    const records = await stage.acme.records();
    const isLinked = ({ _meta }) => Object.values(_meta.external_ids).every(({ state }) => state === "linked");
    const rows = await Promise.all([people("salesforce", "Contact"), people("hubspot", "contacts")]);
    return records.every(isLinked) && rows.every(({ length }) => length === records.length) && records;
  });
}

function edit(account, object, id, field, value) {
  const body = { [FIELDS[field][object]]: value };
  return stage.actAsUser(account, `/users/jo/${object}/${id}`, { method: "PATCH", body });
}

test("two clients and both platforms agree at the end, and the last edit of each field stands", async () => {
  const records = await linked();
  const [one, two] = [await stage.client({ name: "one" }), await stage.client({ name: "two" })];
  const mine = await Promise.all(records.map(({ _meta }) => one.find(_meta.automerge_url)));
  const theirs = await Promise.all(records.map(({ _meta }) => two.find(_meta.automerge_url)));

  for (let round = 1; round <= ROUNDS; round += 1) {
    if (round === 2) two.offline();
    for (const [at, { _meta }] of records.entries()) {
      const { "acme-salesforce": salesforce, "acme-hubspot": hubspot } = _meta.external_ids;
      mine[at].change((doc) => (doc.fields.title = `Title ${round}`));
      theirs[at].change((doc) => (doc.fields.first_name = `Name ${round}`));
      await edit("salesforce", "Contact", salesforce.id, "city", `City ${round}`);
      await edit("hubspot", "contacts", hubspot.id, "phone", `+1555000${round}`);
    }
    if (round === 3) await stage.kill().then(() => stage.serve());
    if (round === 4) await two.online();
  }

  const last = {
    title: `Title ${ROUNDS}`,
    first_name: `Name ${ROUNDS}`,
    city: `City ${ROUNDS}`,
    phone: `+1555000${ROUNDS}`,
  };
  for (const at of records.keys()) {
    await one.untilFields(mine[at], last);
    await two.untilFields(theirs[at], last);
    await stage.acme.untilRecord(mine[at].url, last);
  }
  for (const [account, object] of [
    ["salesforce", "Contact"],
    ["hubspot", "contacts"],
  ]) {
    await stage.acme.until(`${account} shows the last edits`, async () => {
      const rows = await people(account, object);
      return rows.every(({ fields }) =>
        Object.keys(last).every((name) => place(fields, FIELDS[name][object]) === last[name]),
      );
    });
  }
  await Promise.all([
    ...mine.map((handle) => one.acknowledged(handle)),
    ...theirs.map((handle) => two.acknowledged(handle)),
  ]);
  assert.deepEqual(
    mine.map((handle) => plain(handle.doc())),
    theirs.map((handle) => plain(handle.doc())),
  );
  assert.equal((await stage.acme.records()).length, records.length, "nobody was made twice");
});

function place(fields, name) {
  return fields[name] ?? "";
}

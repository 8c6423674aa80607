// The configuration of the server under test.

/** Lags of the emulated accounts are a fiftieth of the real ones. */
export const TIME_SCALE = 0.02;

/** The fields of a contact, one of each kind. */
const CONTACT_FIELDS = {
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

/** The fields that both accounts have, by their names there. City and phone are mapped only where both take part. */
const SALESFORCE = { email: "Email", first_name: "FirstName", last_name: "LastName", title: "Title" };
const HUBSPOT = { email: "email", first_name: "firstname", last_name: "lastname", title: "jobtitle" };
const SALESFORCE_TOO = { ...SALESFORCE, phone: "Phone", city: "MailingCity" };
const HUBSPOT_TOO = { ...HUBSPOT, phone: "phone", city: "city" };

const secret = (name) => ({ env: name });

/** What `syncline.yaml` says, as data. `accounts` is what the sandbox has announced. */
export function configuration(port, accounts, { repo, both, poll }) {
  const listen = `127.0.0.1:${port}`;
  return {
    version: 1,
    server: {
      listen,
      public_url: `http://${listen}`,
      database: "syncline.db",
      secrets_key: secret("SECRETS_KEY"),
      // Far longer than any request to an emulator on this machine takes.
      request_deadline: "2s",
    },
    ...(Object.keys(repo).length && { repo }),
    models: {
      contact: { fields: CONTACT_FIELDS, match: [["email"]] },
      company: { fields: { name: { type: "text", max: 80 } } },
    },
    integrations: integrations(accounts),
    connections: connections(accounts),
    syncs: both
      ? { contacts: joined(poll) }
      : { "acme-contacts": contacts(), "acme-companies": companies(), ...strangers() },
    api_keys: [
      { name: "backend", tenant: "acme", key: secret("ACME_KEY") },
      { name: "other", tenant: "globex", key: secret("GLOBEX_KEY") },
      { name: "operator", key: secret("OPERATOR_KEY") },
    ],
  };
}

function integrations({ salesforce, hubspot }) {
  const client = (word) => ({ client_id: secret(`${word}_ID`), client_secret: secret(`${word}_SECRET`) });
  return {
    salesforce: {
      provider: "salesforce",
      ...client("SALESFORCE"),
      settings: { login_url: salesforce.url, time_scale: TIME_SCALE },
    },
    hubspot: {
      provider: "hubspot",
      ...client("HUBSPOT"),
      settings: { base_url: hubspot.url, time_scale: TIME_SCALE, app_id: "54321" },
    },
  };
}

function connections({ salesforce }) {
  const hubspot = { integration: "hubspot", credentials: { refresh_token: secret("HUBSPOT_REFRESH") } };
  return {
    "acme-salesforce": {
      tenant: "acme",
      integration: "salesforce",
      credentials: { refresh_token: secret("SALESFORCE_REFRESH"), base_url: salesforce.url },
    },
    "acme-hubspot": { tenant: "acme", ...hubspot },
    "globex-hubspot": { tenant: "globex", ...hubspot },
  };
}

/** One account's side. It creates nothing there, so that a story's records are its own. */
function side(object, mapping) {
  return { object, poll: "1s", creates: false, mapping };
}

function contacts() {
  return {
    tenant: "acme",
    model: "contact",
    approve: "auto",
    sides: { "acme-salesforce": side("Contact", SALESFORCE) },
  };
}

function companies() {
  const sides = { "acme-salesforce": side("Account", { name: "Name" }) };
  return { tenant: "acme", model: "company", approve: "auto", sides };
}

function strangers() {
  const sides = { "globex-hubspot": side("contacts", HUBSPOT) };
  return { "globex-contacts": { tenant: "globex", model: "contact", approve: "auto", sides } };
}

/** One tenant's contacts, kept the same in both accounts. */
function joined(poll = "300ms") {
  const sides = {
    "acme-salesforce": { object: "Contact", key: "Syncline_Id__c", poll, mapping: SALESFORCE_TOO },
    "acme-hubspot": { object: "contacts", key: "syncline_id", poll, mapping: HUBSPOT_TOO },
  };
  return { tenant: "acme", model: "contact", approve: "auto", sides };
}

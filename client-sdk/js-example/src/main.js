// Contacts that live in this browser, in other tabs, and in every connected account.

import { ContactForm } from "./contact_form.js";
import { ContactList } from "./contact_list.js";
import { Link } from "./link.js";

const $ = (id) => document.getElementById(id);

const link = await Link.open();
const form = new ContactForm($("contact"), (url, fields) => list.show(url, fields));
const list = new ContactList($("contacts"), { isOffline: () => link.state === "offline", choose: open });

async function open(url) {
  list.mark(url);
  location.hash = url;
  const handle = await link.repo.find(url, { allowableStates: ["ready", "unavailable"] });
  // Another one may have been chosen meanwhile.
  if (location.hash === `#${url}`) form.open(handle, open);
}

function showState() {
  $("state").textContent = link.state;
  $("state").dataset.state = link.state;
}
link.addEventListener("state", showState);
showState();

$("offline").addEventListener("change", ({ target }) => (target.checked ? link.goOffline() : link.goOnline()));
$("create").addEventListener("click", () => {
  // A document with a type and fields becomes a record.
  const { url } = link.repo.create({ type: "contact", fields: { first_name: null, last_name: null } });
  list.show(url, {});
  open(url);
});

list.follow();
if (location.hash.startsWith("#automerge:")) open(location.hash.slice(1));

// One contact: its document, open in a form.

import { ImmutableString, updateText } from "@automerge/automerge/slim";
import { Others } from "./others.js";

const FIELDS = {
  first_name: "First name",
  last_name: "Last name",
  title: "Title",
  email: "E-mail",
  phone: "Phone",
  city: "City",
  notes: "Notes",
};
const INTERESTS = ["analytics", "billing", "integrations", "mobile", "security"];

/** What a field says, as text. The server writes scalar strings, which are objects here; clients may write texts. */
function read(value) {
  return value === null || value === undefined ? "" : String(value);
}

/** Writes what was typed: a text is edited in place, anything else is one value. A blank is null: cleared on purpose. */
function write(doc, field, typed) {
  if (typeof doc.fields[field] === "string" && typed) updateText(doc, ["fields", field], typed);
  else doc.fields[field] = typed ? new ImmutableString(typed) : null;
}

/** The form, for one document after the other. */
export class ContactForm {
  #element;
  #onShow;
  #handle;
  #follow;
  #others;
  #inputs = {};
  #render = () => this.#show();
  #hear = ({ message }) => this.#told(message);

  /** `onShow` is called with the document's address and what its fields say, whenever that changes. */
  constructor(element, onShow) {
    this.#element = element;
    this.#onShow = onShow;
  }

  /** Shows a document from now on, also one that has not arrived yet. If it moves, `follow` gets the new address. */
  open(handle, follow) {
    this.close();
    this.#handle = handle;
    this.#follow = follow;
    this.#build();
    this.#others = new Others(handle, this.#element.querySelector(".others"), this.#inputs);
    handle.on("heads-changed", this.#render);
    handle.on("ephemeral-message", this.#hear);
    this.#show();
  }

  close() {
    this.#others?.leave();
    this.#handle?.off("heads-changed", this.#render);
    this.#handle?.off("ephemeral-message", this.#hear);
    this.#handle = undefined;
  }

  #build() {
    const form = document.createElement("form");
    form.innerHTML = `<div class="others"></div><p class="notice" role="alert" hidden></p><div class="fields"></div>
      <fieldset><legend>Interests</legend></fieldset><button type="button" class="delete">Delete contact</button>`;
    form.addEventListener("submit", (event) => event.preventDefault());
    this.#inputs = {};
    for (const [field, label] of Object.entries(FIELDS)) {
      form.querySelector(".fields").append(this.#input(field, label));
    }
    for (const interest of INTERESTS) form.querySelector("fieldset").append(this.#check(interest));
    form.querySelector(".delete").addEventListener("click", () => this.#change((doc) => (doc.deleted = new Date())));
    this.#element.replaceChildren(form);
  }

  #input(field, label) {
    const input = document.createElement(field === "notes" ? "textarea" : "input");
    input.name = field;
    // Once for each edit, not for each key: every change is kept in the document's history.
    input.addEventListener("change", () => this.#change((doc) => write(doc, field, input.value)));
    this.#inputs[field] = input;
    const element = document.createElement("label");
    element.append(label, input);
    return element;
  }

  #check(interest) {
    const input = Object.assign(document.createElement("input"), { type: "checkbox", name: interest });
    input.addEventListener("change", () =>
      this.#change((doc) => {
        doc.fields.interests ??= {};
        if (input.checked) doc.fields.interests[interest] = true;
        else delete doc.fields.interests[interest];
      }),
    );
    this.#inputs[interest] = input;
    const element = document.createElement("label");
    element.append(input, interest);
    return element;
  }

  #change(edit) {
    this.#handle.change(edit);
  }

  #show() {
    const { url } = this.#handle;
    const ready = this.#handle.isReady();
    this.#element.querySelector(".fields").hidden = !ready;
    if (!ready) return this.#notice("This contact is not in this browser yet. It appears once there is a connection.");
    const { fields = {}, deleted, moved_to } = this.#handle.doc();
    if (moved_to) return this.#follow(String(moved_to));
    for (const field of Object.keys(FIELDS)) {
      // What is being typed stays until it is done; it is a change of its own then.
      if (this.#inputs[field] !== document.activeElement) this.#inputs[field].value = read(fields[field]);
    }
    for (const interest of INTERESTS) this.#inputs[interest].checked = fields.interests?.[interest] === true;
    if (deleted) return this.#notice("This contact was deleted.");
    this.#notice("");
    this.#onShow(url, Object.fromEntries(Object.keys(FIELDS).map((field) => [field, read(fields[field])])));
  }

  #told(message) {
    if (message?.syncline?.kind !== "refused") return;
    this.#notice(`The server did not take the last edit: ${message.syncline.reason}`);
  }

  #notice(text) {
    const notice = this.#element.querySelector(".notice");
    notice.textContent = text;
    notice.hidden = !text;
  }
}

// People who exist once.

let last = 0;

/** An address that nobody else in this file has. */
export function email() {
  last += 1;
  return `person${last}@example.com`;
}

/** What a client puts into a new document so that it becomes a contact. */
export function contact(address, more = {}) {
  return { type: "contact", fields: { email: address, last_name: "Lovelace", ...more } };
}

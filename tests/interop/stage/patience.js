// Waiting for what must happen, with a deadline.

/** How long anything here may take before a story gives up on it. Long, because a loaded machine is no failure. */
export const PATIENCE_MS = 30_000;

/** The error of a story that has waited in vain; it says for what, and what there was instead. */
export class Impatient extends Error {
  constructor(what, instead) {
    super(`waited ${PATIENCE_MS / 1000} s in vain: ${what}${instead ? `; there is: ${instead}` : ""}`);
    this.name = "Impatient";
  }
}

/** The promise's result, unless it takes longer than a story waits. `instead` describes what there is, for the error. */
export async function within(what, promise, instead = () => "") {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Impatient(what, instead())), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `holds` is true, looking again whenever `emitter` emits `event`; the result is what `holds` returned. */
export function untilEvent(what, emitter, event, holds, instead) {
  let listener;
  const reached = new Promise((resolve, reject) => {
    listener = () => {
      try {
        const result = holds();
        if (result) resolve(result);
      } catch (error) {
        reject(error);
      }
    };
    emitter.on(event, listener);
    listener();
  });
  return within(what, reached, instead).finally(() => emitter.off(event, listener));
}

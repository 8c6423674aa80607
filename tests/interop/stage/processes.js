// Child processes that never outlive the tests.

import { spawn } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { within } from "./patience.js";

const running = new Set();
// Whatever ends this process, also a failed assertion outside of any story, leaves nothing behind.
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

/** A program that has said its first line. Its standard error is appended to the file `log`. */
export class Process {
  #child;
  #log;

  /** Starts `command` with `args` and waits for the first line of its output that `isReady`; `ready` is that line. */
  static async start(command, args, { cwd, env, log, isReady = () => true }) {
    const process_ = new Process();
    process_.#log = log;
    const child = spawn(command, args, { cwd, env, stdio: ["pipe", "pipe", openSync(log, "a")] });
    process_.#child = child;
    running.add(child);
    process_.ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        running.delete(child);
        resolve({ code, signal });
      });
    });
    const ready = new Promise((resolve, reject) => {
      // The output is read to its end, so that the program never waits for a reader.
      createInterface({ input: child.stdout }).on("line", (line) => isReady(line) && resolve(line));
      child.once("error", (error) => reject(new Error(`${command} cannot be started: ${error.message}`)));
      process_.ended.then(({ code, signal }) =>
        reject(new Error(`${command} ${args.join(" ")} ended with ${code ?? signal}\n${process_.logTail()}`)),
      );
    });
    process_.ready = await within(`${command} is ready`, ready, () => process_.logTail());
    return process_;
  }

  get pid() {
    return this.#child.pid;
  }

  /** Writes a line to its standard input. */
  tell(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Ends it as a power cut would. */
  async kill() {
    this.#child.kill("SIGKILL");
    await within("the process is gone", this.ended);
  }

  /** Asks it to end as a service manager would, and returns how it ended. */
  async terminate() {
    this.#child.kill("SIGTERM");
    return within("the process ends", this.ended, () => this.logTail());
  }

  /** The last lines of its log. */
  logTail(lines = 15) {
    return readFileSync(this.#log, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  }
}

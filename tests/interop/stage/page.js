// The example page, served by its own tools and opened in a real browser.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { PATIENCE_MS } from "./patience.js";
import { Process } from "./processes.js";

const EXAMPLE = join(import.meta.dirname, "..", "..", "..", "client-sdk", "js-example");
const BROWSER = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";

function must(path, remedy) {
  if (!existsSync(path)) throw new Error(`${path} is missing: ${remedy}`);
  return path;
}

/** A browser, and the page's server. */
export class Page {
  #vite;
  #browser;

  /** `environment` names the server and its key for the page's own server. */
  static async open(environment, { folder, port }) {
    const page = new Page();
    must(BROWSER, "install Debian's package (`apt-get install -y chromium`), or name another by CHROMIUM_BIN");
    const vite = must(join(EXAMPLE, "node_modules", "vite", "bin", "vite.js"), `run \`npm ci\` in ${EXAMPLE}`);
    const args = [vite, "--host", "127.0.0.1", "--port", `${port}`, "--strictPort", "--clearScreen", "false"];
    page.#vite = await Process.start(process.execPath, args, {
      cwd: EXAMPLE,
      env: { ...process.env, ...environment, NO_COLOR: "1" },
      log: join(folder, "page.log"),
      isReady: (line) => line.includes("Local:"),
    });
    page.url = `http://127.0.0.1:${port}/`;
    try {
      page.#browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox"] });
    } catch (error) {
      await page.end();
      throw error;
    }
    return page;
  }

  /** A browser profile of its own, in which tabs share what is stored. Its errors fail the story. */
  async profile() {
    const profile = await this.#browser.newContext({ viewport: { width: 1180, height: 760 } });
    profile.setDefaultTimeout(PATIENCE_MS);
    profile.errors = [];
    profile.on("weberror", (error) => profile.errors.push(error.error()));
    return profile;
  }

  /** A tab that is connected. */
  async tab(profile) {
    const tab = await profile.newPage();
    await tab.goto(this.url);
    await tab.locator('#state[data-state="live"]').waitFor();
    return tab;
  }

  async end() {
    await this.#browser?.close();
    await this.#vite?.kill();
  }
}

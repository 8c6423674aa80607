import { defineConfig } from "vite";
import { backend } from "./backend.js";

/** The page's own server, inside of Vite's, for development and preview alike. */
function pageServer() {
  const { SYNCLINE_API: api, SYNCLINE_KEY: key, SYNCLINE_TENANT: tenant } = process.env;
  const serve = (server) => {
    if (!api || !key) {
      throw new Error(
        "SYNCLINE_API and SYNCLINE_KEY are not set: name the server, such as http://127.0.0.1:8080, and a key",
      );
    }
    server.middlewares.use(backend({ api, key, tenant }));
  };
  return { name: "page-server", configureServer: serve, configurePreviewServer: serve };
}

export default defineConfig({
  plugins: [pageServer()],
  // Automerge is WebAssembly, which needs a recent browser anyway.
  build: { target: "esnext" },
});

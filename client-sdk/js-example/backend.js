// What a product's own server does for the page: it holds the API key, which never reaches a browser, and gives each page a
// token that may do less and ends soon.

/** How long a token holds, in seconds. The page asks for another at half of it. */
const TOKEN_LIFETIME_S = 3600;
/** What a page may do. The key itself may do more. */
const PAGE_MAY = { models: ["contact"], access: ["read", "write", "create"], expires_in_seconds: TOKEN_LIFETIME_S };

const ROUTES = {
  "POST /api/token": () => ["POST", "/v1/repo/tokens", { name: "browser", ...PAGE_MAY }],
  "GET /api/contacts": () => ["GET", "/v1/records/contact?limit=100"],
  "GET /api/changes": ({ searchParams }) => ["GET", `/v1/changes?model=contact&${feedPlace(searchParams)}`],
};

function feedPlace(given) {
  const [after, wait] = [Number(given.get("after")) || 0, Number(given.get("wait")) || 0];
  return new URLSearchParams({ after, wait });
}

/** A handler for the three things that the page asks of its own server; anything else goes to `next`. */
export function backend({ api, key, tenant }) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  if (tenant) headers["syncline-tenant"] = tenant;

  return async (request, response, next) => {
    const url = new URL(request.url, "http://page");
    const route = ROUTES[`${request.method} ${url.pathname}`];
    if (!route) return next();
    // Your own sign-in belongs here: who is it, and what may they do? At least, no other site may ask in its visitor's name.
    if (!["same-origin", undefined].includes(request.headers["sec-fetch-site"])) {
      return answer(response, 403, { detail: "only this page's own scripts may ask" });
    }
    const [method, path, body] = route(url);
    try {
      const upstream = await fetch(`${api}${path}`, { method, headers, body: body && JSON.stringify(body) });
      answer(response, upstream.status, await upstream.json());
    } catch (error) {
      answer(response, 502, {
        detail: `Syncline cannot be reached at ${api}: ${error.cause?.message ?? error.message}`,
      });
    }
  };
}

function answer(response, status, body) {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

//! The app itself, which speaks by JWT, and webhooks: the app's one, and those of repositories.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, created, nothing, ok};
use super::caller::{APP_ID, APP_SLUG, INSTALLATION_ID, OWNER, user};
use super::errors::ApiError;
use super::outbox::{Delivery, Hook};
use super::render::iso;
use super::site::GitHubState;
use super::switches;

type Site = State<Arc<GitHubState>>;

/// The deliveries of a page where nothing is asked for, and at most.
const PAGE_DEFAULT: usize = 30;
const PAGE_MAX: usize = 100;

fn permissions(site: &GitHubState) -> Value {
    let issues = if site.parts.faults.is_on(switches::PUSH_ACCESS) { "write" } else { "read" };
    json!({"issues": issues, "metadata": "read"})
}

fn installation_json(site: &GitHubState) -> Value {
    json!({
        "id": INSTALLATION_ID, "account": user(OWNER, &site.parts.base_url), "app_id": APP_ID, "app_slug": APP_SLUG,
        "repository_selection": "selected", "permissions": permissions(site), "events": ["issues", "issue_comment"],
        "access_tokens_url": format!("{}/app/installations/{INSTALLATION_ID}/access_tokens", site.parts.base_url),
        "target_type": "Organization", "suspended_at": null,
    })
}

/// `GET /app`
pub(crate) async fn app(State(site): Site, _: Call) -> Answer {
    ok(json!({
        "id": APP_ID, "slug": APP_SLUG, "name": "Sandbox app", "client_id": site.parts.credentials.client_id,
        "owner": user(OWNER, &site.parts.base_url), "permissions": permissions(&site), "events": ["issues", "issue_comment"],
    }))
}

/// `GET /app/installations`
pub(crate) async fn installations(State(site): Site, _: Call) -> Answer {
    ok(json!([installation_json(&site)]))
}

fn check_installation(call: &Call) -> Result<(), ApiError> {
    if call.number("installation")? == INSTALLATION_ID { Ok(()) } else { Err(ApiError::not_found()) }
}

/// `GET /app/installations/{installation}`
pub(crate) async fn installation(State(site): Site, call: Call) -> Answer {
    check_installation(&call)?;
    ok(installation_json(&site))
}

/// `POST /app/installations/{installation}/access_tokens`
pub(crate) async fn access_token(State(site): Site, call: Call) -> Answer {
    check_installation(&call)?;
    let body = call.json()?;
    let world = site.world();
    let wanted = body.get("repositories").and_then(Value::as_array).into_iter().flatten();
    for name in wanted.filter_map(Value::as_str) {
        let found = world.named(name).and_then(|id| world.repositories.get(&id));
        if !found.is_some_and(|repository| repository.is_installed) {
            return Err(ApiError::invalid(vec![
                json!({"resource": "Installation", "field": "repositories", "code": "invalid"}),
            ]));
        }
    }
    let (token, end) = site.tokens.lock().issue(site.parts.clock.now());
    created(json!({
        "token": token, "expires_at": iso(end), "permissions": permissions(&site), "repository_selection": "selected",
    }))
}

/// Whose webhooks a path means: a repository's, or the app's.
fn owner(site: &GitHubState, call: &Call) -> Result<Option<u64>, ApiError> {
    if call.path.starts_with("/app/") { Ok(None) } else { site.locate(&site.world(), call).map(Some) }
}

fn hook(site: &GitHubState, call: &Call) -> Result<Hook, ApiError> {
    let own = site.outbox.hooks(owner(site, call)?);
    let found = own.into_iter().find(|hook| call.param("hook").is_empty() || hook.id.to_string() == call.param("hook"));
    found.ok_or_else(ApiError::not_found)
}

fn render(hook: &Hook) -> Value {
    json!({
        "type": "Repository", "id": hook.id, "name": "web", "active": hook.active, "events": hook.events,
        "config": {"url": hook.url, "content_type": "json", "insecure_ssl": "0", "secret": "********"},
        "created_at": iso(hook.created), "updated_at": iso(hook.created),
    })
}

/// Reads what a body says of a webhook over what it was before.
fn read(body: &Map<String, Value>, config: &Map<String, Value>, before: Hook) -> Result<Hook, ApiError> {
    let text = |name: &str| config.get(name).and_then(Value::as_str).map(str::to_owned);
    let url = text("url").unwrap_or(before.url);
    let is_web = url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_web {
        return Err(ApiError::field("Hook", "url", "invalid"));
    }
    let events = match body.get("events").and_then(Value::as_array) {
        Some(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => before.events,
    };
    let active = body.get("active").and_then(Value::as_bool).unwrap_or(before.active);
    Ok(Hook { url, secret: text("secret").unwrap_or(before.secret), events, active, ..before })
}

fn member(body: &Map<String, Value>, name: &str) -> Map<String, Value> {
    body.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// `GET …/hooks`
pub(crate) async fn hooks(State(site): Site, call: Call) -> Answer {
    ok(site.outbox.hooks(owner(&site, &call)?).iter().map(render).collect())
}

/// `POST …/hooks`
pub(crate) async fn create_hook(State(site): Site, call: Call) -> Answer {
    let (repository, body) = (owner(&site, &call)?, call.json()?);
    let fresh = site.fresh_hook(repository, "push");
    let hook = read(&body, &member(&body, "config"), fresh)?;
    let shown = render(&hook);
    if !site.outbox.save(hook) {
        return Err(ApiError::custom("Hook", "base", "there are too many webhooks"));
    }
    created(shown)
}

/// `GET …/hooks/{hook}`
pub(crate) async fn show_hook(State(site): Site, call: Call) -> Answer {
    ok(render(&hook(&site, &call)?))
}

/// `PATCH …/hooks/{hook}`, `DELETE …/hooks/{hook}`
pub(crate) async fn change_hook(State(site): Site, call: Call) -> Answer {
    let before = hook(&site, &call)?;
    if call.method == Method::DELETE {
        site.outbox.remove(before.id);
        return nothing();
    }
    let body = call.json()?;
    let after = read(&body, &member(&body, "config"), before)?;
    let shown = render(&after);
    site.outbox.save(after);
    ok(shown)
}

/// `GET /app/hook/config`, `PATCH /app/hook/config`
pub(crate) async fn app_hook(State(site): Site, call: Call) -> Answer {
    let held = site.outbox.hooks(None).into_iter().next();
    if call.method == Method::PATCH {
        let config = call.json()?;
        let before = held.unwrap_or_else(|| site.fresh_hook(None, "*"));
        site.outbox.save(read(&Map::new(), &config, before)?);
    }
    let held = site.outbox.hooks(None).into_iter().next().ok_or_else(ApiError::not_found)?;
    ok(render(&held)["config"].clone())
}

/// `GET …/deliveries`: newest first, by cursor.
pub(crate) async fn deliveries(State(site): Site, call: Call) -> Answer {
    let hook = hook(&site, &call)?;
    let size = call.query("per_page").and_then(|text| text.parse().ok()).unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let before = call.query("cursor").and_then(|text| text.trim_start_matches("v1_").parse::<u64>().ok());
    let all = site.outbox.deliveries(|own| own.id == hook.id);
    let rest: Vec<Delivery> = all.into_iter().filter(|found| before.is_none_or(|before| found.id < before)).collect();
    let shown: Vec<Value> = rest.iter().take(size).map(|delivery| delivery.render(false)).collect();
    let mut response = Json(shown).into_response();
    if rest.len() > size
        && let Some(last) = rest.get(size - 1)
    {
        let query = call.query_with(&["cursor"], &[("cursor", &format!("v1_{}", last.id))]);
        let link = format!("<{}{}?{query}>; rel=\"next\"", site.parts.base_url, call.path);
        response.headers_mut().extend(HeaderValue::try_from(link).ok().map(|link| (header::LINK, link)));
    }
    Ok(response)
}

/// `GET …/deliveries/{delivery}`
pub(crate) async fn delivery(State(site): Site, call: Call) -> Answer {
    let (hook, id) = (hook(&site, &call)?, call.number("delivery")?);
    let found = site.outbox.deliveries(|own| own.id == hook.id).into_iter().find(|delivery| delivery.id == id);
    ok(found.ok_or_else(ApiError::not_found)?.render(true))
}

/// `POST …/deliveries/{delivery}/attempts`
pub(crate) async fn redeliver(State(site): Site, call: Call) -> Answer {
    let (hook, id) = (hook(&site, &call)?, call.number("delivery")?);
    if site.outbox.redeliver(|own| own.id == hook.id, id) {
        return Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response());
    }
    Err(ApiError::not_found())
}

impl GitHubState {
    /// A webhook without an address, wanting one kind of event.
    pub(crate) fn fresh_hook(&self, repository: Option<u64>, event: &str) -> Hook {
        Hook {
            id: self.outbox.fresh_id(),
            repository,
            url: String::new(),
            secret: self.tokens.lock().secret(),
            events: vec![event.to_owned()],
            active: true,
            created: self.parts.clock.now(),
        }
    }
}

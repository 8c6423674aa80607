//! Webhooks and triggers, as the API shows and changes them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::account::ZendeskState;
use super::call::{Answer, Call, created, ok};
use super::errors::{ApiError, Flaw};
use super::hook::Hook;
use super::sender;
use super::triggers::Trigger;

type Account = State<Arc<ZendeskState>>;

fn refused(why: impl Into<String>) -> ApiError {
    ApiError::invalid(&[Flaw::base("InvalidValue", why)])
}

fn hook(account: &ZendeskState, call: &Call) -> Result<Hook, ApiError> {
    account.outbox.hook(call.param("id")).ok_or_else(ApiError::not_found)
}

/// `GET /webhooks`
pub(crate) async fn list(State(account): Account, _: Call) -> Answer {
    let hooks: Vec<Value> = account.outbox.hooks().iter().map(Hook::render).collect();
    let meta = json!({"has_more": false, "after_cursor": null, "before_cursor": null});
    ok(json!({"webhooks": hooks, "meta": meta, "links": {"next": null, "prev": null}}))
}

/// `POST /webhooks`
pub(crate) async fn create(State(account): Account, call: Call) -> Answer {
    let (outbox, now) = (&account.outbox, account.parts.clock.now());
    let raw = call.object("webhook")?.into();
    let (id, secret) = (outbox.fresh_id(), account.fresh_secret());
    let hook = Hook::read(&raw, None, id, secret, now).map_err(refused)?;
    let shown = hook.render();
    outbox.save_hook(hook).map_err(refused)?;
    created(json!({"webhook": shown}))
}

/// `GET /webhooks/{id}`
pub(crate) async fn show(State(account): Account, call: Call) -> Answer {
    ok(json!({"webhook": hook(&account, &call)?.render()}))
}

/// `PUT /webhooks/{id}` replaces, `PATCH` changes.
pub(crate) async fn update(State(account): Account, method: Method, call: Call) -> Answer {
    let before = hook(&account, &call)?;
    let raw = call.object("webhook")?.into();
    let kept = Some(&before).filter(|_| method == Method::PATCH);
    let now = account.parts.clock.now();
    let after = Hook::read(&raw, kept, before.id.clone(), before.secret.clone(), now).map_err(refused)?;
    account.outbox.save_hook(after).map_err(refused)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /webhooks/{id}`
pub(crate) async fn delete(State(account): Account, call: Call) -> Answer {
    let hook = hook(&account, &call)?;
    account.outbox.remove_hooks(Some(&hook.id));
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /webhooks/{id}/signing_secret` shows it, `POST` makes another.
pub(crate) async fn signing_secret(State(account): Account, method: Method, call: Call) -> Answer {
    let mut hook = hook(&account, &call)?;
    if method == Method::POST {
        hook.secret = account.fresh_secret();
        account.outbox.save_hook(hook.clone()).map_err(refused)?;
    }
    let answer = json!({"signing_secret": {"algorithm": "SHA256", "secret": hook.secret}});
    if method == Method::POST { created(answer) } else { ok(answer) }
}

/// `GET /webhooks/{id}/invocations`
pub(crate) async fn invocations(State(account): Account, call: Call) -> Answer {
    let invocations = hook(&account, &call)?.invocations();
    let meta = json!({"has_more": false, "after_cursor": null, "before_cursor": null});
    ok(json!({"invocations": invocations, "meta": meta, "links": {"next": null, "prev": null}}))
}

/// `POST /webhooks/test`: one request to a webhook that need not be saved, signed with the secret of tests.
pub(crate) async fn test(State(account): Account, call: Call) -> Answer {
    let raw: Value = call.object("request")?.into();
    let now = account.parts.clock.now();
    let mut described = json!({"name": "test", "http_method": "POST", "request_format": "json"});
    if let (Some(members), Some(given)) = (described.as_object_mut(), raw.as_object()) {
        members.extend(given.clone());
    }
    let id = account.outbox.fresh_id();
    let hook = Hook::read(&described, None, id, String::new(), now).map_err(refused)?;
    let outcome = sender::test(&account.outbox, &account.parts.faults, &hook).await;
    ok(json!({"response": {"status": outcome.status, "headers": [], "payload": ""}}))
}

/// `GET /triggers`
pub(crate) async fn triggers(State(account): Account, _: Call) -> Answer {
    let triggers: Vec<Value> = account.outbox.triggers().iter().map(Trigger::render).collect();
    ok(json!({"count": triggers.len(), "triggers": triggers, "next_page": null, "previous_page": null}))
}

/// `POST /triggers`
pub(crate) async fn create_trigger(State(account): Account, call: Call) -> Answer {
    let raw = call.object("trigger")?.into();
    let id = account.books().fresh_id();
    let trigger = Trigger::read(id, &raw).map_err(refused)?;
    let shown = trigger.render();
    account.outbox.save_trigger(trigger).map_err(refused)?;
    created(json!({"trigger": shown}))
}

/// `DELETE /triggers/{id}`
pub(crate) async fn delete_trigger(State(account): Account, call: Call) -> Answer {
    if account.outbox.remove_trigger(call.id()?) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(ApiError::not_found())
}

//! Several requests in one: `/composite`, whose parts may refer to earlier parts, and `/composite/batch`.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::call::{Call, Params, Version, segments};
use super::collections::{self, Verb};
use super::describe;
use super::errors::ApiError;
use super::platform::SalesforceState;
use super::query;
use super::reply::Reply;
use super::sobjects::{self, Address, RowRequest};
use super::transaction::Transaction;

/// Parts per composite or batch request.
const PARTS_MAX: usize = 25;

/// Answers `POST …/composite`.
pub(crate) fn composite(
    state: &SalesforceState,
    call: &Call,
    transaction: &mut Transaction<'_>,
    body: &Map<String, Value>,
) -> Result<Reply, ApiError> {
    let all_or_none = body.get("allOrNone").and_then(Value::as_bool).unwrap_or(false);
    let parts = parts(body, "compositeRequest")?;
    let mut done: Vec<(String, Reply)> = Vec::with_capacity(parts.len());
    for part in parts {
        let reference = text(part, "referenceId").ok_or_else(|| missing("referenceId"))?.to_owned();
        if done.iter().any(|(known, _)| *known == reference) {
            let message = format!("Duplicate reference ID '{reference}' in the request");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_INPUT", message));
        }
        let reply = run_part(state, call, transaction, part, &done);
        done.push((reference, reply));
        let failed = done.last().is_some_and(|(_, reply)| !is_success(reply));
        if failed && all_or_none {
            transaction.rollback();
            return Ok(halted(parts, done));
        }
    }
    let shown = done.into_iter().map(|(reference, reply)| reply.into_part(&reference));
    Ok(Reply::ok(json!({ "compositeResponse": shown.collect::<Vec<_>>() })))
}

/// The answer of a composite request in which one part failed and nothing has happened.
fn halted(parts: &[Value], done: Vec<(String, Reply)>) -> Reply {
    let halt = |reference: &str| {
        let message = "The transaction was rolled back since another operation in the same transaction failed.";
        let error = json!([{ "errorCode": "PROCESSING_HALTED", "message": message }]);
        Reply::with(StatusCode::BAD_REQUEST, error).into_part(reference)
    };
    let count = done.len();
    let mut shown: Vec<_> = done
        .into_iter()
        .map(|(reference, reply)| if is_success(&reply) { halt(&reference) } else { reply.into_part(&reference) })
        .collect();
    shown.extend(parts[count..].iter().map(|part| halt(text(part, "referenceId").unwrap_or_default())));
    Reply::ok(json!({ "compositeResponse": shown }))
}

fn run_part(
    state: &SalesforceState,
    call: &Call,
    transaction: &mut Transaction<'_>,
    part: &Value,
    done: &[(String, Reply)],
) -> Reply {
    let earlier: HashMap<&str, &Reply> = done.iter().map(|(name, reply)| (name.as_str(), reply)).collect();
    let resolved = resolve_value(part, &earlier).and_then(|part| SubRequest::read(&part, call));
    match resolved {
        Ok(request) => request.run(state, call, transaction),
        Err(error) => error.into(),
    }
}

fn is_success(reply: &Reply) -> bool {
    reply.status.is_success()
}

/// Answers `POST …/composite/batch`.
pub(crate) fn batch(
    state: &SalesforceState,
    call: &Call,
    transaction: &mut Transaction<'_>,
    body: &Map<String, Value>,
) -> Result<Reply, ApiError> {
    let halt = body.get("haltOnError").and_then(Value::as_bool).unwrap_or(false);
    let mut results = Vec::new();
    let mut has_errors = false;
    for part in parts(body, "batchRequests")? {
        if halt && has_errors {
            let message = "Batch processing halted per request";
            let halted = ApiError::new(StatusCode::PRECONDITION_FAILED, "BATCH_PROCESSING_HALTED", message);
            results.push(json!({ "statusCode": 412, "result": [halted.to_json()] }));
            continue;
        }
        let reply: Reply = match SubRequest::read(part, call) {
            Ok(request) => request.run(state, call, transaction),
            Err(error) => error.into(),
        };
        has_errors |= !is_success(&reply);
        results.push(json!({ "statusCode": reply.status.as_u16(), "result": reply.body }));
    }
    Ok(Reply::ok(json!({ "hasErrors": has_errors, "results": results })))
}

fn parts<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], ApiError> {
    let parts = body.get(name).and_then(Value::as_array).ok_or_else(|| missing(name))?;
    if parts.len() > PARTS_MAX {
        let message = format!("Limit exceeded: a request may have {PARTS_MAX} parts, this one has {}", parts.len());
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "LIMIT_EXCEEDED", message));
    }
    Ok(parts)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn missing(name: &str) -> ApiError {
    ApiError::row("MISSING_ARGUMENT", format!("{name} not specified"), &[])
}

/// Puts values of earlier answers in the place of references such as `@{newContact.id}`.
fn resolve_value(value: &Value, earlier: &HashMap<&str, &Reply>) -> Result<Value, ApiError> {
    Ok(match value {
        Value::String(text) => Value::String(resolve_text(text, earlier)?),
        Value::Array(list) => {
            Value::Array(list.iter().map(|one| resolve_value(one, earlier)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let resolved = object.iter().map(|(name, one)| Ok((name.clone(), resolve_value(one, earlier)?)));
            Value::Object(resolved.collect::<Result<_, ApiError>>()?)
        }
        other => other.clone(),
    })
}

fn resolve_text(text: &str, earlier: &HashMap<&str, &Reply>) -> Result<String, ApiError> {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        let Some((reference, tail)) = after.split_once('}') else { break };
        resolved.push_str(before);
        resolved.push_str(&look_up(reference, earlier)?);
        rest = tail;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

fn look_up(reference: &str, earlier: &HashMap<&str, &Reply>) -> Result<String, ApiError> {
    let invalid = || {
        let message = format!("Invalid reference specified. No value for {reference} found in the earlier answers.");
        ApiError::new(StatusCode::BAD_REQUEST, "PROCESSING_HALTED", message)
    };
    let (name, path) = reference.split_once('.').ok_or_else(invalid)?;
    let body = earlier.get(name).filter(|reply| is_success(reply)).and_then(|reply| reply.body.as_ref());
    let mut value = body.ok_or_else(invalid)?;
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        let inner = match part.parse::<usize>() {
            Ok(place) if value.is_array() => value.get(place),
            _ => value.get(part),
        };
        value = inner.ok_or_else(invalid)?;
    }
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(invalid()),
        other => Ok(other.to_string()),
    }
}

/// One part, as if it were a request of its own.
struct SubRequest {
    method: Method,
    version: Version,
    /// The path after the version, decoded.
    path: Vec<String>,
    params: Params,
    headers: HeaderMap,
    body: Map<String, Value>,
}

impl SubRequest {
    fn read(part: &Value, call: &Call) -> Result<Self, ApiError> {
        let method = text(part, "method").and_then(|name| name.to_ascii_uppercase().parse().ok());
        let url = text(part, "url").ok_or_else(|| missing("url"))?;
        let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
        let mut path = segments(path);
        if path.starts_with(&["services".to_owned(), "data".to_owned()]) {
            path.drain(..2);
        }
        let version = path.first().and_then(|first| Version::parse(first));
        if version.is_some() {
            path.remove(0);
        }
        let body = part.get("body").or(part.get("richInput")).and_then(Value::as_object);
        Ok(Self {
            method: method.ok_or_else(|| missing("method"))?,
            version: version.unwrap_or_else(|| call.version.clone()),
            path,
            params: Params::parse(query),
            headers: headers(part.get("httpHeaders")),
            body: body.cloned().unwrap_or_default(),
        })
    }

    fn run(self, state: &SalesforceState, call: &Call, transaction: &mut Transaction<'_>) -> Reply {
        let call = Call { version: self.version.clone(), ..call.clone() };
        self.dispatch(state, &call, transaction).into()
    }

    fn dispatch(
        self,
        state: &SalesforceState,
        call: &Call,
        transaction: &mut Transaction<'_>,
    ) -> Result<Reply, ApiError> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let address = match path.as_slice() {
            ["query" | "queryAll", rest @ ..] => return self.query(state, call, transaction, rest),
            ["limits"] => return Ok(Reply::ok(describe::limits(state))),
            ["sobjects"] => return Ok(describe::global(transaction.store, &call.version)),
            ["sobjects", name, "describe"] => {
                let object = sobjects::object(transaction.store, name)?;
                return Ok(describe::whole(&transaction.store.table(object).schema, &call.version));
            }
            ["composite", "sobjects", rest @ ..] => return self.collection(state, transaction, rest),
            ["sobjects", _] => Address::None,
            ["sobjects", _, id] => Address::Id(id),
            ["sobjects", _, field, value] => Address::Key { field, value },
            _ => return Err(ApiError::not_found()),
        };
        let request = RowRequest {
            method: self.method.clone(),
            object: path[1],
            address,
            params: &self.params,
            headers: &self.headers,
            fields: self.body.clone(),
        };
        Ok(sobjects::answer(state, call, transaction, &request))
    }

    fn query(
        &self,
        state: &SalesforceState,
        call: &Call,
        transaction: &mut Transaction<'_>,
        rest: &[&str],
    ) -> Result<Reply, ApiError> {
        let store = &*transaction.store;
        match rest {
            [locator] => query::next_page(state, call, store, locator),
            _ => {
                let with_deleted = self.path.first().is_some_and(|name| name == "queryAll");
                query::first_page(state, call, store, self.params.get("q"), &self.headers, with_deleted)
            }
        }
    }

    fn collection(
        &self,
        state: &SalesforceState,
        transaction: &mut Transaction<'_>,
        rest: &[&str],
    ) -> Result<Reply, ApiError> {
        let verb = match (&self.method, rest) {
            (&Method::POST, []) => Verb::Create,
            (&Method::PATCH, []) => Verb::Update,
            (&Method::PATCH, [object, field]) => Verb::Upsert { object, field },
            (&Method::DELETE, []) => return collections::delete(state, transaction, &self.params),
            _ => return Err(ApiError::not_found()),
        };
        collections::write(state, transaction, verb, &self.body)
    }
}

fn headers(value: Option<&Value>) -> HeaderMap {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    pairs
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.as_str()?).ok()?))
        })
        .collect()
}

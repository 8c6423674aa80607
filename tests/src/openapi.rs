//! Holds answers against the OpenAPI document that the server serves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};

/// A served OpenAPI document, ready to judge answers.
#[derive(Debug)]
pub struct Contract {
    document: Value,
    operations: Vec<Operation>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
    checked: Mutex<BTreeSet<(usize, String)>>,
}

#[derive(Debug)]
struct Operation {
    method: String,
    template: String,
}

/// An answer as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The path of the request; a query is ignored.
    pub path: &'a str,
    /// The status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// How an answer, or the document itself, breaks the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The document is no OpenAPI 3.1 document.
    #[error("the document has no {0}")]
    Document(&'static str),
    /// A schema in the document cannot be compiled, such as for a dangling reference.
    #[error("the schema of {place} cannot be used: {why}")]
    Schema {
        /// Where in the document.
        place: String,
        /// What the validator says.
        why: String,
    },
    /// No operation has this method and path.
    #[error("{method} {path} is not in the document")]
    Undocumented {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// The operation declares no answer of this status.
    #[error("{method} {template} declares no answer {status}")]
    Status {
        /// The method.
        method: String,
        /// The path's template.
        template: String,
        /// The status.
        status: u16,
    },
    /// The answer's media type is not declared.
    #[error("{method} {template} {status} has the media type {found:?}, declared are {declared:?}")]
    MediaType {
        /// The method.
        method: String,
        /// The path's template.
        template: String,
        /// The status.
        status: u16,
        /// What the answer says it is.
        found: String,
        /// What the document declares.
        declared: Vec<String>,
    },
    /// The body does not fit the schema.
    #[error("the body of {method} {template} {status} breaks its schema: {}\n{body}", faults.join("; "))]
    Body {
        /// The method.
        method: String,
        /// The path's template.
        template: String,
        /// The status.
        status: u16,
        /// Each fault, with its place in the body.
        faults: Vec<String>,
        /// The body.
        body: String,
    },
    /// A message does not fit its schema.
    #[error("the message breaks the schema {schema}: {}\n{message}", faults.join("; "))]
    Message {
        /// The schema's name.
        schema: String,
        /// Each fault, with its place in the message.
        faults: Vec<String>,
        /// The message.
        message: String,
    },
}

impl Contract {
    /// Reads a document.
    pub fn new(document: Value) -> Result<Self, Violation> {
        if !document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")) {
            return Err(Violation::Document("version 3.1"));
        }
        let paths = document["paths"].as_object().ok_or(Violation::Document("paths"))?;
        let operations = paths.iter().flat_map(|(template, item)| operations(template, item)).collect();
        Ok(Self { operations, document, validators: Mutex::default(), checked: Mutex::default() })
    }

    /// Judges an answer.
    pub fn check(&self, answer: Answer<'_>) -> Result<(), Violation> {
        let path = answer.path.split('?').next().unwrap_or_default();
        let (index, operation) = self.operation(answer.method, path)?;
        let (key, response) = self.response(operation, answer.status)?;
        let verdict = self.check_content(operation, answer, response, &key);
        lock(&self.checked).insert((index, key));
        verdict
    }

    /// Judges a message by one of the document's named schemas, for protocols that OpenAPI has no paths for.
    pub fn check_message(&self, schema: &str, message: &Value) -> Result<(), Violation> {
        let known = &self.document["components"]["schemas"][schema];
        if known.is_null() {
            return Err(Violation::Schema { place: schema.to_owned(), why: "there is no such schema".to_owned() });
        }
        let validator = self.validator(schema, known)?;
        let faults: Vec<_> = validator.iter_errors(message).map(|error| fault(&error)).collect();
        if faults.is_empty() {
            return Ok(());
        }
        Err(Violation::Message { schema: schema.to_owned(), faults, message: message.to_string() })
    }

    /// The answers, as `METHOD path status`, that the document promises a success for and that nobody has checked yet.
    pub fn unchecked(&self) -> BTreeSet<String> {
        let checked = lock(&self.checked);
        let mut missing = BTreeSet::new();
        for (index, operation) in self.operations.iter().enumerate() {
            for status in self.responses(operation).keys().filter(|status| status.starts_with('2')) {
                if !checked.contains(&(index, status.clone())) {
                    missing.insert(format!("{} {} {status}", operation.method, operation.template));
                }
            }
        }
        missing
    }

    fn operation(&self, method: &str, path: &str) -> Result<(usize, &Operation), Violation> {
        let fits =
            |operation: &&Operation| operation.method == method && specificity(&operation.template, path).is_some();
        self.operations
            .iter()
            .enumerate()
            .filter(|(_, operation)| fits(operation))
            .max_by_key(|(_, operation)| specificity(&operation.template, path))
            .ok_or_else(|| Violation::Undocumented { method: method.to_owned(), path: path.to_owned() })
    }

    fn responses(&self, operation: &Operation) -> BTreeMap<String, &Value> {
        let responses = &self.document["paths"][&operation.template][operation.method.to_lowercase()]["responses"];
        let responses = responses.as_object().into_iter().flatten();
        responses.map(|(status, response)| (status.clone(), response)).collect()
    }

    fn response(&self, operation: &Operation, status: u16) -> Result<(String, &Value), Violation> {
        let responses = self.responses(operation);
        let range = format!("{}XX", status / 100);
        [status.to_string(), range, "default".to_owned()]
            .into_iter()
            .find_map(|key| responses.get(&key).map(|response| (key, *response)))
            .ok_or_else(|| Violation::Status {
                method: operation.method.clone(),
                template: operation.template.clone(),
                status,
            })
    }

    fn check_content(
        &self,
        operation: &Operation,
        answer: Answer<'_>,
        response: &Value,
        key: &str,
    ) -> Result<(), Violation> {
        let declared = response["content"].as_object().cloned().unwrap_or_default();
        let found = answer.content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if declared.is_empty() && answer.body.is_empty() {
            return Ok(());
        }
        let Some(content) = declared.get(found) else {
            return Err(Violation::MediaType {
                method: operation.method.clone(),
                template: operation.template.clone(),
                status: answer.status,
                found: found.to_owned(),
                declared: declared.keys().cloned().collect(),
            });
        };
        let place = format!("{} {} {key} {found}", operation.method, operation.template);
        let validator = self.validator(&place, &content["schema"])?;
        let faults = faults(&validator, answer.body);
        if faults.is_empty() {
            return Ok(());
        }
        Err(Violation::Body {
            method: operation.method.clone(),
            template: operation.template.clone(),
            status: answer.status,
            faults,
            body: String::from_utf8_lossy(answer.body).into_owned(),
        })
    }

    fn validator(&self, place: &str, schema: &Value) -> Result<Arc<Validator>, Violation> {
        let mut validators = lock(&self.validators);
        if let Some(validator) = validators.get(place) {
            return Ok(Arc::clone(validator));
        }
        let schema = self.rooted(schema);
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| Violation::Schema { place: place.to_owned(), why: error.to_string() })?;
        let validator = Arc::new(validator);
        validators.insert(place.to_owned(), Arc::clone(&validator));
        Ok(validator)
    }

    /// A schema of the document as a document of its own, in which the references still lead somewhere.
    fn rooted(&self, schema: &Value) -> Value {
        let mut root = sealed(schema);
        let schemas = self.document["components"]["schemas"].as_object().cloned().unwrap_or_default();
        let seal = |close: fn(&Value) -> Value| -> Map<String, Value> {
            schemas.iter().map(|(name, schema)| (name.clone(), close(schema))).collect()
        };
        root["components"] = json!({"schemas": seal(sealed), "parts": seal(part)});
        root
    }
}

/// The schema, refusing every property that it does not name: a document that leaves out what is sent has drifted.
fn sealed(schema: &Value) -> Value {
    if schema.get("$ref").is_some() {
        return schema.clone();
    }
    let mut schema = part(schema);
    if let Some(schema) = schema.as_object_mut() {
        let names_properties = ["properties", "allOf", "oneOf"].iter().any(|key| schema.contains_key(*key));
        if names_properties && !schema.contains_key("additionalProperties") {
            schema.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
        }
    }
    schema
}

/// The schema as a part of another one, which may name further properties; only what lies deeper is sealed.
fn part(schema: &Value) -> Value {
    let Some(keywords) = schema.as_object() else { return schema.clone() };
    let each = |schemas: &Value, close: fn(&Value) -> Value| -> Value {
        schemas.as_array().into_iter().flatten().map(close).collect()
    };
    let close = |(keyword, value): (&String, &Value)| {
        let closed = match keyword.as_str() {
            "allOf" | "oneOf" => each(value, part),
            "properties" => {
                value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), sealed(value))).collect()
            }
            "items" | "additionalProperties" => sealed(value),
            _ => value.clone(),
        };
        (keyword.clone(), closed)
    };
    let mut closed: Map<String, Value> = keywords.iter().map(close).collect();
    if let Some(reference) = closed.get("$ref").and_then(Value::as_str) {
        // Whoever refers to a whole schema seals it there; a part stays open.
        closed.insert("$ref".to_owned(), reference.replace("/schemas/", "/parts/").into());
    }
    Value::Object(closed)
}

fn operations(template: &str, item: &Value) -> Vec<Operation> {
    const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];
    let methods = METHODS.into_iter().filter(|method| item.get(method).is_some());
    methods.map(|method| Operation { method: method.to_uppercase(), template: template.to_owned() }).collect()
}

/// How many segments of a template are literally those of the path; `None` where the path does not fit.
fn specificity(template: &str, path: &str) -> Option<usize> {
    let (wanted, found): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != found.len() {
        return None;
    }
    let mut literal = 0;
    for (wanted, found) in wanted.into_iter().zip(found) {
        if wanted == found {
            literal += 1;
        } else if !wanted.starts_with('{') || found.is_empty() {
            return None;
        }
    }
    Some(literal)
}

fn faults(validator: &Validator, body: &[u8]) -> Vec<String> {
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return vec![format!("no JSON: {error}")],
    };
    validator.iter_errors(&body).map(|error| fault(&error)).collect()
}

fn fault(error: &ValidationError<'_>) -> String {
    format!("{}: {error}", error.instance_path())
}

/// A panicking test cannot leave the sets half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small document that uses what ours uses, for tests of the validator itself.
    fn example() -> Value {
        json!({
            "openapi": "3.1.0",
            "paths": {
                "/things/{id}": {"get": {"responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "204": {"description": "nothing"},
                    "4XX": {"content": {"application/problem+json": {"schema": {"type": "object", "required": ["title"]}}}},
                }}},
                "/things/best": {"get": {"responses": {"200": {"description": "no body"}}}},
                "/broken": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/None"}}}}}}},
            },
            "components": {"schemas": {"Thing": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer", "minimum": 1},
                    "at": {"type": "string", "format": "date-time"},
                    "parts": {"type": "array", "items": {"allOf": [
                        {"$ref": "#/components/schemas/Sized"},
                        {"type": "object", "properties": {"kind": {"type": "string"}}},
                    ]}},
                },
                "required": ["id"],
            }, "Sized": {"type": "object", "properties": {"size": {"type": "integer"}}}}},
        })
    }

    #[test]
    fn answers_that_keep_the_contract_pass_and_all_others_are_named() {
        let contract = Contract::new(example()).unwrap();
        let json = Some("application/json; charset=utf-8");
        for (path, status, content_type, body, broken) in [
            ("/things/1?x=y", 200, json, r#"{"id": 1, "at": "2026-01-01T00:00:00.000Z"}"#, ""),
            ("/things/1", 204, None, "", ""),
            ("/things/1", 404, Some("application/problem+json"), r#"{"title": "x"}"#, ""),
            ("/things/best", 200, None, "", ""),
            ("/things/1", 200, json, r#"{"id": 0}"#, "/id"),
            ("/things/1", 200, json, r#"{"id": 1, "at": "today"}"#, "/at"),
            ("/things/1", 200, json, r#"{"id": 1, "name": "x"}"#, "'name' was unexpected"),
            ("/things/1", 200, json, r#"{"id": 1, "parts": [{"size": 1, "kind": "big"}]}"#, ""),
            ("/things/1", 200, json, r#"{"id": 1, "parts": [{"size": 1, "colour": "red"}]}"#, "'colour'"),
            ("/things/1", 200, json, "{}", "\"id\" is a required property"),
            ("/things/1", 200, json, "{", "no JSON"),
            ("/things/1", 200, Some("text/plain"), "x", "media type \"text/plain\""),
            ("/things/1", 404, json, "{}", "media type \"application/json\""),
            ("/things/1", 500, json, "{}", "declares no answer 500"),
            ("/things/", 200, json, "{}", "not in the document"),
            ("/things/1/2", 200, json, "{}", "not in the document"),
            ("/broken", 200, json, "{}", "cannot be used"),
        ] {
            let answer = Answer { method: "GET", path, status, content_type, body: body.as_bytes() };
            match contract.check(answer) {
                Ok(()) => assert_eq!(broken, "", "{answer:?}"),
                Err(violation) => {
                    assert!(!broken.is_empty() && violation.to_string().contains(broken), "{answer:?}: {violation}");
                }
            }
        }
        assert!(contract.unchecked().is_empty());
    }

    #[test]
    fn messages_are_judged_by_their_schema_s_name() {
        let contract = Contract::new(example()).unwrap();
        for (schema, message, broken) in [
            ("Thing", json!({"id": 1}), ""),
            ("Thing", json!({"id": "1"}), "/id"),
            ("Thong", json!({"id": 1}), "no such schema"),
        ] {
            let verdict = contract.check_message(schema, &message);
            assert_eq!(verdict.is_ok(), broken.is_empty(), "{message}");
            assert!(verdict.is_ok() || verdict.unwrap_err().to_string().contains(broken), "{message}");
        }
    }

    #[test]
    fn what_was_not_checked_is_listed() {
        let contract = Contract::new(example()).unwrap();
        assert!(contract.unchecked().contains("GET /things/{id} 204"));
        assert_eq!(contract.unchecked().len(), 4);
    }
}

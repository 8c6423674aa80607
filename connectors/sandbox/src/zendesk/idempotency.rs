//! Answers to creations that carried an idempotency key.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Map, Value};

use super::errors::ApiError;
use crate::clock::Micros;

/// How long a key is known.
pub(crate) const LIFE: Duration = Duration::from_secs(2 * 3_600);
/// The longest key, in characters.
const KEY_MAX: usize = 255;
/// The most keys that are kept; beyond it the oldest go.
const KEYS_MAX: usize = 100_000;

#[derive(Debug, Clone)]
struct Known {
    body: Map<String, Value>,
    answer: Value,
    ends: Micros,
}

/// The keys of the account.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    known: HashMap<String, Known>,
    order: VecDeque<(Micros, String)>,
}

impl Keys {
    /// What was answered under a key, if it is known; another body under it is refused.
    pub(crate) fn find(
        &mut self,
        key: &str,
        body: &Map<String, Value>,
        now: Micros,
    ) -> Result<Option<Value>, ApiError> {
        if key.is_empty() || key.chars().count() > KEY_MAX {
            return Err(ApiError::bad_parameter("Idempotency-Key", "must have 1 to 255 characters"));
        }
        while let Some((_, oldest)) = self.order.pop_front_if(|(ends, _)| *ends <= now) {
            self.known.remove(&oldest);
        }
        match self.known.get(key) {
            Some(known) if known.ends > now && known.body == *body => Ok(Some(known.answer.clone())),
            Some(known) if known.ends > now => Err(ApiError::idempotency_mismatch()),
            _ => Ok(None),
        }
    }

    /// Remembers an answer under a key.
    pub(crate) fn remember(&mut self, key: &str, body: Map<String, Value>, answer: Value, ends: Micros) {
        if self.known.len() >= KEYS_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back((ends, key.to_owned()));
        self.known.insert(key.to_owned(), Known { body, answer, ends });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_known_for_a_while_and_for_one_body() {
        let mut keys = Keys::default();
        let body = |subject: &str| Map::from_iter([("subject".to_owned(), json!(subject))]);
        assert_eq!(keys.find("k", &body("a"), Micros(0)), Ok(None));
        keys.remember("k", body("a"), json!({"ok": 1}), Micros(10));
        assert_eq!(keys.find("k", &body("a"), Micros(9)), Ok(Some(json!({"ok": 1}))));
        assert_eq!(keys.find("k", &body("b"), Micros(9)), Err(ApiError::idempotency_mismatch()));
        assert_eq!(keys.find("k", &body("b"), Micros(10)), Ok(None));
        assert!(keys.find(&"x".repeat(256), &body("a"), Micros(0)).is_err());
    }
}

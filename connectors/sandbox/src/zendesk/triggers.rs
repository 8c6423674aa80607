//! Triggers: what an administrator has sent to a webhook when a ticket is made or changed.

use serde_json::{Value, json};

use super::account::Change;
use super::caller::Caller;
use super::kind::{Id, Kind};
use super::render::subject;
use super::table::Row;
use super::tags;
use super::time::iso;
use crate::ledger::Op;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    field: String,
    operator: String,
    value: String,
}

impl Condition {
    fn read(raw: &Value) -> Result<Self, String> {
        let text = |name: &str| match &raw[name] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let condition = Self { field: text("field"), operator: text("operator"), value: text("value") };
        let known = match condition.field.as_str() {
            "update_type" => matches!(condition.value.as_str(), "Create" | "Change"),
            "status" | "priority" | "type" => matches!(condition.operator.as_str(), "is" | "is_not"),
            "current_tags" => matches!(condition.operator.as_str(), "includes" | "not_includes"),
            "current_user" => matches!(condition.operator.as_str(), "is" | "is_not"),
            _ => false,
        };
        if known {
            return Ok(condition);
        }
        Err(format!("{} {} {} is no condition of this sandbox", condition.field, condition.operator, condition.value))
    }

    fn holds(&self, change: &Change, caller: &Caller) -> bool {
        let row = &change.row;
        let is = |held: &str| held == self.value;
        match (self.field.as_str(), self.operator.as_str()) {
            ("update_type", _) => (change.op == Op::Create) == (self.value == "Create"),
            ("current_user", operator) => is(&caller.user.to_string()) == (operator == "is"),
            ("current_tags", operator) => {
                let held = tags::of(&row.values);
                self.value.split(' ').any(|tag| held.contains(tag)) == (operator == "includes")
            }
            (field, operator) => is(row.text(field)) == (operator == "is"),
        }
    }
}

/// A trigger.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trigger {
    /// Its id.
    pub(crate) id: Id,
    title: String,
    all: Vec<Condition>,
    /// The webhook that it notifies.
    pub(crate) hook: String,
    template: String,
}

impl Trigger {
    /// Reads a `trigger` member.
    pub(crate) fn read(id: Id, raw: &Value) -> Result<Self, String> {
        let title = raw["title"].as_str().filter(|title| !title.is_empty()).ok_or("Title: cannot be blank")?.to_owned();
        let all = raw["conditions"]["all"].as_array().into_iter().flatten();
        let all = all.map(Condition::read).collect::<Result<Vec<_>, _>>()?;
        let actions = raw["actions"].as_array().into_iter().flatten();
        let notify = actions.into_iter().find(|action| action["field"] == "notification_webhook");
        let value = notify.map_or(&Value::Null, |action| &action["value"]);
        match (value[0].as_str(), value[1].as_str()) {
            (Some(hook), Some(template)) => {
                Ok(Self { id, title, all, hook: hook.to_owned(), template: template.to_owned() })
            }
            _ => {
                Err("Actions: there must be one with the field notification_webhook and [id, body] as value".to_owned())
            }
        }
    }

    /// On the wire.
    pub(crate) fn render(&self) -> Value {
        let all = self.all.iter().map(
            |condition| json!({"field": condition.field, "operator": condition.operator, "value": condition.value}),
        );
        json!({
            "id": self.id, "title": self.title, "active": true, "conditions": {"all": all.collect::<Vec<_>>(), "any": []},
            "actions": [{"field": "notification_webhook", "value": [self.hook, self.template]}],
        })
    }

    /// The body that it sends about a change, if it does.
    pub(crate) fn body(&self, change: &Change, caller: &Caller) -> Option<String> {
        let about = change.kind == Kind::Tickets && matches!(change.op, Op::Create | Op::Update);
        (about && self.all.iter().all(|condition| condition.holds(change, caller)))
            .then(|| fill(&self.template, change.id, &change.row, caller))
    }
}

/// Fills in the placeholders of a template. Those that are unknown become nothing.
fn fill(template: &str, id: Id, row: &Row, caller: &Caller) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            break;
        };
        filled.push_str(&placeholder(name.trim(), id, row, caller));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn placeholder(name: &str, id: Id, row: &Row, caller: &Caller) -> String {
    match name {
        "ticket.id" => id.to_string(),
        "ticket.title" => subject(row),
        "ticket.status" => capitalised(row.text("status")),
        "ticket.priority" => capitalised(row.text("priority")),
        "ticket.ticket_type" => capitalised(row.text("type")),
        "ticket.external_id" => row.text("external_id").to_owned(),
        "ticket.description" => row.text("description").to_owned(),
        "ticket.tags" => tags::of(&row.values).into_iter().collect::<Vec<_>>().join(" "),
        "ticket.updated_at_with_timestamp" => iso(row.updated),
        "current_user.id" => caller.user.to_string(),
        _ => String::new(),
    }
}

/// Templates show enums as the agents' interface does.
fn capitalised(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::clock::Micros;

    #[test]
    fn templates_are_filled() {
        let values = json!({"subject": "Printer", "status": "open", "tags": ["a", "b"]});
        let row = Row::new(Micros(0), values.as_object().cloned().unwrap_or_else(Map::new));
        let caller = Caller::platform("test");
        for (template, filled) in [
            (r#"{"id": {{ticket.id}}, "s": "{{ ticket.status }}"}"#, r#"{"id": 7, "s": "Open"}"#),
            ("{{ticket.title}} {{ticket.tags}} {{nothing}}", "Printer a b "),
            ("{{open", "{{open"),
        ] {
            assert_eq!(fill(template, 7, &row, &caller), filled);
        }
    }

    #[test]
    fn conditions_that_are_not_known_are_refused() {
        for condition in [json!({"field": "satisfaction"}), json!({"field": "status", "operator": "less_than"})] {
            assert!(Condition::read(&condition).is_err(), "{condition}");
        }
    }
}

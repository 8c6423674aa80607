//! Which events the app wants to receive.

use super::events::{EventKind, Happening};
use super::schema::ObjectKind;

/// The most subscriptions of an app.
const SUBSCRIPTIONS_MAX: usize = 1_000;

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Its id.
    pub(crate) id: u64,
    /// The object type; all of them for the generic `object.*`.
    pub(crate) object: Option<ObjectKind>,
    /// What happens.
    pub(crate) kind: EventKind,
    /// The property of a property change; every property where absent.
    pub(crate) property: Option<String>,
    /// Whether events are sent.
    pub(crate) active: bool,
    /// When it was made, in milliseconds since 1970.
    pub(crate) created_ms: i64,
}

impl Subscription {
    /// Whether it is one of the generic `object.*` kind.
    pub(crate) fn is_generic(&self) -> bool {
        self.object.is_none()
    }

    /// The subscription type as it is declared.
    pub(crate) fn declared_type(&self) -> String {
        let object = self.object.map_or("object", ObjectKind::singular);
        format!("{object}.{}", self.kind.as_str())
    }

    /// The subscription type that an event carries.
    pub(crate) fn event_type(&self, happening: &Happening) -> String {
        let object = self.object.map_or("object", |_| happening.object.singular());
        format!("{object}.{}", happening.kind.as_str())
    }

    fn wants(&self, happening: &Happening) -> bool {
        self.active
            && self.kind == happening.kind
            && self.object.is_none_or(|object| object == happening.object)
            && (self.property.is_none() || self.property == happening.property)
    }
}

/// The app's subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    list: Vec<Subscription>,
    issued: u64,
}

impl Subscriptions {
    /// Those that want an event. A subscription to one property takes precedence over one to all, so
    /// that no change is told twice.
    pub(crate) fn wanting(&self, happening: &Happening) -> Vec<Subscription> {
        let mut wanting: Vec<Subscription> =
            self.list.iter().filter(|subscription| subscription.wants(happening)).cloned().collect();
        wanting.sort_by_key(|subscription| (subscription.is_generic(), subscription.property.is_none()));
        wanting.dedup_by_key(|subscription| subscription.is_generic());
        wanting
    }

    /// Adds a subscription, written as `contact.propertyChange`, or with one property as
    /// `contact.propertyChange:email`.
    pub(crate) fn add(&mut self, text: &str, active: bool, at_ms: i64) -> Result<Subscription, String> {
        let (event_type, property) = match text.split_once(':') {
            Some((event_type, property)) => (event_type, Some(property.to_owned())),
            None => (text, None),
        };
        let (object, kind) = event_type
            .split_once('.')
            .and_then(|(object, kind)| Some((parse_object(object)?, EventKind::parse(kind)?)))
            .ok_or_else(|| format!("{event_type} is not a subscription type that exists here"))?;
        if self.list.len() >= SUBSCRIPTIONS_MAX {
            return Err(format!("An app has at most {SUBSCRIPTIONS_MAX} subscriptions"));
        }
        self.issued += 1;
        let id = 12_344 + self.issued;
        let subscription = Subscription { id, object, kind, property, active, created_ms: at_ms };
        self.list.push(subscription.clone());
        Ok(subscription)
    }

    /// Removes all.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    /// Removes one, and says whether it was there.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.list.len();
        self.list.retain(|subscription| subscription.id != id);
        self.list.len() < before
    }

    /// Switches one on or off.
    pub(crate) fn set_active(&mut self, id: u64, active: bool) -> Option<Subscription> {
        let subscription = self.list.iter_mut().find(|subscription| subscription.id == id)?;
        subscription.active = active;
        Some(subscription.clone())
    }

    /// All, in the order in which they were made.
    pub(crate) fn list(&self) -> &[Subscription] {
        &self.list
    }
}

/// The object type of a subscription: `None` inside for the generic one.
fn parse_object(name: &str) -> Option<Option<ObjectKind>> {
    match name {
        "object" => Some(None),
        _ => ObjectKind::ALL.into_iter().find(|kind| kind.singular() == name).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{Change, FieldChange};
    use super::*;

    fn email_change() -> Happening {
        let field =
            FieldChange { name: "email".into(), before: None, sent: "a@b.de".into(), after: Some("a@b.de".into()) };
        let change = Change { id: 1, fields: vec![field], stamp_before: None, stamp_after: 0 };
        super::super::events::changed(ObjectKind::Contacts, &change).remove(0)
    }

    #[test]
    fn an_event_reaches_one_subscription_of_each_form() {
        for (texts, expected) in [
            (vec!["contact.propertyChange", "contact.propertyChange:email"], vec!["contact.propertyChange"]),
            (vec!["contact.propertyChange:phone", "company.propertyChange"], vec![]),
            (
                vec!["object.propertyChange", "contact.propertyChange"],
                vec!["contact.propertyChange", "object.propertyChange"],
            ),
            (vec!["contact.creation"], vec![]),
        ] {
            let mut subscriptions = Subscriptions::default();
            for text in &texts {
                subscriptions.add(text, true, 0).unwrap();
            }
            let happening = email_change();
            let wanting = subscriptions.wanting(&happening);
            let types: Vec<_> = wanting.iter().map(|subscription| subscription.event_type(&happening)).collect();
            assert_eq!(types, expected, "{texts:?}");
        }
    }

    #[test]
    fn unknown_types_are_refused() {
        let mut subscriptions = Subscriptions::default();
        for text in ["contact", "deal.creation", "contact.explosion", ""] {
            assert!(subscriptions.add(text, true, 0).is_err(), "{text}");
        }
    }
}

//! What one subscriber wants to hear, and where in the feed it is.

use std::collections::BTreeMap;

use syncline_core::{
    ids::{FieldName, ModelName},
    live::{Cursor, ErrorCode, FeedEvent, Filter, Subscribe},
    model::Model,
    value::{Fields, Value},
};

use super::wanted;

/// Why a subscription cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// For programs.
    pub(super) code: ErrorCode,
    /// For people.
    pub(super) message: String,
}

/// What to hear of each model. A model that is not listed is not heard of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interest {
    models: BTreeMap<ModelName, Wanted>,
}

/// The wanted values of one model's records, for the store and for changes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wanted {
    equals: BTreeMap<FieldName, Value>,
    filter: Filter,
}

impl Interest {
    /// Holds a request against the models there are. A model without a filtered field is left out, for its records can
    /// never match; a field that no model has is refused.
    pub(super) fn new(models: &BTreeMap<ModelName, Model>, request: &Subscribe) -> Result<Self, Refused> {
        let asked = asked(models, &request.models)?;
        for field in request.filter.0.keys() {
            if !asked.iter().any(|model| model.fields.contains_key(field)) {
                return Err(Refused {
                    code: ErrorCode::UnknownField,
                    message: format!("`filter` names `{field}`, which no subscribed model has: check its spelling"),
                });
            }
        }
        let mut interest = Self { models: BTreeMap::new() };
        for model in asked {
            if let Some(wanted) = Wanted::of(model, &request.filter)? {
                interest.models.insert(model.name.clone(), wanted);
            }
        }
        Ok(interest)
    }

    /// Whether the subscriber must hear of a change.
    pub(super) fn concerns(&self, event: &FeedEvent) -> bool {
        self.models.get(&event.model).is_some_and(|wanted| wanted.filter.concerns(event))
    }

    /// The models, so that the log need not be read whole.
    pub(super) fn models(&self) -> Vec<ModelName> {
        self.models.keys().cloned().collect()
    }

    /// The wanted values of a model's records.
    pub(super) fn equals(&self, model: &ModelName) -> Fields {
        self.models.get(model).map(|wanted| wanted.equals.clone()).unwrap_or_default()
    }
}

impl Wanted {
    fn of(model: &Model, filter: &Filter) -> Result<Option<Self>, Refused> {
        let mut wanted = Self::default();
        for (name, json) in &filter.0 {
            let Some(field) = model.fields.get(name) else { return Ok(None) };
            let value = wanted::from_json(field, json).map_err(|why| Refused {
                code: ErrorCode::BadMessage,
                message: format!("`filter` wants a value that `{name}` of `{}` never has: {why}", model.name),
            })?;
            wanted.filter.0.insert(name.clone(), value.to_json());
            wanted.equals.insert(name.clone(), value);
        }
        Ok(Some(wanted))
    }
}

fn asked<'a>(models: &'a BTreeMap<ModelName, Model>, names: &[ModelName]) -> Result<Vec<&'a Model>, Refused> {
    if names.is_empty() {
        return Ok(models.values().collect());
    }
    let find = |name: &ModelName| {
        models.get(name).ok_or_else(|| {
            let known: Vec<_> = models.keys().map(ModelName::as_str).collect();
            Refused {
                code: ErrorCode::UnknownModel,
                message: format!("there is no model `{name}`; the models are: {}", known.join(", ")),
            }
        })
    };
    names.iter().map(find).collect()
}

/// A subscription that stands.
#[derive(Debug)]
pub(super) struct Subscription {
    /// What to hear.
    pub(super) interest: Interest,
    /// Everything up to here was sent, or does not concern the subscriber.
    pub(super) cursor: Cursor,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::{
        model::{Canonical, DeleteEffect, DeleteRace, DeleteRule, Field, FieldType},
        policies::Policy,
    };

    use super::{super::sample, *};

    fn models() -> BTreeMap<ModelName, Model> {
        [("contact", "stage"), ("ticket", "state")]
            .map(|(name, field)| {
                let field_of = Field {
                    ty: FieldType::Text { max_len: 20 },
                    policy: Policy::Latest,
                    blank_never_wins: false,
                    computed: false,
                    required: false,
                    canonical: vec![Canonical::Lower],
                };
                let model = Model {
                    name: name.into(),
                    fields: BTreeMap::from([(field.into(), field_of)]),
                    match_keys: Vec::new(),
                    deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
                };
                (name.into(), model)
            })
            .into()
    }

    fn interest(request: serde_json::Value) -> Result<Interest, Refused> {
        Interest::new(&models(), &serde_json::from_value(request).unwrap())
    }

    #[test]
    fn a_subscriber_hears_what_matches_or_has_just_ceased_to() {
        // The sample's contact has just moved from stage `mql` to `lead`.
        let event = sample::change(1).event;
        for (request, expected) in [
            (json!({}), true),
            (json!({"models": ["contact"]}), true),
            (json!({"models": ["ticket"]}), false),
            (json!({"filter": {"stage": "lead"}}), true),
            (json!({"filter": {"stage": "LEAD"}}), true),
            (json!({"filter": {"stage": "mql"}}), true),
            (json!({"filter": {"stage": "customer"}}), false),
            (json!({"filter": {"state": "open"}}), false),
        ] {
            assert_eq!(interest(request.clone()).unwrap().concerns(&event), expected, "{request}");
        }
    }

    #[test]
    fn unknown_names_and_impossible_values_are_refused() {
        for (request, code) in [
            (json!({"models": ["contract"]}), ErrorCode::UnknownModel),
            (json!({"filter": {"sage": "lead"}}), ErrorCode::UnknownField),
            (json!({"models": ["ticket"], "filter": {"stage": "lead"}}), ErrorCode::UnknownField),
            (json!({"filter": {"stage": {"not": "a text"}}}), ErrorCode::BadMessage),
        ] {
            assert_eq!(interest(request.clone()).unwrap_err().code, code, "{request}");
        }
    }
}

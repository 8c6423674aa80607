//! Whether a model's rules fit each other, all problems at once.

use super::{Canonical, Field, FieldType, Model, nearest};
use crate::{policies::Policy, value::Value};

/// The most digits after the point that a decimal keeps exactly.
const SCALE_MAX: u32 = 28;

/// One problem of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model `{model}`, `{at}`: {problem}")]
pub struct ModelError {
    /// The model.
    pub model: String,
    /// The field, or `match` for the match keys.
    pub at: String,
    /// What is wrong and how to mend it.
    pub problem: ModelProblem,
}

/// What is wrong with a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelProblem {
    /// A field's name would collide with the API's own words or cannot be written in a path.
    #[error("a field's name starts with a letter and goes on with letters, digits and underscores")]
    Name,
    /// A text that can hold nothing.
    #[error("`max` is 0, so no text fits: give the longest text in characters")]
    NoRoom,
    /// More digits than a decimal keeps.
    #[error("`scale` is {scale} and at most {SCALE_MAX} digits after the point can be kept")]
    Scale {
        /// The scale as it stands.
        scale: u32,
    },
    /// An enum without values.
    #[error("`values` is empty, so nothing fits: list the values")]
    NoValues,
    /// A value stands twice.
    #[error("`values` has `{value}` twice")]
    RepeatedValue {
        /// The value.
        value: String,
    },
    /// A listed value is not in the canonical form that the field's own steps make.
    #[error(
        "the value `{value}` is folded to `{folded}` by the field's `canonical` steps: write it so, or drop the step"
    )]
    ValueNotCanonical {
        /// The value as it stands.
        value: String,
        /// What the steps make of it.
        folded: String,
    },
    /// A folding step that cannot apply to the type.
    #[error("the canonical step `{step}` does not apply to a field of type {ty}")]
    StepForType {
        /// The step.
        step: &'static str,
        /// The field's type.
        ty: &'static str,
    },
    /// A policy that cannot apply to the type.
    #[error("the policy `{policy}` does not apply to a field of type {ty}: it needs {needs}")]
    PolicyForType {
        /// The policy.
        policy: &'static str,
        /// The field's type.
        ty: &'static str,
        /// The types to which it applies.
        needs: &'static str,
    },
    /// An order without entries, or with an entry that stands twice.
    #[error("the policy `{policy}` needs a list of different entries: {given} is not one")]
    Order {
        /// The policy.
        policy: &'static str,
        /// What stands there.
        given: String,
    },
    /// A stage that the enum does not have.
    #[error("the stage `{stage}` is no value of the field{}", did_you_mean(.nearest))]
    UnknownStage {
        /// The stage.
        stage: String,
        /// The nearest value.
        nearest: Option<String>,
    },
    /// A match key without fields.
    #[error("a match key is empty: name the fields that together identify a record")]
    EmptyKey,
    /// A match key names a field that the model does not have.
    #[error("the match key names `{field}`, which the model does not have{}", did_you_mean(.nearest))]
    UnknownKeyField {
        /// The field.
        field: String,
        /// The nearest field.
        nearest: Option<String>,
    },
    /// A match key names a field twice.
    #[error("the match key names `{field}` twice")]
    RepeatedKeyField {
        /// The field.
        field: String,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

impl Model {
    /// Holds the model's rules against each other.
    ///
    /// # Errors
    ///
    /// Every problem, in the order of the fields.
    pub fn validate(&self) -> Result<(), Vec<ModelError>> {
        let at = |at: &str, problem| ModelError { model: self.name.to_string(), at: at.to_owned(), problem };
        let mut errors = Vec::new();
        for (name, field) in &self.fields {
            errors.extend(field.problems(name.as_str()).into_iter().map(|problem| at(name.as_str(), problem)));
        }
        errors.extend(self.match_problems().into_iter().map(|problem| at("match", problem)));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn match_problems(&self) -> Vec<ModelProblem> {
        let names = || self.fields.keys().map(|name| name.as_str());
        let mut problems = Vec::new();
        for key in &self.match_keys {
            if key.is_empty() {
                problems.push(ModelProblem::EmptyKey);
            }
            for (index, field) in key.iter().enumerate() {
                if key[..index].contains(field) {
                    problems.push(ModelProblem::RepeatedKeyField { field: field.to_string() });
                } else if self.field(field).is_none() {
                    let nearest = nearest(field.as_str(), names()).map(str::to_owned);
                    problems.push(ModelProblem::UnknownKeyField { field: field.to_string(), nearest });
                }
            }
        }
        problems
    }
}

impl Field {
    fn problems(&self, name: &str) -> Vec<ModelProblem> {
        let mut problems = Vec::new();
        if !is_name(name) {
            problems.push(ModelProblem::Name);
        }
        self.check_type(&mut problems);
        self.check_steps(&mut problems);
        self.check_policy(&mut problems);
        problems
    }

    fn check_type(&self, problems: &mut Vec<ModelProblem>) {
        match &self.ty {
            FieldType::Text { max_len: 0 } => problems.push(ModelProblem::NoRoom),
            FieldType::Decimal { scale } if *scale > SCALE_MAX => problems.push(ModelProblem::Scale { scale: *scale }),
            FieldType::Enum { values } if values.is_empty() => problems.push(ModelProblem::NoValues),
            FieldType::Enum { values } => {
                for (index, value) in values.iter().enumerate() {
                    if values[..index].contains(value) {
                        problems.push(ModelProblem::RepeatedValue { value: value.clone() });
                    }
                    self.check_value(value, problems);
                }
            }
            FieldType::Set { values } => values.iter().for_each(|value| self.check_value(value, problems)),
            _ => {}
        }
    }

    fn check_value(&self, value: &str, problems: &mut Vec<ModelProblem>) {
        let folded = self.fold(value.to_owned());
        if folded != value || folded.trim().is_empty() {
            problems.push(ModelProblem::ValueNotCanonical { value: value.to_owned(), folded });
        }
    }

    fn check_steps(&self, problems: &mut Vec<ModelProblem>) {
        let textual = matches!(self.ty, FieldType::Text { .. } | FieldType::Enum { .. } | FieldType::Set { .. });
        for step in &self.canonical {
            let fits = if *step == Canonical::WholeSeconds { self.ty == FieldType::DateTime } else { textual };
            if !fits {
                problems.push(ModelProblem::StepForType { step: step.name(), ty: self.ty.name() });
            }
        }
    }

    fn check_policy(&self, problems: &mut Vec<ModelProblem>) {
        if let Some(needs) = self.policy_needs() {
            problems.push(ModelProblem::PolicyForType { policy: self.policy.name(), ty: self.ty.name(), needs });
        }
        if let Policy::Prefer(order) | Policy::ForwardOnly(order) = &self.policy {
            let repeats = (1..order.len()).any(|index| order[..index].contains(&order[index]));
            if order.is_empty() || repeats {
                let given = format!("[{}]", order.join(", "));
                problems.push(ModelProblem::Order { policy: self.policy.name(), given });
            }
        }
        if let Policy::ForwardOnly(stages) = &self.policy {
            stages.iter().for_each(|stage| self.check_stage(stage, problems));
        }
    }

    /// The types that the policy needs, where the field's is none of them.
    fn policy_needs(&self) -> Option<&'static str> {
        let ordered =
            matches!(self.ty, FieldType::Int | FieldType::Decimal { .. } | FieldType::Date | FieldType::DateTime);
        let (fits, needs) = match self.policy {
            Policy::Latest | Policy::Prefer(_) | Policy::Manual => return None,
            Policy::Set => (matches!(self.ty, FieldType::Set { .. }), "set"),
            Policy::Text => (matches!(self.ty, FieldType::Text { .. }), "text"),
            Policy::Counter => (self.ty == FieldType::Int, "int"),
            Policy::Max | Policy::Min => (ordered, "int, decimal, date or date_time"),
            Policy::ForwardOnly(_) => {
                (matches!(self.ty, FieldType::Enum { .. } | FieldType::Text { .. }), "enum or text")
            }
        };
        (!fits).then_some(needs)
    }

    fn check_stage(&self, stage: &str, problems: &mut Vec<ModelProblem>) {
        match &self.ty {
            FieldType::Enum { values } if !values.iter().any(|value| value == stage) => {
                let nearest = nearest(stage, values.iter().map(String::as_str)).map(str::to_owned);
                problems.push(ModelProblem::UnknownStage { stage: stage.to_owned(), nearest });
            }
            FieldType::Text { .. } if self.canonicalise(Value::text(stage)) != Value::text(stage) => {
                let folded = self.fold(stage.to_owned());
                problems.push(ModelProblem::ValueNotCanonical { value: stage.to_owned(), folded });
            }
            _ => {}
        }
    }
}

/// Names go into paths, queries and JSON keys beside `_meta`, so they start with a letter.
fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        ids::FieldName,
        model::{DeleteEffect, DeleteRace, DeleteRule},
    };

    fn model(fields: Vec<(&str, Field)>, match_keys: &[&[&str]]) -> Model {
        let key = |key: &&[&str]| key.iter().map(FieldName::new).collect();
        Model {
            name: "contact".into(),
            fields: fields.into_iter().map(|(name, field)| (name.into(), field)).collect::<BTreeMap<_, _>>(),
            match_keys: match_keys.iter().map(key).collect(),
            deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
        }
    }

    fn with(ty: FieldType, policy: Policy, canonical: &[Canonical]) -> Field {
        Field { policy, canonical: canonical.to_vec(), ..Field::of(ty) }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn stages(values: &[&str]) -> FieldType {
        FieldType::Enum { values: names(values) }
    }

    #[test]
    fn a_sound_model_passes() {
        let fields = vec![
            ("email", with(FieldType::Text { max_len: 80 }, Policy::Latest, &[Canonical::Trim, Canonical::Lower])),
            ("stage", with(stages(&["lead", "mql"]), Policy::ForwardOnly(names(&["lead", "mql"])), &[])),
            ("visits", with(FieldType::Int, Policy::Counter, &[])),
            ("seen_at", with(FieldType::DateTime, Policy::Max, &[Canonical::WholeSeconds])),
            ("notes", with(FieldType::Text { max_len: 32_000 }, Policy::Text, &[])),
        ];
        assert_eq!(model(fields, &[&["email"], &["stage", "email"]]).validate(), Ok(()));
    }

    #[test]
    fn each_rule_that_does_not_fit_is_reported() {
        let text = || FieldType::Text { max_len: 80 };
        let lower = [Canonical::Lower];
        for (field, message) in [
            (Field::of(FieldType::Text { max_len: 0 }), "`max` is 0"),
            (Field::of(FieldType::Decimal { scale: 29 }), "`scale` is 29"),
            (Field::of(stages(&[])), "`values` is empty"),
            (Field::of(stages(&["a", "a"])), "`values` has `a` twice"),
            (with(stages(&["Lead"]), Policy::Latest, &lower), "is folded to `lead`"),
            (with(FieldType::Int, Policy::Latest, &lower), "`lower` does not apply to a field of type int"),
            (with(text(), Policy::Latest, &[Canonical::WholeSeconds]), "`whole_seconds` does not apply"),
            (with(text(), Policy::Set, &[]), "the policy `set` does not apply to a field of type text: it needs set"),
            (with(text(), Policy::Max, &[]), "it needs int, decimal, date or date_time"),
            (with(FieldType::Bool, Policy::Counter, &[]), "it needs int"),
            (with(text(), Policy::Prefer(Vec::new()), &[]), "needs a list of different entries"),
            (with(text(), Policy::Prefer(names(&["a", "b", "a"])), &[]), "[a, b, a] is not one"),
            (with(stages(&["lead"]), Policy::ForwardOnly(names(&["laed"])), &[]), "did you mean `lead`?"),
            (with(text(), Policy::ForwardOnly(names(&["Lead"])), &lower), "is folded to `lead`"),
        ] {
            let errors = model(vec![("field", field.clone())], &[]).validate().unwrap_err();
            let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert!(messages.iter().any(|text| text.contains(message)), "{field:?} gave {messages:#?}");
        }
    }

    #[test]
    fn names_and_match_keys_are_checked_and_everything_is_reported_at_once() {
        let text = || Field::of(FieldType::Text { max_len: 80 });
        let model =
            model(vec![("email", text()), ("_meta", text()), ("2nd", text())], &[&["emial"], &[], &["email", "email"]]);
        let messages: Vec<String> = model.validate().unwrap_err().iter().map(ToString::to_string).collect();
        for message in
            ["`2nd`: a field's name starts", "`_meta`: a field's name", "did you mean `email`?", "is empty", "twice"]
        {
            assert!(messages.iter().any(|text| text.contains(message)), "{message} is missing in {messages:#?}");
        }
        assert_eq!(messages.len(), 5);
    }
}

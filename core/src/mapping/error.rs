//! What can be wrong with a mapping, each with its remedy.

use crate::ids::FieldName;

/// One problem of a mapping, found when it is loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {problem}")]
pub struct MappingError {
    /// The key of the mapping at fault.
    pub key: String,
    /// What is wrong and how to mend it.
    pub problem: MappingProblem,
}

/// What is wrong with one entry of a mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingProblem {
    /// The model has no such field.
    #[error("the model `{model}` has no such field{}", nearest_hint(.nearest))]
    UnknownField {
        /// The model.
        model: String,
        /// The nearest name that the model has.
        nearest: Option<String>,
    },
    /// The entry names no provider field, or names it in more than one way.
    #[error("name the provider's field in exactly one way: `field`, `path` or `join` (a constant takes `field`)")]
    Target,
    /// A provider field's name is empty, or a path has an empty step.
    #[error("`{name}` is not a field name: it is empty or has an empty step")]
    BadName {
        /// The name as it stands.
        name: String,
    },
    /// Two entries write the same provider field.
    #[error("`{remote}` is already written by `{other}`: map it once, or give one of them `direction: read`")]
    DuplicateTarget {
        /// The provider's field.
        remote: String,
        /// The entry that came first.
        other: String,
    },
    /// An option stands where it means nothing.
    #[error("`{option}` means nothing here: {reason}")]
    Misplaced {
        /// The option.
        option: &'static str,
        /// Where it belongs.
        reason: &'static str,
    },
    /// A join or split lacks a usable separator.
    #[error(
        "`{option}` must be one separator character, with white space around it if wanted (such as \" \" or \", \"), not {given}"
    )]
    Separator {
        /// `with`, `split` or `list`.
        option: &'static str,
        /// What stands there.
        given: String,
    },
    /// A join of fewer than two parts.
    #[error("`join` needs at least two provider fields: use `field` for one")]
    JoinTooShort,
    /// A join names a field twice.
    #[error("`join` names `{remote}` twice")]
    JoinRepeats {
        /// The provider's field.
        remote: String,
    },
    /// The parts of a split do not make a whole.
    #[error(
        "the parts of `{remote}` are {given}: they must be 1, 2, … without gaps or repeats, at least two, one model field each"
    )]
    Parts {
        /// The provider's field.
        remote: String,
        /// The parts as they stand.
        given: String,
    },
    /// The parts of one split differ in their separator, rest or direction.
    #[error("all parts of `{remote}` need the same `split`, `rest` and `direction`")]
    PartsDiffer {
        /// The provider's field.
        remote: String,
    },
    /// Two model values have one spelling at the provider.
    #[error("`values` is not one to one: `{first}` and `{second}` are both `{remote}`")]
    NotOneToOne {
        /// One model value.
        first: String,
        /// The other.
        second: String,
        /// The provider's value that both have.
        remote: String,
    },
    /// A model value has no spelling at the provider.
    #[error("`values` lacks {missing}: every value that the field can hold needs a spelling there")]
    ValuesMissing {
        /// The missing values.
        missing: String,
    },
    /// A key of the value map is no value of the field.
    #[error("`values` has `{given}`, which is no value of the field: {reason}{}", nearest_hint(.nearest))]
    UnknownValue {
        /// The key as it stands.
        given: String,
        /// Why.
        reason: String,
        /// The nearest value that the field has.
        nearest: Option<String>,
    },
    /// A value of the value map is no plain value.
    #[error("`values` has {given} for `{key}`: use text, a number, true or false")]
    ValueNotPlain {
        /// The model value.
        key: String,
        /// What stands there.
        given: String,
    },
    /// The model's type cannot be kept in the provider's type.
    #[error("a field of type {model} cannot be kept as {wire}: use {usable}")]
    Type {
        /// The model's type.
        model: &'static str,
        /// The provider's type.
        wire: &'static str,
        /// What would work.
        usable: String,
    },
    /// A listed value of the field cannot be kept at the provider.
    #[error("the value {value} cannot be kept there: {reason}")]
    Unsendable {
        /// The model value, as JSON.
        value: String,
        /// Why, and how to mend it.
        reason: String,
    },
    /// A constant that says nothing.
    #[error("`constant` is blank: give a value, or remove the entry")]
    BlankConstant,
    /// The computed field is read from a provider.
    #[error("the field is computed by the service: give it `direction: write`")]
    Computed,
}

fn nearest_hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// A value that cannot go through the mapping: which field, on which side, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` (`{remote}` there): {message}")]
pub struct FieldFault {
    /// The model's field.
    pub field: FieldName,
    /// The provider's field, or fields with a `+` between them.
    pub remote: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

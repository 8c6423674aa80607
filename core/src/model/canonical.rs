//! Canonical form: one form for all spellings of a value, so that values of different systems compare.

use std::{borrow::Cow, collections::BTreeSet};

use rust_decimal::{Decimal, RoundingStrategy};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{Canonical, Field, FieldType};
use crate::{time::Millis, value::Value};

/// Steps can undo one another (a lower-cased letter may compose with its accent where the capital did not), so they are
/// repeated until nothing changes; no text needs more rounds than this.
const ROUNDS_MAX: usize = 4;

impl Field {
    /// The canonical form of a value: text folded by the field's steps, decimals rounded to scale, blanks as
    /// [`Value::Null`] (for a set: as the empty set, since its members come and go one by one). Applying it twice
    /// changes nothing. A value of another type than the field's is left as it is.
    #[must_use]
    pub fn canonicalise(&self, value: Value) -> Value {
        match (&self.ty, value) {
            (FieldType::Set { .. }, Value::Null) => Value::Set(BTreeSet::new()),
            (FieldType::Set { .. }, Value::Set(members)) => Value::Set(self.fold_members(members)),
            (FieldType::Text { .. } | FieldType::Enum { .. }, Value::Text(text)) => self.fold_or_blank(text),
            (FieldType::Decimal { scale }, Value::Decimal(number)) => Value::Decimal(round(number, *scale)),
            (FieldType::Decimal { scale }, Value::Int(number)) => Value::Decimal(round(number.into(), *scale)),
            (FieldType::DateTime, Value::DateTime(at)) => Value::DateTime(self.fold_instant(at)),
            (_, value) => value,
        }
    }

    fn fold_or_blank(&self, text: String) -> Value {
        let folded = self.fold(text);
        if folded.trim().is_empty() { Value::Null } else { Value::Text(folded) }
    }

    fn fold_members(&self, members: BTreeSet<String>) -> BTreeSet<String> {
        members.into_iter().map(|member| self.fold(member)).filter(|member| !member.trim().is_empty()).collect()
    }

    fn fold_instant(&self, at: Millis) -> Millis {
        if self.canonical.contains(&Canonical::WholeSeconds) { Millis(at.0.div_euclid(1_000) * 1_000) } else { at }
    }

    /// Folds text by the field's steps, in order.
    pub(crate) fn fold(&self, text: String) -> String {
        let mut text = text;
        for _ in 0..ROUNDS_MAX {
            let mut changed = false;
            for step in &self.canonical {
                if let Cow::Owned(folded) = step.fold(&text) {
                    changed = true;
                    text = folded;
                }
            }
            if !changed {
                break;
            }
        }
        text
    }
}

impl Canonical {
    /// The folded text; borrowed where the step changes nothing.
    fn fold(self, text: &str) -> Cow<'_, str> {
        let folded = match self {
            Self::Trim => {
                return if text.trim().len() == text.len() { text.into() } else { text.trim().to_owned().into() };
            }
            Self::Lower if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                return text.into();
            }
            Self::Lower => text.to_lowercase(),
            Self::Nfc if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes => return text.into(),
            Self::Nfc => text.nfc().collect(),
            Self::Newlines if !text.contains('\r') => return text.into(),
            Self::Newlines => text.replace("\r\n", "\n").replace('\r', "\n"),
            Self::Phone => phone(text),
            Self::WholeSeconds => return text.into(),
        };
        if folded == text { text.into() } else { folded.into() }
    }
}

/// A phone number's leading `+` and digits. Text with letters (`1-800-FLOWERS`, `555 x12`) or without a digit is no plain
/// number: folding it would make another number of it, so it is only trimmed.
fn phone(text: &str) -> String {
    let trimmed = text.trim();
    let foldable = |c: char| c.is_ascii_digit() || !c.is_alphanumeric();
    if !trimmed.chars().all(foldable) || !trimmed.contains(|c: char| c.is_ascii_digit()) {
        return trimmed.to_owned();
    }
    let plus = if trimmed.starts_with('+') { "+" } else { "" };
    plus.chars().chain(trimmed.chars().filter(char::is_ascii_digit)).collect()
}

fn round(number: Decimal, scale: u32) -> Decimal {
    number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero).normalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_folds_what_it_names_and_nothing_else() {
        use Canonical::{Lower, Newlines, Nfc, Phone, Trim};
        for (steps, text, folded) in [
            (vec![Trim], "\u{a0} Ann\u{3000}", "Ann"),
            (vec![Lower], "Ann@Example.COM", "ann@example.com"),
            (vec![Nfc], "e\u{301}", "\u{e9}"),
            (vec![Newlines], "a\r\nb\rc\n", "a\nb\nc\n"),
            (vec![Phone], " +1 (888) 482-7768", "+18884827768"),
            (vec![Phone], "(030) 1234 / 56", "030123456"),
            (vec![Phone], "1-800-FLOWERS", "1-800-FLOWERS"),
            (vec![Phone], " n/a ", "n/a"),
            (vec![Phone], "\u{2014} ", "\u{2014}"),
            (vec![Nfc, Lower], "J\u{30c}", "\u{1f0}"),
            (vec![], " Ann ", " Ann "),
        ] {
            let field = Field { canonical: steps.clone(), ..Field::of(FieldType::Text { max_len: 80 }) };
            assert_eq!(field.fold(text.to_owned()), folded, "{steps:?} of {text:?}");
        }
    }

    #[test]
    fn blanks_have_one_form_for_each_type() {
        let text = Field::of(FieldType::Text { max_len: 80 });
        let set = Field::of(FieldType::Set { values: BTreeSet::new() });
        for (field, value, canonical) in [
            (&text, Value::text(" \u{a0}"), Value::Null),
            (&text, Value::Null, Value::Null),
            (&set, Value::Null, Value::Set(BTreeSet::new())),
            (&set, Value::Set(BTreeSet::from([" ".to_owned()])), Value::Set(BTreeSet::new())),
        ] {
            assert_eq!(field.canonicalise(value.clone()), canonical, "{value:?}");
        }
    }

    #[test]
    fn decimals_are_rounded_to_scale_and_lose_trailing_zeros() {
        let field = Field::of(FieldType::Decimal { scale: 2 });
        for (given, canonical) in
            [("10.00", "10"), ("0.125", "0.13"), ("-0.125", "-0.13"), ("1.5", "1.5"), ("-0.001", "0")]
        {
            let given: Decimal = given.parse().unwrap();
            assert_eq!(
                field.canonicalise(Value::Decimal(given)),
                Value::Decimal(canonical.parse().unwrap()),
                "{given}"
            );
        }
    }

    #[test]
    fn whole_seconds_floor_instants_before_1970_too() {
        let field = Field { canonical: vec![Canonical::WholeSeconds], ..Field::of(FieldType::DateTime) };
        for (at, floored) in [(1_999, 1_000), (2_000, 2_000), (-1, -1_000)] {
            assert_eq!(field.canonicalise(Value::DateTime(Millis(at))), Value::DateTime(Millis(floored)), "{at}");
        }
    }
}

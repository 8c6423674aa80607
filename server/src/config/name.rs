//! Names that users choose: checked once, here, so that they fit URLs, tables and log lines everywhere else.

use super::spot::{Named, Spot};

/// The longest name.
const LENGTH_MAX: usize = 64;

/// Checks the name of a tenant, model, integration, connection or sync: lower case, digits, `-` and `_`.
pub(super) fn identifier(spot: &Spot<'_>, name: &Named, what: &str) -> Option<String> {
    check(
        spot,
        name,
        what,
        |c, first| c.is_ascii_lowercase() || c.is_ascii_digit() || (!first && matches!(c, '-' | '_')),
        "`acme-crm`",
    )
}

/// Checks the name of a model's field: it stands beside `_meta` in JSON bodies, so it must not begin with `_`.
pub(super) fn field(spot: &Spot<'_>, name: &Named) -> Option<String> {
    check(
        spot,
        name,
        "a field",
        |c, first| c.is_ascii_lowercase() || (!first && (c.is_ascii_digit() || c == '_')),
        "`first_name`",
    )
}

fn check(
    spot: &Spot<'_>,
    name: &Named,
    what: &str,
    allowed: impl Fn(char, bool) -> bool,
    example: &str,
) -> Option<String> {
    let text = &name.text;
    let fits = !text.is_empty()
        && text.len() <= LENGTH_MAX
        && text.chars().enumerate().all(|(index, c)| allowed(c, index == 0));
    if fits {
        return Some(text.clone());
    }
    spot.problem_at(
        name.at,
        format!("this cannot be the name of {what}"),
        format!("use 1 to {LENGTH_MAX} lower-case letters, digits and separators, such as {example}"),
    );
    None
}

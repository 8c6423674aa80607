//! How the same value looks when somebody else types it.

/// The letters and digits of a name, in lower case.
pub(super) fn slug(company: &str) -> String {
    company.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// `ann.lee3@acme.example` → `Ann.Lee3@Acme.Example`.
pub(super) fn capitalise(email: &str) -> String {
    let mut start = true;
    email
        .chars()
        .map(|letter| {
            let typed = if start { letter.to_ascii_uppercase() } else { letter };
            start = !letter.is_ascii_alphanumeric();
            typed
        })
        .collect()
}

/// The same number with the punctuation that people type.
pub(super) fn local_form(phone: &str, form: u64) -> String {
    let Some((head, tail)) = phone.len().checked_sub(10).and_then(|cut| phone.split_at_checked(cut)) else {
        return phone.to_owned();
    };
    let (area, middle, line) = (&tail[..3], &tail[3..6], &tail[6..]);
    match form {
        0 => format!("{head} ({area}) {middle}-{line}"),
        1 => format!("{head} {area} {middle} {line}"),
        2 => format!("{head}-{area}-{middle}-{line}"),
        _ => format!("{head}.{area}.{middle}.{line}"),
    }
}

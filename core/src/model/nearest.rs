//! "Did you mean": the known name that is nearest to a mistyped one.

/// Names less alike than this are no help.
const LIKENESS_MIN: f64 = 0.75;

/// The candidate most like `name` without regard to case; `None` where none is alike enough to help.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&name, &candidate.to_lowercase());
    let scored = candidates.into_iter().map(|candidate| (likeness(candidate), candidate));
    scored
        .filter(|(score, _)| *score >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_strangers_find_none() {
        let known = ["email", "first_name", "last_name", "phone"];
        for (given, found) in
            [("emial", Some("email")), ("firstname", Some("first_name")), ("Phone", Some("phone")), ("colour", None)]
        {
            assert_eq!(nearest(given, known), found, "{given}");
        }
    }
}

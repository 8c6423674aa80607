//! Strict reading of the positioned tree: a [`Spot`] is a node together with its path and the report that its problems
//! go to. Every reading method reports what is wrong and returns `None`, so that reading goes on elsewhere.

use std::{collections::HashMap, time::Duration};

use syncline_connectors::located::{Key, Kind, Location, Node, Report, is_null, suggest};

/// A node, its path of keys and the report.
#[derive(Clone, Debug)]
pub(super) struct Spot<'a> {
    node: &'a Node,
    path: String,
    report: &'a Report,
}

/// A map whose keys are all known.
#[derive(Debug)]
pub(super) struct Table<'a> {
    spot: Spot<'a>,
    entries: HashMap<&'a str, &'a Node>,
}

/// A name that the user chose, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) text: String,
    pub(super) at: Location,
}

impl<'a> Spot<'a> {
    pub(super) fn root(node: &'a Node, report: &'a Report) -> Self {
        Self { node, path: String::new(), report }
    }

    pub(super) fn at(&self) -> Location {
        self.node.at
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Reports a problem with this node.
    pub(super) fn problem(&self, message: impl Into<String>, remedy: impl Into<String>) {
        self.problem_at(self.node.at, message, remedy);
    }

    /// Reports a problem of this node at another place, such as one of its keys.
    pub(super) fn problem_at(&self, at: Location, message: impl Into<String>, remedy: impl Into<String>) {
        self.report.add(at, &self.path, message, remedy);
    }

    fn child(&self, key: &str, node: &'a Node) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { node, path, report: self.report }
    }

    fn expected(&self, wanted: &str, remedy: &str) {
        let found = match &*self.node.kind {
            Kind::Scalar { text, plain: true } if is_null(text) => "nothing".to_owned(),
            Kind::Scalar { text, .. } => format!("`{}`", excerpt(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        };
        self.problem(format!("expected {wanted}, found {found}"), remedy);
    }

    fn map(&self) -> Option<&'a [(Key, Node)]> {
        match &*self.node.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Scalar { text, plain: true } if is_null(text) => Some(&[]),
            _ => {
                self.expected("a map", "write `key: value` lines below this key, indented");
                None
            }
        }
    }

    /// Whether this is a map, for places that take several shapes.
    pub(super) fn is_map(&self) -> bool {
        matches!(&*self.node.kind, Kind::Map(_))
    }

    /// A map with known keys; reports unknown and repeated ones.
    pub(super) fn table(&self, keys: &[&str]) -> Option<Table<'a>> {
        let mut entries = HashMap::new();
        for (key, node) in self.map()? {
            if !keys.contains(&key.text.as_str()) {
                let remedy = suggest(&key.text, keys.iter().copied());
                self.problem_at(key.at, format!("unknown key `{}`", excerpt(&key.text)), remedy);
            } else if entries.insert(key.text.as_str(), node).is_some() {
                self.repeated(key);
            }
        }
        Some(Table { spot: self.clone(), entries })
    }

    /// A map whose keys are names that the user chooses.
    pub(super) fn named(&self) -> Option<Vec<(Named, Spot<'a>)>> {
        let mut seen = std::collections::HashSet::new();
        let mut list = Vec::new();
        for (key, node) in self.map()? {
            if !seen.insert(key.text.as_str()) {
                self.repeated(key);
                continue;
            }
            list.push((Named { text: key.text.clone(), at: key.at }, self.child(&key.text, node)));
        }
        Some(list)
    }

    fn repeated(&self, key: &Key) {
        self.problem_at(
            key.at,
            format!("the key `{}` is repeated", excerpt(&key.text)),
            "keep one of them and remove the others",
        );
    }

    /// A list.
    pub(super) fn list(&self) -> Option<Vec<Spot<'a>>> {
        match &*self.node.kind {
            Kind::List(items) => {
                Some(items.iter().enumerate().map(|(index, node)| self.child(&index.to_string(), node)).collect())
            }
            _ => {
                self.expected("a list", "write it as `[a, b]`");
                None
            }
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        let items = self.list()?;
        let texts: Vec<String> = items.iter().filter_map(Spot::text).collect();
        (texts.len() == items.len()).then_some(texts)
    }

    /// A text that says something; numbers and booleans written plainly are taken as they stand.
    pub(super) fn text(&self) -> Option<String> {
        match &*self.node.kind {
            Kind::Scalar { text, plain } if !text.trim().is_empty() && (!*plain || !is_null(text)) => {
                Some(text.clone())
            }
            _ => {
                self.expected("a text", "write the value after the colon");
                None
            }
        }
    }

    /// Whether this is exactly the word.
    pub(super) fn is_text(&self, word: &str) -> bool {
        matches!(&*self.node.kind, Kind::Scalar { text, .. } if text == word)
    }

    /// A separator: any text that is not empty, white space included.
    pub(super) fn separator(&self) -> Option<String> {
        match &*self.node.kind {
            Kind::Scalar { text, plain: false } if !text.is_empty() => Some(text.clone()),
            _ => {
                self.expected("a separator", "write it in double quotes, such as \";\" or \" \"");
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match &*self.node.kind {
            Kind::Scalar { text, plain: true } if text == "true" => Some(true),
            Kind::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.expected("true or false", "write `true` or `false` without quotes");
                None
            }
        }
    }

    /// A whole number inside the range.
    pub(super) fn whole(&self, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let number = match &*self.node.kind {
            Kind::Scalar { text, plain: true } => text.parse().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        if number.is_none() {
            let wanted = format!("a whole number from {} to {}", range.start(), range.end());
            self.expected(&wanted, "write the number without quotes");
        }
        number
    }

    /// One of the listed words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.problem(
                format!("`{}` is not known here", excerpt(&text)),
                suggest(&text, words.iter().map(|(word, _)| *word)),
            );
        }
        found
    }

    /// A list of the listed words.
    pub(super) fn words<T: Copy>(&self, words: &[(&str, T)]) -> Option<Vec<T>> {
        let items = self.list()?;
        let found: Vec<T> = items.iter().filter_map(|spot| spot.word(words)).collect();
        (found.len() == items.len()).then_some(found)
    }

    /// The name of something that stands elsewhere in the file: `what` it is and the `section` that lists it.
    pub(super) fn reference(&self, what: &str, section: &str, valid: &[&str]) -> Option<String> {
        let text = self.text()?;
        if valid.contains(&text.as_str()) {
            return Some(text);
        }
        let remedy =
            if valid.is_empty() { format!("add it under `{section}`") } else { suggest(&text, valid.iter().copied()) };
        self.problem(format!("there is no {what} `{}` in {section}", excerpt(&text)), remedy);
        None
    }

    /// A span of time such as `500ms`, `15s`, `5m`, `24h` or `7d`, not shorter than `min`.
    pub(super) fn duration(&self, min: Duration) -> Option<Duration> {
        let text = self.text()?;
        let Some(duration) = parse_duration(&text) else {
            self.expected("a span of time", "write a whole number and a unit: 500ms, 15s, 5m, 24h, 7d");
            return None;
        };
        if duration < min {
            self.problem(format!("`{text}` is too short"), format!("use at least {}ms", min.as_millis()));
            return None;
        }
        Some(duration)
    }

    /// A share of something, such as `5%`.
    pub(super) fn percent(&self) -> Option<u8> {
        let text = self.text()?;
        let share = text.strip_suffix('%').and_then(|number| number.parse().ok()).filter(|share| *share <= 100);
        if share.is_none() {
            self.expected("a share from 0% to 100%", "write a whole number and a percent sign: 5%");
        }
        share
    }

    /// The value as JSON, plain scalars by the rules of YAML 1.2.
    pub(super) fn json(&self) -> serde_json::Value {
        self.node.to_json()
    }

    /// The node that a path of keys inside this one leads to, as deep as it goes; used to place the problems that
    /// other parsers report by key.
    pub(super) fn follow<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> Spot<'a> {
        let mut spot = self.clone();
        for key in keys {
            let found = match &*spot.node.kind {
                Kind::Map(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node),
                Kind::List(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                Kind::Scalar { .. } => None,
            };
            match found {
                Some(node) => spot = spot.child(key, node),
                None => break,
            }
        }
        spot
    }
}

impl<'a> Table<'a> {
    /// The value of an optional key.
    pub(super) fn get(&self, key: &str) -> Option<Spot<'a>> {
        self.entries.get(key).map(|node| self.spot.child(key, node))
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, key: &str, remedy: &str) -> Option<Spot<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.spot.problem(format!("`{key}` is missing"), remedy);
        }
        found
    }

    /// The map itself, for problems that concern several keys.
    pub(super) fn spot(&self) -> &Spot<'a> {
        &self.spot
    }
}

/// A bounded part of a user's text, fit for one line of a message.
fn excerpt(text: &str) -> String {
    let line: String = text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() < text.len() { format!("{line}…") } else { line }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        for (text, ms) in [("500ms", 500), ("15s", 15_000), ("5m", 300_000), ("24h", 86_400_000), ("7d", 604_800_000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["15", "s", "1.5h", "-1s", "15 s", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}

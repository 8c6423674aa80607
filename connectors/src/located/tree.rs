//! YAML as a tree in which every node knows where it stands, so that each problem can name its line and column.
//!
//! Parsed to a tree first, instead of straight into types, because a typed parser stops at its first error and a person
//! wants to see all of them at once.

use std::{collections::HashMap, sync::Arc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// The deepest nesting that is accepted; the longest real path has eight levels.
const DEPTH_MAX: usize = 32;
/// The most nodes that are accepted once aliases are counted as often as they are used.
const NODES_MAX: usize = 1_000_000;

/// A position in the file, both numbers counted from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl From<Marker> for Location {
    fn from(marker: Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

/// One node and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub at: Location,
    /// What it is, shared with the aliases that repeat it.
    pub kind: Arc<Kind>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A single value.
    Scalar {
        /// The value as it stands in the file, without quotes.
        text: String,
        /// Written without quotes, so that `true`, `12` and `null` mean more than text.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Entries in the order of the file, so that problems come in that order; duplicate keys are kept for the report.
    Map(Vec<(Key, Node)>),
}

/// A key of a map and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it stands.
    pub at: Location,
    /// The key.
    pub text: String,
}

/// Why a text is not YAML that can be read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Where reading ended.
    pub at: Location,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub remedy: &'static str,
}

impl SyntaxError {
    fn new(at: impl Into<Location>, message: impl Into<String>, remedy: &'static str) -> Self {
        Self { at: at.into(), message: message.into(), remedy }
    }
}

/// Parses one document; an empty file is an empty map.
///
/// # Errors
/// The first place that is not YAML, or that goes beyond the bounds of depth and size.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| SyntaxError::new(*error.marker(), error.info(), "correct the YAML at this place"))?;
        builder.take(event, span.start.into())?;
    }
    Ok(builder
        .root
        .unwrap_or_else(|| Node { at: Location { line: 1, column: 1 }, kind: Arc::new(Kind::Map(Vec::new())) }))
}

/// A list or map whose end has not been seen yet.
struct Open {
    at: Location,
    anchor: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, key: Option<Key> },
}

/// Builds the tree from the parser's events with a stack of its own, so that deep input cannot overflow the thread's.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Location) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(_) => self.document(at),
            Event::Scalar(text, style, anchor, _) => {
                let kind = Kind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.close(Node { at, kind: Arc::new(kind) }, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.begin(at, anchor, Parts::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(at, anchor, Parts::Map { entries: Vec::new(), key: None }),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn document(&mut self, at: Location) -> Result<(), SyntaxError> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(SyntaxError::new(
                at,
                "a second document begins here",
                "keep everything in one document: remove `---`",
            ));
        }
        Ok(())
    }

    fn begin(&mut self, at: Location, anchor: usize, parts: Parts) -> Result<(), SyntaxError> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(SyntaxError::new(at, message, "check the indentation"));
        }
        self.open.push(Open { at, anchor, parts });
        Ok(())
    }

    fn end(&mut self) -> Result<(), SyntaxError> {
        let Some(Open { at, anchor, parts }) = self.open.pop() else { return Ok(()) };
        let kind = match parts {
            Parts::List(items) => Kind::List(items),
            Parts::Map { entries, .. } => Kind::Map(entries),
        };
        let node = Node { at, kind: Arc::new(kind) };
        let size = if anchor == 0 { 1 } else { size(&node) };
        self.close(node, anchor, size)
    }

    fn alias(&mut self, anchor: usize, at: Location) -> Result<(), SyntaxError> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(SyntaxError::new(
                at,
                "an alias inside its own anchor",
                "aliases may only repeat finished values",
            ));
        };
        // The alias shares the anchored value, and keeps its positions: a mistake in it is mended there.
        let (node, size) = (node.clone(), *size);
        self.count(size, at)?;
        self.place(node)
    }

    /// A node is complete.
    fn close(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), SyntaxError> {
        self.count(1, node.at)?;
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.place(node)
    }

    fn count(&mut self, nodes: usize, at: Location) -> Result<(), SyntaxError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            let message = format!("the file expands to more than {NODES_MAX} values");
            return Err(SyntaxError::new(at, message, "use fewer aliases"));
        }
        Ok(())
    }

    fn place(&mut self, node: Node) -> Result<(), SyntaxError> {
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => self.root = Some(node),
            Some(Parts::List(items)) => items.push(node),
            Some(Parts::Map { entries, key }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(as_key(&node)?),
            },
        }
        Ok(())
    }
}

fn as_key(node: &Node) -> Result<Key, SyntaxError> {
    match &*node.kind {
        Kind::Scalar { text, plain } if *plain && text == "<<" => Err(SyntaxError::new(
            node.at,
            "merge keys (`<<`) are not supported",
            "repeat a whole value with an alias instead: `mapping: *name`",
        )),
        Kind::Scalar { text, .. } => Ok(Key { at: node.at, text: text.clone() }),
        Kind::List(_) | Kind::Map(_) => {
            Err(SyntaxError::new(node.at, "a list or map is used as a key", "use a name as the key"))
        }
    }
}

/// How many nodes a value has when each alias in it is counted as a copy; the depth is bounded by [`DEPTH_MAX`].
fn size(node: &Node) -> usize {
    1 + match &*node.kind {
        Kind::Scalar { .. } => 0,
        Kind::List(items) => items.iter().map(size).fold(0, usize::saturating_add),
        Kind::Map(entries) => entries.iter().map(|(_, value)| size(value)).fold(0, usize::saturating_add),
    }
}

impl Node {
    /// The value as JSON, plain scalars by the core schema of YAML 1.2. Of repeated keys the last one stands.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &*self.kind {
            Kind::Scalar { text, plain: true } => plain_json(text),
            Kind::Scalar { text, plain: false } => Json::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => {
                Json::Object(entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect())
            }
        }
    }
}

/// Whether a plain scalar says that there is nothing.
pub fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn plain_json(text: &str) -> serde_json::Value {
    use serde_json::Value as Json;
    match text {
        _ if is_null(text) => Json::Null,
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        _ => text
            .parse::<i64>()
            .ok()
            .map(Json::from)
            .or_else(|| text.contains(['.', 'e', 'E']).then(|| text.parse::<f64>().ok()).flatten().map(Json::from))
            .unwrap_or_else(|| Json::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> (usize, usize, String) {
        match parse(text) {
            Ok(node) => panic!("{text:?} was read as {node:?}"),
            Err(SyntaxError { at, message, .. }) => (at.line, at.column, message),
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_at_its_place() {
        for (text, line, column, part) in [
            ("a: 1\nb: [1, 2}\n", 2, 9, ""),
            ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
            ("base: &b {x: 1}\nuse:\n  <<: *b\n", 3, 3, "merge keys"),
            ("? [a]\n: 1\n", 1, 3, "as a key"),
        ] {
            let (found_line, found_column, message) = error(text);
            assert_eq!(found_line, line, "{text:?}: {message}");
            if !part.is_empty() {
                assert_eq!(found_column, column, "{text:?}: {message}");
            }
            assert!(message.contains(part), "{text:?}: {message}");
        }
    }

    #[test]
    fn aliases_that_would_grow_without_bound_are_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let below = level - 1;
            let copies = vec![format!("*a{below}"); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{copies}]\n"));
        }
        let (_, _, message) = error(&text);
        assert!(message.contains("expands to more than"), "{message}");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let (_, _, message) = error(&"[".repeat(100));
        assert!(message.contains("nested deeper"), "{message}");
    }

    #[test]
    fn an_alias_repeats_a_value_and_keeps_its_place() {
        let Ok(node) = parse("one: &m\n  email: Email\ntwo: *m\n") else { panic!("not read") };
        let Kind::Map(entries) = &*node.kind else { panic!("no map") };
        assert_eq!(entries[1].0.at, Location { line: 3, column: 1 });
        let Kind::Map(inner) = &*entries[1].1.kind else { panic!("no map behind the alias") };
        assert_eq!(inner[0].0.at, Location { line: 2, column: 3 });
    }

    #[test]
    fn plain_scalars_become_json_by_the_core_schema() {
        for (text, json) in [
            ("", serde_json::Value::Null),
            ("true", true.into()),
            ("yes", "yes".into()),
            ("12", 12.into()),
            ("62.0", 62.0.into()),
            ("1e3", 1000.0.into()),
            ("https://a.b", "https://a.b".into()),
            ("nan", "nan".into()),
        ] {
            assert_eq!(plain_json(text), json, "{text}");
        }
    }
}

//! A text with look-ups: `/users/{id}.json`, `{since|epoch_s|unless:cursor}`.

use serde_json::Value;

use super::{
    Filter, Format, Path, WordError,
    filter::{Kind, text},
    scope::{Item, Scope, VARIABLES},
    word,
};
use crate::{located::suggest, rest::segment};

/// Longer texts and chains are slips.
const BYTES_MAX: usize = 4_096;
const FILTERS_MAX: usize = 8;

/// A text with look-ups in braces, each a name with a path and filters. Two braces are one. What looks up something that is not
/// there is nothing, and so are parameters, headers and parts of bodies that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Look(Look),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    name: String,
    path: Option<Path>,
    filters: Vec<Filter>,
}

impl Template {
    /// Reads a template.
    pub fn parse(source: &str) -> Result<Self, WordError> {
        if source.len() > BYTES_MAX {
            return Err(WordError::new("the text is longer than 4096 bytes", "make it shorter"));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = source;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(WordError::new("a brace closes that was not opened", "write `}}` for a brace"));
            }
            let end = closing(after)
                .ok_or_else(|| WordError::new("a brace is not closed", "close it, or write `{{` for a brace"))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Look(Look::parse(&after[..end])?));
            rest = &after[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// The names that it looks up.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.looks().flat_map(|look| {
            let conditions = look.filters.iter().filter_map(|filter| match filter {
                Filter::If(name) | Filter::Unless(name) => Some(name.as_str()),
                _ => None,
            });
            std::iter::once(look.name.as_str()).chain(conditions)
        })
    }

    /// The first keys that it looks up below a name: `site` of `{settings.site}`.
    pub fn keys_below<'t>(&'t self, name: &'t str) -> impl Iterator<Item = String> + 't {
        let paths = self.looks().filter(move |look| look.name == name).filter_map(|look| look.path.as_ref());
        paths.filter_map(|path| path.keys()?.first().map(|key| (*key).to_owned()))
    }

    /// Whether it looks up this name.
    pub fn uses(&self, name: &str) -> bool {
        self.looks().any(|look| look.name == name)
    }

    /// Whether it begins with a slash, whatever is looked up.
    pub fn starts_with_slash(&self) -> bool {
        matches!(self.0.first(), Some(Part::Text(text)) if text.starts_with('/'))
    }

    fn looks(&self) -> impl Iterator<Item = &Look> {
        self.0.iter().filter_map(|part| match part {
            Part::Look(look) => Some(look),
            Part::Text(_) => None,
        })
    }

    /// The value: that of its only look-up, as it is, else text. `None` where something is not there.
    pub fn value(&self, scope: &Scope) -> Option<Value> {
        match self.0.as_slice() {
            [Part::Look(look)] => look.find(scope),
            _ => self.text(scope).map(Value::String),
        }
    }

    /// The text. `None` where something is not there.
    pub fn text(&self, scope: &Scope) -> Option<String> {
        self.written(scope, |text| text)
    }

    /// The text as an address's path, in which everything that was looked up is one encoded segment. `None` where something
    /// is not there, or would not stay in its place.
    pub fn path(&self, scope: &Scope) -> Option<String> {
        let mut astray = false;
        let path = self.written(scope, |text| {
            astray |= matches!(text.as_str(), "" | "." | "..");
            segment(&text)
        });
        path.filter(|_| !astray)
    }

    fn written(&self, scope: &Scope, mut encode: impl FnMut(String) -> String) -> Option<String> {
        let mut written = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => written.push_str(text),
                Part::Look(look) => written.push_str(&encode(text(&look.find(scope)?))),
            }
        }
        Some(written)
    }
}

/// Where the look-up ends: patterns of times hold no brace, and an argument may hold one after a backslash.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '}' => return Some(at),
            '{' => return None,
            _ => {}
        }
    }
    None
}

/// Splits at bars that no backslash stands before, and takes the backslashes away.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        match (escaped, c) {
            (false, '\\') => escaped = true,
            (false, '|') => pieces.push(String::new()),
            (_, c) => {
                escaped = false;
                if let Some(piece) = pieces.last_mut() {
                    piece.push(c);
                }
            }
        }
    }
    pieces
}

impl Look {
    fn parse(inner: &str) -> Result<Self, WordError> {
        let pieces = pieces(inner);
        let mut pieces = pieces.iter();
        let source = pieces.next().map_or("", |source| source.trim());
        let (name, path) = match source.split_once('.') {
            Some((name, path)) => (name, Some(Path::parse(path)?)),
            None => (source, None),
        };
        let Some(variable) = VARIABLES.iter().find(|variable| variable.name == name) else {
            return Err(WordError::new(
                format!("nothing is called `{name}`"),
                suggest(name, VARIABLES.iter().map(|variable| variable.name)),
            ));
        };
        let mut kind = variable.kind;
        if path.is_some() && kind != Kind::Any {
            return Err(WordError::new(format!("`{name}` has no parts"), format!("write `{{{name}}}`")));
        }
        let mut filters = Vec::new();
        for piece in pieces {
            let (filter, argument) = match piece.split_once(':') {
                Some((filter, argument)) => (filter, Some(argument)),
                None => (piece.as_str(), None),
            };
            let parsed = Filter::parse(filter.trim(), argument)?;
            kind = parsed.of(kind).map_err(|takes| wrong_kind(filter, takes, source))?;
            filters.push(parsed);
        }
        if filters.len() > FILTERS_MAX {
            return Err(WordError::new("more than 8 filters follow each other", "use fewer"));
        }
        Ok(Self { name: name.to_owned(), path, filters })
    }

    fn find(&self, scope: &Scope) -> Option<Value> {
        let item = scope.get(&self.name);
        let item = match (&self.path, item) {
            (None, item) => item.cloned(),
            (Some(path), Some(Item::Value(value))) => path.find(value).cloned().map(Item::Value),
            (Some(_), _) => None,
        };
        let item = item.filter(|item| *item != Item::Value(Value::Null));
        let item = self.filters.iter().fold(item, |item, filter| filter.apply(item, scope));
        item.map(|item| match item {
            Item::Value(value) => value,
            Item::Time(at) => Format::Iso8601.write(at),
        })
    }
}

fn wrong_kind(filter: &str, takes: &str, source: &str) -> WordError {
    let remedy = match takes {
        "a text" => {
            format!("write `{{{source}|text|{filter}}}`; times are spelled first: `{{{source}|iso8601|{filter}}}`")
        }
        "a time" => "spell times only: since, until, version, now".to_owned(),
        "a list" => "join lists only: ids, values, fields".to_owned(),
        _ => format!("spell the time first: `{{{source}|iso8601|{filter}}}`"),
    };
    WordError::new(format!("the filter `{filter}` takes {takes}, which is not what comes to it"), remedy)
}

word!(Template, "template", "A text with look-ups in braces: `/users/{id}`, `{since|iso8601}`. Two braces are one.");

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    fn scope() -> Scope {
        Scope::default()
            .with("id", "a/b ü")
            .with("ids", json!(["1", 2]))
            .with("limit", 100)
            .with("settings", json!({"site": "eu", "empty": null, "url": "a%3Ab%2Fc%20%3Dé%"}))
            .with("value", json!({"a": [1]}))
            .with_time("since", Some(Millis(1_777_977_121_000)))
    }

    #[test]
    fn templates_say_what_they_find() {
        for (template, expected) in [
            ("plain", Some(json!("plain"))),
            ("{{{id}}}", Some(json!("{a/b ü}"))),
            ("{limit}", Some(json!(100))),
            ("{limit} rows", Some(json!("100 rows"))),
            ("{value}", Some(json!({"a": [1]}))),
            ("{value.a[0]}", Some(json!(1))),
            ("{value|json}", Some(json!("{\"a\":[1]}"))),
            ("{settings.site|upper}", Some(json!("EU"))),
            ("{settings.none}", None),
            ("x{settings.empty}", None),
            ("{settings.none|or:us}", Some(json!("us"))),
            ("{ids|join:,}", Some(json!("1,2"))),
            ("{ids|join:\\|}", Some(json!("1|2"))),
            ("{ids|first}", Some(json!("1"))),
            ("{ids|each:id}", Some(json!([{"id": "1"}, {"id": 2}]))),
            ("{settings.url|text|decode::/}", Some(json!("a:b/c%20%3Dé%"))),
            ("{since}", Some(json!("2026-05-05T10:32:01Z"))),
            ("{since|epoch_s}", Some(json!(1_777_977_121))),
            ("{since|minus:1s|iso8601_ms}", Some(json!("2026-05-05T10:32:00.000Z"))),
            ("{since|time:%H:%M}", Some(json!("10:32"))),
            ("{since|epoch_s|or:0|unless:cursor}", Some(json!(1_777_977_121))),
            ("{since|epoch_s|or:0|unless:id}", None),
            ("{until|epoch_s|or:0}", Some(json!("0"))),
            ("{until|epoch_s|or:0|number}", Some(json!(0))),
            ("{limit|if:cursor}", None),
            ("{id|present}", Some(json!(true))),
            ("{id|urlencode}", Some(json!("a%2Fb%20%C3%BC"))),
            ("{id|base64}", Some(json!("YS9iIMO8"))),
        ] {
            let parsed = Template::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
            assert_eq!(parsed.value(&scope()), expected, "{template}");
        }
    }

    #[test]
    fn what_is_looked_up_stays_in_its_place_of_a_path() {
        let path = |text: &str| {
            Template::parse("/users/{id}.json").expect("a template").path(&Scope::default().with("id", text))
        };
        assert_eq!(path("a/../b?c").as_deref(), Some("/users/a%2F..%2Fb%3Fc.json"));
        for text in ["", ".", ".."] {
            assert_eq!(path(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (template, message, remedy) in [
            ("{id", "not closed", "`{{`"),
            ("id}", "was not opened", "`}}`"),
            ("{idd}", "nothing is called `idd`", "did you mean `id`?"),
            ("{since|iso8061}", "no filter `iso8061`", "did you mean `iso8601`?"),
            ("{since|urlencode}", "takes a text", "{since|iso8601|urlencode}"),
            ("{id|epoch_s}", "takes a time", "since"),
            ("{id|join:,}", "takes a list", "ids"),
            ("{id|lower:x}", "takes nothing", "`|lower`"),
            ("{ids|join}", "needs a text", "`|join:…`"),
            ("{id.x}", "no parts", "`{id}`"),
            ("{id|if:corsor}", "nothing is called `corsor`", "did you mean `cursor`?"),
            ("{since|time:x}", "", ""),
            ("{since|plus:1}", "no span", "500ms"),
        ] {
            let error = Template::parse(template).expect_err(template);
            assert!(error.message.contains(message) && error.remedy.contains(remedy), "{template}: {error:?}");
        }
        assert!(Template::parse(&"x".repeat(BYTES_MAX + 1)).is_err());
        assert!(Template::parse(&format!("{{id{}}}", "|lower".repeat(9))).is_err());
    }
}

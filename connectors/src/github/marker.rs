//! The marker: a record's id in an HTML comment at the end of an object's text, by which a create whose answer was lost finds
//! what it made. GitHub has neither keys nor a field of our own; pages do not show the comment, and neither do we.

use percent_encoding::percent_decode_str;

use crate::rest::segment;

/// The field under which the marker is read and written like any other.
pub(super) const FIELD: &str = "syncline_id";

/// The longest text of an issue or a comment that GitHub takes, in characters.
pub(super) const BODY_CHARS_MAX: u32 = 65_536;

/// What the marker of a record's id may take of it, the blank line before it included.
pub(super) const MARKER_CHARS_MAX: u32 = 72;

const OPENING: &str = "<!-- syncline:";
const CLOSING: &str = "-->";
const STILL_OPENING: &str = "opening";

/// A text as it is stored, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// The text that people see; `None` where there is none.
    pub(super) text: Option<String>,
    /// What the marker holds.
    pub(super) key: Option<String>,
    /// The marker says that the issue was opened to be closed: GitHub creates no closed issue.
    pub(super) opening: bool,
}

/// Takes a stored text apart. Browsers send line ends of two characters: they are read as one, whoever wrote them, so that an
/// edit by hand does not look like a change of every line.
pub(super) fn read(stored: &str) -> Parts {
    let stored = stored.replace("\r\n", "\n");
    let Some((before, marker, after)) = find(&stored) else {
        return Parts { text: filled(&stored), ..Parts::default() };
    };
    // Users may write below the marker: what stands on both sides of it belongs together.
    let (before, after) = (before.trim_end_matches(['\n', ' ']), after.trim_start_matches(['\n', ' ']));
    let gap = if before.is_empty() || after.trim().is_empty() { "" } else { "\n\n" };
    let after = if after.trim().is_empty() { "" } else { after };
    Parts { text: filled(&format!("{before}{gap}{after}")), ..marker }
}

/// Puts a text and a marker together, to be stored.
pub(super) fn write(parts: &Parts) -> String {
    let text = parts.text.as_deref().unwrap_or_default().replace("\r\n", "\n");
    match &parts.key {
        None => text,
        Some(key) => {
            let gap = if text.is_empty() { "" } else { "\n\n" };
            let opening = if parts.opening { format!("{STILL_OPENING} ") } else { String::new() };
            format!("{text}{gap}{OPENING}{} {opening}{CLOSING}", segment(key))
        }
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The last marker, since one further up is a quotation, and what stands before and after it.
fn find(stored: &str) -> Option<(&str, Parts, &str)> {
    let at = stored.rfind(OPENING)?;
    let (words, after) = stored[at + OPENING.len()..].split_once(CLOSING)?;
    let mut words = words.split_whitespace();
    let key = percent_decode_str(words.next()?).decode_utf8().ok()?.into_owned();
    let opening = words.next() == Some(STILL_OPENING);
    Some((&stored[..at], Parts { text: None, key: Some(key), opening }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str, key: &str) -> Parts {
        Parts { text: filled(text), key: filled(key), opening: false }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let id = "0190c1f2-7c3e-7d6a-9b1e-2f0a4c5d6e7f";
        let texts =
            ["", "One", "One\n\nTwo\n", "  indented", "ends in a comment <!-- mine -->", "<!-- syncline: not one"];
        for text in texts {
            for key in ["", id, "key/1 ü --> <!--"] {
                let stored = write(&parts(text, key));
                let read = read(&stored);
                assert_eq!(read.key, filled(key), "{stored}");
                let expected = if key.is_empty() { text } else { text.trim_end_matches(['\n', ' ']) };
                assert_eq!(read.text, filled(expected), "{stored}");
            }
        }
        let longest = write(&Parts { opening: true, ..parts("x", id) }).chars().count() - 1;
        assert!(longest <= MARKER_CHARS_MAX as usize, "{longest}");
    }

    #[test]
    fn what_users_do_around_the_marker_is_theirs() {
        let cases = [
            ("One\r\nTwo", parts("One\nTwo", "")),
            ("One\r\n\r\n<!-- syncline:k -->\r\n", parts("One", "k")),
            ("<!-- syncline:k -->", parts("", "k")),
            ("One\n\n<!-- syncline:k opening -->", Parts { opening: true, ..parts("One", "k") }),
            ("One\n\n<!-- syncline:k -->\n\nBelow", parts("One\n\nBelow", "k")),
            ("<!-- syncline:k -->\nBelow", parts("Below", "k")),
            (
                "> <!-- syncline:quoted -->\n\nMine\n\n<!-- syncline:k -->",
                parts("> <!-- syncline:quoted -->\n\nMine", "k"),
            ),
            ("<!-- syncline: -->", parts("<!-- syncline: -->", "")),
            ("<!-- syncline:%FF -->", parts("<!-- syncline:%FF -->", "")),
        ];
        for (stored, expected) in cases {
            assert_eq!(read(stored), expected, "{stored:?}");
        }
    }
}

//! Wholes and their parts: a text that one side keeps as one field and the other as several, or as a list.
//!
//! Text is first cut into pieces at the separator; pieces are trimmed and blank ones dropped, so that a whole has exactly
//! one normal form: its pieces with the separator between them. Pieces are then dealt out to the parts.

use super::spec::Rest;

/// What stands between pieces: one character, with or without white space around it, or white space alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Separator {
    /// As it is written between pieces.
    text: String,
    /// The character at which text is cut; `None` cuts at any white space.
    cut: Option<char>,
}

impl Separator {
    /// Takes a separator from configuration. More than one character would not cut reliably: `--` between `a-` and
    /// `b` is found one character too early.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut core = text.trim().chars();
        let cut = core.next();
        let usable = !text.is_empty() && core.next().is_none();
        usable.then(|| Self { text: text.to_owned(), cut })
    }

    /// The pieces of a text.
    pub(super) fn pieces<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let is_cut = |c: char| self.cut.map_or_else(|| c.is_whitespace(), |cut| c == cut);
        text.split(is_cut).map(str::trim).filter(|piece| !piece.is_empty()).collect()
    }

    /// The pieces with the separator between them.
    pub(super) fn join(&self, pieces: &[&str]) -> String {
        pieces.join(&self.text)
    }

    /// The normal form of a whole.
    pub(super) fn normal(&self, text: &str) -> String {
        self.join(&self.pieces(text))
    }
}

/// How the pieces of a whole are dealt out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// What stands between pieces.
    pub(super) separator: Separator,
    /// How many parts there are; at least two.
    pub(super) count: usize,
    /// Which part takes what is left.
    pub(super) rest: Rest,
}

impl Parts {
    /// Deals the pieces out: one for each part, and what is left for the part that takes the rest. Parts without a piece
    /// are empty.
    pub(super) fn deal(&self, whole: &str) -> Vec<String> {
        let pieces = self.separator.pieces(whole);
        let single = self.count - 1;
        match self.rest {
            Rest::Last => {
                let (ones, rest) = pieces.split_at(pieces.len().min(single));
                let mut parts = self.singles(ones);
                parts.resize(single, String::new());
                parts.push(self.separator.join(rest));
                parts
            }
            Rest::First => {
                let (rest, ones) = pieces.split_at(pieces.len().saturating_sub(single));
                let mut parts = vec![self.separator.join(rest)];
                parts.resize(self.count - ones.len(), String::new());
                parts.extend(self.singles(ones));
                parts
            }
        }
    }

    /// The whole of these parts, in normal form.
    pub(super) fn compose<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> String {
        let pieces: Vec<&str> = parts.into_iter().flat_map(|part| self.separator.pieces(part)).collect();
        self.separator.join(&pieces)
    }

    /// Whether the part at this index takes one piece only.
    pub(super) fn is_single(&self, index: usize) -> bool {
        match self.rest {
            Rest::First => index != 0,
            Rest::Last => index + 1 != self.count,
        }
    }

    fn singles(&self, pieces: &[&str]) -> Vec<String> {
        pieces.iter().map(|piece| (*piece).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(separator: &str, count: usize, rest: Rest) -> Parts {
        Parts { separator: Separator::new(separator).unwrap(), count, rest }
    }

    #[test]
    fn pieces_are_dealt_one_each_and_the_rest_to_one_part() {
        use Rest::{First, Last};
        for (separator, rest, whole, dealt) in [
            (" ", Last, "Mary Ann Lee", ["Mary", "Ann Lee"]),
            (" ", First, "Mary Ann Lee", ["Mary Ann", "Lee"]),
            (" ", Last, "Lee", ["Lee", ""]),
            (" ", First, "Lee", ["", "Lee"]),
            (" ", Last, "  Mary\u{a0} Lee ", ["Mary", "Lee"]),
            (", ", First, "Lee,Mary ,", ["Lee", "Mary"]),
            (" ", Last, "", ["", ""]),
        ] {
            assert_eq!(parts(separator, 2, rest).deal(whole), dealt, "{whole:?}, {rest:?}");
        }
    }

    #[test]
    fn more_parts_than_pieces_leave_the_side_of_the_rest_empty() {
        assert_eq!(parts("/", 4, Rest::Last).deal("a/b"), ["a", "b", "", ""]);
        assert_eq!(parts("/", 4, Rest::First).deal("a/b"), ["", "", "a", "b"]);
    }

    #[test]
    fn a_whole_has_one_normal_form() {
        for (separator, whole, normal) in
            [(" ", " Mary \n Lee", "Mary Lee"), (", ", "a,,b , c", "a, b, c"), (";", ";a;", "a"), (" ", "  ", "")]
        {
            let separator = Separator::new(separator).unwrap();
            assert_eq!(separator.normal(whole), normal, "{whole:?}");
            assert_eq!(separator.normal(normal), normal, "{whole:?} again");
        }
    }

    #[test]
    fn separators_are_one_character_or_white_space() {
        for (text, usable) in
            [(";", true), (" ", true), (", ", true), (" - ", true), ("\n", true), ("", false), ("--", false)]
        {
            assert_eq!(Separator::new(text).is_some(), usable, "{text:?}");
        }
    }
}

//! Problems of a file: each with its place, what is wrong and how to mend it, all reported at once.

use std::{cell::RefCell, fmt, path::PathBuf};

use syncline_core::model::nearest;

use super::Location;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where in the file.
    pub at: Location,
    /// The path of keys, such as `syncs.contacts.sides.acme-hubspot`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it; empty where the message says so itself.
    pub remedy: String,
}

/// Everything that is wrong with a file, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The problems.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let count = self.list.len();
        writeln!(f, "{file} has {count} {}:", if count == 1 { "problem" } else { "problems" })?;
        for Problem { at, path, message, remedy } in &self.list {
            write!(f, "{file}:{}:{}: ", at.line, at.column)?;
            if !path.is_empty() {
                write!(f, "{path}: ")?;
            }
            write!(f, "{message}")?;
            if !remedy.is_empty() {
                write!(f, "\n    to mend: {remedy}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Collects problems while a file is read.
#[derive(Debug, Default)]
pub struct Report {
    list: RefCell<Vec<Problem>>,
}

impl Report {
    /// Adds a problem at a place and a path of keys.
    pub fn add(&self, at: Location, path: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let problem = Problem { at, path: path.to_owned(), message: message.into(), remedy: remedy.into() };
        self.list.borrow_mut().push(problem);
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// The problems in the order of the file. One value that several aliases repeat is reported once.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut list = self.list.into_inner();
        list.sort();
        list.dedup_by(|a, b| a.at == b.at && a.message == b.message);
        list
    }
}

/// The remedy for an unknown name: the nearest valid one, or all of them.
pub fn suggest<'a>(unknown: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let valid: Vec<&str> = valid.into_iter().collect();
    match nearest(unknown, valid.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if valid.is_empty() => "remove it: nothing may stand here".to_owned(),
        None => format!("use one of: {}", valid.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        for (unknown, expected) in [
            ("modles", "did you mean `models`?"),
            ("Syncs", "did you mean `syncs`?"),
            ("quux", "use one of: models, syncs"),
        ] {
            assert_eq!(suggest(unknown, ["models", "syncs"]), expected);
        }
    }
}

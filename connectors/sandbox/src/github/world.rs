//! What the organisation holds: repositories with their issues, labels and milestones.

use std::collections::BTreeMap;

use super::errors::ApiError;
use crate::clock::Micros;

/// What became of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is where it was.
    Here,
    /// It was deleted.
    Deleted,
    /// It lives on under another number in another repository.
    Moved(u64, u64),
}

/// A comment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) by_app: bool,
    pub(crate) body: String,
    pub(crate) created: Micros,
    pub(crate) updated: Micros,
}

/// An issue, or a pull request, which is an issue with code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Issue {
    /// Its id, which no other issue has anywhere.
    pub(crate) id: u64,
    /// Its number in the repository.
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) author: String,
    pub(crate) by_app: bool,
    pub(crate) is_open: bool,
    pub(crate) reason: Option<&'static str>,
    /// Names as the repository spells them, in order.
    pub(crate) labels: Vec<String>,
    pub(crate) assignees: Vec<String>,
    pub(crate) milestone: Option<u64>,
    pub(crate) is_locked: bool,
    pub(crate) lock_reason: Option<String>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) created: Micros,
    pub(crate) updated: Micros,
    pub(crate) closed: Option<Micros>,
    pub(crate) is_pull_request: bool,
    pub(crate) fate: Fate,
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) color: String,
    pub(crate) description: Option<String>,
}

/// A milestone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Milestone {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) is_open: bool,
    pub(crate) due: Option<Micros>,
    pub(crate) created: Micros,
    pub(crate) updated: Micros,
}

/// A repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Names that it had before.
    pub(crate) old_names: Vec<String>,
    /// Whether the integration may see it.
    pub(crate) is_installed: bool,
    /// Whether it has issues.
    pub(crate) has_issues: bool,
    pub(crate) issues: BTreeMap<u64, Issue>,
    /// By name in lower case.
    pub(crate) labels: BTreeMap<String, Label>,
    pub(crate) milestones: BTreeMap<u64, Milestone>,
    pub(crate) created: Micros,
}

impl Repository {
    /// The next number of an issue.
    pub(crate) fn next_number(&self) -> u64 {
        self.issues.keys().next_back().map_or(1, |last| last + 1)
    }

    /// An issue that can be read here, or why not.
    pub(crate) fn issue(&self, number: u64) -> Result<&Issue, Gone> {
        let issue = self.issues.get(&number).ok_or(Gone::Never)?;
        match issue.fate {
            Fate::Here => Ok(issue),
            Fate::Deleted => Err(Gone::Deleted),
            Fate::Moved(repository, number) => Err(Gone::Moved(repository, number)),
        }
    }

    /// The issues that are here, oldest first.
    pub(crate) fn here(&self) -> impl Iterator<Item = &Issue> {
        self.issues.values().filter(|issue| issue.fate == Fate::Here)
    }
}

/// Why an issue cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// There never was one.
    Never,
    /// It was deleted.
    Deleted,
    /// It lives in this repository under this number.
    Moved(u64, u64),
}

/// Every repository.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) repositories: BTreeMap<u64, Repository>,
    last_id: u64,
}

impl World {
    /// No repositories yet.
    pub(crate) fn new() -> Self {
        Self { repositories: BTreeMap::new(), last_id: 500_000_000 }
    }

    /// A fresh id.
    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a repository.
    pub(crate) fn add(&mut self, name: &str, is_installed: bool, created: Micros) -> u64 {
        let id = self.fresh_id();
        let repository = Repository {
            id,
            name: name.to_owned(),
            old_names: Vec::new(),
            is_installed,
            has_issues: true,
            issues: BTreeMap::new(),
            labels: BTreeMap::new(),
            milestones: BTreeMap::new(),
            created,
        };
        self.repositories.insert(id, repository);
        id
    }

    /// A repository by its present name.
    pub(crate) fn named(&self, name: &str) -> Option<u64> {
        self.repositories.values().find(|repository| repository.name.eq_ignore_ascii_case(name)).map(|found| found.id)
    }

    /// A repository by a name that it had before.
    pub(crate) fn once_named(&self, name: &str) -> Option<u64> {
        let had = |repository: &&Repository| repository.old_names.iter().any(|old| old.eq_ignore_ascii_case(name));
        self.repositories.values().find(had).map(|found| found.id)
    }

    /// A repository.
    pub(crate) fn repository(&self, id: u64) -> Result<&Repository, ApiError> {
        self.repositories.get(&id).ok_or_else(ApiError::not_found)
    }

    /// A repository, to change it.
    pub(crate) fn repository_mut(&mut self, id: u64) -> Result<&mut Repository, ApiError> {
        self.repositories.get_mut(&id).ok_or_else(ApiError::not_found)
    }

    /// The issue with an id, wherever it is.
    pub(crate) fn by_id(&self, id: u64) -> Option<(u64, u64)> {
        let all = self.repositories.values();
        all.flat_map(|repository| repository.issues.values().map(move |issue| (repository.id, issue)))
            .find(|(_, issue)| issue.id == id)
            .map(|(repository, issue)| (repository, issue.number))
    }
}

//! What the organisation holds at the start.

use super::caller::{ASSIGNABLE, USER};
use super::world::{Comment, Fate, Issue, Label, Milestone, World};
use crate::clock::Micros;

/// The repository that holds the issues of the start.
pub(crate) const FIRST: &str = "support";

const TITLES: &[&str] = &[
    "The export never ends",
    "Panic when the list is empty",
    "Document the retry header",
    "Größe der Anhänge ist falsch",
    "Support dark mode 🌻",
    "Flaky test in the parser",
];
const BODIES: &[Option<&str>] =
    &[Some("Steps:\n\n1. open\n2. wait"), None, Some("See #1 and @hubot.\r\nIt is **urgent**."), Some("`code`")];
const LABELS: &[(&str, &str)] =
    &[("bug", "d73a4a"), ("Documentation", "0075ca"), ("good first issue", "7057ff"), ("wontfix", "ffffff")];
/// Every so many an issue is a pull request, or closed.
const PULL_REQUEST_EVERY: u64 = 7;
const CLOSED_EVERY: u64 = 4;
/// The second of the first issue, and the seconds between two.
const FIRST_S: i64 = 1_704_067_200;
const STEP_S: i64 = 37;

/// Adds the repositories: one with issues, one to transfer to, one that had another name, one without issues, and one
/// that the integration may not see.
pub(crate) fn fill(world: &mut World, issues: u64, now: Micros) {
    let first = world.add(FIRST, true, Micros::from_seconds(FIRST_S));
    for name in ["engineering", "helpdesk", "archive", "secret"] {
        let id = world.add(name, name != "secret", Micros::from_seconds(FIRST_S));
        if let Some(repository) = world.repositories.get_mut(&id) {
            repository.has_issues = name != "archive";
            repository.old_names.extend((name == "helpdesk").then(|| "desk".to_owned()));
        }
    }
    for (name, color) in LABELS {
        let id = world.fresh_id();
        if let Some(home) = world.repositories.get_mut(&first) {
            let label = Label { id, name: (*name).into(), color: (*color).into(), description: None };
            home.labels.insert(name.to_lowercase(), label);
        }
    }
    let id = world.fresh_id();
    if let Some(home) = world.repositories.get_mut(&first) {
        let milestone = Milestone {
            id,
            number: 1,
            title: "v1.0".into(),
            description: None,
            is_open: true,
            due: None,
            created: Micros::from_seconds(FIRST_S),
            updated: Micros::from_seconds(FIRST_S),
        };
        home.milestones.insert(1, milestone);
    }
    for number in 1..=issues {
        let issue = issue(world, number, now);
        if let Some(home) = world.repositories.get_mut(&first) {
            home.issues.insert(number, issue);
        }
    }
}

fn pick<T: Copy>(list: &[T], number: u64) -> T {
    list[usize::try_from(number % list.len() as u64).unwrap_or(0)]
}

fn issue(world: &mut World, number: u64, now: Micros) -> Issue {
    let at = Micros::from_seconds(FIRST_S + i64::try_from(number).unwrap_or(0) * STEP_S).min(now);
    let is_open = !number.is_multiple_of(CLOSED_EVERY);
    let comments = (0..number % 3).map(|_| Comment {
        id: world.fresh_id(),
        author: pick(&ASSIGNABLE, number + 1).to_owned(),
        by_app: false,
        body: "I see this too.".into(),
        created: at,
        updated: at,
    });
    let comments: Vec<Comment> = comments.collect();
    Issue {
        id: world.fresh_id(),
        number,
        title: pick(TITLES, number).to_owned(),
        body: pick(BODIES, number).map(str::to_owned),
        author: USER.to_owned(),
        by_app: false,
        is_open,
        reason: (!is_open).then_some("completed"),
        labels: if number.is_multiple_of(2) { vec![pick(LABELS, number).0.to_owned()] } else { Vec::new() },
        assignees: if number.is_multiple_of(3) { vec![pick(&ASSIGNABLE, number).to_owned()] } else { Vec::new() },
        milestone: number.is_multiple_of(5).then_some(1),
        is_locked: false,
        lock_reason: None,
        comments,
        created: at,
        updated: at,
        closed: (!is_open).then_some(at),
        is_pull_request: number.is_multiple_of(PULL_REQUEST_EVERY),
        fate: Fate::Here,
    }
}

//! Field policies: how concurrent values of one field are settled. Every policy is pure and looks only at the
//! candidates, so that every node and every replay chooses the same winner. A new policy costs one file and one arm.

mod counter;
mod forward_only;
mod latest;
mod manual;
mod max;
mod min;
mod prefer;
mod set;
mod text;

use serde::{Deserialize, Serialize};

use crate::{
    conflict::Candidate,
    journal::Origin,
    model::Field,
    mutant::{self, Rule},
    value::Value,
};

/// How concurrent values of one field are settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The newest value by the best clock known; where clocks cannot tell, the order of systems, then arrival.
    #[default]
    Latest,
    /// The first of these origins that has a candidate wins; each entry is a connection's id or `client`.
    Prefer(Vec<String>),
    /// Added and removed members of a set are merged.
    Set,
    /// Text is merged character by character.
    Text,
    /// A number whose differences add up.
    Counter,
    /// The largest value.
    Max,
    /// The smallest value.
    Min,
    /// A value only ever moves forward through these stages.
    ForwardOnly(Vec<String>),
    /// The agreed value stays until a person chooses.
    Manual,
}

/// How the document holds a field, so that Automerge merges it as the policy means it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// One value; concurrent values are candidates.
    Register,
    /// A map of members; adds and removes merge.
    Set,
    /// A text object; characters merge.
    Text,
    /// A counter; differences add up.
    Counter,
}

/// One candidate and when it arrived here.
#[derive(Clone, Copy, Debug)]
pub struct Contender<'a> {
    /// The candidate value.
    pub candidate: &'a Candidate,
    /// Its place in the order of arrival: bigger is later.
    pub arrival: usize,
}

/// What a policy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The contender at this index wins.
    Winner(usize),
    /// Nobody wins: the value that was agreed before stays.
    Agreed,
}

/// The order of systems: a lower rank wins where clocks cannot tell.
pub type Rank<'a> = dyn Fn(&Origin) -> u32 + 'a;

impl Policy {
    /// How the document holds a field with this policy.
    pub fn merge(&self) -> Merge {
        match self {
            Self::Set => set::MERGE,
            Self::Text => text::MERGE,
            Self::Counter => counter::MERGE,
            _ => Merge::Register,
        }
    }

    /// Chooses among concurrent candidates. The choice depends on the contenders alone, never on their order in the
    /// slice. Without contenders the agreed value stays. The merging policies (`set`, `text`, `counter`) come here
    /// only where two whole values must be told apart, such as at first link, and then decide as `latest` does.
    pub fn choose(&self, contenders: &[Contender<'_>], rank: &Rank<'_>) -> Choice {
        let winner = match self {
            Self::Latest | Self::Set | Self::Text | Self::Counter => latest::choose(contenders, rank),
            Self::Prefer(order) => prefer::choose(order, contenders, rank),
            Self::Max => max::choose(contenders, rank),
            Self::Min => min::choose(contenders, rank),
            Self::ForwardOnly(stages) => forward_only::choose(stages, contenders, rank),
            Self::Manual => return manual::CHOICE,
        };
        winner.map_or(Choice::Agreed, Choice::Winner)
    }

    /// Whether a value may replace another that its writer had seen. Only `forward_only` ever refuses: a backward move
    /// is one, whether or not it is concurrent.
    pub fn admits(&self, before: &Value, after: &Value) -> bool {
        match self {
            Self::ForwardOnly(stages) => forward_only::admits(stages, before, after),
            _ => true,
        }
    }

    /// The policy's name, as configuration spells it and as conflicts give it for their reason.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Prefer(_) => "prefer",
            Self::Set => "set",
            Self::Text => "text",
            Self::Counter => "counter",
            Self::Max => "max",
            Self::Min => "min",
            Self::ForwardOnly(_) => "forward_only",
            Self::Manual => "manual",
        }
    }
}

/// Chooses among candidates of `field`: as its policy does, but where blanks never win, only among the candidates that
/// say something (unless none does).
pub fn choose(field: &Field, contenders: &[Contender<'_>], rank: &Rank<'_>) -> Choice {
    let says = |index: &usize| !contenders[*index].candidate.value.is_blank();
    let telling: Vec<usize> = (0..contenders.len()).filter(says).collect();
    let blanks_count = !field.blank_never_wins || mutant::off(Rule::BlankNeverWins);
    if blanks_count || telling.is_empty() || telling.len() == contenders.len() {
        return field.policy.choose(contenders, rank);
    }
    let remaining: Vec<Contender<'_>> = telling.iter().map(|&index| contenders[index]).collect();
    match field.policy.choose(&remaining, rank) {
        Choice::Winner(index) => Choice::Winner(telling[index]),
        Choice::Agreed => Choice::Agreed,
    }
}

/// Whether `after` is a blank that may not replace `before`, because blanks never win in this field.
pub fn blank_refused(field: &Field, before: &Value, after: &Value) -> bool {
    field.blank_never_wins && after.is_blank() && !before.is_blank()
}

/// Keeps the contenders whose `score` is the greatest.
fn greatest<'a, K: Ord>(contenders: &[Contender<'a>], score: impl Fn(&Candidate) -> K) -> Vec<(usize, Contender<'a>)> {
    let top = contenders.iter().map(|contender| score(contender.candidate)).max();
    let is_top = |contender: &Contender<'_>| Some(score(contender.candidate)) == top;
    contenders.iter().copied().enumerate().filter(|(_, contender)| is_top(contender)).collect()
}

/// Chooses by `score`, and as `latest` does among equal ones.
fn greatest_then_latest<K: Ord>(
    contenders: &[Contender<'_>],
    rank: &Rank<'_>,
    score: impl Fn(&Candidate) -> K,
) -> Option<usize> {
    let top = greatest(contenders, score);
    let remaining: Vec<Contender<'_>> = top.iter().map(|(_, contender)| *contender).collect();
    latest::choose(&remaining, rank).map(|index| top[index].0)
}

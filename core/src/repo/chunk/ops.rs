//! The columns of operations, of which changes and documents have nearly the same.

use super::{
    column::{Kind, numbers},
    columns::Columns,
};
use crate::repo::{limits::Count, refusal::Refusal};

const OBJECT_ACTOR: u32 = 0x01;
const OBJECT_COUNTER: u32 = 0x02;
const KEY_ACTOR: u32 = 0x11;
const KEY_COUNTER: u32 = 0x13;
const KEY_TEXT: u32 = 0x15;
const ID_ACTOR: u32 = 0x21;
const ID_COUNTER: u32 = 0x23;
const INSERT: u32 = 0x34;
const ACTION: u32 = 0x42;
const VALUE_META: u32 = 0x56;
const VALUE: u32 = 0x57;
const EXPAND: u32 = 0x94;
const MARK_NAME: u32 = 0xa5;

/// The columns that both kinds of chunk have.
const COMMON: [u32; 11] = [
    OBJECT_ACTOR,
    OBJECT_COUNTER,
    KEY_ACTOR,
    KEY_COUNTER,
    KEY_TEXT,
    INSERT,
    ACTION,
    VALUE_META,
    VALUE,
    EXPAND,
    MARK_NAME,
];

/// How operations refer to those that they replace (in a change), or that replace them (in a document).
#[derive(Clone, Copy)]
pub(super) enum References {
    Predecessors,
    Successors,
}

impl References {
    /// The columns of the references: their number for each operation, their actors, their counters.
    fn columns(self) -> [u32; 3] {
        match self {
            Self::Predecessors => [0x70, 0x71, 0x73],
            Self::Successors => [0x80, 0x81, 0x83],
        }
    }

    /// Further columns that the kind of chunk has.
    fn ids(self) -> &'static [u32] {
        match self {
            Self::Predecessors => &[],
            Self::Successors => &[ID_ACTOR, ID_COUNTER],
        }
    }
}

/// Counts the operations of a chunk that names so many actors. `counter_max` says, for a
/// number of operations, which counter no reference may exceed.
pub(super) fn count_ops(
    columns: &Columns<'_>,
    references: References,
    actors: u64,
    counter_max: impl FnOnce(u64) -> Result<u64, Refusal>,
    count: &mut Count<'_>,
) -> Result<(), Refusal> {
    let known = [&COMMON[..], &references.columns(), references.ids()].concat();
    columns.only(&known)?;
    let too_many = Refusal::TooManyOps { max: count.limits.ops_max };
    let ops = columns.rows(ACTION, count.ops_left(), too_many)?;
    count.ops(ops)?;
    let bounds = Bounds { columns, actors, counter_max: counter_max(ops)? };
    bounds.ids(OBJECT_ACTOR, OBJECT_COUNTER, ops)?;
    bounds.ids(KEY_ACTOR, KEY_COUNTER, ops)?;
    for name in [KEY_TEXT, MARK_NAME] {
        count.expanded_bytes(columns.column(name, ops)?.text_bytes)?;
    }
    columns.column(INSERT, ops)?;
    columns.column(EXPAND, ops)?;
    columns.values(VALUE_META, ops)?;
    if let [actor, counter] = references.ids() {
        bounds.full_ids(*actor, *counter, ops)?;
    }
    let [group, actor, counter] = references.columns();
    let referred = columns.column(group, ops)?.sum;
    count.references(referred)?;
    bounds.full_ids(actor, counter, referred)?;
    if let References::Successors = references {
        count.ops(deletions(columns)?)?;
    }
    Ok(())
}

/// How many deletions a document holds. They have no rows of their own: an operation's successor that is no row is one.
fn deletions(columns: &Columns<'_>) -> Result<u64, Refusal> {
    let [_, actor, counter] = References::Successors.columns();
    let rows = ids(columns, ID_ACTOR, ID_COUNTER)?;
    let mut deletions = ids(columns, actor, counter)?;
    deletions.retain(|id| rows.binary_search(id).is_err());
    deletions.dedup();
    Ok(deletions.len() as u64)
}

/// Ids of operations, sorted.
fn ids(columns: &Columns<'_>, actor: u32, counter: u32) -> Result<Vec<(i64, i64)>, Refusal> {
    let actors = numbers(Kind::Actor, columns.bytes(actor))?;
    let counters = numbers(Kind::Delta, columns.bytes(counter))?;
    let mut ids: Vec<_> = actors.into_iter().zip(counters).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// What ids of operations may be.
struct Bounds<'c> {
    columns: &'c Columns<'c>,
    actors: u64,
    counter_max: u64,
}

impl Bounds<'_> {
    /// Checks ids that may be absent.
    fn ids(&self, actor: u32, counter: u32, rows: u64) -> Result<(), Refusal> {
        let actors = self.columns.column(actor, rows)?;
        let counters = self.columns.column(counter, rows)?;
        let named = actors.rows > actors.nulls;
        if named && actors.max >= i128::from(self.actors) {
            return Err(Refusal::Damaged("an operation names an actor that the chunk does not"));
        }
        if counters.min < 0 || counters.max > i128::from(self.counter_max) {
            return Err(Refusal::Damaged("an operation refers to one that comes later"));
        }
        Ok(())
    }

    /// Checks ids of which none may be absent.
    fn full_ids(&self, actor: u32, counter: u32, rows: u64) -> Result<(), Refusal> {
        self.columns.full(actor, rows)?;
        self.columns.full(counter, rows)?;
        self.ids(actor, counter, rows)
    }
}

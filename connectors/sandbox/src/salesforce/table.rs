//! The records of one object type, compact enough for millions, with the indexes that make reads cheap.
//!
//! A record that nobody has touched since the sandbox started holds no values: they are made from the seed whenever
//! somebody looks. A record's row appears here only when its transaction has committed.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::cell::{Cell, datetime_text, folded};
use super::id::RecordId;
use super::schema::{Field, FieldType, Origin, Schema, SystemField};
use super::seed::SeedPlan;
use crate::clock::Micros;

/// The id prefix of users, to whom every record's audit fields point.
pub(crate) const USER_PREFIX: [u8; 3] = *b"005";

/// A place in the index by stamp: the stamp, then the record's number.
pub(crate) type Place = (Micros, u32);

/// One version of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) created: Micros,
    pub(crate) created_by: u32,
    /// The last change by somebody.
    pub(crate) modified: Micros,
    pub(crate) modified_by: u32,
    /// The last change by anybody or anything.
    pub(crate) stamp: Micros,
    /// When it went into the recycle bin.
    pub(crate) deleted: Option<Micros>,
    /// The record into which it was merged.
    pub(crate) master: Option<u32>,
    pub(crate) cells: Cells,
}

/// A record's stored values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cells {
    /// As the seed has them.
    Seeded,
    /// Changed since; shorter than the schema where fields were added later.
    Own(Box<[Cell]>),
}

/// The records of one object type.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: Schema,
    rows: Vec<Option<Row>>,
    seed: Option<SeedPlan>,
    by_stamp: BTreeSet<Place>,
    /// By key field (name in lower case) and value (folded unless case matters): the live records that hold it.
    by_key: HashMap<(String, String), Vec<u32>>,
    /// Live records by a hash of their folded e-mail address, built when first asked for.
    by_email: OnceCell<BTreeSet<(u64, u32)>>,
    deletions: BTreeSet<(Micros, u32)>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(schema: Schema) -> Self {
        Self {
            schema,
            rows: Vec::new(),
            seed: None,
            by_stamp: BTreeSet::new(),
            by_key: HashMap::new(),
            by_email: OnceCell::new(),
            deletions: BTreeSet::new(),
        }
    }

    /// A table that starts with the rows of a seed.
    pub(crate) fn seeded(schema: Schema, seed: SeedPlan) -> Self {
        let rows: Vec<_> = (0..seed.len()).map(|number| Some(seed.row(number))).collect();
        let stamps = rows.iter().flatten().zip(0u32..).map(|(row, number)| (row.stamp, number));
        let mut stamps: Vec<_> = stamps.collect();
        stamps.sort_unstable();
        let by_stamp = stamps.into_iter().collect();
        Self { rows, by_stamp, seed: Some(seed), ..Self::new(schema) }
    }

    /// How many numbers have been given out.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// Gives out the next number, whose row is not visible yet.
    pub(crate) fn reserve(&mut self) -> u32 {
        let number = self.len();
        self.rows.push(None);
        number
    }

    /// The id of a number.
    pub(crate) fn id(&self, number: u32) -> RecordId {
        RecordId::new(self.schema.prefix, number)
    }

    /// A visible row.
    pub(crate) fn row(&self, number: u32) -> Option<&Row> {
        self.rows.get(number as usize)?.as_ref()
    }

    /// A visible record, deleted or not.
    pub(crate) fn record(&self, number: u32) -> Option<Record<'_>> {
        let row = self.row(number)?;
        Some(Record { table: self, number, row, seeded: OnceCell::new() })
    }

    /// A visible record that is not deleted.
    pub(crate) fn live(&self, number: u32) -> Option<Record<'_>> {
        self.record(number).filter(|record| record.row.deleted.is_none())
    }

    /// All visible records in a stretch of the index (both ends inside), by stamp and number.
    pub(crate) fn by_stamp(&self, from: Place, to: Place) -> impl Iterator<Item = u32> + '_ {
        let range = (from <= to).then(|| self.by_stamp.range(from..=to));
        range.into_iter().flatten().map(|(_, number)| *number)
    }

    /// The records deleted in the range (end exclusive) that are still deleted, with their dates.
    pub(crate) fn deletions(&self, from: Micros, until: Micros) -> impl Iterator<Item = (Micros, u32)> + '_ {
        let range = (from < until).then(|| self.deletions.range((from, 0)..(until, 0)));
        range.into_iter().flatten().copied()
    }

    /// The live records that hold `value` in the key `field`.
    pub(crate) fn holders(&self, field: &Field, value: &Cell) -> &[u32] {
        let holders = key_of(field, value).and_then(|key| self.by_key.get(&key));
        holders.map_or(&[], Vec::as_slice)
    }

    /// The live records whose e-mail address may be `email` (a superset: a hash decides).
    pub(crate) fn maybe_by_email(&self, email: &str) -> impl Iterator<Item = u32> + '_ {
        let hash = email_hash(email);
        let index = self.by_email.get_or_init(|| self.index_emails());
        index.range((hash, 0)..=(hash, u32::MAX)).map(|(_, number)| *number)
    }

    /// Replaces a row (`None`: not visible) and returns what was there, keeping every index.
    pub(crate) fn set(&mut self, number: u32, row: Option<Row>) -> Option<Row> {
        self.unindex(number);
        let slot = self.rows.get_mut(number as usize)?;
        let before = std::mem::replace(slot, row);
        self.index(number);
        before
    }

    fn unindex(&mut self, number: u32) {
        let Some(record) = self.record(number) else { return };
        let (stamp, deleted) = (record.row.stamp, record.row.deleted);
        let keys = record.keys();
        let email = self.by_email.get().and_then(|_| record.email_hash());
        self.by_stamp.remove(&(stamp, number));
        if let Some(at) = deleted {
            self.deletions.remove(&(at, number));
            return;
        }
        for key in keys {
            if let Some(holders) = self.by_key.get_mut(&key) {
                holders.retain(|holder| *holder != number);
                if holders.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        if let (Some(index), Some(hash)) = (self.by_email.get_mut(), email) {
            index.remove(&(hash, number));
        }
    }

    fn index(&mut self, number: u32) {
        let Some(record) = self.record(number) else { return };
        let (stamp, deleted) = (record.row.stamp, record.row.deleted);
        let keys = record.keys();
        let email = self.by_email.get().and_then(|_| record.email_hash());
        self.by_stamp.insert((stamp, number));
        if let Some(at) = deleted {
            self.deletions.insert((at, number));
            return;
        }
        for key in keys {
            self.by_key.entry(key).or_default().push(number);
        }
        if let (Some(index), Some(hash)) = (self.by_email.get_mut(), email) {
            index.insert((hash, number));
        }
    }

    fn index_emails(&self) -> BTreeSet<(u64, u32)> {
        let live = (0..self.len()).filter_map(|number| self.live(number));
        live.filter_map(|record| Some((record.email_hash()?, record.number))).collect()
    }
}

fn key_of(field: &Field, value: &Cell) -> Option<(String, String)> {
    let value = match value {
        Cell::Null => return None,
        Cell::Text(text) if field.key.is_case_sensitive() => text.to_string(),
        Cell::Text(text) => folded(text).collect(),
        Cell::Number(number) => number.normalize().to_string(),
        other => format!("{other:?}"),
    };
    Some((field.name.to_ascii_lowercase(), value))
}

fn email_hash(email: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    folded(email).for_each(|letter| letter.hash(&mut hasher));
    hasher.finish()
}

/// A visible record: its row, and its values made from the seed only if somebody asks for one.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) table: &'a Table,
    pub(crate) number: u32,
    pub(crate) row: &'a Row,
    seeded: OnceCell<Box<[Cell]>>,
}

impl<'a> Record<'a> {
    /// Its id.
    pub(crate) fn id(&self) -> RecordId {
        self.table.id(self.number)
    }

    /// Its version stamp as text.
    pub(crate) fn stamp_text(&self) -> String {
        datetime_text(self.row.stamp)
    }

    /// The value of a field; null for compounds, which have only a JSON form.
    pub(crate) fn cell(&self, field: &Field) -> Cow<'_, Cell> {
        match field.origin {
            Origin::Stored(place) => match self.stored().get(place) {
                // A checkbox that was added after the row was written is not ticked.
                None | Some(Cell::Null) if field.kind == FieldType::Boolean => Cow::Owned(Cell::Bool(false)),
                None => Cow::Owned(Cell::Null),
                Some(cell) => Cow::Borrowed(cell),
            },
            Origin::System(system) => Cow::Owned(self.system(system)),
            Origin::FullName => Cow::Owned(self.full_name()),
            Origin::Compound => Cow::Owned(Cell::Null),
        }
    }

    /// The value of a field by name; null if there is no such field.
    pub(crate) fn named(&self, name: &str) -> Cell {
        self.table.schema.field(name).map_or(Cell::Null, |field| self.cell(field).into_owned())
    }

    /// All stored values, in the order of their places.
    pub(crate) fn stored(&self) -> &[Cell] {
        match &self.row.cells {
            Cells::Own(cells) => cells,
            Cells::Seeded => self
                .seeded
                .get_or_init(|| self.table.seed.as_ref().map(|seed| seed.cells(self.number)).unwrap_or_default()),
        }
    }

    fn system(&self, field: SystemField) -> Cell {
        let user = |number| Cell::text(RecordId::new(USER_PREFIX, number).to_string());
        match field {
            SystemField::Id => Cell::text(self.id().to_string()),
            SystemField::IsDeleted => Cell::Bool(self.row.deleted.is_some()),
            SystemField::MasterRecordId => {
                self.row.master.map_or(Cell::Null, |number| Cell::text(self.table.id(number).to_string()))
            }
            SystemField::CreatedDate => Cell::DateTime(self.row.created),
            SystemField::CreatedById => user(self.row.created_by),
            SystemField::LastModifiedDate => Cell::DateTime(self.row.modified),
            SystemField::LastModifiedById => user(self.row.modified_by),
            SystemField::SystemModstamp => Cell::DateTime(self.row.stamp),
        }
    }

    fn full_name(&self) -> Cell {
        let parts = ["FirstName", "LastName"].map(|name| self.named(name));
        let parts: Vec<_> = parts.iter().filter_map(Cell::as_text).collect();
        if parts.is_empty() { Cell::Null } else { Cell::text(parts.join(" ")) }
    }

    fn keys(&self) -> Vec<(String, String)> {
        // Seeded values hold no keys, and need not be made to find that out.
        if self.row.cells == Cells::Seeded {
            return Vec::new();
        }
        let fields = self.table.schema.fields().iter();
        let keys = fields.filter(|field| field.key.is_external() || field.key.is_unique());
        keys.filter_map(|field| key_of(field, &self.cell(field))).collect()
    }

    fn email_hash(&self) -> Option<u64> {
        if let (Cells::Seeded, Some(seed)) = (&self.row.cells, &self.table.seed) {
            return seed.email(self.number).map(|email| email_hash(&email));
        }
        let field = self.table.schema.fields().iter().find(|field| field.kind == FieldType::Email)?;
        self.cell(field).as_text().map(email_hash)
    }
}

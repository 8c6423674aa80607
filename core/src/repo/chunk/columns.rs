//! The columns of a chunk: which there are, and that they belong together.

use std::borrow::Cow;

use super::{
    bytes::Bytes,
    column::{Kind, Tally, TooLong},
    inflate::inflate,
};
use crate::repo::{limits::Count, refusal::Refusal};

/// How many columns a chunk may have. The format knows fewer than twenty.
const COLUMNS_MAX: u64 = 64;

/// The bit of a specification that says that the column is compressed.
const DEFLATE: u32 = 0b1000;

/// Columns with their specifications, without the bit for compression, in ascending order.
pub(super) struct Columns<'b>(Vec<(u32, Cow<'b, [u8]>)>);

/// The head of a set of columns: specification and length of each.
pub(super) struct Heads(Vec<(u32, u64)>);

impl Heads {
    pub(super) fn read(bytes: &mut Bytes<'_>) -> Result<Self, Refusal> {
        let columns = bytes.unsigned()?;
        if columns > COLUMNS_MAX {
            return Err(Refusal::Damaged("it has more columns than the format knows"));
        }
        let mut heads: Vec<(u32, u64)> = Vec::new();
        for _ in 0..columns {
            let spec = u32::try_from(bytes.unsigned()?).map_err(|_| UNKNOWN)?;
            if heads.last().is_some_and(|(last, _)| last & !DEFLATE >= spec & !DEFLATE) {
                return Err(Refusal::Damaged("its columns are out of order"));
            }
            heads.push((spec, bytes.unsigned()?));
        }
        Ok(Self(heads))
    }

    /// Takes the columns as they are; none may be compressed.
    pub(super) fn plain<'b>(&self, bytes: &mut Bytes<'b>) -> Result<Columns<'b>, Refusal> {
        if self.0.iter().any(|(spec, _)| spec & DEFLATE != 0) {
            return Err(Refusal::Damaged("a change has compressed columns"));
        }
        let column = |(spec, len): &(u32, u64)| Ok((*spec, Cow::Borrowed(bytes.take(*len)?)));
        self.0.iter().map(column).collect::<Result<_, _>>().map(Columns)
    }

    /// Takes the columns and inflates the compressed ones. Counts the bytes of both.
    pub(super) fn inflated<'b>(&self, bytes: &mut Bytes<'b>, count: &mut Count<'_>) -> Result<Columns<'b>, Refusal> {
        let mut columns = Vec::new();
        for (spec, len) in &self.0 {
            let data = bytes.take(*len)?;
            columns.push(if spec & DEFLATE == 0 {
                count.inflated_bytes(*len)?;
                (*spec, Cow::Borrowed(data))
            } else {
                (spec & !DEFLATE, Cow::Owned(inflate(data, count)?))
            });
        }
        Ok(Columns(columns))
    }
}

impl Columns<'_> {
    /// The bytes of a column, none where it is absent.
    pub(super) fn bytes(&self, spec: u32) -> &[u8] {
        self.0.iter().find(|(other, _)| *other == spec).map_or(&[], |(_, bytes)| bytes)
    }

    /// Counts the column that says how many rows there are.
    pub(super) fn rows(&self, spec: u32, rows_max: u64, too_many: Refusal) -> Result<u64, Refusal> {
        let tally = Kind::of(spec).tally(self.bytes(spec), rows_max)?.map_err(|TooLong| too_many)?;
        if tally.nulls > 0 {
            return Err(Refusal::Damaged("a row is missing"));
        }
        Ok(tally.rows)
    }

    /// Counts a column that has `rows` rows, or that is left out because all of its rows are null or false.
    pub(super) fn column(&self, spec: u32, rows: u64) -> Result<Tally, Refusal> {
        let uneven = Refusal::Damaged("its columns have different lengths");
        match Kind::of(spec).tally(self.bytes(spec), rows)? {
            Ok(tally) if tally.rows == rows || self.bytes(spec).is_empty() => Ok(tally),
            _ => Err(uneven),
        }
    }

    /// Counts a column that is never left out.
    pub(super) fn full(&self, spec: u32, rows: u64) -> Result<Tally, Refusal> {
        let tally = self.column(spec, rows)?;
        if tally.rows != rows || tally.nulls > 0 {
            return Err(Refusal::Damaged("a row is missing"));
        }
        Ok(tally)
    }

    /// Checks that the metadata of values promise no more bytes than the values have.
    pub(super) fn values(&self, meta: u32, rows: u64) -> Result<(), Refusal> {
        let promised = self.column(meta, rows)?.sum;
        // The column of the values follows the one of their metadata.
        if promised > self.bytes(meta | 0b111).len() as u64 {
            return Err(Refusal::Damaged("a value ends in the middle"));
        }
        Ok(())
    }

    /// Refuses columns other than the known ones: nobody would have counted them.
    pub(super) fn only(&self, known: &[u32]) -> Result<(), Refusal> {
        if self.0.iter().all(|(spec, bytes)| known.contains(spec) || bytes.is_empty()) { Ok(()) } else { Err(UNKNOWN) }
    }
}

const UNKNOWN: Refusal = Refusal::Damaged("it has a column that the format does not know");

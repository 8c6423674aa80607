//! One column of a chunk, counted without being expanded.

use super::bytes::Bytes;
use crate::repo::refusal::Refusal;

/// What a column holds; the low three bits of its specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Group,
    Actor,
    Integer,
    Delta,
    Boolean,
    Text,
    ValueMeta,
    Value,
}

/// What was found in a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many rows it has.
    pub(super) rows: u64,
    /// How many of them are null.
    pub(super) nulls: u64,
    /// The sum of its numbers: for a group the rows of its members, for values' metadata the bytes of the values.
    pub(super) sum: u64,
    /// Its smallest number, or 0.
    pub(super) min: i128,
    /// Its largest number, or 0.
    pub(super) max: i128,
    /// The bytes of its texts, with repetitions written out.
    pub(super) text_bytes: u64,
}

/// A column has more rows than it may.
pub(super) struct TooLong;

impl Kind {
    pub(super) fn of(spec: u32) -> Self {
        match spec & 0b111 {
            0 => Self::Group,
            1 => Self::Actor,
            2 => Self::Integer,
            3 => Self::Delta,
            4 => Self::Boolean,
            5 => Self::Text,
            6 => Self::ValueMeta,
            _ => Self::Value,
        }
    }

    /// Counts a column of at most `rows_max` rows. Takes time for its bytes, not for its rows.
    pub(super) fn tally(self, column: &[u8], rows_max: u64) -> Result<Result<Tally, TooLong>, Refusal> {
        let mut walk = Walk { bytes: Bytes(column), tally: Tally::default(), absolute: 0, rows_max };
        let whole = match self {
            Self::Value => Ok(true),
            Self::Boolean => walk.booleans(),
            _ => walk.runs(self),
        };
        Ok(if whole? { Ok(walk.tally) } else { Err(TooLong) })
    }
}

struct Walk<'b> {
    bytes: Bytes<'b>,
    tally: Tally,
    /// The value that a column of differences has come to.
    absolute: i128,
    rows_max: u64,
}

impl Walk<'_> {
    /// Walks run lengths of alternating truth. Answers whether the rows stay within their bound.
    fn booleans(&mut self) -> Result<bool, Refusal> {
        while !self.bytes.is_empty() {
            let run = self.bytes.unsigned()?;
            if !self.rows(run) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Walks runs: a positive length and one value, a negative length and as many values, or 0 and a number of nulls.
    fn runs(&mut self, kind: Kind) -> Result<bool, Refusal> {
        while !self.bytes.is_empty() {
            let len = self.bytes.signed()?;
            let run = len.unsigned_abs();
            let within = match len {
                0 => {
                    let nulls = self.bytes.unsigned()?;
                    self.tally.nulls = self.tally.nulls.saturating_add(nulls);
                    self.rows(nulls)
                }
                _ => self.rows(run),
            };
            if !within {
                return Ok(false);
            }
            match len {
                0 => {}
                1.. => self.value(kind, run)?,
                _ => (0..run).try_for_each(|_| self.value(kind, 1))?,
            }
        }
        Ok(true)
    }

    fn rows(&mut self, more: u64) -> bool {
        self.tally.rows = self.tally.rows.saturating_add(more);
        self.tally.rows <= self.rows_max
    }

    /// Reads one value that stands for `run` rows.
    fn value(&mut self, kind: Kind, run: u64) -> Result<(), Refusal> {
        match kind {
            Kind::Text => {
                let text = self.bytes.prefixed()?;
                if str::from_utf8(text).is_err() {
                    return Err(Refusal::Damaged("a text is not UTF-8"));
                }
                let bytes = run.saturating_mul(text.len() as u64);
                self.tally.text_bytes = self.tally.text_bytes.saturating_add(bytes);
            }
            Kind::Delta => {
                let delta = i128::from(self.bytes.signed()?);
                // A run moves in one direction, so its ends are its extremes. A column has fewer than 2^64 rows, so that
                // neither the product nor the sum leaves 128 bits before the range is found passed.
                self.seen(self.absolute + delta)?;
                self.absolute += delta * i128::from(run);
                self.seen(self.absolute)?;
            }
            _ => {
                let number = self.bytes.unsigned()?;
                let length = if kind == Kind::ValueMeta { number >> 4 } else { number };
                self.tally.sum = self.tally.sum.saturating_add(length.saturating_mul(run));
                self.seen(i128::from(number))?;
            }
        }
        Ok(())
    }

    fn seen(&mut self, number: i128) -> Result<(), Refusal> {
        if i64::try_from(number).is_err() && u64::try_from(number).is_err() {
            return Err(UNFIT);
        }
        self.tally.min = self.tally.min.min(number);
        self.tally.max = self.tally.max.max(number);
        Ok(())
    }
}

/// The numbers of a column that was counted before, row by row.
pub(super) fn numbers(kind: Kind, column: &[u8]) -> Result<Vec<i64>, Refusal> {
    let mut bytes = Bytes(column);
    let mut rows = Vec::new();
    let mut absolute = 0_i64;
    let next = |bytes: &mut Bytes<'_>| match kind {
        Kind::Delta => bytes.signed(),
        _ => bytes.unsigned().and_then(|number| i64::try_from(number).map_err(|_| UNFIT)),
    };
    while !bytes.is_empty() {
        let len = bytes.signed()?;
        let same = if len > 0 { Some(next(&mut bytes)?) } else { None };
        if len == 0 {
            return Err(Refusal::Damaged("a number is missing"));
        }
        for _ in 0..len.unsigned_abs() {
            let number = same.map_or_else(|| next(&mut bytes), Ok)?;
            absolute = if kind == Kind::Delta { absolute.checked_add(number).ok_or(UNFIT)? } else { number };
            rows.push(absolute);
        }
    }
    Ok(rows)
}

const UNFIT: Refusal = Refusal::Damaged("a number does not fit 64 bits");

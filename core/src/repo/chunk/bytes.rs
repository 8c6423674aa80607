//! Bytes as Automerge writes them.

use crate::repo::refusal::Refusal;

/// The refusal of bytes that end early.
const SHORT: Refusal = Refusal::Damaged("it ends in the middle");

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(in crate::repo) struct Bytes<'b>(pub(in crate::repo) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(in crate::repo) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::repo) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::repo) fn byte(&mut self) -> Result<u8, Refusal> {
        let (&first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(first)
    }

    pub(in crate::repo) fn take(&mut self, len: u64) -> Result<&'b [u8], Refusal> {
        let len = usize::try_from(len).map_err(|_| SHORT)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned LEB128 number.
    pub(in crate::repo) fn unsigned(&mut self) -> Result<u64, Refusal> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Refusal::Damaged("a number does not fit 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Refusal::Damaged("a number does not fit 64 bits"))
    }

    /// A signed LEB128 number.
    pub(in crate::repo) fn signed(&mut self) -> Result<i64, Refusal> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = i64::from(byte & 0x7f);
            if shift == 63 && bits != 0 && bits != 0x7f {
                return Err(Refusal::Damaged("a number does not fit 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let negative = byte & 0x40 != 0 && shift < 57;
                return Ok(if negative { value | (-1 << (shift + 7)) } else { value });
            }
        }
        Err(Refusal::Damaged("a number does not fit 64 bits"))
    }

    /// As many bytes as a number before them says.
    pub(in crate::repo) fn prefixed(&mut self) -> Result<&'b [u8], Refusal> {
        let len = self.unsigned()?;
        self.take(len)
    }

    /// As many hashes as a number before them says; the number is checked by `admit` first.
    pub(in crate::repo) fn hashes(
        &mut self,
        admit: impl FnOnce(u64) -> Result<(), Refusal>,
    ) -> Result<&'b [u8], Refusal> {
        let count = self.unsigned()?;
        admit(count)?;
        self.take(count.checked_mul(32).ok_or(SHORT)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_leb128_defines_them() {
        for (bytes, unsigned, signed) in [
            (&[0x00][..], Some(0), Some(0)),
            (&[0x7f], Some(127), Some(-1)),
            (&[0x3f], Some(63), Some(63)),
            (&[0x40], Some(64), Some(-64)),
            (&[0x80, 0x01], Some(128), Some(128)),
            (&[0xff, 0x7e], Some(0x3f7f), Some(-129)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Some(u64::MAX), None),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f], None, Some(i64::MIN)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00], Some(u64::MAX >> 1), Some(i64::MAX)),
            (&[0xff; 11], None, None),
            (&[0x80], None, None),
            (&[], None, None),
        ] {
            assert_eq!(Bytes(bytes).unsigned().ok(), unsigned, "{bytes:x?}");
            assert_eq!(Bytes(bytes).signed().ok(), signed, "{bytes:x?}");
        }
    }
}

//! Record ids: three characters of key prefix, twelve of instance and number, three of checksum.

use std::fmt;

/// Characters four to six of every id: the instance the org lives on.
const INSTANCE: &str = "Sb0";
/// In the order of their bytes, so that ids sort as their numbers do.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The id of a record: which kind of object, and its number among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordId {
    /// The first three characters, which tell the object.
    pub(crate) prefix: [u8; 3],
    /// The record's number, from 0.
    pub(crate) number: u32,
}

impl RecordId {
    /// The id of a record by number.
    pub(crate) fn new(prefix: [u8; 3], number: u32) -> Self {
        Self { prefix, number }
    }

    /// Reads the 15-character form, or the 18-character form with its checksum. `None` for anything that is no id of
    /// this org.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let short = match text.len() {
            15 => text,
            18 if text.is_ascii() => {
                let (short, checksum) = text.split_at(15);
                suffix(short.as_bytes()).eq_ignore_ascii_case(checksum).then_some(short)?
            }
            _ => return None,
        };
        let rest = short.get(3..)?.strip_prefix(INSTANCE)?;
        let prefix = short.as_bytes()[..3].try_into().ok()?;
        let number = rest.bytes().try_fold(0u64, |number, byte| {
            let digit = DIGITS.iter().position(|known| *known == byte)?;
            number.checked_mul(62)?.checked_add(u64::try_from(digit).ok()?)
        })?;
        Some(Self { prefix, number: u32::try_from(number).ok()? })
    }

    /// Whether a text has the shape of an id at all, of whichever org and object.
    pub(crate) fn is_well_formed(text: &str) -> bool {
        matches!(text.len(), 15 | 18)
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().take(3).any(|byte| byte.is_ascii_digit())
    }
}

impl fmt::Display for RecordId {
    /// The 18-character form, which is safe to compare without regard to case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut short = [b'0'; 15];
        short[..3].copy_from_slice(&self.prefix);
        short[3..6].copy_from_slice(INSTANCE.as_bytes());
        let mut rest = self.number;
        for place in short[6..].iter_mut().rev() {
            // The remainder is below 62.
            *place = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        for byte in short {
            fmt::Write::write_char(f, char::from(byte))?;
        }
        f.write_str(&suffix(&short))
    }
}

/// One checksum character per five: a bit for each capital among them.
fn suffix(short: &[u8]) -> String {
    short
        .chunks(5)
        .map(|chunk| {
            let capitals = chunk.iter().enumerate().filter(|(_, byte)| byte.is_ascii_uppercase());
            char::from(CHECKSUM[capitals.fold(0, |bits, (place, _)| bits | 1 << place)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_record() {
        for number in [0, 1, 61, 62, 1_000_000, u32::MAX] {
            let id = RecordId::new(*b"003", number);
            let long = id.to_string();
            assert_eq!(long.len(), 18);
            assert_eq!(RecordId::parse(&long), Some(id));
            assert_eq!(RecordId::parse(&long[..15]), Some(id));
        }
    }

    #[test]
    fn ids_sort_as_their_numbers() {
        let ids: Vec<_> = (0..5_000).map(|number| RecordId::new(*b"003", number).to_string()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // The pair of forms that the vendor's documentation of ids uses.
        assert_eq!(suffix(b"001A0000006Vm9r"), "IAC");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let good = RecordId::new(*b"003", 7).to_string();
        let wrong_checksum = format!("{}ZZZ", &good[..15]);
        for text in ["", "003", "a@b.c", &wrong_checksum, "003XX0000000001", "ééééééééé"] {
            assert_eq!(RecordId::parse(text), None, "{text}");
        }
    }
}

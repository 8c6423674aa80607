//! A record's values in one allocation.
//!
//! A portal may hold a million records of twenty values each, so a map of strings per record is too
//! dear. The values lie in one byte string, ordered by property: two bytes of property id, three
//! bytes of length, the text.

use super::schema::PropertyId;

/// Bytes in front of every value: property id and length, both little-endian.
const HEADER: usize = 5;

/// The longest text that the three bytes of length can describe.
pub(crate) const VALUE_BYTES_MAX: usize = (1 << 24) - 1;

/// An immutable map from property to text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    /// Packs values in any order; of two values of one property the later counts.
    pub(crate) fn new<'v>(values: impl IntoIterator<Item = (PropertyId, &'v str)>) -> Self {
        let mut sorted: Vec<(PropertyId, &str)> = values.into_iter().collect();
        sorted.reverse();
        sorted.sort_by_key(|(property, _)| *property);
        sorted.dedup_by_key(|(property, _)| *property);
        let size = sorted.iter().map(|(_, text)| HEADER + text.len()).sum();
        let mut bytes = Vec::with_capacity(size);
        for (property, text) in sorted {
            push(&mut bytes, property, text);
        }
        Self(bytes.into_boxed_slice())
    }

    /// The text of one property.
    pub(crate) fn get(&self, property: PropertyId) -> Option<&str> {
        self.iter()
            .take_while(|(found, _)| *found <= property)
            .find(|(found, _)| *found == property)
            .map(|(_, text)| text)
    }

    /// All values in the order of the property ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PropertyId, &str)> {
        Entries { rest: &self.0 }
    }

    /// The same values with some replaced or, where the new value is `None`, removed.
    pub(crate) fn with(&self, changes: &[(PropertyId, Option<&str>)]) -> Self {
        let kept = self.iter().filter(|(property, _)| changes.iter().all(|(changed, _)| changed != property));
        let set = changes.iter().filter_map(|(property, text)| text.map(|text| (*property, text)));
        Self::new(kept.chain(set))
    }
}

/// Appends one value. A text beyond the limit is cut at a character, which no validated value needs.
fn push(bytes: &mut Vec<u8>, property: PropertyId, text: &str) {
    let text = &text[..text.floor_char_boundary(VALUE_BYTES_MAX)];
    bytes.extend_from_slice(&property.0.to_le_bytes());
    let [low, middle, high, ..] = text.len().to_le_bytes();
    bytes.extend_from_slice(&[low, middle, high]);
    bytes.extend_from_slice(text.as_bytes());
}

/// Walks the packed values.
struct Entries<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for Entries<'b> {
    type Item = (PropertyId, &'b str);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.rest.split_first_chunk::<HEADER>()?;
        let [id_low, id_high, low, middle, high] = *header;
        let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
        let (text, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        // Only `push` writes the bytes, always from a whole text, so the fallback is never taken.
        Some((PropertyId(u16::from_le_bytes([id_low, id_high])), std::str::from_utf8(text).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PropertyId = PropertyId(1);
    const B: PropertyId = PropertyId(300);
    const C: PropertyId = PropertyId(7);

    #[test]
    fn values_are_kept_and_ordered() {
        let long = "ü".repeat(40_000);
        let packed = Packed::new([(B, "two"), (A, ""), (C, long.as_str()), (B, "zwei")]);
        assert_eq!(packed.get(A), Some(""));
        assert_eq!(packed.get(B), Some("zwei"));
        assert_eq!(packed.get(C), Some(long.as_str()));
        assert_eq!(packed.get(PropertyId(2)), None);
        assert_eq!(packed.iter().map(|(id, _)| id).collect::<Vec<_>>(), [A, C, B]);
    }

    #[test]
    fn changes_replace_and_remove() {
        let packed = Packed::new([(A, "a"), (B, "b")]).with(&[(A, None), (C, Some("c"))]);
        assert_eq!(packed.iter().collect::<Vec<_>>(), [(C, "c"), (B, "b")]);
        assert_eq!(packed.0.len(), 2 * (HEADER + 1));
        assert_eq!(packed.with(&[(B, None), (C, None)]), Packed::default());
    }
}

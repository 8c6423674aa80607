//! Splits rows into batches.

use std::{collections::HashMap, hash::Hash};

use syncline_core::{
    ids::ObjectName,
    remote::{WriteRequest, WriteVerb},
};

/// Splits `rows` into batches of at most `max` in which no target stands twice, since providers refuse such batches.
/// Rows of one target keep their order: a later one goes into a later batch.
pub fn batches<T, K: Hash + Eq>(
    rows: impl IntoIterator<Item = T>,
    max: usize,
    target: impl Fn(&T) -> Option<K>,
) -> Vec<Vec<T>> {
    let max = max.max(1);
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut next_free: HashMap<K, usize> = HashMap::new();
    for row in rows {
        let key = target(&row);
        let first = key.as_ref().and_then(|key| next_free.get(key)).copied().unwrap_or(0);
        let at = (first..batches.len()).find(|&at| batches[at].len() < max).unwrap_or(batches.len());
        if at == batches.len() {
            batches.push(Vec::new());
        }
        batches[at].push(row);
        if let Some(key) = key {
            next_free.insert(key, at + 1);
        }
    }
    batches
}

/// Rows that may be written at the same time, each by a call of its own, since no two are about the same object. Keys that
/// differ in letter case count as one.
pub fn waves(requests: &[WriteRequest]) -> Vec<Vec<&WriteRequest>> {
    batches(requests, usize::MAX, |row| target(row))
}

fn target(row: &WriteRequest) -> Option<(&ObjectName, String)> {
    let name = match &row.verb {
        WriteVerb::Update { id, .. } | WriteVerb::Delete { id, .. } => format!("id {id}"),
        WriteVerb::Create { key } => format!("key {}", key.as_ref()?.value.to_lowercase()),
    };
    Some((&row.object, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_holds_a_target_twice() {
        let cases = [
            ("", 2, ""),
            ("abc", 2, "ab c"),
            ("aaa", 2, "a a a"),
            ("aab", 2, "ab a"),
            ("abac", 3, "abc a"),
            ("---", 2, "-- -"),
        ];
        for (rows, max, expected) in cases {
            let got = batches(rows.chars(), max, |row| (*row != '-').then_some(*row));
            let got: Vec<String> = got.iter().map(|batch| batch.iter().collect()).collect();
            assert_eq!(got.join(" "), expected, "{rows:?} by {max}");
        }
    }
}

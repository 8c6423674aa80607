//! Answers that are kept with their ETag. Asked for again, GitHub says in a few bytes whether they still hold, and does not
//! count the call.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderValue;
use lru::LruCache;
use sha2::{Digest, Sha256};

/// What is kept in all, by the bodies' bytes. Beyond it, what was not asked for longest goes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a kept answer costs beside its body: its key, its ETag, and its place in the list.
const OVERHEAD_BYTES: usize = 512;

/// Larger answers are not kept: a page of a hundred issues with long texts is below.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Names an answer: who asked, and for what. Tokens differ in what they may see, and so do the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; 32]);

impl Name {
    /// The name of the answer to this token's call.
    pub(super) fn of(token: &str, target: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(Sha256::digest(token.as_bytes()));
        hasher.update(target.as_bytes());
        Self(hasher.finalize().into())
    }
}

/// An answer that may be asked for again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    /// GitHub's name of this state of the answer.
    pub(super) etag: String,
    /// Where its further pages are, which the short answer does not repeat.
    pub(super) link: Option<HeaderValue>,
    /// The body.
    pub(super) body: Bytes,
}

/// The kept answers of all connections of an integration.
pub(super) struct Etags(Mutex<Shelf>);

struct Shelf {
    answers: LruCache<Name, Kept>,
    bytes: usize,
}

impl Default for Etags {
    fn default() -> Self {
        Self(Mutex::new(Shelf { answers: LruCache::unbounded(), bytes: 0 }))
    }
}

impl Etags {
    /// The answer that was kept under this name.
    pub(super) fn get(&self, name: &Name) -> Option<Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.get(name).cloned()
    }

    /// Keeps an answer in place of an older one.
    pub(super) fn put(&self, name: Name, kept: Kept) {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = size(&kept);
        if let Some(old) = shelf.answers.pop(&name) {
            shelf.bytes -= self::size(&old);
        }
        if size > ANSWER_BYTES_MAX {
            return;
        }
        shelf.bytes += size;
        shelf.answers.put(name, kept);
        while shelf.bytes > BYTES_MAX {
            let Some((_, oldest)) = shelf.answers.pop_lru() else { return };
            shelf.bytes -= self::size(&oldest);
        }
    }
}

fn size(kept: &Kept) -> usize {
    kept.body.len() + kept.link.as_ref().map_or(0, HeaderValue::len) + kept.etag.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(etag: &str, bytes: usize) -> Kept {
        Kept { etag: etag.to_owned(), link: None, body: Bytes::from(vec![0; bytes]) }
    }

    #[test]
    fn an_answer_is_its_tokens_own() {
        let etags = Etags::default();
        etags.put(Name::of("ann", "/issues/1"), kept("a", 1));
        assert!(etags.get(&Name::of("ann", "/issues/1")).is_some());
        assert!(etags.get(&Name::of("ben", "/issues/1")).is_none());
        assert!(etags.get(&Name::of("ann", "/issues/2")).is_none());
        assert_ne!(Name::of("a", "b/c"), Name::of("ab", "/c"));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let etags = Etags::default();
        let name = |n: usize| Name::of("token", &n.to_string());
        let mebibyte = 1024 * 1024;
        for n in 0..40 {
            etags.put(name(n), kept("a", mebibyte));
            etags.get(&name(0));
        }
        let held: Vec<usize> = (0..40).filter(|n| etags.get(&name(*n)).is_some()).collect();
        assert!((30..=32).contains(&held.len()), "{held:?}");
        assert!(held.contains(&0), "what is asked for stays");
        assert!(held.contains(&39) && !held.contains(&1));

        etags.put(name(0), kept("b", 5 * mebibyte));
        assert_eq!(etags.get(&name(0)), None, "an answer that is too large replaces the older one by nothing");
        let shelf = etags.0.lock().expect("no test panics while it counts");
        assert_eq!(shelf.bytes, shelf.answers.iter().map(|(_, kept)| size(kept)).sum::<usize>());
    }
}

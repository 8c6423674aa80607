//! Under which name a repository was last seen that was given under an older one. GitHub leads reads from the old name to the new
//! one, and a write as well, but counts both as writes: so the new name is remembered.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use lru::LruCache;

/// So many renamed repositories are remembered; beyond it, the one that was not asked for longest is asked about again.
const NAMES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_023);

/// The present paths of repositories by the paths that connections give.
pub(super) struct Names(Mutex<LruCache<String, String>>);

impl Default for Names {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(NAMES_MAX)))
    }
}

impl Names {
    /// The path under which the repository is to be called.
    pub(super) fn present(&self, given: &str) -> String {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(given).cloned().unwrap_or_else(|| given.to_owned())
    }

    /// The repository was seen under this path.
    pub(super) fn seen(&self, given: &str, present: String) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given.eq_ignore_ascii_case(&present) {
            names.pop(given);
        } else {
            names.put(given.to_owned(), present);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_name_is_remembered() {
        let names = Names::default();
        names.seen("/repos/acme/app", "/repos/Acme/App".into());
        assert_eq!(names.present("/repos/acme/app"), "/repos/acme/app");
        names.seen("/repos/acme/app", "/repos/acme/new".into());
        assert_eq!(names.present("/repos/acme/app"), "/repos/acme/new");
        names.seen("/repos/acme/app", "/repos/acme/app".into());
        assert_eq!(names.present("/repos/acme/app"), "/repos/acme/app");
    }
}

//! The manifests that are at hand: those that are built in, and those of the user's own directory.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock},
};

use super::Manifest;
use crate::located::{Location, Problem, Problems};

/// The files below `connectors/manifests`, as name and text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/manifests.rs"));

/// The most manifests of a directory.
pub const MANIFESTS_MAX: usize = 200;

static BUILT_IN: LazyLock<BTreeMap<String, Arc<Manifest>>> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| {
        // A test of this file reads every manifest that is built in.
        let manifest = Manifest::parse(text, Path::new(name)).unwrap_or_else(|problems| panic!("{problems}"));
        (manifest.spec().provider.clone(), Arc::new(manifest))
    };
    FILES.iter().map(read).collect()
});

/// The manifests that are built in, by their provider's name.
pub fn built_in() -> &'static BTreeMap<String, Arc<Manifest>> {
    &BUILT_IN
}

/// Manifests of the user's own, by their provider's name. One with the name of a manifest that is built in takes its place; the name of
/// a provider that is no manifest cannot be taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue(BTreeMap<String, Arc<Manifest>>);

impl Catalogue {
    /// Reads manifests, each a path for messages and a text.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read<'t>(
        files: impl IntoIterator<Item = (&'t Path, &'t str)>,
        coded: &[&str],
    ) -> Result<Self, Vec<Problems>> {
        let mut own: BTreeMap<String, Arc<Manifest>> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (path, text) in files {
            match Manifest::parse(text, path) {
                Err(problems) => wrong.push(problems),
                Ok(manifest) => {
                    let name = manifest.spec().provider.clone();
                    let taken = own.contains_key(&name) || coded.contains(&name.as_str()) || own.len() >= MANIFESTS_MAX;
                    if taken {
                        wrong.push(taken_name(path, &name, own.len()));
                    } else {
                        own.insert(name, Arc::new(manifest));
                    }
                }
            }
        }
        if wrong.is_empty() { Ok(Self(own)) } else { Err(wrong) }
    }

    /// The manifest of a provider.
    pub fn get(&self, provider: &str) -> Option<&Arc<Manifest>> {
        self.0.get(provider).or_else(|| built_in().get(provider))
    }

    /// The names of all manifests, those that are built in among them.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().chain(built_in().keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn taken_name(path: &Path, name: &str, count: usize) -> Problems {
    let (message, remedy) = if count >= MANIFESTS_MAX {
        (format!("there are more than {MANIFESTS_MAX} manifests"), "keep those that are used".to_owned())
    } else {
        (format!("the provider `{name}` exists already"), "give this one another name".to_owned())
    };
    let problem = Problem { at: Location { line: 1, column: 1 }, path: "provider".to_owned(), message, remedy };
    Problems { file: path.to_owned(), list: vec![problem] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_that_is_built_in_is_good_and_named_as_its_file() {
        for (name, text) in FILES {
            let manifest = Manifest::parse(text, Path::new(name)).unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(*name, format!("{}.yaml", manifest.spec().provider));
        }
        assert!(built_in().contains_key("zendesk-users"));
    }

    #[test]
    fn names_are_taken_once() {
        let text = FILES[0].1;
        let name = Manifest::parse(text, Path::new("a")).expect("a manifest").spec().provider.clone();
        let (a, b) = (Path::new("a.yaml"), Path::new("b.yaml"));
        assert!(Catalogue::read([(a, text)], &[]).is_ok(), "a manifest that is built in may be replaced");
        assert!(Catalogue::read([(a, text), (b, text)], &[]).is_err());
        assert!(Catalogue::read([(a, text)], &[&name]).is_err());
        let several = Catalogue::read([(a, "x: 1"), (b, "y: 1")], &[]).expect_err("two bad files");
        assert_eq!(several.len(), 2);
    }
}

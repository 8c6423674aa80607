//! The `manifests` key: a directory of the user's own manifests, each of which adds a provider.

use std::path::PathBuf;

use syncline_connectors::{
    located::Problem,
    manifest::{Catalogue, FILE_BYTES_MAX, MANIFESTS_MAX},
    registry::PROVIDERS,
};

use super::{secret::Resolver, spot::Spot};

/// Reads the directory. What is wrong with a manifest is reported at the key, with its own file, line and column.
pub(super) fn read(spot: Option<&Spot<'_>>, resolver: Resolver<'_>) -> Catalogue {
    let Some((spot, text)) = spot.and_then(|spot| Some((spot, spot.text()?))) else { return Catalogue::default() };
    let directory = resolver.path(&text);
    let unreadable = |path: &PathBuf, error: std::io::Error| {
        let remedy = "name an existing directory whose files this user may read";
        spot.problem(format!("{} cannot be read: {error}", path.display()), remedy);
    };
    let paths = match resolver.environment.manifests(&directory) {
        Ok(paths) => paths,
        Err(error) => {
            unreadable(&directory, error);
            return Catalogue::default();
        }
    };
    if paths.len() > MANIFESTS_MAX {
        spot.problem(format!("there are {} manifests", paths.len()), format!("keep at most {MANIFESTS_MAX}"));
        return Catalogue::default();
    }
    let mut files = Vec::new();
    for path in paths {
        match resolver.environment.file(&path, FILE_BYTES_MAX) {
            Ok(text) => files.push((path, text)),
            Err(error) => unreadable(&path, error),
        }
    }
    let coded: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
    let texts = files.iter().map(|(path, text)| (path.as_path(), text.as_str()));
    Catalogue::read(texts, &coded).unwrap_or_else(|wrong| {
        for problems in wrong {
            let file = problems.file.display();
            for Problem { at, path, message, remedy } in &problems.list {
                let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
                spot.problem(format!("{file}:{}:{}: {path}{message}", at.line, at.column), remedy.clone());
            }
        }
        Catalogue::default()
    })
}

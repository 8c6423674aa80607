//! Secrets: named in the file, never written in it, and never shown.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use super::spot::Spot;

/// The keys of a secret.
pub(super) const KEYS: &[&str] = &["env", "file"];
/// The largest secret file that is read; a token has a few hundred bytes, a private key a few thousand.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// A secret text. It is shown by nothing; [`Secret::expose`] marks the places that use it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret that was made rather than configured, such as a sandbox's token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Where secrets come from; passed in, so that reading a configuration is a function of its inputs.
pub trait Environment {
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// A text file, at most `bytes_max` long.
    ///
    /// # Errors
    /// The system's error, or `InvalidData` when the file is too long or not UTF-8.
    fn file(&self, path: &Path, bytes_max: usize) -> io::Result<String>;

    /// The YAML files of a directory, by name. An environment without directories has none.
    ///
    /// # Errors
    /// The system's error.
    fn manifests(&self, _directory: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path, bytes_max: usize) -> io::Result<String> {
        use io::Read as _;
        let mut text = String::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
        if text.len() > bytes_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {bytes_max} bytes")));
        }
        Ok(text)
    }

    fn manifests(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
            if is_yaml && path.is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }
}

/// An environment of fixed variables and no files: for the demo, whose secrets are made up on the spot, and for tests.
#[derive(Clone, Default)]
pub struct FixedEnvironment(BTreeMap<String, String>);

impl FixedEnvironment {
    /// An environment with these variables.
    pub fn new<K: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for FixedEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment for FixedEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn file(&self, _path: &Path, _bytes_max: usize) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// What secrets are resolved with: the environment and the directory that relative paths start from.
#[derive(Clone, Copy)]
pub(super) struct Resolver<'a> {
    pub(super) environment: &'a dyn Environment,
    pub(super) directory: &'a Path,
}

impl Resolver<'_> {
    /// A path as written in the configuration, relative to the configuration's own directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.directory.join(text)
    }

    /// Reads `{env: NAME}` or `{file: PATH}`. No message of this function repeats a value that could be a secret.
    pub(super) fn secret(&self, spot: &Spot<'_>) -> Option<Secret> {
        if !spot.is_map() {
            spot.problem(
                "a secret stands in the file itself",
                "put it into an environment variable and write `{env: NAME}`, or into a file and write `{file: PATH}`; \
                 then treat the old one as known to others and replace it",
            );
            return None;
        }
        let table = spot.table(KEYS)?;
        match (table.get("env"), table.get("file")) {
            (Some(name), None) => self.variable(&name),
            (None, Some(path)) => self.file(&path),
            (Some(_), Some(_)) => {
                spot.problem("`env` and `file` are both given", "keep one of them");
                None
            }
            (None, None) => {
                spot.problem("no source of the secret is given", "write `{env: NAME}` or `{file: PATH}`");
                None
            }
        }
    }

    fn variable(&self, spot: &Spot<'_>) -> Option<Secret> {
        let name = spot.text()?;
        if name.contains('=') || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            spot.problem(
                "this is not the name of an environment variable",
                "write a name such as `SYNCLINE_SECRETS_KEY`",
            );
            return None;
        }
        match self.environment.variable(&name) {
            Some(value) if !value.trim().is_empty() => Some(Secret::new(value.trim())),
            Some(_) => {
                spot.problem(
                    format!("the environment variable `{name}` is empty"),
                    format!("set `{name}` before starting"),
                );
                None
            }
            None => {
                spot.problem(
                    format!("the environment variable `{name}` is not set"),
                    format!("set it before starting: `export {name}=…`"),
                );
                None
            }
        }
    }

    fn file(&self, spot: &Spot<'_>) -> Option<Secret> {
        let path = self.path(&spot.text()?);
        match self.environment.file(&path, FILE_BYTES_MAX) {
            Ok(text) if !text.trim().is_empty() => Some(Secret::new(text.trim())),
            Ok(_) => {
                spot.problem(format!("the secret file {} is empty", path.display()), "write the secret into it");
                None
            }
            Err(error) => {
                spot.problem(
                    format!("the secret file {} cannot be read: {error}", path.display()),
                    "check the path and that this user may read the file",
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_by_nothing() {
        let environment = FixedEnvironment::new([("NAME", "swordfish")]);
        for shown in [format!("{:?}", Secret::new("swordfish")), format!("{environment:?}")] {
            assert!(!shown.contains("swordfish"), "{shown}");
        }
    }
}

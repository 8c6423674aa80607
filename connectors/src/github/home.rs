//! The connection's repository itself: under which number and name it is known now, and whether it has issues.

use serde::Deserialize;
use syncline_core::remote::{ProviderError, Remedy};

use super::session::Session;
use crate::rest::{Answer, Call};

/// The repository as it is now. Its path may be an older name of it: GitHub leads from there to the present one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Home {
    /// Its number, which renames do not change.
    pub(super) id: u64,
    /// Owner and name, as GitHub spells them.
    pub(super) full_name: String,
    /// Whether issues are switched on.
    #[serde(default = "yes")]
    has_issues: bool,
}

fn yes() -> bool {
    true
}

impl Home {
    /// Looks at the repository. Cheap: GitHub is only asked whether the last answer still holds.
    pub(super) async fn look(session: &Session<'_>) -> Result<Self, ProviderError> {
        Ok(Self::answer(session).await?.0)
    }

    /// The same, with the answer that shows it.
    pub(super) async fn answer(session: &Session<'_>) -> Result<(Self, Answer), ProviderError> {
        // Under the name that the connection gives: somebody else's repository may have taken it since.
        let answer = session.get_again(Call::get(session.given.clone())).await.map_err(|error| match error.remedy {
            Remedy::Gone => ProviderError {
                remedy: Remedy::Configure,
                message: format!(
                    "the repository `{}` is not there, or the token may not see it: correct the connection's `base_url`, or \
                     give the token read and write access to the repository's issues ({})",
                    session.given, error.message
                ),
            },
            _ => error,
        })?;
        let home: Self = answer.json()?;
        session.names.seen(&session.given, format!("{}/repos/{}", session.site.prefix, home.full_name));
        Ok((home, answer))
    }

    /// The same, where issues are to be found in it.
    pub(super) async fn with_issues(session: &Session<'_>) -> Result<Self, ProviderError> {
        let home = Self::look(session).await?;
        if home.has_issues {
            return Ok(home);
        }
        Err(ProviderError {
            remedy: Remedy::Configure,
            message: format!("issues are switched off in `{}`: switch them on in its settings", home.full_name),
        })
    }

    /// Whether a path of the API lies inside this repository, under its number or its present name.
    pub(super) fn holds(&self, path: &str, prefix: &str) -> bool {
        let Some(path) = path.strip_prefix(prefix) else { return false };
        let inside = |root: &str| {
            path.get(..root.len()).is_some_and(|head| head.eq_ignore_ascii_case(root))
                && path[root.len()..].starts_with('/')
        };
        inside(&format!("/repositories/{}", self.id)) || inside(&format!("/repos/{}", self.full_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_inside_the_repository_names_it_by_number_or_name() {
        let home = Home { id: 123, full_name: "acme/App".to_owned(), has_issues: true };
        let cases = [
            ("/repositories/123/issues/7", "", true),
            ("/repos/acme/app/issues/7", "", true),
            ("/repos/acme/app2/issues/7", "", false),
            ("/repositories/1234/issues/7", "", false),
            ("/repositories/123", "", false),
            ("/repos/other/app/issues/7", "", false),
            ("/api/v3/repositories/123/issues/7", "/api/v3", true),
            ("/repositories/123/issues/7", "/api/v3", false),
        ];
        for (path, prefix, expected) in cases {
            assert_eq!(home.holds(path, prefix), expected, "{path}");
        }
    }
}

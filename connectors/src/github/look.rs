//! Objects by id, and what became of those that are not where they were: GitHub tells a transfer to another repository (301), a
//! deletion (410), and what we may not see or what never was (404) apart.

use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, RemoteObject},
    time::Millis,
};

use super::{
    home::Home,
    rows::{self, Kind, Shape},
    session::{Session, astray},
};
use crate::rest::Call;

/// An object leads to its repository's new name in one step; more are followed, within reason.
const REDIRECTS_MAX: usize = 3;

/// What an id stands for now.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// An object, as GitHub shows it.
    Here(Value),
    /// Nothing any more: deleted, or in another repository now. GitHub said so at this time, where it did say so.
    Gone(Option<Millis>),
}

/// Reads objects by id.
pub(super) async fn by_id(
    session: &Session<'_>,
    shape: Shape<'_>,
    ids: &[ExternalId],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let mut objects = Vec::with_capacity(ids.len());
    for id in ids {
        objects.push(match find(session, shape.kind, id).await? {
            Found::Here(value) => shape.object(value)?.unwrap_or_else(|| rows::gone(id.clone(), None)),
            Found::Gone(told) => rows::gone(id.clone(), told),
        });
    }
    Ok(objects)
}

/// Looks where an id leads. Absences are believed only where the repository itself is seen, with its issues switched on:
/// otherwise a token that lost its access would show everything as deleted.
pub(super) async fn find(session: &Session<'_>, kind: Kind, id: &ExternalId) -> Result<Found, ProviderError> {
    let Some(path) = kind.path(id) else { return Ok(Found::Gone(None)) };
    let mut call = Call::get(session.path(&path));
    for _ in 0..=REDIRECTS_MAX {
        let answer = session.revalidated(call).await?;
        if let Some(path) = session.redirect(&answer)? {
            if !Home::look(session).await?.holds(&path, &session.site.prefix) {
                return Ok(Found::Gone(answer.date()));
            }
            call = Call::get(path);
            continue;
        }
        return match answer.status {
            404 | 410 => {
                Home::with_issues(session).await?;
                Ok(Found::Gone(answer.date().filter(|_| answer.status == 410)))
            }
            _ if answer.is_success() => Ok(Found::Here(answer.json()?)),
            _ => Err(session.classified(&answer)),
        };
    }
    Err(astray("the redirects do not end"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::remote::Remedy;

    use super::{
        super::canned::{Canned, Stage, credentials, home, issue},
        *,
    };

    async fn seven(stage: &Stage) -> Result<String, Remedy> {
        let fields = ["title".to_owned()];
        let (credentials, object, ids) = (credentials(), "issues".into(), ["7".into()]);
        let read = stage.connector.reader().by_id(&credentials, &object, &ids, &fields, false).await;
        let objects = read.map_err(|error| error.remedy)?;
        let [object] = objects.as_slice() else { panic!("{objects:?}") };
        assert_eq!(object.id.as_str(), "7");
        Ok(match (object.deleted, object.version) {
            (false, _) => format!("here: {}", object.fields["title"]),
            (true, Some(_)) => "gone".to_owned(),
            (true, None) => "nowhere".to_owned(),
        })
    }

    const SEVEN: &str = "GET /repos/acme/app/issues/7";

    fn led(to: &str) -> Canned {
        Canned::new(SEVEN, 301, &json!({"message": "Moved Permanently"})).header("location", to)
    }

    fn refused(status: u16, message: &str) -> Canned {
        Canned::new(SEVEN, status, &json!({ "message": message }))
    }

    #[tokio::test]
    async fn what_became_of_an_issue_is_told_apart() {
        let here = || issue(7, "Seven", None);
        let mut pull_request = here();
        pull_request["pull_request"] = json!({});
        let renamed = Canned::new("GET /repos/acme/app", 301, &json!({})).header("location", "/repositories/123");
        let now = json!({"id": 123, "full_name": "acme/new", "has_issues": true});
        let by_number = || Canned::new("GET /repositories/123", 200, &now);
        let without =
            Canned::new("GET /repos/acme/app", 200, &json!({"id": 1, "full_name": "a/b", "has_issues": false}));
        let hidden = Canned::new("GET /repos/acme/app", 404, &json!({"message": "Not Found"}));
        let cases = [
            ("it is there", vec![Canned::new(SEVEN, 200, &here())], Ok("here: \"Seven\"")),
            ("it is a pull request", vec![Canned::new(SEVEN, 200, &pull_request)], Ok("nowhere")),
            ("it was transferred", vec![led("https://api.github.com/repositories/9/issues/1"), home()], Ok("gone")),
            (
                "its repository was renamed",
                vec![
                    led("https://api.github.com/repositories/123/issues/7"),
                    renamed,
                    by_number(),
                    Canned::new("GET /repositories/123/issues/7", 200, &here()),
                ],
                Ok("here: \"Seven\""),
            ),
            ("it was deleted", vec![refused(410, "This issue was deleted"), home()], Ok("gone")),
            ("issues were switched off", vec![refused(410, "Issues are disabled"), without], Err(Remedy::Configure)),
            ("it never was", vec![refused(404, "Not Found"), home()], Ok("nowhere")),
            ("the token lost its access", vec![refused(404, "Not Found"), hidden], Err(Remedy::Configure)),
            ("the token expired", vec![refused(401, "Bad credentials")], Err(Remedy::Refresh)),
            ("it leads to a stranger", vec![led("https://evil.com/issues/7")], Err(Remedy::Configure)),
        ];
        for (name, answers, expected) in cases {
            let stage = Stage::new(answers);
            assert_eq!(seven(&stage).await, expected.map(str::to_owned), "{name}");
            stage.ends();
        }
    }

    #[tokio::test]
    async fn an_answer_that_still_holds_is_not_sent_again() {
        let first = || Canned::new(SEVEN, 200, &issue(7, "One", None)).header("etag", "W/\"a\"");
        let stage = Stage::new([first()]);
        assert_eq!(seven(&stage).await.as_deref(), Ok("here: \"One\""));
        stage.then([Canned::new(SEVEN, 304, &Value::Null).if_none_match("W/\"a\"")]);
        assert_eq!(seven(&stage).await.as_deref(), Ok("here: \"One\""));
        let second = Canned::new(SEVEN, 200, &issue(7, "Two", None)).header("etag", "W/\"b\"");
        stage.then([second.if_none_match("W/\"a\"")]);
        assert_eq!(seven(&stage).await.as_deref(), Ok("here: \"Two\""));
        stage.then([refused(410, "This issue was deleted").if_none_match("W/\"b\""), home()]);
        assert_eq!(seven(&stage).await.as_deref(), Ok("gone"));
        stage.ends();
    }
}

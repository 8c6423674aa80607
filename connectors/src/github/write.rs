//! Writes: one row at a time, since GitHub has no batches. It has no precondition and no key either: text is read just before
//! it is written, and a create looks for its own marker first.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::{Value, json};
use syncline_core::{
    ids::ExternalId,
    remote::{Key, ProviderError, Raw, Remedy, WriteOutcome, WriteRequest, WriteResult, WriteVerb},
};

use super::{
    GitHub,
    books::{self, Reach},
    budgets,
    draft::{self, Draft},
    errors, fields,
    find::bears,
    home::Home,
    look::{self, Found},
    marker, milestones,
    rows::{Kind, Shape},
    session::Session,
};
use crate::{
    connector::{Credentials, Writer},
    registry::scaled,
    rest::{Answer, Call, Outcomes},
};

/// What ends a row early, or its outcome.
type Ended<T> = Result<T, WriteOutcome>;

#[async_trait]
impl Writer for GitHub {
    /// GitHub asks for a second between two writes, and connectors do not wait: each is a call of its own.
    fn batch_max(&self) -> usize {
        1
    }

    fn conditional(&self) -> bool {
        false
    }

    fn calls(&self, requests: &[WriteRequest]) -> u32 {
        requests.iter().map(calls).sum()
    }

    async fn write(&self, credentials: &Credentials, requests: &[WriteRequest], fields: &[String]) -> Vec<WriteResult> {
        let mut outcomes = Outcomes::default();
        let session = match self.session(credentials) {
            Ok(session) => session,
            Err(error) => {
                outcomes.settle_all(&requests.iter().collect::<Vec<_>>(), &WriteOutcome::NotApplied(error));
                return outcomes.finish(requests);
            }
        };
        for row in requests {
            let outcome = match outcomes.halt() {
                Some(error) => WriteOutcome::NotApplied(error),
                None => write(&session, row, fields).await.unwrap_or_else(|ended| ended),
            };
            outcomes.settle(row, outcome);
        }
        outcomes.finish(requests)
    }
}

/// The calls of a row when nothing goes wrong.
fn calls(row: &WriteRequest) -> u32 {
    let Ok(kind) = Kind::of(&row.object) else { return 0 };
    let mut draft = Draft::of(kind, &row.body);
    let milestone = u32::from(draft.milestone.is_some());
    match &row.verb {
        WriteVerb::Create { key } => {
            let closes = key.is_none() && !draft.split_state().is_empty();
            1 + milestone + u32::from(key.is_some()) + u32::from(closes)
        }
        WriteVerb::Update { .. } => 1 + milestone + u32::from(draft.touches_text()),
        WriteVerb::Delete { .. } => u32::from(kind == Kind::Comments),
    }
}

async fn write(session: &Session<'_>, row: &WriteRequest, fields: &[String]) -> Ended<WriteOutcome> {
    let kind = Kind::of(&row.object).map_err(WriteOutcome::NotApplied)?;
    let shape = Shape { kind, fields };
    let draft = Draft::of(kind, &row.body);
    match &row.verb {
        WriteVerb::Create { key } => create(session, shape, draft, key.as_ref()).await,
        WriteVerb::Update { id, .. } if draft.issue.is_some() => Ok(Outcomes::refused(
            "immovable",
            format!("comment {id} stays under its issue: GitHub moves no comments"),
            vec!["issue".to_owned()],
        )),
        WriteVerb::Update { id, .. } => update(session, shape, draft, id).await,
        WriteVerb::Delete { id, .. } => delete(session, kind, id).await,
    }
}

/// Creates an object, unless one bears the key already: then that one is written to.
async fn create(session: &Session<'_>, shape: Shape<'_>, mut draft: Draft, key: Option<&Key>) -> Ended<WriteOutcome> {
    if let Some(Key { field, value }) = key {
        fields::check_key(field).map_err(WriteOutcome::NotApplied)?;
        draft = draft.marked(value);
        if let Some(id) = bearer(session, shape.kind, value).await.map_err(WriteOutcome::NotApplied)? {
            draft.issue = None;
            return update(session, shape, draft, &id).await;
        }
    }
    resolve_milestone(session, &mut draft).await?;
    let afterwards = draft.split_state();
    draft.settle_text(marker::Parts { opening: !afterwards.is_empty(), ..marker::Parts::default() });
    let path = match shape.kind {
        Kind::Issues => session.path("/issues"),
        Kind::Comments => comments_of(session, draft.issue.as_ref())?,
    };
    let answer = sent(session, Call::post(path, draft.ready.clone())).await?;
    if !answer.is_success() {
        return not_created(session, shape.kind, &answer).await;
    }
    let made = shown(shape, &answer, true);
    if let (Some(Key { value, .. }), WriteOutcome::Applied { id, .. }) = (key, &made) {
        session.books.made(&session.given, shape.kind, value, id.clone());
    }
    match applied(session, shape, &draft.ready, &answer, true) {
        WriteOutcome::Applied { .. } if !afterwards.is_empty() && key.is_some() => {
            Err(later(session, "the issue was opened, and is closed with the next write"))
        }
        WriteOutcome::Applied { id, object, whole, .. } if !afterwards.is_empty() => {
            let closed = update(session, shape, Draft::ready(afterwards), &id).await.unwrap_or_else(|ended| ended);
            // Nobody would find the issue again: it stands as it was opened.
            let closed = if let WriteOutcome::Applied { object, .. } = closed { object } else { object };
            Ok(WriteOutcome::Applied { id, created: true, object: closed, whole })
        }
        // Nor here: it stands, without what GitHub left out of it.
        WriteOutcome::Refused(refusal) if key.is_none() => {
            tracing::warn!(fields = ?refusal.fields, "GitHub left fields of a new object out: {}", refusal.message);
            Ok(made)
        }
        outcome => Ok(outcome),
    }
}

/// A second write has to wait. Told as if nothing had been done, the row comes again, and does what is left to do.
fn later(session: &Session<'_>, message: &str) -> WriteOutcome {
    let after_ms = scaled(budgets::PACE_MS, session.settings.time_scale);
    let remedy = Remedy::Wait { after_ms: Some(after_ms), budget: budgets::PACE.to_owned() };
    WriteOutcome::NotApplied(ProviderError { remedy, message: message.to_owned() })
}

/// The object that bears the key, if it was made by this process, or is among what was created lately or seen before.
async fn bearer(session: &Session<'_>, kind: Kind, key: &str) -> Result<Option<ExternalId>, ProviderError> {
    if let Some(id) = session.books.made_before(&session.given, kind, key)
        && is_bearer(session, kind, &id, key).await?
    {
        return Ok(Some(id));
    }
    let mut found = books::find(session, kind, &BTreeSet::from([key]), Reach::Recent).await?;
    let Some(id) = found.remove(key) else { return Ok(None) };
    Ok(is_bearer(session, kind, &id, key).await?.then_some(id))
}

/// Whether an object is there and bears the key.
async fn is_bearer(session: &Session<'_>, kind: Kind, id: &ExternalId, key: &str) -> Result<bool, ProviderError> {
    let fields = [marker::FIELD.to_owned()];
    let Found::Here(value) = look::find(session, kind, id).await? else { return Ok(false) };
    Ok(Shape { kind, fields: &fields }.object(value)?.is_some_and(|object| bears(&object, key)))
}

async fn update(session: &Session<'_>, shape: Shape<'_>, mut draft: Draft, id: &ExternalId) -> Ended<WriteOutcome> {
    let Some(path) = shape.kind.path(id) else { return Ok(WriteOutcome::Gone) };
    if draft.touches_text() {
        let found = look::find(session, shape.kind, id).await.map_err(WriteOutcome::NotApplied)?;
        let Found::Here(value) = found else { return Ok(WriteOutcome::Gone) };
        draft.settle_text(value.get("body").and_then(Value::as_str).map(marker::read).unwrap_or_default());
    }
    resolve_milestone(session, &mut draft).await?;
    let answer = sent(session, Call::patch(session.path(&path), draft.ready.clone())).await?;
    if answer.is_success() {
        return Ok(applied(session, shape, &draft.ready, &answer, false));
    }
    match refused(session, &answer) {
        Some(outcome) => Ok(outcome),
        None => missing(session, shape.kind, id, &answer).await,
    }
}

async fn delete(session: &Session<'_>, kind: Kind, id: &ExternalId) -> Ended<WriteOutcome> {
    if kind == Kind::Issues {
        return Ok(Outcomes::refused(
            "no_delete",
            format!(
                "issue {id} cannot be deleted over GitHub's REST API: delete it by hand, or write `deletes: {{effect: detach}}` in the model"
            ),
            Vec::new(),
        ));
    }
    let Some(path) = kind.path(id) else { return Ok(WriteOutcome::Gone) };
    let answer = sent(session, Call::delete(session.path(&path))).await?;
    if answer.is_success() {
        return Ok(WriteOutcome::Applied { id: id.clone(), created: false, object: None, whole: false });
    }
    match refused(session, &answer) {
        Some(outcome) => Ok(outcome),
        None => missing(session, kind, id, &answer).await,
    }
}

/// Sends a write. Under an older name of the repository GitHub writes nothing and says where to: the row comes again, and goes to the
/// present name. An answer that leads elsewhere is handed back.
async fn sent(session: &Session<'_>, call: Call) -> Ended<Answer> {
    let answer = session.send(call).await.map_err(Outcomes::lost)?;
    let Some(path) = session.redirect(&answer).map_err(WriteOutcome::NotApplied)? else { return Ok(answer) };
    let home = Home::look(session).await.map_err(WriteOutcome::NotApplied)?;
    if home.holds(&path, &session.site.prefix) {
        return Err(later(session, "the repository has another name now: the next write goes there"));
    }
    Ok(answer)
}

/// What a refusal says by itself; `None` where a look must tell.
fn refused(session: &Session<'_>, answer: &Answer) -> Option<WriteOutcome> {
    Some(match errors::refused(answer)? {
        WriteOutcome::NotApplied(error) => WriteOutcome::NotApplied(session.scaled(answer, error)),
        outcome => outcome,
    })
}

/// The object was not where it was to be written: gone, or there for our eyes only.
async fn missing(session: &Session<'_>, kind: Kind, id: &ExternalId, answer: &Answer) -> Ended<WriteOutcome> {
    match look::find(session, kind, id).await.map_err(WriteOutcome::NotApplied)? {
        Found::Gone(_) => Ok(WriteOutcome::Gone),
        Found::Here(_) => Ok(may_not_write(answer)),
    }
}

async fn not_created(session: &Session<'_>, kind: Kind, answer: &Answer) -> Ended<WriteOutcome> {
    if let Some(outcome) = refused(session, answer) {
        return Ok(outcome);
    }
    Home::with_issues(session).await.map_err(WriteOutcome::NotApplied)?;
    Ok(match kind {
        Kind::Issues => may_not_write(answer),
        Kind::Comments => Outcomes::refused("gone", "the comment's issue is not there", vec!["issue".to_owned()]),
    })
}

fn may_not_write(answer: &Answer) -> WriteOutcome {
    WriteOutcome::NotApplied(ProviderError {
        remedy: Remedy::Configure,
        message: format!(
            "HTTP {}: the token may read but not write: give it write access to the repository's issues",
            answer.status
        ),
    })
}

/// The path of an issue's comments.
fn comments_of(session: &Session<'_>, issue: Option<&Value>) -> Ended<String> {
    let number = issue.and_then(|issue| match issue {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    });
    let Some(number) = number else {
        return Err(Outcomes::refused(
            "missing_field",
            "a comment needs the number of its issue",
            vec!["issue".to_owned()],
        ));
    };
    Ok(session.path(&format!("/issues/{number}/comments")))
}

/// Puts the number of the milestone in the place of its title.
async fn resolve_milestone(session: &Session<'_>, draft: &mut Draft) -> Ended<()> {
    let Some(title) = draft.milestone.take() else { return Ok(()) };
    let number = milestones::number(session, &title).await.map_err(WriteOutcome::NotApplied)?;
    let Some(number) = number else {
        return Err(Outcomes::refused(
            "unknown_milestone",
            "the repository has no milestone of this title: create it there",
            vec!["milestone".to_owned()],
        ));
    };
    draft.ready.insert("milestone".to_owned(), json!(number));
    Ok(())
}

/// How a write ended that GitHub accepted. What it left out without a word counts as refused, so that nobody takes its absence for
/// somebody's edit; the rest was written, and writing it again changes nothing.
fn applied(session: &Session<'_>, shape: Shape<'_>, sent: &Raw, answer: &Answer, created: bool) -> WriteOutcome {
    let value: Value = match answer.json() {
        Ok(value) => value,
        Err(error) => return WriteOutcome::Unknown { message: error.message },
    };
    let dropped = draft::dropped(sent, &value);
    if dropped.is_empty() {
        return shown(shape, answer, created);
    }
    let message = format!(
        "GitHub took the write and left out {}: the token needs write access to `{}`, assignees must be able to work on it, and a \
         reason goes with a change of state only",
        dropped.join(", "),
        session.repository
    );
    Outcomes::refused("left_out", message, dropped)
}

/// The object as the answer shows it.
fn shown(shape: Shape<'_>, answer: &Answer, created: bool) -> WriteOutcome {
    match answer.json().and_then(|value| shape.object(value)) {
        Ok(Some(object)) => {
            WriteOutcome::Applied { id: object.id.clone(), created, object: Some(Box::new(object)), whole: false }
        }
        Ok(None) => Outcomes::refused("pull_request", "this is a pull request, not an issue", Vec::new()),
        Err(error) => WriteOutcome::Unknown { message: error.message },
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::canned::{Canned, Stage, credentials, home, issue},
        *,
    };

    const NEWEST: &str = "GET /repos/acme/app/issues?state=all&sort=created&direction=desc&per_page=100";
    const SEVEN: &str = "/repos/acme/app/issues/7";
    const MARKED: &str = "Text\n\n<!-- syncline:k -->";

    fn row(verb: WriteVerb, body: Value) -> WriteRequest {
        let Value::Object(body) = body else { panic!("a body is an object") };
        WriteRequest { object: "issues".into(), verb, body, trace: 0 }
    }

    fn create() -> WriteVerb {
        WriteVerb::Create { key: Some(Key { field: marker::FIELD.into(), value: "k".into() }) }
    }

    fn update() -> WriteVerb {
        WriteVerb::Update { id: "7".into(), expected: None }
    }

    fn name(outcome: &WriteOutcome) -> String {
        match outcome {
            WriteOutcome::Applied { id, created, .. } => {
                format!("{} {id}", if *created { "created" } else { "written" })
            }
            WriteOutcome::NotApplied(error) => format!("not applied: {:?}", error.remedy),
            WriteOutcome::Refused(refusal) => format!("refused: {} {:?}", refusal.code, refusal.fields),
            WriteOutcome::Unknown { .. } => "unknown".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    async fn check(case: &str, answers: Vec<Canned>, verb: WriteVerb, body: Value, expected: &str) {
        let stage = Stage::new(answers);
        let writer = stage.connector.writer().expect("GitHub is written to");
        let row = row(verb, body);
        let fields = ["title".to_owned(), "body".to_owned()];
        let results = writer.write(&credentials(), std::slice::from_ref(&row), &fields).await;
        assert_eq!(results.iter().map(|result| name(&result.outcome)).collect::<Vec<_>>(), [expected], "{case}");
        stage.ends();
    }

    fn get(body: &Value) -> Canned {
        Canned::new(&format!("GET {SEVEN}"), 200, body)
    }

    fn patch(status: u16, body: &Value) -> Canned {
        Canned::new(&format!("PATCH {SEVEN}"), status, body)
    }

    fn post(status: u16, body: &Value) -> Canned {
        Canned::new("POST /repos/acme/app/issues", status, body)
    }

    #[tokio::test]
    async fn a_create_looks_for_its_marker_first() {
        let none = || Canned::new(NEWEST, 200, &json!([]));
        let one = || Canned::new(NEWEST, 200, &json!([issue(7, "T", Some(MARKED))]));
        let made = issue(7, "T", Some(MARKED));
        let sent = json!({"title": "T", "body": MARKED});
        let body = || json!({"title": "T", "body": "Text"});
        let made_anew = vec![none(), post(201, &made).sent(sent.clone())];
        check("nobody bears it", made_anew, create(), body(), "created 7").await;
        let found = vec![one(), get(&made), get(&made), patch(200, &made).sent(sent.clone())];
        check("somebody bears it", found, create(), body(), "written 7").await;
        let bare = issue(7, "T", None);
        let lost = vec![one(), get(&bare), post(201, &issue(8, "T", Some(MARKED))).sent(sent)];
        check("somebody has taken it out", lost, create(), body(), "created 8").await;
    }

    #[tokio::test]
    async fn an_issue_is_closed_by_a_write_of_its_own() {
        let open = issue(7, "T", Some(MARKED));
        let mut closed = open.clone();
        closed["state"] = json!("closed");
        let whole = || json!({"title": "T", "body": "Text", "state": "closed"});
        let none = Canned::new(NEWEST, 200, &json!([]));
        let opening = "Text\n\n<!-- syncline:k opening -->";
        let opened = vec![none, post(201, &open).sent(json!({"title": "T", "body": opening}))];
        let wait = "not applied: Wait { after_ms: Some(1500), budget: \"one write at a time\" }";
        check("first it is opened", opened, create(), whole(), wait).await;
        let one = Canned::new(NEWEST, 200, &json!([open]));
        let sent = json!({"title": "T", "body": MARKED, "state": "closed"});
        let found = vec![one, get(&open), get(&open), patch(200, &closed).sent(sent)];
        check("then it is found again", found, create(), whole(), "written 7").await;

        let bare = || WriteVerb::Create { key: None };
        let at_once = || patch(200, &closed).sent(json!({"state": "closed"}));
        check("without a marker", vec![post(201, &open), at_once()], bare(), whole(), "created 7").await;
        let half = vec![post(201, &open), patch(403, &json!({"message": "No"}))];
        check("whatever comes of it", half, bare(), whole(), "created 7").await;
    }

    #[tokio::test]
    async fn what_was_just_made_is_found_before_lists_show_it() {
        let open = issue(7, "T", Some(MARKED));
        let mut closed = open.clone();
        closed["state"] = json!("closed");
        let none = Canned::new(NEWEST, 200, &json!([]));
        let stage = Stage::new([none, post(201, &open), get(&open), get(&open), patch(200, &closed)]);
        let row = row(create(), json!({"title": "T", "body": "Text", "state": "closed"}));
        let mut ends = Vec::new();
        for _ in 0..2 {
            let writer = stage.connector.writer().expect("GitHub is written to");
            let results = writer.write(&credentials(), std::slice::from_ref(&row), &[]).await;
            ends.extend(results.iter().map(|result| name(&result.outcome)));
        }
        assert_eq!(ends[1], "written 7", "{ends:?}");
        stage.ends();
    }

    #[tokio::test]
    async fn an_update_keeps_the_marker() {
        let present = issue(7, "T", Some(MARKED));
        let sent = json!({"body": "New\n\n<!-- syncline:k -->"});
        let answers = vec![get(&present), patch(200, &present).sent(sent)];
        check("the text", answers, update(), json!({"body": "New"}), "written 7").await;
        let answers = vec![patch(200, &present).sent(json!({"title": "T"}))];
        check("anything else", answers, update(), json!({"title": "T"}), "written 7").await;
    }

    #[tokio::test]
    async fn what_is_left_out_without_a_word_is_refused() {
        let shown = issue(7, "T", None);
        let labels = || json!({"title": "T", "labels": ["bug"]});
        let answers = vec![patch(200, &shown)];
        check("an update", answers, update(), labels(), "refused: left_out [\"labels\"]").await;
        let answers = vec![Canned::new(NEWEST, 200, &json!([])), post(201, &shown)];
        check("a create that is found again", answers, create(), labels(), "refused: left_out [\"labels\"]").await;
        let answers = vec![post(201, &shown)];
        check("a create that is not", answers, WriteVerb::Create { key: None }, labels(), "created 7").await;
    }

    #[tokio::test]
    async fn milestones_go_by_their_titles() {
        let list = "GET /repos/acme/app/milestones?state=all&per_page=100";
        let milestones = || Canned::new(list, 200, &json!([{"number": 2, "title": "v2"}]));
        let mut shown = issue(7, "T", None);
        shown["milestone"] = json!({"number": 2, "title": "v2"});
        let answers = vec![milestones(), patch(200, &shown).sent(json!({"milestone": 2}))];
        check("one that is there", answers, update(), json!({"milestone": "v2"}), "written 7").await;
        let refused = "refused: unknown_milestone [\"milestone\"]";
        check("one that is not", vec![milestones()], update(), json!({"milestone": "v3"}), refused).await;
    }

    #[tokio::test]
    async fn a_write_that_finds_nothing_is_looked_into() {
        let title = || json!({"title": "T"});
        let message = |text: &str| json!({ "message": text });
        let gone = Canned::new(&format!("GET {SEVEN}"), 410, &message("This issue was deleted"));
        check("deleted", vec![patch(410, &message("Gone")), gone, home()], update(), title(), "gone").await;
        let there = vec![patch(404, &message("Not Found")), get(&issue(7, "T", None))];
        check("read only", there, update(), title(), "not applied: Configure").await;
        let to = "https://api.github.com/repositories/9/issues/1";
        let moved = || patch(301, &message("Moved")).header("location", to);
        let led = Canned::new(&format!("GET {SEVEN}"), 301, &message("Moved")).header("location", to);
        check("transferred", vec![moved(), home(), led, home()], update(), title(), "gone").await;
        check("a server's fault", vec![patch(502, &message("Server Error"))], update(), title(), "unknown").await;
        let delete = WriteVerb::Delete { id: "7".into(), expected: None };
        check("a delete", vec![], delete, json!({}), "refused: no_delete []").await;
    }

    #[tokio::test]
    async fn a_renamed_repository_is_written_to_under_its_new_name() {
        let moved = patch(307, &json!({"message": "Moved"})).header("location", "/repositories/123/issues/7");
        let old = Canned::new("GET /repos/acme/app", 301, &json!({})).header("location", "/repositories/123");
        let now = Canned::new("GET /repositories/123", 200, &json!({"id": 123, "full_name": "acme/new"}));
        let again = Canned::new("PATCH /repos/acme/new/issues/7", 200, &issue(7, "T", None));
        let stage = Stage::new([moved, old, now, again]);
        let row = row(update(), json!({"title": "T"}));
        let mut ends = Vec::new();
        for _ in 0..2 {
            let writer = stage.connector.writer().expect("GitHub is written to");
            let results = writer.write(&credentials(), std::slice::from_ref(&row), &[]).await;
            ends.extend(results.iter().map(|result| name(&result.outcome)));
        }
        assert_eq!(ends, ["not applied: Wait { after_ms: Some(1500), budget: \"one write at a time\" }", "written 7"]);
        stage.ends();
    }

    #[test]
    fn the_calls_of_a_row_are_known() {
        let cases = [
            (update(), json!({"title": "T"}), 1),
            (update(), json!({"body": "B", "milestone": "v2"}), 3),
            (create(), json!({"title": "T", "body": "B"}), 2),
            (create(), json!({"title": "T", "state": "closed"}), 2),
            (WriteVerb::Create { key: None }, json!({"title": "T", "state": "closed"}), 2),
            (WriteVerb::Create { key: None }, json!({"title": "T", "state": "open"}), 1),
            (WriteVerb::Delete { id: "7".into(), expected: None }, json!({}), 0),
        ];
        for (verb, body, expected) in cases {
            assert_eq!(calls(&row(verb, body.clone())), expected, "{body}");
        }
    }
}

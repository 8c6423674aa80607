//! `syncline issues`: what waits for a person or for a provider to come right, explained, and tried again.

use std::io;

use clap::{Args, Subcommand};
use serde_json::json;
use syncline_client::{Api, At, Issue, IssueNotReplayed, IssueQuery, Page};

use super::{
    failure::Failure,
    output::{Item, Output, Tone},
    paging::Paging,
    records::more,
    target::Target,
};
use crate::issues::IssueKind;

/// How many issues one call tries again.
const REPLAYS_PER_CALL: u32 = 100;

/// The arguments of `issues`.
#[derive(Args)]
pub(crate) struct Issues {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List what waits for a person or for a provider to come right.
    List {
        #[command(flatten)]
        which: Which,
        /// Show the words in which each was reported too; they may quote values of records.
        #[arg(long)]
        details: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Say who, what, when, why, and what to do.
    Explain {
        /// The issue.
        id: String,
        /// Show the words in which it was reported too; they may quote values of the record.
        #[arg(long)]
        details: bool,
    },
    /// Try again what an issue, or every issue of a kind, is about.
    Replay {
        /// The issue.
        #[arg(required_unless_present = "kind", conflicts_with = "kind")]
        id: Option<String>,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args)]
struct Which {
    /// Only of this kind.
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<String>,
    /// Only of this connection.
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<String>,
}

fn kinds() -> clap::builder::PossibleValuesParser {
    IssueKind::ALL.map(IssueKind::as_str).into()
}

impl From<Which> for IssueQuery {
    fn from(Which { kind, connection }: Which) -> Self {
        Self { kind, connection }
    }
}

impl Issues {
    /// Does what the verb says.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let api = self.target.connect()?;
        match self.verb {
            Verb::List { which, details, paging } => {
                let query = which.into();
                let page = paging.collect(async |at: At| api.issues(&query, details, &at).await).await?;
                Ok(output.show(&page, table)?)
            }
            Verb::Explain { id, details } => Ok(output.show(&api.issue(&id, details).await?, explain)?),
            Verb::Replay { id: Some(id), .. } => {
                api.replay_issue(&id).await?;
                Ok(output.show(&json!({"id": id}), |output, _| output.line(format!("{id} is tried again")))?)
            }
            Verb::Replay { id: None, which } => replay_all(&api, &which.into(), output).await,
        }
    }
}

async fn replay_all(api: &Api, query: &IssueQuery, output: Output) -> Result<(), Failure> {
    let (mut replayed, mut refused, mut cursor) = (0, Vec::new(), None);
    loop {
        let at = At { cursor, limit: Some(REPLAYS_PER_CALL) };
        let answer = api.replay_issues(query, &at).await?;
        replayed += answer.replayed;
        refused.extend(answer.refused);
        cursor = answer.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let result = json!({"replayed": replayed, "refused": refused});
    Ok(output.show(&result, |output, _| {
        output.line(format!("{replayed} are tried again"))?;
        let rows = refused.iter().map(|IssueNotReplayed { id, reason }| vec![Item::text(id), Item::text(reason)]);
        if refused.is_empty() { Ok(()) } else { output.table(&["issue", "why not"], rows.collect(), "") }
    })?)
}

fn table(output: Output, page: &Page<Issue>) -> io::Result<()> {
    let rows = page.items.iter().map(|issue| {
        vec![
            Item::text(&issue.kind).tone(if issue.replayable { Tone::Bad } else { Tone::Warn }),
            Item::maybe(issue.connection.as_ref()),
            Item::maybe(issue.record.as_ref().map(ToString::to_string).or_else(|| issue.external_id.clone())),
            Item::maybe(issue.field.as_ref()),
            Item::maybe(issue.since.as_ref()).tone(Tone::Dim),
            Item::maybe(issue.error.as_ref().or(issue.code.as_ref())),
            Item::text(&issue.command).tone(Tone::Dim),
        ]
    });
    let head = ["kind", "connection", "record or object", "field", "since", "error", "what to do"];
    output.table(&head, rows.collect(), "nothing waits for anybody")?;
    more(output, page.next_cursor.as_deref())
}

fn explain(output: Output, issue: &Issue) -> io::Result<()> {
    output.line(&issue.cause)?;
    let row = |what: &str, value: Option<String>| {
        value.map(|value| vec![Item::text(what).tone(Tone::Dim), Item::text(value)])
    };
    let record = issue.record.map(|record| match &issue.model {
        Some(model) => format!("{model} {record}"),
        None => record.to_string(),
    });
    let rows = [
        row("kind", Some(issue.kind.clone())),
        row("tenant", Some(issue.tenant.clone())),
        row("sync", issue.sync.clone()),
        row("record", record),
        row("connection", issue.connection.clone()),
        row("object", issue.object.clone()),
        row("object id", issue.external_id.clone()),
        row("field", issue.field.clone()),
        row("since", issue.since.clone()),
        row("attempts", issue.attempts.map(|attempts| attempts.to_string())),
        row("deletes", issue.deletes.map(|deletes| deletes.to_string())),
        row("code", issue.code.clone()),
        row("error", issue.error.clone()),
        row("shown at", Some(issue.resource.clone())),
        row("what to do", Some(issue.remedy.clone())),
        row("command", Some(issue.command.clone())),
    ];
    output.table(&["", ""], rows.into_iter().flatten().collect(), "")
}

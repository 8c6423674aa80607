//! `syncline conflicts`: list and settle conflicts.

use std::io;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use syncline_client::{At, Candidate, Choice, Conflict, ConflictQuery, ConflictState, Page, RecordId};

use super::{
    failure::Failure,
    fields::json_or_text,
    output::{Item, Output, Tone, plain},
    paging::Paging,
    records::more,
    target::Target,
};

/// The arguments of `conflicts`.
#[derive(Args)]
pub(crate) struct Conflicts {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List conflicts, oldest first.
    List {
        /// In which state.
        #[arg(long, value_enum, default_value_t = State::Open)]
        state: State,
        /// Only of this model's records.
        #[arg(long, value_name = "MODEL")]
        model: Option<String>,
        /// Only of this record.
        #[arg(long, value_name = "ID")]
        record: Option<RecordId>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a conflict.
    Get {
        /// The conflict.
        id: i64,
    },
    /// Settle a conflict: confirm the winner, bring back the loser, or set another value.
    Resolve(Resolve),
}

#[derive(Args)]
#[command(group(ArgGroup::new("choice").required(true).args(["winner", "loser", "value"])))]
struct Resolve {
    /// The conflict.
    id: i64,
    /// The value that won stays.
    #[arg(long)]
    winner: bool,
    /// The value that lost is brought back.
    #[arg(long)]
    loser: bool,
    /// Another value, as JSON or plain text.
    #[arg(long, value_name = "VALUE")]
    value: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    /// Nobody has looked yet.
    Open,
    /// Settled by somebody.
    Resolved,
    /// Both.
    All,
}

impl From<State> for ConflictState {
    fn from(state: State) -> Self {
        match state {
            State::Open => Self::Open,
            State::Resolved => Self::Resolved,
            State::All => Self::All,
        }
    }
}

impl Resolve {
    /// The argument group makes sure that exactly one is given.
    fn choice(&self) -> Choice {
        match &self.value {
            Some(value) => Choice::Value(json_or_text(value)),
            None if self.loser => Choice::Loser,
            None => Choice::Winner,
        }
    }
}

impl Conflicts {
    /// Does what the verb says.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let api = self.target.connect()?;
        match self.verb {
            Verb::List { state, model, record, paging } => {
                let query = ConflictQuery { state: state.into(), model, record };
                let page = paging.collect(async |at: At| api.conflicts(&query, &at).await).await?;
                Ok(output.show(&page, table)?)
            }
            Verb::Get { id } => Ok(output.show(&api.conflict(id).await?, show)?),
            Verb::Resolve(resolve) => {
                let conflict = api.resolve_conflict(resolve.id, &resolve.choice()).await?;
                Ok(output.show(&conflict, show)?)
            }
        }
    }
}

fn table(output: Output, page: &Page<Conflict>) -> io::Result<()> {
    let rows = page.items.iter().map(|conflict| {
        let tone = if conflict.state == "open" { Tone::Warn } else { Tone::Dim };
        vec![
            Item::number(conflict.id),
            Item::text(&conflict.model),
            Item::text(conflict.record),
            Item::text(&conflict.field),
            Item::text(candidate(&conflict.winner)).tone(Tone::Good),
            Item::text(candidate(&conflict.loser)),
            Item::text(reason(conflict)).tone(Tone::Dim),
            Item::text(&conflict.state).tone(tone),
        ]
    });
    let head = ["id", "model", "record", "field", "won", "lost", "because", "state"];
    output.table(&head, rows.collect(), "there are no conflicts")?;
    more(output, page.next_cursor.as_deref())
}

fn show(output: Output, conflict: &Conflict) -> io::Result<()> {
    output.line(format!(
        "conflict {} of {} {}, field {}",
        conflict.id, conflict.model, conflict.record, conflict.field
    ))?;
    let row = |what: &str, tone: Tone, side: &Candidate| {
        vec![
            Item::text(what).tone(Tone::Dim),
            Item::text(plain(&side.value)).tone(tone),
            Item::text(&side.origin),
            Item::text(&side.written_at).tone(Tone::Dim),
        ]
    };
    let rows = vec![row("won", Tone::Good, &conflict.winner), row("lost", Tone::Plain, &conflict.loser)];
    output.table(&["", "value", "written by", "at"], rows, "")?;
    output.line(format!("because of {}, decided {}", reason(conflict), conflict.decided_at))?;
    match &conflict.resolution {
        Some(resolution) => {
            output.line(format!("resolved by {} at {}: {}", resolution.by, resolution.at, resolution.choice))
        }
        None => output.line(
            Tone::Dim
                .paint(&format!("open: syncline conflicts resolve {} --winner | --loser | --value …", conflict.id)),
        ),
    }
}

fn candidate(side: &Candidate) -> String {
    format!("{} ({})", plain(&side.value), side.origin)
}

fn reason(conflict: &Conflict) -> String {
    if conflict.uncertain { format!("{}, uncertain", conflict.reason) } else { conflict.reason.clone() }
}

//! `syncline deliveries`: writes that wait or were given up, and trying them again.

use std::io;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use syncline_client::{At, Delivery, DeliveryQuery, DeliveryState, Page, RecordId, Standing};

use super::{
    failure::Failure,
    output::{Item, Output, Tone},
    paging::Paging,
    records::more,
    target::Target,
};

/// The arguments of `deliveries`.
#[derive(Args)]
pub(crate) struct Deliveries {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List deliveries.
    List {
        /// In which state.
        #[arg(long, value_enum, default_value_t = State::Parked)]
        state: State,
        /// Only to this connection.
        #[arg(long, value_name = "CONNECTION")]
        connection: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Try a delivery that was given up again.
    Replay {
        /// The record.
        record: RecordId,
        /// The connection.
        connection: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    /// Given up until somebody looks.
    Parked,
    /// Yet to be sent.
    Dirty,
}

impl From<State> for DeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Parked => Self::Parked,
            State::Dirty => Self::Dirty,
        }
    }
}

impl Deliveries {
    /// Does what the verb says.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let api = self.target.connect()?;
        match self.verb {
            Verb::List { state, connection, paging } => {
                let query = DeliveryQuery { state: state.into(), connection };
                let page = paging.collect(async |at: At| api.deliveries(&query, &at).await).await?;
                Ok(output.show(&page, table)?)
            }
            Verb::Replay { record, connection } => {
                api.replay_delivery(record, &connection).await?;
                let done = json!({"record": record, "connection": connection, "due": "now"});
                Ok(output.show(&done, |output, _| output.line(format!("{record} is sent to {connection} again")))?)
            }
        }
    }
}

fn table(output: Output, page: &Page<Delivery>) -> io::Result<()> {
    let rows = page.items.iter().map(|delivery| {
        let (state, tone, when, why) = match &delivery.standing {
            Standing::Clean => ("clean", Tone::Good, String::new(), String::new()),
            Standing::Dirty { due, attempts, error } => {
                let why = error.as_ref().map_or_else(String::new, |error| format!("attempt {attempts}: {error}"));
                ("dirty", Tone::Plain, due.clone(), why)
            }
            Standing::Parked { reason, since } => ("parked", Tone::Bad, since.clone(), reason.clone()),
        };
        vec![
            Item::text(&delivery.connection),
            Item::text(&delivery.object),
            Item::maybe(delivery.external_id.as_ref()),
            Item::text(delivery.record),
            Item::text(state).tone(tone),
            Item::text(when).tone(Tone::Dim),
            Item::text(why),
        ]
    });
    let head = ["connection", "object", "id", "record", "state", "due or since", "why"];
    output.table(&head, rows.collect(), "there are none")?;
    more(output, page.next_cursor.as_deref())
}

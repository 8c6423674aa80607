//! What is installed beside a table so that its changes can be followed, and how it is taken away again. Every step is a statement
//! that an administrator may run instead.

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Executor as _};
use syncline_core::{
    ids::ObjectName,
    remote::{ProviderError, Remedy},
};

use super::{
    Postgres,
    database::Database,
    errors,
    settings::Wanted,
    table::{Capture, TRIGGERS, Table, quoted},
};
use crate::connector::{Credentials, Installer, Step};

/// The oldest server whose snapshots can be kept as positions.
const VERSION_MIN: i32 = 130_000;

/// The function behind all triggers. It looks up the key's columns when it runs, so that a column can be renamed without a thought
/// of it; and it runs with its owner's rights, so that nobody who writes to the table needs any to the log.
const NOTE: &str = include_str!("note.sql");

/// The statements that make what all tables share.
const SHARED: [(&str, &str); 5] = [
    ("a schema of its own, so that nothing of yours is touched", "CREATE SCHEMA IF NOT EXISTS syncline"),
    (
        "the log: which row of which table was changed, when, by which transaction, and whether by Syncline",
        "CREATE TABLE IF NOT EXISTS syncline.changes (object oid NOT NULL, id text, deleted boolean NOT NULL, author text, \
         at timestamptz NOT NULL, xid xid8 NOT NULL DEFAULT pg_current_xact_id(), \
         place bigint GENERATED ALWAYS AS IDENTITY)",
    ),
    (
        "an index by which the log is read",
        "CREATE INDEX IF NOT EXISTS changes_by_xid ON syncline.changes (object, xid, place)",
    ),
    (
        "an index by which the last change of a row is found",
        "CREATE INDEX IF NOT EXISTS changes_by_id ON syncline.changes (object, id, at)",
    ),
    (
        "how far the log of each table reaches back",
        "CREATE TABLE IF NOT EXISTS syncline.kept (object oid PRIMARY KEY, log uuid NOT NULL DEFAULT gen_random_uuid(), \
         since timestamptz NOT NULL, shortened xid8)",
    ),
];

/// The triggers: their names, and when they run.
const NOTED: [(&str, &str); TRIGGERS as usize] = [
    ("syncline_note_insert", "AFTER INSERT ON {} REFERENCING NEW TABLE AS syncline_new"),
    ("syncline_note_update", "AFTER UPDATE ON {} REFERENCING OLD TABLE AS syncline_old NEW TABLE AS syncline_new"),
    ("syncline_note_delete", "AFTER DELETE ON {} REFERENCING OLD TABLE AS syncline_old"),
    ("syncline_note_truncate", "AFTER TRUNCATE ON {}"),
];

#[async_trait]
impl Installer for Postgres {
    async fn install(&self, credentials: &Credentials, objects: &[ObjectName]) -> Result<Vec<Step>, ProviderError> {
        let database = self.database(credentials)?;
        let server = Server::look(&database).await?;
        if server.version < VERSION_MIN {
            let message = format!("the server's version is {}: 13 or newer is needed", server.version / 10_000);
            return Err(ProviderError { remedy: Remedy::Configure, message });
        }
        let mut steps = Vec::new();
        for object in objects {
            let table = database.look_at_table(object).await?;
            if table.capture != Capture::None {
                if matches!(table.capture, Capture::Decoding { .. }) {
                    advise(&server, &mut steps);
                }
                continue;
            }
            let hindrance = server.hinders_decoding(&database, &table).await?;
            match (self.settings.capture, hindrance) {
                (Wanted::Triggers, _) | (Wanted::Auto, Some(_)) => by_triggers(&table, &server, &mut steps),
                (_, None) => by_decoding(&table, &server, &mut steps),
                (Wanted::Decoding, Some(hindrance)) => {
                    let message = format!("the log of {} cannot be decoded: {hindrance}", table.name);
                    return Err(ProviderError { remedy: Remedy::Configure, message });
                }
            }
        }
        Ok(steps)
    }

    async fn uninstall(&self, credentials: &Credentials, objects: &[ObjectName]) -> Result<Vec<Step>, ProviderError> {
        let database = self.database(credentials)?;
        let server = Server::look(&database).await?;
        let mut steps = Vec::new();
        let mut others: i64 = server.tables;
        for object in objects {
            let table = database.look_at_table(object).await?;
            if table.capture == Capture::Triggers {
                without_triggers(&table, &mut steps);
                others -= 1;
            }
            if matches!(table.capture, Capture::Decoding { .. }) {
                without_decoding(&table, &mut steps);
            }
        }
        if server.tables > 0 && others <= 0 {
            steps.push(step("the log, which no table uses any more", "DROP SCHEMA syncline CASCADE".to_owned()));
        }
        Ok(steps)
    }

    async fn carry_out(&self, credentials: &Credentials, step: &Step) -> Result<(), ProviderError> {
        let Some(statement) = &step.statement else { return Ok(()) };
        let database = self.database(credentials)?;
        let done = database.pool.execute(AssertSqlSafe(statement.as_str())).await;
        done.map(drop).map_err(|error| {
            let error = errors::classify(&error);
            ProviderError { message: format!("{}: {}", step.what, error.message), ..error }
        })
    }
}

/// What the server and our user allow.
struct Server {
    version: i32,
    /// Our user.
    user: String,
    /// How many tables' changes are noted by triggers.
    tables: i64,
    /// Why no log can be decoded, whatever the table.
    hindrance: Option<&'static str>,
    /// Whether a slot that nobody reads may fill the server's disk.
    unlimited: bool,
}

/// What the server says of decoding: the level of its log, our right to it, free slots, our right to publish, the limit of what a
/// slot keeps.
const DECODING: &str = "
SELECT current_setting('wal_level') = 'logical',
       (SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.rolname = current_user),
       (SELECT count(*) FROM pg_replication_slots) < current_setting('max_replication_slots')::int,
       has_database_privilege(current_database(), 'CREATE'),
       current_setting('max_slot_wal_keep_size') = '-1'";

/// Whether the table is ours, and its log names the rows by their key.
const PUBLISHABLE: &str = "
SELECT pg_has_role(c.relowner, 'USAGE'), c.relreplident IN ('d', 'f') AND c.relpersistence = 'p'
FROM pg_class c WHERE c.oid = $1::oid";

impl Server {
    async fn look(database: &Database) -> Result<Self, ProviderError> {
        let failed = |error: sqlx::Error| errors::classify(&error);
        let (version, user, has_log): (i32, String, bool) = sqlx::query_as(
            "SELECT current_setting('server_version_num')::int, current_user::text, \
             to_regclass('syncline.kept') IS NOT NULL",
        )
        .fetch_one(&database.pool)
        .await
        .map_err(failed)?;
        let tables = match has_log {
            false => 0,
            true => sqlx::query_scalar("SELECT count(*) FROM syncline.kept")
                .fetch_one(&database.pool)
                .await
                .map_err(failed)?,
        };
        let (logical, replicates, free, creates, unlimited): (bool, bool, bool, bool, bool) =
            sqlx::query_as(DECODING).fetch_one(&database.pool).await.map_err(failed)?;
        let hindrance = match (logical, replicates, free, creates) {
            (false, ..) => Some("the server's `wal_level` is not `logical`"),
            (_, false, ..) => Some("our user has not the attribute REPLICATION"),
            (_, _, false, _) => Some("all of the server's `max_replication_slots` are used"),
            (_, _, _, false) => Some("our user may not create a publication in the database"),
            _ => None,
        };
        Ok(Self { version, user, tables, hindrance, unlimited })
    }

    /// Why the log of a table cannot be decoded; `None` where it can.
    async fn hinders_decoding(
        &self,
        database: &Database,
        table: &Table,
    ) -> Result<Option<&'static str>, ProviderError> {
        if self.hindrance.is_some() {
            return Ok(self.hindrance);
        }
        let (owned, named): (bool, bool) = sqlx::query_as(PUBLISHABLE)
            .bind(table.oid)
            .fetch_one(&database.pool)
            .await
            .map_err(|error| errors::classify(&error))?;
        Ok(match (owned, named) {
            (false, _) => Some("our user does not own the table, and so may not publish it"),
            (_, false) => Some("the table's replica identity is neither its primary key nor the whole row"),
            _ => None,
        })
    }
}

/// The steps by which triggers come to note a table's changes. What all tables share is made once.
fn by_triggers(table: &Table, server: &Server, steps: &mut Vec<Step>) {
    if !steps.iter().any(|step| step.statement.as_deref() == Some(NOTE)) {
        steps.extend(SHARED.map(|(what, statement)| step(what, statement.to_owned())));
        steps.push(step("the function that notes what a statement has changed", NOTE.to_owned()));
        let user = quoted(&server.user);
        let grants = format!(
            "GRANT USAGE ON SCHEMA syncline TO {user}; GRANT SELECT, DELETE ON syncline.changes TO {user}; \
             GRANT SELECT, UPDATE ON syncline.kept TO {user}"
        );
        steps.push(step("the right of Syncline's user to read the log, and to shorten it", grants));
    }
    let name = &table.name;
    let triggers: String = NOTED
        .iter()
        .map(|(trigger, when)| {
            let when = when.replace("{}", name);
            format!(
                "DROP TRIGGER IF EXISTS {trigger} ON {name}; \
                 CREATE TRIGGER {trigger} {when} FOR EACH STATEMENT EXECUTE FUNCTION syncline.note(); "
            )
        })
        .collect();
    steps.push(step(
        &format!("triggers that note the changes of {name}; its writers wait for a moment"),
        triggers.trim_end_matches("; ").to_owned(),
    ));
    // After the triggers: what they did not see was before.
    let begin = format!(
        "DELETE FROM syncline.changes WHERE object = {0}; DELETE FROM syncline.kept WHERE object = {0}; \
         INSERT INTO syncline.kept (object, since) VALUES ({0}, date_trunc('milliseconds', clock_timestamp()))",
        table.oid
    );
    steps.push(step(&format!("the beginning of the log of {name}"), begin));
}

/// The steps by which a table's changes come to be decoded. The slot comes last, because no change is kept before.
fn by_decoding(table: &Table, server: &Server, steps: &mut Vec<Step>) {
    let (name, slot) = (&table.name, &table.slot);
    let publication =
        format!("CREATE PUBLICATION {} FOR TABLE {name} WITH (publish_via_partition_root = true)", quoted(slot));
    steps.push(step(&format!("a publication of {name}"), publication));
    let kept = format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')");
    steps.push(step(
        &format!("a replication slot of {name}: from then on the server keeps its log until Syncline has read it"),
        kept,
    ));
    advise(server, steps);
}

/// Says, once, that a slot which nobody reads may fill the server's disk.
fn advise(server: &Server, steps: &mut Vec<Step>) {
    if server.unlimited && !steps.iter().any(|step| step.statement.is_none()) {
        steps.push(Step {
            what: "set `max_slot_wal_keep_size` of the server, to 10GB for instance: without it a slot that nobody reads, because \
                   Syncline was stopped for good, fills the server's disk"
                .to_owned(),
            statement: None,
        });
    }
}

fn without_decoding(table: &Table, steps: &mut Vec<Step>) {
    let (name, slot) = (&table.name, &table.slot);
    let dropped = format!("SELECT pg_drop_replication_slot('{slot}')");
    steps.push(step(&format!("the replication slot of {name}, and the log that the server keeps for it"), dropped));
    steps.push(step(&format!("the publication of {name}"), format!("DROP PUBLICATION IF EXISTS {}", quoted(slot))));
}

fn without_triggers(table: &Table, steps: &mut Vec<Step>) {
    let name = &table.name;
    let dropped: Vec<String> =
        NOTED.iter().map(|(trigger, _)| format!("DROP TRIGGER IF EXISTS {trigger} ON {name}")).collect();
    steps.push(step(&format!("the triggers of {name}"), dropped.join("; ")));
    let forgotten = format!(
        "DELETE FROM syncline.changes WHERE object = {0}; DELETE FROM syncline.kept WHERE object = {0}",
        table.oid
    );
    steps.push(step(&format!("what was noted of {name}"), forgotten));
}

fn step(what: &str, statement: String) -> Step {
    Step { what: what.to_owned(), statement: Some(statement) }
}

//! The stable name of one issue: what it is about, not what is wrong with it.

use std::{fmt, str::FromStr};

use syncline_core::ids::{ConnectionId, FieldName, RecordId};

use crate::store::quarantine::QuarantineId;

/// The name of an issue. Names that users choose hold no dot, so a dot parts them; the last part may hold anything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IssueId {
    /// A connection as a whole.
    Connection(ConnectionId),
    /// One side of a sync.
    Side {
        /// The sync.
        sync: String,
        /// The side.
        connection: ConnectionId,
    },
    /// A field of the provider's object.
    RemoteField {
        /// The sync that maps it.
        sync: String,
        /// The side.
        connection: ConnectionId,
        /// The provider's name of the field.
        field: String,
    },
    /// A record's delivery to a connection.
    Delivery {
        /// The connection.
        connection: ConnectionId,
        /// The record.
        record: RecordId,
    },
    /// One field of such a delivery.
    Field {
        /// The connection.
        connection: ConnectionId,
        /// The record.
        record: RecordId,
        /// The model's field.
        field: FieldName,
    },
    /// A quarantined row.
    Row(QuarantineId),
    /// Deletes of a sync that are held back.
    Deletes {
        /// The sync.
        sync: String,
        /// The connection that showed them; `None`: the product's own clients asked for them.
        connection: Option<ConnectionId>,
    },
    /// A record's document.
    Document(RecordId),
}

impl fmt::Display for IssueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(connection) => write!(f, "connection.{connection}"),
            Self::Side { sync, connection } => write!(f, "sync.{sync}.{connection}"),
            Self::RemoteField { sync, connection, field } => write!(f, "schema.{sync}.{connection}.{field}"),
            Self::Delivery { connection, record } => write!(f, "delivery.{connection}.{record}"),
            Self::Field { connection, record, field } => write!(f, "field.{connection}.{record}.{field}"),
            Self::Row(row) => write!(f, "row.{}", row.0),
            Self::Deletes { sync, connection: Some(connection) } => write!(f, "deletes.{sync}.{connection}"),
            Self::Deletes { sync, connection: None } => write!(f, "deletes.{sync}"),
            Self::Document(record) => write!(f, "document.{record}"),
        }
    }
}

/// The text names no issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of an issue: take one from `syncline issues list`")]
pub struct NoIssue;

impl FromStr for IssueId {
    type Err = NoIssue;

    fn from_str(text: &str) -> Result<Self, NoIssue> {
        let (what, rest) = text.split_once('.').ok_or(NoIssue)?;
        let mut parts = rest.splitn(3, '.');
        let (first, second, third) = (parts.next().filter(|part| !part.is_empty()), parts.next(), parts.next());
        let first = first.ok_or(NoIssue)?;
        let record = |text: Option<&str>| text.and_then(|text| text.parse::<RecordId>().ok()).ok_or(NoIssue);
        match (what, second, third) {
            ("connection", None, None) => Ok(Self::Connection(first.into())),
            ("sync", Some(connection), None) => Ok(Self::Side { sync: first.into(), connection: connection.into() }),
            ("schema", Some(connection), Some(field)) => {
                Ok(Self::RemoteField { sync: first.into(), connection: connection.into(), field: field.into() })
            }
            ("delivery", second, None) => Ok(Self::Delivery { connection: first.into(), record: record(second)? }),
            ("field", second, Some(field)) => {
                Ok(Self::Field { connection: first.into(), record: record(second)?, field: field.into() })
            }
            ("row", None, None) => Ok(Self::Row(QuarantineId(first.parse().map_err(|_| NoIssue)?))),
            ("deletes", connection, None) => {
                Ok(Self::Deletes { sync: first.into(), connection: connection.map(ConnectionId::from) })
            }
            ("document", None, None) => Ok(Self::Document(record(Some(first))?)),
            _ => Err(NoIssue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_what_it_names() {
        let record = RecordId(uuid::Uuid::max());
        for id in [
            IssueId::Connection("acme-crm".into()),
            IssueId::Side { sync: "contacts".into(), connection: "acme-crm".into() },
            IssueId::RemoteField { sync: "contacts".into(), connection: "acme-crm".into(), field: "a.b__c".into() },
            IssueId::Delivery { connection: "acme-crm".into(), record },
            IssueId::Field { connection: "acme-crm".into(), record, field: "first_name".into() },
            IssueId::Row(QuarantineId(7)),
            IssueId::Deletes { sync: "contacts".into(), connection: Some("acme-crm".into()) },
            IssueId::Deletes { sync: "contacts".into(), connection: None },
            IssueId::Document(record),
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in [
            "",
            "row",
            "row.x",
            "row.1.2",
            "document.7",
            "deletes",
            "deletes.a.b.c",
            "connection.",
            "delivery.acme-crm.no-uuid",
            "field.a.b",
            "sync.a",
        ] {
            assert_eq!(text.parse::<IssueId>(), Err(NoIssue), "{text}");
        }
    }
}

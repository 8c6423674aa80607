//! Cause, remedy and command of each kind of issue. The words name things and quote no value, so that they may be logged,
//! mailed and shown to anybody who operates the service.

use super::{Issue, IssueKind};

/// The longest code of a provider that is shown.
const CODE_LEN_MAX: usize = 64;

impl Issue {
    /// What happened, in a sentence.
    pub fn cause(&self) -> String {
        let connection = self.connection.as_ref().map_or("?", |connection| connection.as_str());
        let object = self.object.as_ref().map_or("object", |object| object.as_str());
        let field = self.field.as_deref().unwrap_or("?");
        let sync = self.sync.as_deref().unwrap_or("?");
        match self.kind {
            IssueKind::AuthorizationRevoked => format!(
                "the provider no longer takes the credentials of connection `{connection}`: nothing is read from it or written to \
                 it, and what it is owed is kept"
            ),
            IssueKind::SyncPaused => format!("sync `{sync}` was paused for connection `{connection}` by a person"),
            IssueKind::SyncWaitingApproval => {
                format!("sync `{sync}` has read `{connection}` and waits for a person to allow its first write")
            }
            IssueKind::SyncDegraded => {
                format!("sync `{sync}` cannot do all of its work with `{connection}`, and goes on trying")
            }
            IssueKind::RemoteFieldMissing => format!(
                "the field `{field}` of {object} in `{connection}` was removed, hidden from our user, or has another type: it is \
                 neither read nor written, nothing was cleared anywhere, and the other fields go on"
            ),
            IssueKind::DeliveryParked => format!("the write to {object} in `{connection}` was given up"),
            IssueKind::DeliveryUncertain => format!(
                "the answer to a write to {object} in `{connection}` was lost: once the request can no longer take effect, the object \
                 is read to see what became of it"
            ),
            IssueKind::DeliveryFailing => {
                format!("the write to {object} in `{connection}` fails again and again, and is tried on")
            }
            IssueKind::FieldRefused => format!(
                "the value of `{field}` cannot be written to {object} in `{connection}`: the provider or the mapping refuses it; the \
                 other fields go on"
            ),
            IssueKind::FieldFlapping => format!(
                "our own writes of `{field}` to {object} in `{connection}` alternate between two values with no edit between them: \
                 two systems insist on different values"
            ),
            IssueKind::FieldUndecided => {
                format!("`{field}` has concurrent values, and its policy leaves the choice to a person")
            }
            IssueKind::FieldWaiting => {
                format!("the value of `{field}` waits until {object} in `{connection}` has a field for it again")
            }
            IssueKind::ObjectQuarantined => {
                format!("{object} of `{connection}` could not be taken in; the others go on")
            }
            IssueKind::ObjectAmbiguous => {
                format!(
                    "{object} of `{connection}` could be several records, or belongs to another one; nothing was linked"
                )
            }
            IssueKind::DeletesHeld => {
                let (number, seen) = (self.deletes.unwrap_or_default(), match &self.connection {
                    Some(connection) => format!("objects of `{connection}` are gone"),
                    None => "records were deleted by the product's clients".to_owned(),
                });
                format!(
                    "{number} {seen} at once, more than sync `{sync}` lets pass without a person: none of it was carried out in \
                     another system, and edits go on"
                )
            }
            IssueKind::DocumentDamaged => {
                "the record's document is damaged, and its log does not prove what it was: nothing is written of the record to any \
                 account, readings of it wait in quarantine, and all other records go on"
                    .to_owned()
            }
        }
    }

    /// What to do, in a sentence.
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            IssueKind::AuthorizationRevoked => {
                "authorise the connection again: put new credentials into the configuration and restart, or let the account's \
                 administrator give the grant back; work goes on by itself then"
            }
            IssueKind::SyncPaused => "resume it when it may go on",
            IssueKind::SyncWaitingApproval => "look at what it would do with `syncline plan`, then approve it",
            IssueKind::SyncDegraded => {
                "read the error with `--details`; it ends by itself once the provider works again, unless it names something to \
                 configure"
            }
            IssueKind::RemoteFieldMissing => {
                "bring the field back, give our user access to it, or take it out of the mapping; after a wanted change of type adapt \
                 the mapping and reset the sync"
            }
            IssueKind::DeliveryParked => "read the error with `--details`, mend its cause, then replay",
            IssueKind::DeliveryUncertain => "wait: it is settled by a reading within the request deadline and one look",
            IssueKind::DeliveryFailing => {
                "look at the provider's status; it is tried on for about eight hours, then given up"
            }
            IssueKind::FieldRefused => {
                "change the value, the provider's rule or the mapping; a changed value is tried by itself, else replay"
            }
            IssueKind::FieldFlapping => {
                "find what changes the value back there (a workflow, a rule), then edit the field once to choose, or replay"
            }
            IssueKind::FieldUndecided => "choose a value: list the record's conflicts and resolve them",
            IssueKind::FieldWaiting => {
                "see the issue of the provider's field; it is sent by itself once the field is back"
            }
            IssueKind::ObjectQuarantined => {
                "mend the object at the provider or the mapping; a mended object is read by itself, else replay"
            }
            IssueKind::ObjectAmbiguous => {
                "link it to the record that it is, or separate it as a record of its own; or make the match unique in one of the \
                 systems and replay"
            }
            IssueKind::DeletesHeld => {
                "look at where they came from; `syncline syncs approve` carries them out, `syncline syncs reject` brings back what is \
                 gone; each object is read once more before that"
            }
            IssueKind::DocumentDamaged => {
                "restore a backup if the whole database is in doubt; replay if its log was mended; else rebuild it with \
                 `--from-values`, as a new history with the values that stand"
            }
        }
    }

    /// The command that does it, or that shows what to do it with.
    pub fn command(&self) -> String {
        let sync = self.sync.as_deref().unwrap_or("<sync>");
        let side = self.connection.as_ref().map(|side| format!(" --connection {side}")).unwrap_or_default();
        match self.kind {
            IssueKind::SyncPaused => format!("syncline syncs resume {sync}{side}"),
            IssueKind::SyncWaitingApproval => format!("syncline syncs approve {sync}{side}"),
            IssueKind::DeletesHeld => format!("syncline syncs status {sync}"),
            IssueKind::DocumentDamaged => match (&self.model, &self.record) {
                (Some(model), Some(record)) => format!("syncline records rebuild {model} {record}"),
                _ => format!("syncline issues replay {}", self.id),
            },
            IssueKind::FieldUndecided => match &self.record {
                Some(record) => format!("syncline conflicts list --record {record}"),
                None => "syncline conflicts list".to_owned(),
            },
            IssueKind::DeliveryUncertain => format!("syncline issues explain {}", self.id),
            IssueKind::SyncDegraded | IssueKind::DeliveryFailing => {
                format!("syncline issues explain {} --details", self.id)
            }
            IssueKind::FieldWaiting => {
                format!("syncline issues list --kind {}", IssueKind::RemoteFieldMissing.as_str())
            }
            _ => format!("syncline issues replay {}", self.id),
        }
    }

    /// The provider's code, where the error begins with one, such as `STRING_TOO_LONG`. A code quotes no value.
    pub fn code(&self) -> Option<&str> {
        code_of(self.error.as_deref()?)
    }

    /// Where the API shows what the issue is about.
    pub fn resource(&self) -> String {
        let connection = self.connection.as_ref().map_or("?", |connection| connection.as_str());
        match (&self.kind, &self.model, &self.record, &self.sync) {
            (IssueKind::FieldUndecided, _, Some(record), _) => format!("/v1/conflicts?record={record}"),
            (_, Some(model), Some(record), _) => format!("/v1/records/{model}/{record}"),
            (IssueKind::ObjectQuarantined | IssueKind::ObjectAmbiguous, ..) => {
                format!("/v1/quarantine?connection={connection}")
            }
            (IssueKind::AuthorizationRevoked, ..) | (_, _, _, None) => format!("/v1/connections/{connection}"),
            (_, _, _, Some(sync)) => format!("/v1/syncs/{sync}"),
        }
    }
}

/// The provider's code that an error's words begin with, if they do.
pub fn code_of(error: &str) -> Option<&str> {
    let error = error
        .split_once(" attempts: ")
        .filter(|(head, _)| head.starts_with("gave up after"))
        .map_or(error, |(_, rest)| rest);
    error.split_once(':').map(|(code, _)| code).filter(|code| is_code(code))
}

/// Whether the words are a code, which quotes no value.
pub fn is_code(words: &str) -> bool {
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | ' ');
    // A single word in capitals may be somebody's name; codes are made of several, or are an HTTP status.
    let telling = words.contains('_') && !words.contains(' ') || words.starts_with("HTTP ");
    telling && words.len() <= CODE_LEN_MAX && words.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issues::IssueId;

    fn issue(error: &str) -> Issue {
        Issue {
            id: IssueId::Connection("acme-crm".into()),
            kind: IssueKind::DeliveryParked,
            tenant: "acme".into(),
            sync: None,
            model: None,
            record: None,
            connection: Some("acme-crm".into()),
            object: None,
            external_id: None,
            field: None,
            since: None,
            attempts: None,
            deletes: None,
            error: Some(error.to_owned()),
        }
    }

    #[test]
    fn a_code_is_shown_and_nothing_that_may_be_a_value() {
        for (error, code) in [
            ("STRING_TOO_LONG: data value too large: Ann", Some("STRING_TOO_LONG")),
            ("gave up after 20 attempts: UNABLE_TO_LOCK_ROW: busy", Some("UNABLE_TO_LOCK_ROW")),
            ("HTTP 503: SERVER_UNAVAILABLE", Some("HTTP 503")),
            ("Ann Miller: not found", None),
            ("ANN: not found", None),
            ("ann@example.com", None),
            ("", None),
        ] {
            assert_eq!(issue(error).code(), code, "{error}");
        }
    }
}

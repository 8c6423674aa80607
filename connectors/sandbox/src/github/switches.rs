//! The switches of this emulator: what the product always does, and what goes wrong now and then.
//!
//! The mishaps of requests strike the integration alone, so that the edits of a test's users arrive.

use crate::faults::FaultSpec;

/// Requests of the integration are metered.
pub(crate) const RATE_LIMITS: &str = "rate_limits";
/// Writes must lie a second apart.
pub(crate) const WRITE_INTERVAL: &str = "write_interval";
/// The integration may push, and so label and assign.
pub(crate) const PUSH_ACCESS: &str = "push_access";
/// A list since the epoch is empty.
pub(crate) const SINCE_EPOCH_EMPTY: &str = "since_epoch_empty";
/// Long lists are walked by cursor.
pub(crate) const CURSOR_LINKS: &str = "cursor_links";
/// Titles are trimmed.
pub(crate) const TITLE_TRIMMED: &str = "title_trimmed";
/// The browser writes CRLF.
pub(crate) const BROWSER_CRLF: &str = "browser_crlf";

/// Labels, assignees and milestone are dropped without a word.
pub(crate) const SILENT_DROP: &str = "silent_drop";
/// An empty body comes back as an empty text.
pub(crate) const EMPTY_BODY_TEXT: &str = "empty_body_text";
/// The reason of a reopening comes back as null.
pub(crate) const REOPENED_NULL: &str = "reopened_null";
/// A secondary limit strikes.
pub(crate) const SECONDARY_LIMITED: &str = "secondary_limited";
/// A refusal does not say how long to wait.
pub(crate) const NO_RETRY_AFTER: &str = "no_retry_after";
/// The primary limit strikes.
pub(crate) const RATE_LIMITED: &str = "rate_limited";
/// A token dies before its time.
pub(crate) const EARLY_TOKEN_EXPIRY: &str = "early_token_expiry";
/// The platform fails before it does anything.
pub(crate) const UNAVAILABLE: &str = "unavailable";
/// The platform does it, and the answer is lost.
pub(crate) const RESPONSE_LOST: &str = "response_lost";
/// A row of a list lacks what every row has.
pub(crate) const MALFORMED_ROW: &str = "malformed_row";
/// A delivery never leaves, and stands as failed.
pub(crate) const WEBHOOK_LOST: &str = "webhook_lost";
/// A delivery is sent twice.
pub(crate) const WEBHOOK_DUPLICATED: &str = "webhook_duplicated";
/// Deliveries overtake each other.
pub(crate) const WEBHOOK_REORDERED: &str = "webhook_reordered";
/// A delivery is sent much later.
pub(crate) const WEBHOOK_DELAYED: &str = "webhook_delayed";
/// A delivery is signed with another secret.
pub(crate) const WEBHOOK_FORGED: &str = "webhook_forged";
/// An edit is told without what it changed.
pub(crate) const CHANGES_EMPTY: &str = "changes_empty";

/// All of them.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::behaviour(
        RATE_LIMITS,
        "5,000 requests an hour, 900 points a minute, 80 creations a minute and 500 an hour (scaled); beyond that 403 or 429.",
    ),
    FaultSpec::behaviour(WRITE_INTERVAL, "A write within a second (scaled) of the last one meets a secondary limit."),
    FaultSpec::behaviour(PUSH_ACCESS, "The integration may push. Switched off, what needs that is dropped with 201."),
    FaultSpec::behaviour(SINCE_EPOCH_EMPTY, "A list since 1970-01-01T00:00:00Z is empty."),
    FaultSpec::behaviour(
        CURSOR_LINKS,
        "The links of a list of more than 500 rows carry cursors, and name no last page.",
    ),
    FaultSpec::behaviour(TITLE_TRIMMED, "White space at the edges of a title is dropped."),
    FaultSpec::behaviour(BROWSER_CRLF, "A text that a person edits in the browser has CRLF line ends."),
    FaultSpec::fault(SILENT_DROP, 0.0, 0.05, "Labels, assignees and milestone of a new issue are dropped with 201."),
    FaultSpec::fault(EMPTY_BODY_TEXT, 0.1, 0.5, "An empty body comes back as an empty text rather than null."),
    FaultSpec::fault(REOPENED_NULL, 0.1, 0.5, "The state_reason of a reopened issue comes back as null."),
    FaultSpec::fault(SECONDARY_LIMITED, 0.02, 0.08, "A secondary limit strikes for a minute (scaled): 403 or 429."),
    FaultSpec::fault(NO_RETRY_AFTER, 0.0, 0.3, "A refusal by a secondary limit does not say how long to wait."),
    FaultSpec::fault(RATE_LIMITED, 0.0, 0.02, "The primary limit is used up early, for a minute (scaled): 403 or 429."),
    FaultSpec::fault(EARLY_TOKEN_EXPIRY, 0.02, 0.03, "The installation token dies before its hour: 401."),
    FaultSpec::fault(UNAVAILABLE, 0.03, 0.08, "502 with a page or 503 in JSON, before anything was done."),
    FaultSpec::fault(RESPONSE_LOST, 0.05, 0.1, "A write is done, but its answer is a cut connection or a 502 page."),
    FaultSpec::fault(MALFORMED_ROW, 0.0, 0.005, "A listed row lacks its number, or has a text where a list belongs."),
    FaultSpec::fault(WEBHOOK_LOST, 0.05, 0.15, "A delivery never arrives, and stands as failed in the log."),
    FaultSpec::fault(WEBHOOK_DUPLICATED, 0.02, 0.2, "A delivery is sent a second time, with the same GUID."),
    FaultSpec::fault(WEBHOOK_REORDERED, 0.2, 0.5, "A delivery is overtaken by later ones."),
    FaultSpec::fault(WEBHOOK_DELAYED, 0.05, 0.2, "A delivery is sent up to a minute late (scaled)."),
    FaultSpec::fault(WEBHOOK_FORGED, 0.0, 0.05, "A delivery is signed with a secret that is not the webhook's."),
    FaultSpec::fault(CHANGES_EMPTY, 0.05, 0.2, "An edit is told with an empty object of changes."),
];

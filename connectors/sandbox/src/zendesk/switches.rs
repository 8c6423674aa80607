//! The switches of this emulator: what the product always does, and what goes wrong now and then.
//!
//! The mishaps of requests strike the integration alone; an agent in the application, and whoever acts with the user
//! token, is spared, so that the edits of a test's users arrive.

use crate::faults::FaultSpec;

/// Requests of the integration are metered.
pub(crate) const RATE_LIMITS: &str = "rate_limits";
/// Bad basic credentials are answered by an anonymous user.
pub(crate) const ANONYMOUS_ME: &str = "anonymous_me";
/// A new address of a user becomes a second one.
pub(crate) const SECOND_ADDRESS: &str = "second_address";
/// Numbers come back as texts.
pub(crate) const NUMBERS_AS_TEXT: &str = "numbers_as_text";
/// White space separates tags.
pub(crate) const TAGS_SPLIT: &str = "tags_split";
/// A drop-down's value is a tag too.
pub(crate) const TAG_MIRROR: &str = "tag_mirror";
/// Solved tickets close.
pub(crate) const SOLVED_CLOSES: &str = "solved_closes";
/// The newest changes are not exported yet.
pub(crate) const EXPORT_HIDES_LAST_MINUTE: &str = "export_hides_last_minute";
/// A search shows a thousand results.
pub(crate) const SEARCH_CAP: &str = "search_cap";

/// A page of an export is empty although there is more.
pub(crate) const EXPORT_EMPTY_PAGE: &str = "export_empty_page";
/// A page of an export is shorter than it could be.
pub(crate) const EXPORT_SHORT_PAGE: &str = "export_short_page";
/// A page of an export begins with the last row of the page before.
pub(crate) const EXPORT_REPEAT: &str = "export_repeat";
/// A row of a list or export lacks what every row has.
pub(crate) const MALFORMED_ROW: &str = "malformed_row";
/// The platform moves `generated_timestamp`, and nothing else.
pub(crate) const SYSTEM_UPDATE: &str = "system_update";
/// The search index shows a write late.
pub(crate) const INDEX_LAG: &str = "index_lag";
/// A write meets another one.
pub(crate) const CONFLICT: &str = "conflict";
/// A 429 of the account's limit.
pub(crate) const RATE_LIMITED: &str = "rate_limited";
/// A 429 of one endpoint's limit.
pub(crate) const ENDPOINT_LIMITED: &str = "endpoint_limited";
/// A token dies before its time.
pub(crate) const EARLY_TOKEN_EXPIRY: &str = "early_token_expiry";
/// The tokens are exchanged, and the answer is lost.
pub(crate) const REFRESH_LOST: &str = "refresh_lost";
/// The platform fails before it does anything, and says so in JSON.
pub(crate) const UNAVAILABLE: &str = "unavailable";
/// The platform fails before it does anything, and shows a page.
pub(crate) const HTML_ERROR: &str = "html_error";
/// The platform does it, and the answer is lost.
pub(crate) const RESPONSE_LOST: &str = "response_lost";
/// One row of a job fails.
pub(crate) const JOB_ROW_FAILED: &str = "job_row_failed";
/// A job is killed half-way.
pub(crate) const JOB_KILLED: &str = "job_killed";
/// A webhook request is never sent.
pub(crate) const WEBHOOK_LOST: &str = "webhook_lost";
/// A webhook request is sent twice.
pub(crate) const WEBHOOK_DUPLICATED: &str = "webhook_duplicated";
/// Webhook requests overtake each other.
pub(crate) const WEBHOOK_REORDERED: &str = "webhook_reordered";
/// A webhook request is sent much later.
pub(crate) const WEBHOOK_DELAYED: &str = "webhook_delayed";
/// A webhook request is signed with another secret.
pub(crate) const WEBHOOK_FORGED: &str = "webhook_forged";
/// A webhook request carries an old timestamp.
pub(crate) const WEBHOOK_STALE: &str = "webhook_stale";

/// All of them.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::behaviour(
        RATE_LIMITS,
        "The integration has 700 requests a minute (scaled), and fewer of some calls; beyond that 429.",
    ),
    FaultSpec::behaviour(ANONYMOUS_ME, "users/me answers bad basic credentials with 200 and an anonymous user."),
    FaultSpec::behaviour(SECOND_ADDRESS, "A user's new e-mail address becomes a second one; the first stays primary."),
    FaultSpec::behaviour(NUMBERS_AS_TEXT, "Numbers in custom fields of tickets come back as texts."),
    FaultSpec::behaviour(TAGS_SPLIT, "A tag with spaces becomes several; switched off, it is joined by underscores."),
    FaultSpec::behaviour(TAG_MIRROR, "The value of a drop-down, multi-select or tagged checkbox is a tag too."),
    FaultSpec::behaviour(SOLVED_CLOSES, "A solved ticket closes after 28 days (scaled)."),
    FaultSpec::behaviour(EXPORT_HIDES_LAST_MINUTE, "Exports leave out the changes of the last minute (scaled)."),
    FaultSpec::behaviour(SEARCH_CAP, "A search page that reaches beyond 1,000 results is refused with 422."),
    FaultSpec::fault(EXPORT_EMPTY_PAGE, 0.03, 0.2, "A page of an export is empty, and its end_of_stream false."),
    FaultSpec::fault(EXPORT_SHORT_PAGE, 0.1, 0.5, "A page of an export is short, and its end_of_stream false."),
    FaultSpec::fault(EXPORT_REPEAT, 0.1, 0.5, "A page of an export begins with the last row of the page before."),
    FaultSpec::fault(MALFORMED_ROW, 0.0, 0.005, "A listed row lacks its id, or has a text where a list belongs."),
    FaultSpec::fault(SYSTEM_UPDATE, 0.05, 0.3, "The platform moves a ticket's generated_timestamp and nothing else."),
    FaultSpec::fault(INDEX_LAG, 0.8, 1.0, "A search shows a write only after 1 to 120 s (scaled)."),
    FaultSpec::fault(CONFLICT, 0.04, 0.1, "A write meets another one: 409 DatabaseConflict, with nothing changed."),
    FaultSpec::fault(RATE_LIMITED, 0.03, 0.1, "A request meets the account's limit early: 429 with Retry-After."),
    FaultSpec::fault(ENDPOINT_LIMITED, 0.03, 0.1, "A request meets the limit of its endpoint early: 429."),
    FaultSpec::fault(EARLY_TOKEN_EXPIRY, 0.02, 0.03, "The OAuth token dies before its time: 401 invalid_token."),
    FaultSpec::fault(REFRESH_LOST, 0.0, 0.0, "The tokens are exchanged, the old ones dead, and the answer is lost."),
    FaultSpec::fault(UNAVAILABLE, 0.03, 0.08, "500 in JSON, or 503 with Retry-After, before anything was done."),
    FaultSpec::fault(HTML_ERROR, 0.01, 0.05, "502 or 503 with an HTML page, before anything was done."),
    FaultSpec::fault(RESPONSE_LOST, 0.05, 0.1, "A write is done, but its answer is a cut connection or a 504 page."),
    FaultSpec::fault(JOB_ROW_FAILED, 0.03, 0.1, "One row of a job fails although nothing is wrong with it."),
    FaultSpec::fault(JOB_KILLED, 0.01, 0.1, "A job is killed after the first half of its rows."),
    FaultSpec::fault(WEBHOOK_LOST, 0.05, 0.15, "A webhook request is never sent."),
    FaultSpec::fault(WEBHOOK_DUPLICATED, 0.1, 0.3, "A webhook request is sent a second time, with the same ids."),
    FaultSpec::fault(WEBHOOK_REORDERED, 0.2, 0.5, "A webhook request is overtaken by later ones."),
    FaultSpec::fault(WEBHOOK_DELAYED, 0.05, 0.2, "A webhook request is sent up to a minute late (scaled)."),
    FaultSpec::fault(WEBHOOK_FORGED, 0.0, 0.05, "A webhook request is signed with a secret that is not the webhook's."),
    FaultSpec::fault(WEBHOOK_STALE, 0.0, 0.05, "A webhook request carries a timestamp that is six minutes old."),
];

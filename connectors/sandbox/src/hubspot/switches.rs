//! The switches of this emulator: what the product always does, and what goes wrong now and then.
//!
//! The mishaps of requests strike the connected app alone; a person in the application, and whoever
//! acts with the user token, is spared, so that the edits of a test's users arrive.

use crate::faults::FaultSpec;

/// Telephone numbers are brought to E.164.
pub(crate) const PHONE_VALIDATION: &str = "phone_validation";
/// A lifecycle stage never moves back.
pub(crate) const LIFECYCLE_FORWARD_ONLY: &str = "lifecycle_forward_only";
/// A new contact becomes a lead.
pub(crate) const DEFAULT_LIFECYCLE_STAGE: &str = "default_lifecycle_stage";
/// A merge makes a new record.
pub(crate) const MERGE_NEW_ID: &str = "merge_new_id";
/// Requests of the app are metered.
pub(crate) const RATE_LIMITS: &str = "rate_limits";
/// A search ends after 10,000 rows.
pub(crate) const SEARCH_CAP: &str = "search_cap";

/// The list of live records is empty.
pub(crate) const EMPTY_LIST: &str = "empty_list";
/// The search index shows a write late.
pub(crate) const INDEX_LAG: &str = "index_lag";
/// The change time moves without a change.
pub(crate) const STAMP_BUMP: &str = "stamp_bump";
/// Batch results come in another order than the inputs.
pub(crate) const RESULTS_OUT_OF_ORDER: &str = "results_out_of_order";
/// A partial failure is answered with 200.
pub(crate) const BATCH_STATUS_200: &str = "batch_status_200";
/// A record is locked.
pub(crate) const LOCKED: &str = "locked";
/// A 429 of the general limit.
pub(crate) const RATE_LIMITED: &str = "rate_limited";
/// A 429 of the search limit.
pub(crate) const SEARCH_RATE_LIMITED: &str = "search_rate_limited";
/// A 429 of the daily limit.
pub(crate) const DAILY_LIMITED: &str = "daily_limited";
/// A 429 of a short limit names the time to wait.
pub(crate) const RETRY_AFTER: &str = "retry_after";
/// A token dies before its time.
pub(crate) const EARLY_TOKEN_EXPIRY: &str = "early_token_expiry";
/// The platform fails before it does anything.
pub(crate) const UNAVAILABLE: &str = "unavailable";
/// The platform does it, and the answer is lost.
pub(crate) const RESPONSE_LOST: &str = "response_lost";
/// A webhook event is never sent.
pub(crate) const WEBHOOK_LOST: &str = "webhook_lost";
/// A webhook event is sent twice.
pub(crate) const WEBHOOK_DUPLICATED: &str = "webhook_duplicated";
/// Webhook events overtake each other.
pub(crate) const WEBHOOK_REORDERED: &str = "webhook_reordered";
/// A webhook event is sent much later.
pub(crate) const WEBHOOK_DELAYED: &str = "webhook_delayed";
/// A webhook is signed for another host.
pub(crate) const WEBHOOK_WRONG_HOST: &str = "webhook_wrong_host";
/// A webhook carries an old timestamp.
pub(crate) const WEBHOOK_STALE: &str = "webhook_stale";

/// All of them.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::behaviour(PHONE_VALIDATION, "Telephone numbers are checked and brought to E.164."),
    FaultSpec::behaviour(LIFECYCLE_FORWARD_ONLY, "An earlier lifecycle stage is accepted with 200 and ignored."),
    FaultSpec::behaviour(
        DEFAULT_LIFECYCLE_STAGE,
        "A contact that is created without a lifecycle stage becomes a lead.",
    ),
    FaultSpec::behaviour(MERGE_NEW_ID, "A merge makes a record with a new id; both old ids lead to it."),
    FaultSpec::behaviour(
        RATE_LIMITS,
        "The app has 110 requests in 10 s and 5 searches in 1 s (scaled); beyond that 429.",
    ),
    FaultSpec::behaviour(SEARCH_CAP, "A search page that reaches beyond 10,000 rows is refused with 400."),
    FaultSpec::fault(EMPTY_LIST, 0.0, 0.0, "The list of live records is empty, as if every one were gone."),
    FaultSpec::fault(INDEX_LAG, 0.8, 1.0, "A search shows a write only after 0.2 to 20 s (scaled)."),
    FaultSpec::fault(STAMP_BUMP, 0.05, 0.3, "The change time moves although nothing that a client can see changed."),
    FaultSpec::fault(RESULTS_OUT_OF_ORDER, 0.5, 0.9, "Batch results come in another order than the inputs."),
    FaultSpec::fault(
        BATCH_STATUS_200,
        0.0,
        0.0,
        "A batch that failed in part answers 200 in the older versions too, as 2026-09 always does.",
    ),
    FaultSpec::fault(LOCKED, 0.08, 0.1, "A write meets a lock: 423, with nothing changed."),
    FaultSpec::fault(RATE_LIMITED, 0.05, 0.1, "A request meets the 10-second limit early: 429 TEN_SECONDLY_ROLLING."),
    FaultSpec::fault(SEARCH_RATE_LIMITED, 0.1, 0.15, "A search meets its own limit early: 429 SECONDLY."),
    FaultSpec::fault(DAILY_LIMITED, 0.0, 0.0, "A request meets the daily limit: 429 DAILY."),
    FaultSpec::fault(RETRY_AFTER, 0.0, 0.0, "A 429 of a short limit asks for five minutes: Retry-After: 300."),
    FaultSpec::fault(
        EARLY_TOKEN_EXPIRY,
        0.02,
        0.03,
        "The access token dies before its time: 401 EXPIRED_AUTHENTICATION.",
    ),
    FaultSpec::fault(UNAVAILABLE, 0.04, 0.08, "502, 503 or 504 before anything was done."),
    FaultSpec::fault(RESPONSE_LOST, 0.06, 0.1, "A write is done, but its answer is a cut connection or a 504."),
    FaultSpec::fault(WEBHOOK_LOST, 0.05, 0.15, "A webhook event is never sent."),
    FaultSpec::fault(WEBHOOK_DUPLICATED, 0.1, 0.3, "A webhook event is sent a second time, with the same event id."),
    FaultSpec::fault(WEBHOOK_REORDERED, 0.2, 0.5, "A webhook event is overtaken by later ones."),
    FaultSpec::fault(WEBHOOK_DELAYED, 0.05, 0.2, "A webhook event is sent up to a minute late (scaled)."),
    FaultSpec::fault(
        WEBHOOK_WRONG_HOST,
        0.0,
        0.05,
        "A webhook is signed for another host; the receiver must refuse it.",
    ),
    FaultSpec::fault(
        WEBHOOK_STALE,
        0.0,
        0.05,
        "A webhook carries a timestamp of six minutes ago; the receiver must refuse it.",
    ),
];

//! The switches of this emulator: what the product always does, and what befalls its clients now and then.

use crate::faults::FaultSpec;

/// Every switch, by name.
pub const FAULTS: &[FaultSpec] = &[
    FaultSpec::behaviour("trim_text", "ASCII white space at the edges of a text is dropped (a no-break space stays)."),
    FaultSpec::behaviour("empty_to_null", "An empty text is stored as null."),
    FaultSpec::behaviour("lowercase_email", "An e-mail address is stored in lower case."),
    FaultSpec::behaviour("round_decimals", "A number with more decimals than its field's scale is rounded half up."),
    FaultSpec::behaviour("second_datetimes", "A datetime value is cut to its second."),
    FaultSpec::behaviour("long_ids", "A 15-character id is stored and shown with its 18 characters."),
    FaultSpec::behaviour(
        "multipicklist_order",
        "Values of a multi-select picklist are stored in the order of definition.",
    ),
    FaultSpec::behaviour("restricted_picklist", "A restricted picklist refuses values that it does not define."),
    FaultSpec::behaviour("replication_minutes", "getUpdated and getDeleted cut their window to (scaled) minutes."),
    FaultSpec::behaviour("daily_quota", "Beyond the daily number of requests every request is refused."),
    FaultSpec::fault(
        "late_commit",
        0.05,
        0.2,
        "A transaction commits seconds after its rows were stamped, so they appear late with an earlier SystemModstamp.",
    ),
    FaultSpec::fault(
        "system_touch",
        0.05,
        0.1,
        "After a write, a background job moves some record's SystemModstamp and nothing else.",
    ),
    FaultSpec::fault("empty_answer", 0.0, 0.0, "A query finds nothing, as if every live row were gone."),
    FaultSpec::fault("short_page", 0.1, 0.4, "A page holds fewer rows than asked for, with done:false."),
    FaultSpec::fault("locator_expired", 0.05, 0.1, "A nextRecordsUrl has expired: INVALID_QUERY_LOCATOR."),
    FaultSpec::fault("session_expired", 0.01, 0.03, "The access token dies before its time: INVALID_SESSION_ID."),
    FaultSpec::fault("request_limit", 0.01, 0.03, "A request is refused with REQUEST_LIMIT_EXCEEDED."),
    FaultSpec::fault("server_unavailable", 0.01, 0.03, "A request is refused with 503 SERVER_UNAVAILABLE."),
    FaultSpec::fault("unknown_exception", 0.01, 0.02, "A request fails with 500 UNKNOWN_EXCEPTION, with nothing done."),
    FaultSpec::fault("lock_row", 0.01, 0.03, "A row that is written is locked by somebody else: UNABLE_TO_LOCK_ROW."),
    FaultSpec::fault("response_lost", 0.02, 0.05, "A write is committed, and the connection is cut before the answer."),
    FaultSpec::fault(
        "covered_late",
        0.1,
        0.4,
        "latestDateCovered is held back by a running transaction, and so are the ids.",
    ),
    FaultSpec::fault(
        "delete_log_purged",
        0.0,
        0.0,
        "The delete log was purged: earliestDateAvailable moves up to some minutes ago.",
    ),
    FaultSpec::fault(
        "refresh_rotation",
        0.0,
        1.0,
        "Each refresh returns a new refresh token and kills the old; reuse revokes the family.",
    ),
    FaultSpec::fault("instance_moved", 0.0, 0.0, "A refresh answers with another instance_url of the same org."),
    FaultSpec::fault(
        "flow_rewrite",
        0.0,
        0.0,
        "A flow capitalises the words of a written Title in the same transaction.",
    ),
    FaultSpec::fault(
        "duplicate_rule",
        0.0,
        0.0,
        "A new person with a known e-mail address is refused: DUPLICATES_DETECTED.",
    ),
    FaultSpec::fault(
        "assignment_rule",
        0.0,
        0.0,
        "A lead's owner is replaced on creation unless Sforce-Auto-Assign says FALSE.",
    ),
];

//! The delete log: which ids were deleted inside a window, and how far the log is complete.

use serde::Deserialize;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{ProviderError, Remedy, Window},
};

use super::{errors, query, session::Session, settings::Settings};
use crate::{
    connector::Deleted,
    registry::scaled,
    rest::{Call, stamp},
};

/// Salesforce cuts both ends of a window to minutes, and the cut window must be longer than one minute: two minutes always
/// are, wherever they begin.
const SPAN_MS_MIN: u64 = 2 * 60_000;

/// Scaled sandboxes cut to no less than a second.
const SCALED_SPAN_MS_MIN: u64 = 2 * 1_000;

/// The log reaches back so far, less when the recycle bin was emptied.
const LOOK_BACK_MS_MAX: i64 = 15 * 24 * 60 * 60_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeletedAnswer {
    deleted_records: Vec<DeletedRecord>,
    latest_date_covered: String,
}

#[derive(Deserialize)]
struct DeletedRecord {
    id: String,
}

/// Reads the log. A window with too many ids is halved from its end: the answer then covers less.
pub(super) async fn read(session: &Session<'_>, object: &ObjectName, window: Window) -> Result<Deleted, ProviderError> {
    query::identifier(object.as_str())?;
    let span = span_min(session.settings);
    let mut window = long_enough(window, span)?;
    loop {
        match session.read(request(session.settings, object, window)).await {
            Ok(answer) => return understand(&answer, window),
            Err(error) if errors::is_too_many_ids(&error) => window = halved(window, span).ok_or(error)?,
            Err(error) => return Err(error),
        }
    }
}

fn span_min(settings: &Settings) -> i64 {
    let scaled = scaled(SPAN_MS_MIN, settings.time_scale).max(SCALED_SPAN_MS_MIN);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

/// The window as the log takes it: not shorter than `span`, and not longer than the log. A longer window repeats ids.
fn long_enough(window: Window, span: i64) -> Result<Window, ProviderError> {
    let from = window.from.min(window.until.plus(-span));
    if window.until.0.saturating_sub(from.0) > LOOK_BACK_MS_MAX {
        return Err(ProviderError {
            remedy: Remedy::Resync,
            message: "the delete log reaches back 15 days, less than asked for: all ids must be read again".to_owned(),
        });
    }
    Ok(Window { from, ..window })
}

/// The first half of the window; `None` when it cannot be halved.
fn halved(window: Window, span: i64) -> Option<Window> {
    let half = (window.until.0 - window.from.0) / 2;
    (half >= span).then_some(Window { until: window.from.plus(half), ..window })
}

fn request(settings: &Settings, object: &ObjectName, window: Window) -> Call {
    Call::get(settings.path(&format!("/sobjects/{object}/deleted/")))
        .query("start", window.from.to_rfc3339())
        .query("end", window.until.to_rfc3339())
}

/// The next window begins at `latestDateCovered`, which running transactions hold back, and never at the end asked for.
fn understand(answer: &DeletedAnswer, window: Window) -> Result<Deleted, ProviderError> {
    let covered = stamp::parse(&answer.latest_date_covered).ok_or_else(|| ProviderError {
        remedy: Remedy::Retry,
        message: format!("latestDateCovered `{}` is no date-time", answer.latest_date_covered),
    })?;
    let ids = answer.deleted_records.iter().map(|record| ExternalId::from(record.id.as_str())).collect();
    Ok(Deleted { ids, covered_until: covered.min(window.until) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    const BASE: i64 = 1_777_977_120_000; // 2026-05-05T10:32:00Z

    fn window(from_s: i64, until_s: i64) -> Window {
        Window { from: Millis(BASE + from_s * 1000), until: Millis(BASE + until_s * 1000) }
    }

    #[test]
    fn windows_are_longer_than_a_minute_and_not_longer_than_the_log() {
        let cases = [
            (window(0, 600), Ok(window(0, 600))),
            (window(0, 120), Ok(window(0, 120))),
            (window(0, 30), Ok(window(-90, 30))),
            (window(0, 15 * 86_400), Ok(window(0, 15 * 86_400))),
            (window(-1, 15 * 86_400), Err(Remedy::Resync)),
        ];
        for (given, expected) in cases {
            assert_eq!(long_enough(given, 120_000).map_err(|error| error.remedy), expected, "{given:?}");
        }
    }

    #[test]
    fn spans_are_scaled_with_the_sandbox() {
        for (time_scale, expected) in [(1.0, 120_000), (0.5, 60_000), (0.001, 2_000)] {
            assert_eq!(span_min(&Settings { time_scale, ..Settings::default() }), expected);
        }
    }

    #[test]
    fn halving_ends() {
        assert_eq!(halved(window(0, 600), 120_000), Some(window(0, 300)));
        assert_eq!(halved(window(0, 240), 120_000), Some(window(0, 120)));
        assert_eq!(halved(window(0, 180), 120_000), None);
    }

    #[test]
    fn the_request_names_its_window() {
        let call = request(&Settings::default(), &"Contact".into(), window(0, 600));
        let target = "/services/data/v62.0/sobjects/Contact/deleted/\
                      ?start=2026-05-05T10%3A32%3A00.000Z&end=2026-05-05T10%3A42%3A00.000Z";
        assert_eq!(call.target(), target);
    }

    #[test]
    fn the_answer_says_how_far_it_is_complete() {
        let read = |covered: &str| {
            let answer = json!({
                "deletedRecords": [{"id": "003A", "deletedDate": "2026-05-05T10:35:00.000+0000"}],
                "earliestDateAvailable": "2026-04-20T00:00:00.000+0000", "latestDateCovered": covered,
            });
            let answer: DeletedAnswer = serde_json::from_value(answer).expect("an answer");
            understand(&answer, window(0, 600))
                .map(|deleted| (deleted.ids.len(), deleted.covered_until))
                .map_err(|e| e.remedy)
        };
        let at = |seconds: i64| Millis(BASE + seconds * 1000);
        assert_eq!(read("2026-05-05T10:40:00.000+0000"), Ok((1, at(480))));
        assert_eq!(read("2026-05-05T10:50:00.000+0000"), Ok((1, at(600))));
        assert_eq!(read("soon"), Err(Remedy::Retry));
    }
}

//! The delete log: which ids were deleted inside a window, and how far the log is complete.

use serde::Deserialize;
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{ProviderError, Remedy, Window},
    time::Millis,
};

use super::{errors, query, session::Session, settings::Settings};
use crate::{
    connector::Deleted,
    rest::{Call, stamp},
};

const MINUTE_MS: i64 = 60_000;

/// The span must exceed one minute after both ends are cut to minutes.
const SPAN_MS_MIN: i64 = 2 * MINUTE_MS;

/// The log reaches back so far, less when the recycle bin was emptied.
const LOOK_BACK_MS_MAX: i64 = 15 * 24 * 60 * MINUTE_MS;

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
    let mut window = whole_minutes(window)?;
    loop {
        match session.read(request(session.settings, object, window)).await {
            Ok(answer) => return understand(&answer, window),
            Err(error) if errors::is_too_many_ids(&error) => window = halved(window).ok_or(error)?,
            Err(error) => return Err(error),
        }
    }
}

/// The window as the log reads it: cut to minutes, over a minute long, and not longer than the log.
fn whole_minutes(window: Window) -> Result<Window, ProviderError> {
    let until = window.until.0.div_euclid(MINUTE_MS) * MINUTE_MS;
    let from = (window.from.0.div_euclid(MINUTE_MS) * MINUTE_MS).min(until.saturating_sub(SPAN_MS_MIN));
    if until.saturating_sub(from) > LOOK_BACK_MS_MAX {
        return Err(ProviderError {
            remedy: Remedy::Resync,
            message: "the delete log reaches back 15 days, less than asked for: all ids must be read again".to_owned(),
        });
    }
    Ok(Window { from: Millis(from), until: Millis(until) })
}

/// The first half of the window; `None` when it cannot be halved.
fn halved(window: Window) -> Option<Window> {
    let span = (window.until.0 - window.from.0) / 2 / MINUTE_MS * MINUTE_MS;
    (span >= SPAN_MS_MIN).then_some(Window { until: window.from.plus(span), ..window })
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

    use super::*;

    const BASE: i64 = 1_777_977_120_000; // 2026-05-05T10:32:00Z

    fn window(from_s: i64, until_s: i64) -> Window {
        Window { from: Millis(BASE + from_s * 1000), until: Millis(BASE + until_s * 1000) }
    }

    #[test]
    fn windows_are_whole_minutes_longer_than_one() {
        let cases = [
            (window(0, 600), Ok(window(0, 600))),
            (window(59, 659), Ok(window(0, 600))),
            (window(0, 30), Ok(window(-120, 0))),
            (window(61, 130), Ok(window(0, 120))),
            (window(0, 15 * 86_400), Ok(window(0, 15 * 86_400))),
            (window(-60, 15 * 86_400), Err(Remedy::Resync)),
        ];
        for (given, expected) in cases {
            assert_eq!(whole_minutes(given).map_err(|error| error.remedy), expected, "{given:?}");
        }
    }

    #[test]
    fn halving_ends() {
        assert_eq!(halved(window(0, 600)), Some(window(0, 300)));
        assert_eq!(halved(window(0, 240)), Some(window(0, 120)));
        assert_eq!(halved(window(0, 180)), None);
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

//! The history that HubSpot keeps of every property: a clock and an author for each value.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use syncline_core::remote::PastValue;

use super::settings::AppId;
use crate::rest::stamp;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    value: Value,
    timestamp: Value,
    #[serde(default)]
    source_type: Option<String>,
    #[serde(default)]
    source_id: Option<String>,
}

/// Reads `propertiesWithHistory`: for each property its values, newest first. An entry without a readable time orders
/// nothing and is left out.
pub(super) fn read(history: Option<&Value>, app_id: Option<&AppId>) -> BTreeMap<String, Vec<PastValue>> {
    let Some(properties) = history.and_then(Value::as_object) else { return BTreeMap::new() };
    properties
        .iter()
        .map(|(name, entries)| {
            let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
            let mut values: Vec<PastValue> = entries.iter().filter_map(|entry| past_value(entry, app_id)).collect();
            values.sort_by_key(|value| std::cmp::Reverse(value.at));
            (name.clone(), values)
        })
        .collect()
}

fn past_value(entry: &Value, app_id: Option<&AppId>) -> Option<PastValue> {
    let entry = Entry::deserialize(entry).ok()?;
    Some(PastValue { at: stamp::read(&entry.timestamp)?, by_us: is_ours(&entry, app_id), value: entry.value })
}

/// Workflows run after our writes under another source; only our app's own id is us.
fn is_ours(entry: &Entry, app_id: Option<&AppId>) -> bool {
    let Some(AppId(ours)) = app_id else { return false };
    entry.source_type.as_deref() == Some("INTEGRATION") && entry.source_id.as_deref().map(str::trim) == Some(ours)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::time::Millis;

    use super::*;

    #[test]
    fn entries_have_clock_and_author() {
        let history = json!({
            "email": [
                {"value": "new", "timestamp": "2026-05-05T10:32:00.123Z", "sourceType": "INTEGRATION", "sourceId": "54321"},
                {"value": "old", "timestamp": "2026-05-05T10:31:00.000Z", "sourceType": "CRM_UI", "sourceId": "userId:77"},
                {"value": "lost", "timestamp": "once"},
                {"value": "", "timestamp": "2026-05-05T10:33:00.000Z", "sourceType": "INTEGRATION", "sourceId": "9"},
            ],
            "phone": [],
            "odd": null,
        });
        let app = AppId("54321".to_owned());
        let read = read(Some(&history), Some(&app));
        let at = |text: &str| stamp::parse(text).unwrap_or(Millis(0));
        let expected = [
            PastValue { value: json!(""), at: at("2026-05-05T10:33:00.000Z"), by_us: false },
            PastValue { value: json!("new"), at: at("2026-05-05T10:32:00.123Z"), by_us: true },
            PastValue { value: json!("old"), at: at("2026-05-05T10:31:00.000Z"), by_us: false },
        ];
        assert_eq!(read["email"], expected);
        assert!(read["phone"].is_empty() && read["odd"].is_empty());
    }

    #[test]
    fn without_an_app_id_nothing_is_ours() {
        let history = json!({"email": [
            {"value": "x", "timestamp": "2026-05-05T10:32:00.123Z", "sourceType": "INTEGRATION", "sourceId": "54321"},
        ]});
        assert!(!read(Some(&history), None)["email"][0].by_us);
        assert!(read(None, None).is_empty());
    }
}

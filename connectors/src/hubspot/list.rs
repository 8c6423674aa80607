//! Lists: every object for a backfill, and the archived ones. Ordered by id, without a time filter.

use syncline_core::{
    ids::ExternalId,
    remote::{Page, PageRequest, ProviderError},
};

use super::{
    rows::{Listing, Shape},
    settings::Settings,
};
use crate::rest::{Call, segment};

/// The most rows of a page.
const ROWS_MAX: u32 = 100;

/// Property names longer than this (encoded) do not belong in an address.
const PROPERTIES_LEN_MAX: usize = 6_000;

/// Whether these properties must be read by id instead, where their names travel in the body.
pub(super) fn is_wide(shape: Shape<'_>) -> bool {
    segment(&shape.properties().join(",")).len() > PROPERTIES_LEN_MAX
}

/// The call of a page. A walk that lost its token goes on from its position: HubSpot's tokens of lists are ids.
pub(super) fn request(settings: &Settings, request: &PageRequest, shape: Shape<'_>) -> Result<Call, ProviderError> {
    let call = Call::get(settings.objects(&request.object, "")?)
        .query("limit", request.limit.clamp(1, ROWS_MAX).to_string())
        .query("archived", if request.deleted { "true" } else { "false" })
        .query("properties", shape.properties().join(","));
    let position = request.after.as_ref().map(|position| position.id.to_string());
    Ok(match request.token.clone().or(position) {
        Some(after) => call.query("after", after),
        None => call,
    })
}

/// Reads a page. Archived rows are listed whole, so those archived before the window are left out here; and rows at or
/// before the position, which a list begun from an id may repeat.
pub(super) fn page(listing: Listing, request: &PageRequest, shape: Shape<'_>) -> Page {
    let mut page = Page { next: listing.after(), ..Page::default() };
    for value in listing.results {
        match shape.row(value) {
            Ok(mut object) => {
                object.deleted |= request.deleted;
                let old =
                    request.window.zip(object.version).is_some_and(|(window, version)| version.stamp < window.from);
                if !old && !is_passed(request, &object.id) {
                    page.objects.push(object);
                }
            }
            Err(malformed) => page.malformed.push(malformed),
        }
    }
    page
}

fn is_passed(request: &PageRequest, id: &ExternalId) -> bool {
    match (&request.after, &request.token) {
        (Some(position), None) => number(id) <= number(&position.id),
        _ => false,
    }
}

/// Ids are numbers and ordered as such.
pub(super) fn number(id: &ExternalId) -> u64 {
    id.as_str().parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use syncline_core::{
        remote::{Position, Window},
        time::Millis,
    };

    use super::*;

    fn asked() -> PageRequest {
        PageRequest {
            object: "contacts".into(),
            fields: vec!["email".to_owned()],
            window: None,
            after: None,
            token: None,
            deleted: false,
            limit: 200,
        }
    }

    fn shape(request: &PageRequest) -> Shape<'_> {
        Shape { object: &request.object, fields: &request.fields, app_id: None }
    }

    #[test]
    fn a_list_goes_on_by_token_or_position() {
        let after = Some(Position { stamp: Millis(0), id: "150".into() });
        let cases = [
            (asked(), "archived=false", ""),
            (
                PageRequest { token: Some("152".into()), after: after.clone(), ..asked() },
                "archived=false",
                "&after=152",
            ),
            (PageRequest { after, deleted: true, ..asked() }, "archived=true", "&after=150"),
        ];
        for (page, archived, tail) in cases {
            let call = request(&Settings::default(), &page, shape(&page)).expect("a call");
            let properties = "email%2Clastmodifieddate%2Chs_merged_object_ids";
            let expected = format!("/crm/v3/objects/contacts?limit=100&{archived}&properties={properties}{tail}");
            assert_eq!(call.target(), expected);
        }
    }

    #[test]
    fn archived_rows_of_the_past_and_passed_rows_are_left_out() {
        let row = |id: &str, archived: &str| json!({"id": id, "archived": true, "archivedAt": archived, "properties": {"lastmodifieddate": "2026-05-01T00:00:00Z"}});
        let listing = json!({"results": [
            row("149", "2026-05-05T11:00:00Z"), row("150", "2026-05-05T11:00:00Z"),
            row("151", "2026-05-05T11:00:00Z"), row("1000", "2026-05-04T00:00:00Z"), {"id": "7"},
        ]});
        let window = Some(Window { from: Millis(1_777_977_120_000), until: Millis(1_777_977_120_001) });
        let request = PageRequest {
            window,
            deleted: true,
            after: Some(Position { stamp: Millis(0), id: "150".into() }),
            ..asked()
        };
        let listing = serde_json::from_value(listing).expect("a listing");
        let page = page(listing, &request, shape(&request));
        let ids: Vec<&str> = page.objects.iter().map(|object| object.id.as_str()).collect();
        assert_eq!(ids, ["151"]);
        assert!(page.objects[0].deleted);
        assert_eq!(page.malformed.len(), 1);
    }
}

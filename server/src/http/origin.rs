//! Who wrote something, as callers see it.

use serde::Serialize;
use syncline_core::journal::Origin;
use utoipa::ToSchema;

/// Who wrote something; the same form as in changes and in messages of `/v1/live`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Origin)]
pub(super) struct OriginView {
    /// What kind of writer.
    kind: OriginKind,
    /// The connection, or the API key's name; missing for the service itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
}

/// A kind of writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OriginKind {
    /// A user of a connected system.
    Connection,
    /// A client of this API.
    Client,
    /// The service itself.
    Service,
}

impl OriginView {
    /// Reads the form in which the store keeps origins beside a record, which is [`Origin`]'s `Display`.
    pub(super) fn parse(text: &str) -> Self {
        if text == Origin::Service.to_string() {
            return Self::from(&Origin::Service);
        }
        match text.strip_prefix("client:") {
            Some(principal) => Self { kind: OriginKind::Client, id: Some(principal.to_owned()) },
            None => Self { kind: OriginKind::Connection, id: Some(text.to_owned()) },
        }
    }
}

impl From<&Origin> for OriginView {
    fn from(origin: &Origin) -> Self {
        match origin {
            Origin::Connection(connection) => Self { kind: OriginKind::Connection, id: Some(connection.to_string()) },
            Origin::Client(principal) => Self { kind: OriginKind::Client, id: Some(principal.clone()) },
            Origin::Service => Self { kind: OriginKind::Service, id: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_origin_has_one_form_whether_kept_or_sent() {
        for origin in [Origin::Connection("acme-crm".into()), Origin::Client("backend".into()), Origin::Service] {
            let view = OriginView::from(&origin);
            assert_eq!(OriginView::parse(&origin.to_string()), view, "the store's form");
            assert_eq!(serde_json::to_value(&view).unwrap(), serde_json::to_value(&origin).unwrap(), "the feed's form");
        }
    }
}

//! The OpenAPI document: generated from the routes, so that it cannot drift from them.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    messages::{ClientMessageView, ErrorCodeView, ServerMessageView, SnapshotRowView},
    problem::{FieldError, ProblemBody},
};

/// What the document says besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Syncline",
        description = "One record, the same in your product and in every connected account, in both directions, live."
    ),
    components(schemas(ProblemBody, FieldError, ClientMessageView, ServerMessageView, SnapshotRowView, ErrorCodeView)),
    modifiers(&Bearer),
    security(("key" = [])),
    tags(
        (name = "records", description = "The records of a model: plain fields with one `_meta` block."),
        (name = "identity", description = "Which object is which record: links, merges, splits, and the way back."),
        (name = "changes", description = "The gap-free, ordered feed of changes."),
        (name = "conflicts", description = "Concurrent values of one field, kept after a policy has chosen."),
        (name = "connections", description = "Providers, integrations and the tenant's connected accounts."),
        (name = "syncs", description = "How far each sync is, and its controls."),
        (name = "deliveries", description = "Writes that are due or were given up, and rows that could not be taken."),
        (name = "erasures", description = "A person's data removed on request, and the receipts that prove it."),
        (name = "issues", description = "What waits for a person or for a provider to come right, explained."),
        (name = "webhooks", description = "Where providers push their hints."),
        (name = "health", description = "Whether the service lives and can answer."),
    )
)]
pub(super) struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key. A key that is bound to no tenant also needs the header `Syncline-Tenant`."))
            .build();
        document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

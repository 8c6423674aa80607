//! The `repo` section: what clients of the automerge-repo protocol may do.

use syncline_core::repo::Limits;
use url::Url;

use super::spot::Spot;

/// The keys of the section.
pub(super) const KEYS: &[&str] =
    &["allowed_origins", "free_documents", "document_bytes", "document_ops", "tenant_bytes", "tenant_documents"];

/// How much longer than its saved form a document may be uncompressed.
const INFLATED_TIMES: u64 = 8;

/// What clients of the automerge-repo protocol may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    /// The origins of pages that may connect, such as `https://app.example.com`; `None` for all. Programs that are no
    /// browsers name no origin and are always let in.
    pub allowed_origins: Option<Vec<String>>,
    /// Whether documents of no model are kept for the clients of their tenant.
    pub free_documents: bool,
    /// How many bytes one document that is no record may take, saved.
    pub document_bytes_max: u64,
    /// How many ops one document that is no record may hold.
    pub document_ops_max: u64,
    /// How many bytes a tenant's documents that are no records may take together.
    pub tenant_bytes_max: u64,
    /// How many documents that are no records a tenant may have.
    pub tenant_documents_max: u64,
}

impl Default for Repo {
    fn default() -> Self {
        Self {
            allowed_origins: None,
            free_documents: false,
            document_bytes_max: 4 * 1024 * 1024,
            document_ops_max: 2_000_000,
            tenant_bytes_max: 256 * 1024 * 1024,
            tenant_documents_max: 10_000,
        }
    }
}

impl Repo {
    pub(super) fn read(spot: Option<&Spot<'_>>) -> Self {
        let usual = Self::default();
        let table = spot.and_then(|spot| spot.table(KEYS));
        let get = |key: &str| table.as_ref().and_then(|table| table.get(key));
        let number =
            |key: &str, usual: u64| get(key).and_then(|spot| spot.whole(1..=u32::MAX)).map_or(usual, u64::from);
        Self {
            allowed_origins: get("allowed_origins").and_then(|spot| origins(&spot)),
            free_documents: get("free_documents").and_then(|spot| spot.boolean()).unwrap_or(usual.free_documents),
            document_bytes_max: number("document_bytes", usual.document_bytes_max),
            document_ops_max: number("document_ops", usual.document_ops_max),
            tenant_bytes_max: number("tenant_bytes", usual.tenant_bytes_max),
            tenant_documents_max: number("tenant_documents", usual.tenant_documents_max),
        }
    }

    /// How much one message about a document that is no record may hold.
    pub(crate) fn limits(&self) -> Limits {
        if !self.free_documents {
            return Limits::RECORD;
        }
        let times = self.document_ops_max.div_ceil(Limits::RECORD.ops_max).max(1);
        Limits {
            ops_max: self.document_ops_max,
            // Saved documents are compressed, changes on their way often are not.
            inflated_bytes_max: self.document_bytes_max.saturating_mul(INFLATED_TIMES),
            expanded_bytes_max: Limits::RECORD.expanded_bytes_max.saturating_mul(times),
            changes_max: Limits::RECORD.changes_max.saturating_mul(times),
            deps_max: Limits::RECORD.deps_max.saturating_mul(times),
            references_max: Limits::RECORD.references_max.saturating_mul(times),
            ..Limits::RECORD
        }
    }

    /// Whether a page of this origin may connect.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        match (&self.allowed_origins, origin) {
            (Some(allowed), Some(origin)) => allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)),
            _ => true,
        }
    }
}

fn origins(spot: &Spot<'_>) -> Option<Vec<String>> {
    Some(spot.list()?.iter().filter_map(origin).collect())
}

fn origin(spot: &Spot<'_>) -> Option<String> {
    let text = spot.text()?;
    match Url::parse(&text) {
        Ok(url) if url.origin().is_tuple() => Some(url.origin().ascii_serialization()),
        _ => {
            spot.problem(
                format!("`{text}` is not the origin of a page"),
                "write scheme, host and, where it is not the usual one, port, such as `https://app.example.com`",
            );
            None
        }
    }
}

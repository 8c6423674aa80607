//! The plan of one tenant's sync of one model: the model and what each connection takes part with.

use std::collections::BTreeMap;

use crate::{
    ids::{ConnectionId, ObjectName, TenantId},
    journal::Origin,
    mapping::Mapping,
    model::Model,
    writer::WriterEpochs,
};

/// How one model of one tenant is kept the same in every connection that maps it.
#[derive(Clone, Debug)]
pub struct SyncPlan {
    /// Whose plan it is.
    pub tenant: TenantId,
    /// The model, its policies and match keys.
    pub model: Model,
    /// The connections that take part.
    pub sides: BTreeMap<ConnectionId, Side>,
    /// Under which actors the service writes.
    pub writer: WriterEpochs,
}

/// One connection's part in a sync.
#[derive(Clone, Debug)]
pub struct Side {
    /// The provider's object.
    pub object: ObjectName,
    /// The relation between the model's fields and the object's.
    pub mapping: Mapping,
    /// The provider's unique key field that holds our record id, where one is configured.
    pub key_field: Option<String>,
    /// Whether records of other systems are created here.
    pub creates: bool,
    /// Whether anything is written here at all.
    pub writes: bool,
    /// Whether the provider keeps a history of fields, so that a value which slipped in before a write can be found.
    pub history: bool,
    /// The place in the order of systems, which decides where clocks cannot: the first is 1, the app itself is 0.
    pub rank: u32,
}

impl SyncPlan {
    /// The place of an origin in the order of systems; unknown origins come last.
    pub fn rank(&self, origin: &Origin) -> u32 {
        match origin {
            Origin::Client(_) => 0,
            Origin::Connection(connection) => self.sides.get(connection).map_or(u32::MAX, |side| side.rank),
            Origin::Service => u32::MAX,
        }
    }
}

//! The Salesforce emulator: one org with contacts, leads and accounts behind the REST API.
//!
//! # Layout
//!
//! | file | noun |
//! |---|---|
//! | `routes` | the route table and thin handlers |
//! | `gate` | session, quota and mishaps, which every data request passes |
//! | `oauth`, `sessions` | token endpoints; tokens, their rotation and their ends |
//! | `sobjects`, `precondition` | single records; conditional requests |
//! | `collections`, `composite` | many records, or many requests, in one |
//! | `query`, `cursors`, `soql` | queries, their pages, their language |
//! | `replication` | `updated` and `deleted` in a window of time |
//! | `describe`, `tooling` | what the org tells about itself; custom fields |
//! | `platform` | the org: data, sessions, quota under one clock; late commits are waited for here |
//! | `transaction`, `rules` | writes, stamped together and undone together; what the org adds to or refuses of them |
//! | `store`, `table`, `seed` | the data; rows in small memory; rows nobody has touched are made from the seed |
//! | `schema`, `standard`, `cell`, `id` | object types, the standard ones, values, ids |
//! | `normalise`, `render` | values in, values out |
//! | `switches` | every behaviour and fault by name |
//! | `side_door` | the admin interface |

mod call;
mod cell;
mod collections;
mod composite;
mod cursors;
mod describe;
mod errors;
mod gate;
mod id;
mod normalise;
mod oauth;
mod platform;
mod precondition;
mod query;
mod quota;
mod render;
mod replication;
mod reply;
mod routes;
mod rules;
mod schema;
mod seed;
mod sessions;
mod side_door;
mod sobjects;
mod soql;
mod standard;
mod store;
mod switches;
mod table;
mod tooling;
mod transaction;

pub use platform::SalesforceState;
pub use routes::router;
pub use switches::FAULTS;

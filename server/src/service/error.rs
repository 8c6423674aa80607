//! Why the service could not start.

use std::{io, net::SocketAddr};

use syncline_connectors::{http::TransportError, registry::BuildError};

use crate::{engine::StartError, secrets::SecretError, store::StoreError};

/// Why the service could not start, or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {}", listen_remedy(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The database did not open, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key for stored credentials is not one.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// The HTTP client for calls to providers cannot be made.
    #[error("calls to providers cannot be made: {0}")]
    Client(#[from] TransportError),
    /// The engine could not start.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// A provider's connector cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The HTTP listener failed while the service ran.
    #[error("the HTTP listener failed: {0}")]
    Serving(io::Error),
}

fn listen_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: stop it, or choose another port in `server.listen`",
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher port in `server.listen`",
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: use 127.0.0.1, 0.0.0.0 or one of its own in `server.listen`"
        }
        _ => "check `server.listen`",
    }
}

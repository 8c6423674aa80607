//! The names that peers give themselves. They are claims: nothing is granted because of them.

use std::{fmt, sync::Arc};

/// How many bytes a name may have. Libraries send 36-character UUIDs and short random words; longer names would only be
/// kept, logged and repeated in every frame.
pub const NAME_BYTES_MAX: usize = 256;

/// A name that is longer than [`NAME_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name of {bytes} bytes is too long: use at most {NAME_BYTES_MAX}")]
pub struct NameTooLong {
    /// Its length.
    pub bytes: usize,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text of at most [`NAME_BYTES_MAX`] bytes.
            pub fn new(text: &str) -> Result<Self, NameTooLong> {
                if text.len() > NAME_BYTES_MAX {
                    return Err(NameTooLong { bytes: text.len() });
                }
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &self.0)
            }
        }
    };
}

name!(
    /// One running client or server, for as long as it runs.
    PeerId
);
name!(
    /// One store of documents, which outlives the processes that use it.
    StorageId
);
name!(
    /// One run of a sender of ephemeral messages; their numbers count up within it.
    SessionId
);

/// What a peer tells of itself when it introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerMetadata {
    /// Its store, if it has one.
    pub storage_id: Option<StorageId>,
    /// Whether it will forget everything when it ends, so that keeping sync states for it is of no use.
    pub ephemeral: bool,
}

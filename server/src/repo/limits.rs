//! The bounds of the automerge-repo endpoint. Everything queued or buffered has one, and each says what happens there.

use std::time::Duration;

/// The bounds that depend on the machine and on how patient one is with peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many sockets one tenant may hold open; one more is closed with 4429.
    pub sockets_per_tenant_max: usize,
    /// How many sockets all tenants together may hold open; one more is closed with 4429.
    pub sockets_max: usize,
    /// How many sockets are let in within one second; the others are closed with 4429 and come back later.
    pub admissions_per_second: u32,
    /// How many documents one socket may have open; a request for one more is answered with `doc-unavailable`.
    pub documents_per_socket_max: usize,
    /// How many updates may wait for one socket; beyond them it catches up from the store instead.
    pub queue_max: usize,
    /// How long one frame may take to leave; a socket slower than that is closed with 4408.
    pub send_timeout: Duration,
    /// How often the server pings a socket.
    pub ping_interval: Duration,
    /// A socket from which nothing, not even a pong, came for so long is closed with 4408.
    pub idle_timeout: Duration,
    /// How long a socket may take to introduce itself; then it is closed with 4408.
    pub join_timeout: Duration,
    /// How many refused changes a principal may send before its socket is closed with 4403.
    pub refusals_max: usize,
    /// How long a principal whose socket was closed for its refused changes is kept out.
    pub penance: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sockets_per_tenant_max: 15_000,
            sockets_max: 20_000,
            admissions_per_second: 1_000,
            documents_per_socket_max: 10_000,
            queue_max: 1_024,
            send_timeout: Duration::from_secs(20),
            ping_interval: Duration::from_secs(25),
            idle_timeout: Duration::from_secs(70),
            join_timeout: Duration::from_secs(10),
            refusals_max: 16,
            penance: Duration::from_secs(60),
        }
    }
}

/// The longest frame that a client may send; a longer one closes the socket with 1009. Longer than what is taken in of any
/// document, so that most documents that are too large are refused by themselves, and the others go on.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The read buffer that each socket allocates at once: clients say little, and there may be thousands of them.
pub(crate) const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes that may wait in one socket's write buffer before the session waits for the socket to drain.
pub(crate) const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Upper bound of that buffer: the bytes above plus the longest single frame.
pub(crate) const WRITE_BUFFER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many frames are worked off together: their documents are looked up at once, and their changes are one commit.
pub(crate) const FRAMES_AT_ONCE: usize = 64;

/// A longer sync message says more than that something has arrived.
pub(crate) const SHORT_BYTES: usize = 512;

/// A longer sync message is decoded on a thread of its own.
pub(crate) const LONG_BYTES: usize = 32 * 1024;

/// How many bytes of frames are worked off together; a single longer frame goes alone.
pub(crate) const BYTES_AT_ONCE: usize = 1024 * 1024;

/// The longest ephemeral message that is passed on; a longer one is dropped.
pub(crate) const EPHEMERAL_BYTES_MAX: usize = 64 * 1024;

/// How many ephemeral messages of one socket are passed on in a second; the others are dropped, as their kind may be.
pub(crate) const EPHEMERALS_PER_SECOND: u32 = 200;

/// How many stores' heads one socket may want to hear of.
pub(crate) const STORES_WATCHED_MAX: usize = 256;

/// How many documents one socket may wait for that do not exist yet; of further ones it is not told when they come.
pub(crate) const WANTED_MAX: usize = 1_000;

/// How many changes may wait for their dependencies in one socket's document; beyond them the newest are forgotten, and the
/// peer sends them again when it comes back.
pub(crate) const WAITING_MAX: usize = 256;

/// How long the close frame may take.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

//! The bounds of the live feed. Everything queued or buffered has one, and each says what happens there.

use std::time::Duration;

/// The bounds that depend on the machine and on how patient one is with readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many encoded changes of one tenant stay in memory; a subscriber further behind reads the log.
    pub ring_changes_max: usize,
    /// How many bytes of encoded changes of one tenant stay in memory; the newest change stays in any case.
    pub ring_bytes_max: usize,
    /// A subscriber whom the ring does not reach and who is further behind than this is told to take a new snapshot, which
    /// is shorter than the log.
    pub lag_changes_max: u64,
    /// How long one batch may take to leave; a socket slower than that is closed with 4408.
    pub send_timeout: Duration,
    /// How often the server pings a socket.
    pub ping_interval: Duration,
    /// A socket from which nothing, not even a pong, came for so long is closed with 4408.
    pub idle_timeout: Duration,
    /// How many sockets and long-polls one tenant may hold open; one more is refused with 429.
    pub seats_per_tenant_max: usize,
    /// How many sockets and long-polls all tenants together may hold open; one more is refused with 429.
    pub seats_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ring_changes_max: 4_096,
            ring_bytes_max: 16 * 1024 * 1024,
            lag_changes_max: 100_000,
            send_timeout: Duration::from_secs(20),
            ping_interval: Duration::from_secs(25),
            idle_timeout: Duration::from_secs(70),
            seats_per_tenant_max: 4_000,
            seats_max: 20_000,
        }
    }
}

/// The longest message that a client may send; a longer one closes the socket with 1009.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// How many messages of a client may wait to be handled; the socket is not read further meanwhile.
pub(super) const REQUESTS_WAITING_MAX: usize = 8;

/// Bytes that may wait in one socket's write buffer before the session waits for the socket to drain.
pub(super) const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Upper bound of that buffer: the bytes above plus the longest single message.
pub(super) const WRITE_BUFFER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The read buffer that each socket allocates at once: clients say little, and there may be thousands of them.
pub(super) const READ_BUFFER_BYTES: usize = 4 * 1024;

/// How many changes are taken from the ring or the log at once.
pub(super) const BATCH_CHANGES_MAX: u32 = 256;

/// How many rows a snapshot reads at once.
pub(super) const SNAPSHOT_PAGE_ROWS: u32 = 200;

/// About how long one message of a snapshot becomes; a single longer record still goes as one.
pub(super) const SNAPSHOT_MESSAGE_BYTES: usize = 256 * 1024;

/// How long the close frame may take.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

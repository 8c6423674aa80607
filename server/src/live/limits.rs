//! The bounds of the live feed. Everything queued or buffered has one, and each says what happens there.

use std::time::Duration;

/// The longest message that a client may send; a longer one closes the socket with 1009.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that may wait in one socket's write buffer before the session waits for the socket to drain.
pub(super) const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Upper bound of that buffer: the bytes above plus the longest single message.
pub(super) const WRITE_BUFFER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The read buffer that each socket allocates at once: clients say little, and there may be thousands of them.
pub(super) const READ_BUFFER_BYTES: usize = 4 * 1024;

/// How many encoded events of one tenant stay in memory; a subscriber further behind reads the log.
pub(super) const RING_EVENTS_MAX: usize = 4_096;

/// How many bytes of encoded events of one tenant stay in memory.
pub(super) const RING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many events are taken from the ring or the log at once.
pub(super) const BATCH_EVENTS_MAX: usize = 256;

/// How many rows a snapshot reads at once.
pub(super) const SNAPSHOT_PAGE_ROWS: u32 = 200;

/// A subscriber further behind than this is told to take a new snapshot, which is shorter than the log.
pub(super) const LAG_EVENTS_MAX: u64 = 100_000;

/// How long the close frame may take.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one batch may take to leave; a socket slower than that is closed with 4408.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// How often the server pings an otherwise silent socket.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(25);

/// A socket from which nothing, not even a pong, came for so long is closed with 4408.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(70);

/// How many sockets and long-polls one tenant may hold open; one more is refused with 429.
pub(super) const SEATS_PER_TENANT_MAX: usize = 4_000;

/// How many sockets and long-polls all tenants together may hold open; one more is refused with 429.
pub(super) const SEATS_MAX: usize = 20_000;

/// How many messages of a client may wait to be handled; the socket is not read further meanwhile.
pub(super) const REQUESTS_WAITING_MAX: usize = 8;

/// About how long one message of a snapshot becomes; a single longer record still goes as one.
pub(super) const SNAPSHOT_MESSAGE_BYTES: usize = 256 * 1024;

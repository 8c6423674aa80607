//! Whether the process of this life is gone: everybody ends what they are at, and then their part in it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Tells those who live that it is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gone(CancellationToken);

impl Gone {
    /// It is over.
    pub(crate) fn tell(&self) {
        self.0.cancel();
    }

    /// Waits until it is over.
    pub(crate) async fn wait(&self) {
        self.0.cancelled().await;
    }

    /// Whether it is over before so long.
    pub(crate) async fn within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.wait()).await.is_ok()
    }
}

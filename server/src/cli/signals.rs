//! The signals that end the process.

use std::{future::Future, io};

/// Waits until this process is asked to end, by Ctrl-C or by SIGTERM. Counts from the call, not from the first poll: whoever
/// tells others that it is ready must be listening by then.
///
/// # Errors
/// The system does not let the process listen.
#[cfg(unix)]
pub(crate) fn ended() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Waits until this process is asked to end, by Ctrl-C.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub(crate) fn ended() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without the signal, the process can still be ended by its window.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

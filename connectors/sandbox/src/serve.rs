//! The listener: accepts connections, hands requests to a router, and can do what a web framework will not — drop the
//! connection instead of answering, as a network does between a platform's commit and its response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::ledger::Ledger;

/// How long open requests may take after shutdown was asked for.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// How long to wait before accepting again when the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Put into a response's extensions, tells the listener to close the connection without sending anything.
#[derive(Debug, Clone, Copy)]
pub struct CutConnection;

impl CutConnection {
    /// A response that will not be sent: what the client asked for has happened, but it will never hear of it.
    #[must_use]
    pub fn response() -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Self);
        response
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the connection is cut here on purpose")]
struct Cut;

/// A router that is being served.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stop: CancellationToken,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `router` on `listener` until it is dropped or shut down. Requests are counted in `ledger` by method and
    /// route pattern.
    ///
    /// # Errors
    /// When the listener does not know its address.
    pub fn start(listener: TcpListener, router: Router, ledger: Arc<Ledger>) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        let router = router.layer(from_fn_with_state(ledger, count_request));
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, router, stop.clone()));
        Ok(Self { addr, stop, accepting: Some(accepting) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, lets open requests finish for a few seconds, and returns when all is closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(accepting) = self.accepting.take()
            && let Err(error) = accepting.await
        {
            tracing::warn!(%error, "the sandbox's listener did not end cleanly");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn count_request(State(ledger): State<Arc<Ledger>>, request: Request, next: Next) -> Response {
    let pattern =
        request.extensions().get::<MatchedPath>().map_or("(unknown)", |path| path.as_str().trim_end_matches('/'));
    if !pattern.starts_with("/admin") {
        ledger.count_request(&format!("{} {pattern}", request.method()));
    }
    next.run(request).await
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => serve(stream, router.clone(), graceful.watcher()),
            Err(error) => {
                tracing::warn!(%error, "the sandbox could not accept a connection; it will try again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some of the sandbox's connections were still busy when it ended");
    }
}

fn serve(stream: TcpStream, router: Router, watcher: Watcher) {
    // Small answers must not wait for a client's delayed acknowledgements.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let answer = move |request: hyper::Request<Incoming>| {
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { answer.await.map_err(|never| match never {}).and_then(send_or_cut) }
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    tokio::spawn(async move {
        if let Err(error) = watcher.watch(connection).await {
            tracing::trace!(%error, "a connection ended early");
        }
    });
}

fn send_or_cut(response: Response) -> Result<Response, Cut> {
    match response.extensions().get::<CutConnection>() {
        Some(_) => Err(Cut),
        None => Ok(response),
    }
}

//! The subscriber of the live feed: it comes back after every kill, and remembers everything that it was ever told.

use std::sync::{Arc, Mutex, PoisonError};

use syncline_client::{Api, Change, Cursor, Event, Subscribe};
use tokio::task::JoinHandle;

/// The subscriber.
#[derive(Debug)]
pub(crate) struct Audience {
    heard: Arc<Mutex<Vec<Change>>>,
    task: JoinHandle<()>,
}

impl Audience {
    /// Subscribes to everything; the server must be up now, and need not be later.
    pub(crate) async fn seat(api: &Api) -> Self {
        let heard: Arc<Mutex<Vec<Change>>> = Arc::default();
        let subscribe = Subscribe { models: vec!["contact".into()], cursor: Some(Cursor(0)), ..Subscribe::default() };
        let mut live = api.live(subscribe).await.expect("a subscription");
        let listening = heard.clone();
        let task = tokio::spawn(async move {
            loop {
                match live.next().await.expect("a loss that can be mended") {
                    Event::Change(change) => {
                        listening.lock().unwrap_or_else(PoisonError::into_inner).push(change);
                    }
                    Event::Subscribed(_) | Event::Lost(_) => {}
                    other => panic!("nobody asked for this: {other:?}"),
                }
            }
        });
        Self { heard, task }
    }

    /// Everything that was told so far, in that order.
    pub(crate) fn heard(&self) -> Vec<Change> {
        assert!(!self.task.is_finished(), "the subscriber has ended");
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.task.abort();
    }
}

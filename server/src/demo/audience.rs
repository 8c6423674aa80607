//! The live subscriber: it hears every merged change, in order, and passes each on.

use std::future::Future;

use syncline_client::{Action, Api, Change, Event, Live, Subscribe};

use super::{DemoError, scenario::MODEL};

/// What was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Changes of records that existed.
    pub(super) merges: u64,
    /// Changes that were missing between two others.
    pub(super) gaps: u64,
    last: Option<u64>,
}

impl Heard {
    /// The feed numbers a tenant's changes without a gap, and the demo has but one model.
    fn note(&mut self, change: &Change) {
        let cursor = change.cursor.0;
        self.gaps += self.last.map_or(0, |last| u64::from(cursor != last + 1));
        self.last = Some(cursor);
        self.merges += u64::from(change.event.action == Action::Updated);
    }
}

/// Subscribes to what happens from now on.
pub(super) async fn seat(api: &Api) -> Result<Live, DemoError> {
    Ok(api.live(Subscribe { models: vec![MODEL.into()], ..Subscribe::default() }).await?)
}

/// Listens while a play goes on; what the play comes to, and what was heard of it.
pub(super) async fn listen<T>(
    live: &mut Live,
    play: impl Future<Output = Result<T, DemoError>>,
    told: &mut impl FnMut(&Change),
) -> Result<(T, Heard), DemoError> {
    let mut heard = Heard::default();
    tokio::pin!(play);
    loop {
        tokio::select! {
            ended = &mut play => return Ok((ended?, heard)),
            event = live.next() => match event? {
                Event::Subscribed(cursor) => heard.last = heard.last.or(Some(cursor.0)),
                Event::Change(change) => {
                    heard.note(&change);
                    told(&change);
                }
                Event::Resync(_) => heard.gaps += 1,
                Event::Snapshot(_) | Event::SnapshotEnd(_) | Event::Lost(_) => {}
            },
        }
    }
}

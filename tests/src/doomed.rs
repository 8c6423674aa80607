//! A server that is to end at a fail point.

use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use syncline_server::failpoint::{self, Point};

use crate::{patience::PATIENCE, process::Start, stage::Stage};

/// The signal by which a process ends itself at once.
const ABORTED: i32 = 6;
/// Time between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The server.
#[derive(Debug)]
pub struct Doomed<'a> {
    stage: &'a Stage,
    point: Point,
    start: Start,
}

impl<'a> Doomed<'a> {
    /// Starts it.
    pub(crate) fn start(stage: &'a Stage, point: Point) -> Self {
        let armed = [(failpoint::ENVIRONMENT.to_owned(), point.name().to_owned())];
        Self { stage, point, start: stage.launch(&armed) }
    }

    /// Waits until it has ended there.
    pub async fn gone(self) {
        let Self { stage, point, start } = self;
        let waiting = async {
            match start {
                Start::Ended(status) => status,
                Start::Ready(mut process) => loop {
                    match process.ended() {
                        Some(status) => break status,
                        None => tokio::time::sleep(LOOK_EVERY).await,
                    }
                },
            }
        };
        let ended = tokio::time::timeout(PATIENCE, waiting).await;
        let status =
            ended.unwrap_or_else(|_| panic!("{point} was not reached within {PATIENCE:?}\n{}", stage.log_tail()));
        assert_eq!(status.signal(), Some(ABORTED), "{point}: it ended by itself\n{}", stage.log_tail());
    }
}

//! What follows from a batch whose writes are durable: messages go out, and everybody is told.

use std::{sync::Weak, time::Duration};

use super::Driver;
use crate::{
    client::{
        error::ClientError,
        state::{ClientEvent, ConnectionState},
    },
    engine::{Effects, Notice, Touched},
};

impl Driver {
    /// Whoever waits for a document waits in vain while there is no connection.
    pub(super) fn end_fetches(&mut self) {
        for (record, waiting) in self.fetches.drain() {
            waiting.into_iter().for_each(|reply| drop(reply.send(Err(ClientError::NotHeld { record }))));
        }
    }

    /// The batch's writes are durable: now messages go out and everybody is told.
    pub(super) async fn carry_out(&mut self, effects: Effects) {
        self.send(effects.messages);
        if let Some(reason) = effects.close {
            self.outbox = None;
            self.lines.state.send_replace(ConnectionState::Offline { reason, retry_in: Duration::ZERO });
        }
        effects.touched.iter().for_each(|touched| self.tell(touched));
        self.lines.tally.send_if_modified(|tally| std::mem::replace(tally, self.tally) != self.tally);
        effects.notices.into_iter().for_each(|notice| self.notify(notice));
        for ask in effects.asks {
            if let Err(error) = self.look_up(ask).await {
                self.fail(&error);
            }
        }
    }

    pub(super) fn send(&mut self, messages: Vec<syncline_core::repo::Message>) {
        for message in messages {
            let Some(outbox) = &self.outbox else { return };
            if outbox.try_send(message).is_err() {
                // The connection does not move. Dropping it makes a new one, in which everything is said again.
                self.outbox = None;
            }
        }
    }

    pub(super) fn tell(&mut self, touched: &Touched) {
        self.tally = self.tally.replaced(touched.before.as_ref(), touched.after.as_ref());
        self.subscribers.retain(|subscriber| match subscriber.upgrade() {
            Some(subscriber) => {
                subscriber.tell(touched);
                true
            }
            None => false,
        });
        if let Some(row) = touched.after.as_ref().filter(|row| row.held) {
            let waiting = self.fetches.remove(&row.record).into_iter().flatten();
            waiting.for_each(|reply| drop(reply.send(Ok(()))));
        }
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        let event = match notice {
            Notice::Joined => {
                self.lines.state.send_replace(ConnectionState::Online);
                return;
            }
            Notice::Said { record, by, data } => {
                self.ears.retain(|ear| ear.strong_count() > 0);
                let ears = self.ears.iter().filter_map(Weak::upgrade).filter(|ear| ear.record == record);
                ears.for_each(|ear| ear.hear(&by, &data));
                return;
            }
            Notice::Refused { model, record, reason } => ClientEvent::Refused { model, record, reason },
            Notice::Draft { model, record, reason } => ClientEvent::Draft { model, record, reason },
            Notice::Unavailable { model, record } => {
                let waiting = self.fetches.remove(&record).into_iter().flatten();
                waiting.for_each(|reply| drop(reply.send(Err(ClientError::Unavailable { record }))));
                ClientEvent::Unavailable { model, record }
            }
            Notice::Merged { model, from, into } => ClientEvent::Merged { model, from, into },
            Notice::Damaged { record, reason } => ClientEvent::Damaged { record, reason },
            Notice::Astray { record, .. } => {
                ClientEvent::Damaged { record, reason: "its documents point at each other without end".to_owned() }
            }
        };
        // Nobody may be listening.
        let _ = self.lines.events.send(event);
    }
}

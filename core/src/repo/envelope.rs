//! One payload for many receivers.

use bytes::Bytes;

use super::{encode, id::DocumentId, peer::PeerId};

/// A sync message that goes to many peers. All but the receiver's name is encoded once, and for each receiver the payload
/// is copied once, into the frame that is sent.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The frame up to the receiver's name.
    before: Vec<u8>,
    data: Bytes,
}

impl Envelope {
    /// Puts a sync message about a document, as Automerge encodes it, into an envelope.
    pub fn new(sender: &PeerId, document: &DocumentId, data: Bytes) -> Self {
        Self { before: encode::before_target(sender, document), data }
    }

    /// The frame for one receiver.
    pub fn frame(&self, target: &PeerId) -> Vec<u8> {
        encode::with_target(&self.before, target, &self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::message::{Message, Sync};

    #[test]
    fn every_receiver_gets_the_same_payload_under_its_own_name() {
        let sender = PeerId::new("server").unwrap();
        let document = DocumentId::from_bytes([7; 16]);
        for len in [0, 1, 23, 24, 255, 256, 70_000] {
            let data = Bytes::from(vec![9; len]);
            let envelope = Envelope::new(&sender, &document, data.clone());
            for target in ["a", "peer-with-a-longer-name", &"n".repeat(256)] {
                let target = PeerId::new(target).unwrap();
                let frame = envelope.frame(&target);
                assert!(frame.capacity() < frame.len() + 64, "a frame of {len} bytes was made larger than needed");
                let expected = Message::Sync(Sync { sender: sender.clone(), target, document, data: data.clone() });
                assert_eq!(Message::decode(&frame.into(), usize::MAX), Ok(expected));
            }
        }
    }
}

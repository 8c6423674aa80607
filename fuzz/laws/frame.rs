//! What holds for every frame.

use bytes::Bytes;
use syncline_core::repo::{Message, WireError};

/// More than a frame of these tests has.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Any bytes are a message or an error, and a message that was read is written so that it is read again.
pub(crate) fn holds(data: &[u8]) {
    match Message::decode(&Bytes::copy_from_slice(data), FRAME_BYTES_MAX) {
        Ok(message) => {
            let written = Bytes::from(message.encode());
            assert_eq!(Message::decode(&written, FRAME_BYTES_MAX), Ok(message));
        }
        Err(WireError::TooLarge { bytes, .. }) => assert_eq!(bytes, data.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

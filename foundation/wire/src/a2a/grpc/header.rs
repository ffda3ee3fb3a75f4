//! How a gRPC status travels in trailers: `grpc-message` percent-encoded, `grpc-status-details-bin` in base64.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use serde_json::Value;

use crate::a2a::place::Place;
use crate::a2a::scalar;

/// The value of `grpc-message`: printable ASCII stays, anything else and `%` becomes `%XX`.
pub fn status_message(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Reads `grpc-message`. Never fails: what is not encoded properly is taken as it is.
pub fn read_status_message(value: &str) -> String {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, tail @ ..] if *byte == b'%' => {
                char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16)).map(|digits| (digits, tail))
            }
            _ => None,
        };
        match escaped {
            Some(((high, low), tail)) => {
                decoded.push((high * 16 + low) as u8);
                rest = tail;
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The value of `grpc-status-details-bin`, without padding as gRPC asks.
pub fn status_details(details: &[u8]) -> String {
    STANDARD_NO_PAD.encode(details)
}

/// Reads `grpc-status-details-bin`, padded or not; `None` if it is no base64.
pub fn read_status_details(value: &str) -> Option<Bytes> {
    scalar::bytes(&Value::from(value.trim()), &Place::Root).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_header() {
        for text in ["plain", "100 % größer\n", "灯", "%41", ""] {
            let encoded = status_message(text);
            assert!(encoded.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{encoded}");
            assert_eq!(read_status_message(&encoded), text);
        }
        assert_eq!(status_message("50% é"), "50%25 %C3%A9");
        assert_eq!(read_status_message("50% off %zz %4"), "50% off %zz %4");
    }

    #[test]
    fn details_are_read_with_and_without_padding() {
        assert_eq!(status_details(b"a"), "YQ");
        for value in ["YQ", "YQ==", " YQ== "] {
            assert_eq!(read_status_details(value).as_deref(), Some(&b"a"[..]));
        }
        assert_eq!(read_status_details("?"), None);
    }
}

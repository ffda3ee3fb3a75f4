//! gRPC: frames, statuses and, of Protobuf, as much as it takes to read an error's details.

use base64::Engine as _;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

use super::Refusal;

/// A message in its frame.
pub fn frame(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(message.len() + 5);
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.extend_from_slice(message);
    out.freeze()
}

/// The first whole message in what came, which is taken out.
pub fn take(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(buffer.get(1..5)?.try_into().unwrap()) as usize;
    if buffer.len() < length + 5 {
        return None;
    }
    Some(buffer.split_to(length + 5).freeze().slice(5..))
}

/// The error that headers or trailers tell, if they tell one.
pub fn refusal(headers: &HeaderMap) -> Option<Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let code: i64 = text("grpc-status").parse().ok()?;
    if code == 0 {
        return None;
    }
    let details = text("grpc-status-details-bin").trim_end_matches('=');
    let status = base64::engine::general_purpose::STANDARD_NO_PAD.decode(details).unwrap();
    let mut refusal = Refusal { code, status: 200, message: text("grpc-message").into(), ..Refusal::default() };
    for any in fields(&status).into_iter().filter(|(number, _)| *number == 3).map(|(_, bytes)| bytes) {
        let any = fields(any);
        let kind = any.iter().find(|(number, _)| *number == 1).map(|(_, bytes)| String::from_utf8_lossy(bytes));
        if !kind.is_some_and(|kind| kind.ends_with("google.rpc.ErrorInfo")) {
            continue;
        }
        for (number, bytes) in fields(any.iter().find(|(number, _)| *number == 2).unwrap().1) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            match number {
                1 => refusal.reason = text,
                2 => refusal.domain = text,
                _ => {
                    refusal.gateway_code =
                        fields(bytes).last().map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                }
            }
        }
    }
    Some(refusal)
}

/// The length-delimited fields of a Protobuf message; numbers are skipped.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut out = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        match key & 7 {
            0 => {
                varint(&mut message);
            }
            2 => {
                let length = varint(&mut message) as usize;
                let (value, rest) = message.split_at(length);
                out.push((key >> 3, value));
                message = rest;
            }
            other => panic!("no such wire type in an error: {other}"),
        }
    }
    out
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

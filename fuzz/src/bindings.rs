//! The HTTP+JSON and gRPC bindings and event streams.

use bytes::Bytes;
use moongate_core::{Code, Operation};
use moongate_wire::a2a::http::{self, Source};
use moongate_wire::a2a::{Version, canonical, grpc, validate};
use moongate_wire::sse::{self as wire_sse, Event, Parser};
use serde_json::Value;

/// Takes the first byte as a choice among `count`, and the rest as the input.
pub(crate) fn choose(data: &[u8], count: usize) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(*first) % count, rest))
}

/// A gRPC request: what is read can be written, reads the same again, and is in canonical spelling already.
pub fn grpc_request(data: &[u8]) {
    let Some((choice, message)) = choose(data, 2 * Operation::ALL.len()) else { return };
    let version = Version::ALL[choice % 2];
    let operation = Operation::ALL[choice / 2];
    let Ok(value) = grpc::decode_request(operation, version, message) else { return };
    let written = match grpc::encode_request(operation, version, &value) {
        Ok(written) => written,
        // Protobuf carries numbers that name nothing in an enum. They are read, and refused with their place.
        Err(problem) => {
            assert!(problem.code == Code::InvalidParams && !problem.fields.is_empty(), "{problem:?}");
            assert!(version == Version::V03 || validate::params(operation, &value).is_err(), "valid, but not writable");
            return;
        }
    };
    let again = grpc::decode_request(operation, version, &written).expect("what was written can be read");
    assert_eq!(again, value);
    assert_eq!(canonical::request(operation, version, value.clone()).unwrap(), value);
}

/// Frames of gRPC: the same messages however the stream is cut, and a framed message comes back.
pub fn grpc_frame(data: &[u8]) {
    let Some((size, stream)) = choose(data, 31) else { return };
    let read = |size: usize| {
        let mut deframer = grpc::Deframer::requests(4096);
        let mut messages = Vec::new();
        for piece in stream.chunks(size) {
            deframer.feed(Bytes::copy_from_slice(piece));
            loop {
                match deframer.next() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(problem) => return (messages, Err(problem.code)),
                }
            }
        }
        (messages, deframer.finish().map_err(|problem| problem.code))
    };
    assert_eq!(read(size + 1), read(stream.len().max(1)));
    let mut deframer = grpc::Deframer::requests(stream.len());
    deframer.feed(grpc::frame(stream));
    assert_eq!(deframer.next().unwrap().unwrap(), stream);
    assert!(deframer.finish().is_ok());
}

/// A stream of events: the same however it is cut; what is read can be written and reads the same again.
pub fn sse(data: &[u8]) {
    const LIMIT: usize = 200;
    let Some((size, stream)) = choose(data, 31) else { return };
    let read = |stream: &[u8], size: usize, limit: usize| {
        let mut parser = Parser::new(limit);
        let (mut events, mut failed) = (Vec::new(), false);
        for piece in stream.chunks(size.max(1)) {
            failed |= parser.feed(Bytes::copy_from_slice(piece)).is_err();
            while let Some(Event { data, event, id, raw }) = parser.next() {
                assert!(raw.len() >= data.len());
                events.push((data, event, id));
            }
        }
        (events, failed)
    };
    let whole = read(stream, stream.len(), LIMIT);
    assert_eq!(read(stream, size + 1, LIMIT), whole);
    let written: Vec<u8> = whole
        .0
        .iter()
        .flat_map(|(data, event, id)| wire_sse::encode_event(event.as_deref(), id.as_deref(), data))
        .collect();
    // A NUL would be left out of a name when it is written.
    if !stream.contains(&0) {
        assert_eq!(read(&written, 7, usize::MAX).0, whole.0);
    }
}

/// `METHOD PATH?QUERY`: the call that is read makes a request that reads as the same call.
pub fn http_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Ok(call) = http::parse(method, path, query) else { return };
    let mut params = match &call.source {
        Source::Body => Value::Object(Default::default()),
        Source::BodyPlus(members) => Value::Object(members.clone()),
        Source::Query(params) => params.clone(),
    };
    // An empty tenant is none.
    params.as_object_mut().unwrap().retain(|name, value| name != "tenant" || value != "");
    let parts = http::build(call.operation, call.version, params.clone()).expect("what was read can be sent");
    let (path, query) = parts.path.split_once('?').map_or((&*parts.path, None), |(path, query)| (path, Some(query)));
    let again = http::parse(parts.method, path, query).expect("what is sent can be read");
    assert_eq!((again.operation, again.version), (call.operation, call.version));
    let body = parts.body.as_ref().map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
    assert_eq!(again.params(&body).expect("what is sent can be read"), params);
}

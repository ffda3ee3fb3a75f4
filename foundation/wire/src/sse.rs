//! Server-sent events (WHATWG HTML §9.2): cutting a stream into events as its chunks come, and writing events.
//!
//! - Lines end in LF, CRLF or CR; a byte order mark at the very beginning is skipped.
//! - `data` lines are joined by LF; an event without `data` (comments, keep-alives, `retry`) is skipped.
//! - An event that the stream ends in the middle of is none ([`Parser::is_partial`] tells).
//! - The events, and whether there is an error, do not depend on how the stream was cut into chunks.
//!
//! An event that lies in one chunk, with one `data` line, is a slice of that chunk.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use moongate_core::{Code, Problem};

use crate::json::swar;

/// A comment that keeps a quiet stream open.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

const MARK: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its bytes as they came, the empty line included.
    pub raw: Bytes,
    /// Its data.
    pub data: Bytes,
    /// Its name, if it has one.
    pub event: Option<Box<str>>,
    /// Its id, if it has one.
    pub id: Option<Box<str>>,
}

/// Reads a stream of events.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    buffer: Buffer,
    /// Where the line begins that is being read.
    line: usize,
    /// How far it has been searched for its end.
    searched: usize,
    /// Nothing has been read yet, so a byte order mark may come.
    fresh: bool,
    /// The last event ended in a CR; an LF that follows belongs to it.
    skip_feed: bool,
    failed: bool,
    ready: VecDeque<Event>,
}

/// What has come and belongs to no complete event yet.
#[derive(Debug)]
enum Buffer {
    /// The rest of one chunk.
    Chunk(Bytes),
    /// Pieces of several, joined.
    Joined(BytesMut),
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Chunk(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }

    fn push(&mut self, chunk: Bytes) {
        if self.bytes().is_empty() {
            *self = Self::Chunk(chunk);
            return;
        }
        if let Self::Chunk(first) = self {
            let mut joined = BytesMut::with_capacity(2 * (first.len() + chunk.len()));
            joined.put_slice(first);
            *self = Self::Joined(joined);
        }
        if let Self::Joined(joined) = self {
            joined.put_slice(&chunk);
        }
    }

    fn take(&mut self, length: usize) -> Bytes {
        match self {
            Self::Chunk(bytes) => bytes.split_to(length),
            Self::Joined(bytes) => bytes.split_to(length).freeze(),
        }
    }
}

impl Parser {
    /// A parser that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Buffer::Chunk(Bytes::new()),
            line: 0,
            searched: 0,
            fresh: true,
            skip_feed: false,
            failed: false,
            ready: VecDeque::new(),
        }
    }

    /// Takes the next chunk of the stream; complete events then wait in [`Self::next`].
    ///
    /// # Errors
    /// `AgentAnswerTooLarge` if an event passes the limit, then and for ever after.
    pub fn feed(&mut self, chunk: Bytes) -> Result<(), Problem> {
        if self.failed {
            return Err(self.too_large());
        }
        self.buffer.push(chunk);
        while let Some(end) = self.boundary() {
            let raw = self.buffer.take(end);
            // The empty line does not count: whether its LF has come already is chance.
            let length = self.line;
            (self.line, self.searched) = (0, 0);
            if length > self.limit {
                return Err(self.too_large());
            }
            self.ready.extend(event(raw));
        }
        let held = self.buffer.bytes();
        // Part of a byte order mark is part of no event.
        let marks = self.fresh && held.len() < MARK.len() && MARK.starts_with(held);
        if !marks && held.len() > self.limit { Err(self.too_large()) } else { Ok(()) }
    }

    /// The next complete event.
    #[allow(clippy::should_implement_trait, reason = "it ends for now, not for ever")]
    pub fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Whether part of an event has come; if the stream ends now, that part is lost.
    pub fn is_partial(&self) -> bool {
        !self.buffer.bytes().is_empty()
    }

    fn too_large(&mut self) -> Problem {
        self.failed = true;
        self.buffer = Buffer::Chunk(Bytes::new());
        Problem::new(Code::AgentAnswerTooLarge, format!("an event of the stream has more than {} bytes", self.limit))
    }

    /// Where the first event of the buffer ends, after its empty line.
    fn boundary(&mut self) -> Option<usize> {
        if !self.begin() {
            return None;
        }
        let bytes = self.buffer.bytes();
        loop {
            let rest = bytes.get(self.searched..).unwrap_or_default();
            let at = self.searched + swar::line(rest);
            let ending = match (bytes.get(at), bytes.get(at + 1)) {
                (None, _) => {
                    self.searched = at;
                    return None;
                }
                (Some(b'\r'), Some(b'\n')) => 2,
                (Some(b'\r'), None) if at == self.line => {
                    self.skip_feed = true;
                    1
                }
                // An LF may follow in the next chunk.
                (Some(b'\r'), None) => {
                    self.searched = at;
                    return None;
                }
                _ => 1,
            };
            if at == self.line {
                return Some(at + ending);
            }
            (self.line, self.searched) = (at + ending, at + ending);
        }
    }

    /// Skips what may stand before an event; `false` if more has to come first.
    fn begin(&mut self) -> bool {
        if self.fresh {
            let bytes = self.buffer.bytes();
            if bytes.len() < MARK.len() && MARK.starts_with(bytes) {
                return false;
            }
            if bytes.starts_with(MARK) {
                self.buffer.take(MARK.len());
            }
            self.fresh = false;
        }
        if self.skip_feed {
            match self.buffer.bytes().first() {
                None => return false,
                Some(b'\n') => drop(self.buffer.take(1)),
                Some(_) => {}
            }
            self.skip_feed = false;
        }
        true
    }
}

/// Reads the lines of one event; `None` if it has no data.
fn event(raw: Bytes) -> Option<Event> {
    let (mut name, mut id) = (None, None);
    let mut data: Option<Bytes> = None;
    let mut joined: Option<BytesMut> = None;
    let mut start = 0;
    while start < raw.len() {
        let end = start + swar::line(raw.get(start..).unwrap_or_default());
        let line = raw.get(start..end).unwrap_or_default();
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, rest) = line.split_at(colon);
        let value = rest.strip_prefix(b":").unwrap_or(rest);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || Box::from(String::from_utf8_lossy(value));
        match field {
            b"data" => match (&data, &mut joined) {
                (None, _) => data = Some(raw.slice(end - value.len()..end)),
                (Some(first), None) => {
                    let mut lines = BytesMut::with_capacity(raw.len());
                    lines.put_slice(first);
                    lines.put_u8(b'\n');
                    lines.put_slice(value);
                    joined = Some(lines);
                }
                (Some(_), Some(lines)) => {
                    lines.put_u8(b'\n');
                    lines.put_slice(value);
                }
            },
            b"event" => name = Some(text()),
            b"id" if !value.contains(&0) => id = Some(text()),
            _ => {}
        }
        start = end + 1 + usize::from(raw.get(end..end + 2) == Some(b"\r\n"));
    }
    let data = joined.map(BytesMut::freeze).or(data)?;
    Some(Event { raw, data, event: name, id })
}

/// Writes an event that has nothing but data.
pub fn encode(data: &[u8]) -> Bytes {
    encode_event(None, None, data)
}

/// Writes an event. Line ends in `data` come out as LF on the other side; in `event` and `id` they are left out.
pub fn encode_event(event: Option<&str>, id: Option<&str>, data: &[u8]) -> Bytes {
    let named = event.map_or(0, str::len) + id.map_or(0, str::len);
    let mut bytes = BytesMut::with_capacity(data.len() + named + 32);
    for (field, value) in [(&b"event: "[..], event), (b"id: ", id)] {
        if let Some(value) = value {
            bytes.put_slice(field);
            bytes.extend(value.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r' | 0)));
            bytes.put_u8(b'\n');
        }
    }
    let mut rest = data;
    loop {
        let (line, more) = rest.split_at(swar::line(rest));
        bytes.put_slice(b"data: ");
        bytes.put_slice(line);
        bytes.put_u8(b'\n');
        rest = match more {
            [b'\r', b'\n', more @ ..] | [_, more @ ..] => more,
            [] => break,
        };
    }
    bytes.put_u8(b'\n');
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Plain = (Vec<u8>, Option<String>, Option<String>);

    /// All events of a stream cut at `cuts`, and whether it broke the limit.
    fn parse(stream: &[u8], cuts: &[usize], limit: usize) -> (Vec<Plain>, bool) {
        let mut parser = Parser::new(limit);
        let mut events = Vec::new();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        ends.push(stream.len());
        ends.sort_unstable();
        let (mut start, mut failed) = (0, false);
        for end in ends {
            failed |= parser.feed(Bytes::copy_from_slice(&stream[start..end])).is_err();
            start = end;
            while let Some(event) = parser.next() {
                events.push((event.data.to_vec(), event.event.map(Into::into), event.id.map(Into::into)));
            }
        }
        (events, failed)
    }

    /// The specification, word for word and slowly.
    fn model(stream: &[u8]) -> Vec<Plain> {
        let stream = stream.strip_prefix(MARK).unwrap_or(stream);
        let (mut events, mut data, mut name, mut id) = (Vec::new(), None::<Vec<u8>>, None, None);
        let mut line = Vec::new();
        let mut bytes = stream.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\r' => drop(bytes.next_if_eq(&b'\n')),
                b'\n' => {}
                other => {
                    line.push(other);
                    continue;
                }
            }
            let text = std::mem::take(&mut line);
            if text.is_empty() {
                let (name, id) = (name.take(), id.take());
                events.extend(data.take().map(|data| (data, name, id)));
                continue;
            }
            let colon = text.iter().position(|b| *b == b':').unwrap_or(text.len());
            let mut value = text.get(colon + 1..).unwrap_or_default();
            value = value.strip_prefix(b" ").unwrap_or(value);
            let string = String::from_utf8_lossy(value).into_owned();
            match &text[..colon] {
                b"data" => match &mut data {
                    Some(data) => data.extend([b"\n", value].concat()),
                    None => data = Some(value.to_vec()),
                },
                b"event" => name = Some(string),
                b"id" if !value.contains(&0) => id = Some(string),
                _ => {}
            }
        }
        events
    }

    fn soup() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: [&str; 22] = [
            "data",
            "data:",
            "data: ",
            "event: x",
            "id: 7",
            "id",
            ":",
            " ",
            "a",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\r\r",
            "\r\n\r\n",
            "retry: 5",
            "\u{feff}",
            "{\"a\":1}",
            "\0",
            "dat",
            "é",
            "data:  two",
        ];
        prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn events_do_not_depend_on_how_the_stream_is_cut(stream in soup(), cuts in prop::collection::vec(0..100usize, 0..12)) {
            prop_assert_eq!(parse(&stream, &cuts, 1000), (model(&stream), false));
        }

        #[test]
        fn neither_does_the_limit(stream in soup(), cuts in prop::collection::vec(0..100usize, 0..12), limit in 0..30usize) {
            prop_assert_eq!(parse(&stream, &cuts, limit), parse(&stream, &[], limit));
        }

        #[test]
        fn one_byte_at_a_time_is_all_the_same(stream in soup()) {
            let cuts: Vec<usize> = (0..stream.len()).collect();
            prop_assert_eq!(parse(&stream, &cuts, 1000).0, model(&stream));
        }

        #[test]
        fn what_is_encoded_reads_back(data in "[a-c\n\r é]{0,20}", event in prop::option::of("[a-z]{1,8}"), id in prop::option::of("[0-9]{1,4}")) {
            let stream = encode_event(event.as_deref(), id.as_deref(), data.as_bytes());
            let lines = data.replace("\r\n", "\n").replace('\r', "\n").into_bytes();
            prop_assert_eq!(parse(&stream, &[], 1000).0, vec![(lines, event, id)]);
        }
    }

    #[test]
    fn an_event_in_one_chunk_is_not_copied() {
        let chunk = Bytes::from(b"data: {\"a\":1}\n\ndata: 2\n\n".to_vec());
        let mut parser = Parser::new(100);
        parser.feed(chunk.clone()).unwrap();
        let event = parser.next().unwrap();
        assert_eq!((&event.data[..], &event.raw[..]), (&b"{\"a\":1}"[..], &b"data: {\"a\":1}\n\n"[..]));
        assert_eq!(event.data.as_ptr(), chunk[6..].as_ptr());
        assert_eq!(parser.next().unwrap().data, &b"2"[..]);
        assert!(parser.next().is_none() && !parser.is_partial());
    }

    #[test]
    fn an_event_is_there_as_soon_as_its_empty_line_is() {
        let mut parser = Parser::new(100);
        parser.feed(Bytes::from_static(b"data: 1\r\n\r")).unwrap();
        assert_eq!(parser.next().unwrap().data, &b"1"[..]);
        parser.feed(Bytes::from_static(b"\ndata: 2\r\n")).unwrap();
        assert!(parser.next().is_none() && parser.is_partial());
        parser.feed(Bytes::from_static(b"\r\n")).unwrap();
        assert_eq!(parser.next().unwrap().data, &b"2"[..]);
    }

    #[test]
    fn an_event_over_the_limit_ends_the_stream() {
        let stream = [&b"data: 1\n\ndata: "[..], &[b'x'; 50], b"\n\ndata: 3\n\n"].concat();
        let every: Vec<usize> = (0..stream.len()).collect();
        for cuts in [&[][..], &[20], &every] {
            assert_eq!(parse(&stream, cuts, 40), (vec![(b"1".to_vec(), None, None)], true));
        }
        assert_eq!(parse(&stream, &[], 60).0.len(), 3);
    }

    #[test]
    fn keep_alives_are_no_events() {
        let stream = [KEEP_ALIVE, &encode(b"{}"), KEEP_ALIVE].concat();
        assert_eq!(parse(&stream, &[], 100), (vec![(b"{}".to_vec(), None, None)], false));
    }
}

//! Whether an answer is what was asked for. Cheap byte searches: the numbers in an answer are unique, so that an answer
//! that holds the right ones was made for this request.

use std::time::Instant;

use super::call::Expect;

/// An answer as it was read.
#[derive(Default)]
pub(crate) struct Reading {
    /// The HTTP status.
    pub(crate) status: u16,
    /// `grpc-status`, from headers or trailers.
    pub(crate) grpc_status: Option<u16>,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// The events of the body, if it is a stream.
    pub(crate) events: EventCounter,
    /// When the first event was there.
    pub(crate) first_event: Option<Instant>,
}

impl Reading {
    /// Makes it ready for the next answer; keeps its memory.
    pub(crate) fn clear(&mut self) {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        *self = Self { body, ..Self::default() };
    }
}

/// Says what is wrong with the answer to request `number`.
pub(crate) fn check(expect: &Expect, reading: &Reading, number: &str) -> Result<(), String> {
    if reading.status != if *expect == Expect::Queued { 201 } else { 200 } {
        return Err(complaint(reading, &format!("status {}", reading.status)));
    }
    let has = |what: &str| {
        let found = find(&reading.body, what.as_bytes()).is_some();
        if found { Ok(()) } else { Err(complaint(reading, &format!("no {what} in the answer"))) }
    };
    match expect {
        Expect::Result => {
            has(&format!("re-bench-{number}"))?;
            has(&format!("\"id\":{number}"))?;
            has("\"result\"")
        }
        Expect::Grpc => {
            if reading.grpc_status != Some(0) {
                return Err(complaint(reading, &format!("grpc-status {:?}", reading.grpc_status)));
            }
            has(&format!("re-bench-{number}"))
        }
        Expect::Queued => has(&format!("\"bench-{number}\"")).and_then(|()| has("TASK_STATE_SUBMITTED")),
        Expect::Holds(text) => has(text),
        Expect::Card => has("\"skills\"").and_then(|()| has("\"name\"")),
        Expect::Events(count) => {
            if reading.events.count != *count {
                return Err(complaint(reading, &format!("{} events instead of {count}", reading.events.count)));
            }
            let times = reading.body.windows(9).filter(|window| *window == b"re-bench-").count() as u64;
            if times < *count {
                return Err(complaint(reading, "an event names no task"));
            }
            has(&format!("task-re-bench-{number}"))?;
            has("TASK_STATE_COMPLETED")
        }
    }
}

fn complaint(reading: &Reading, what: &str) -> String {
    let begin: Vec<u8> = reading.body.iter().take(300).copied().collect();
    format!("{what}: {}", String::from_utf8_lossy(&begin))
}

/// Where `what` begins in `text`.
fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    while let Some(rest) = text.get(from..) {
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if text.get(at..)?.starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Counts server-sent events (WHATWG HTML §9.2) however the bytes are cut: an event ends with an empty line, if a
/// `data` line came before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventCounter {
    /// Whole events so far.
    pub(crate) count: u64,
    column: usize,
    is_data: bool,
    has_data: bool,
}

impl EventCounter {
    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        const FIELD: &[u8] = b"data:";
        for byte in bytes {
            match byte {
                b'\r' => {}
                b'\n' => {
                    if self.column == 0 {
                        self.count += u64::from(self.has_data);
                        self.has_data = false;
                    } else if self.is_data && self.column >= FIELD.len() {
                        self.has_data = true;
                    }
                    self.column = 0;
                }
                byte => {
                    if let Some(expected) = FIELD.get(self.column) {
                        self.is_data = (self.column == 0 || self.is_data) && byte == expected;
                    }
                    self.column += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&str]) -> u64 {
        let mut counter = EventCounter::default();
        pieces.iter().for_each(|piece| counter.feed(piece.as_bytes()));
        counter.count
    }

    #[test]
    fn events_are_counted_however_they_are_cut() {
        let stream =
            "id: 1\ndata: {\"a\":1}\n\n: keep-alive\n\nevent: x\r\ndata:{}\r\ndata:{}\r\n\r\ndatum: 1\n\ndata: last";
        assert_eq!(events(&[stream]), 2);
        for cut in 1..stream.len() {
            assert_eq!(events(&[&stream[..cut], &stream[cut..]]), 2, "cut at {cut}");
        }
        assert_eq!(events(&[stream, "\n", "\n"]), 3);
    }

    fn reading(status: u16, body: &str) -> Reading {
        let mut reading = Reading { status, body: body.into(), ..Reading::default() };
        reading.events.feed(body.as_bytes());
        reading
    }

    #[test]
    fn an_answer_to_another_request_is_an_error() {
        let body = r#"{"jsonrpc":"2.0","id":12,"result":{"message":{"messageId":"re-bench-12"}}}"#;
        assert_eq!(check(&Expect::Result, &reading(200, body), "12"), Ok(()));
        assert!(check(&Expect::Result, &reading(200, body), "13").is_err());
        assert!(check(&Expect::Result, &reading(500, body), "12").unwrap_err().starts_with("status 500"));
        assert!(check(&Expect::Result, &reading(200, &body.replace("result", "error")), "12").is_err());
    }

    #[test]
    fn a_stream_must_be_complete_and_name_its_task_throughout() {
        let event = "data: {\"taskId\":\"task-re-bench-12\"}\n\n";
        let last = "data: {\"taskId\":\"task-re-bench-12\",\"state\":\"TASK_STATE_COMPLETED\"}\n\n";
        let whole = [event, event, last].concat();
        assert_eq!(check(&Expect::Events(3), &reading(200, &whole), "12"), Ok(()));
        assert!(check(&Expect::Events(4), &reading(200, &whole), "12").is_err());
        assert!(check(&Expect::Events(3), &reading(200, &[event, event, event].concat()), "12").is_err());
        assert!(check(&Expect::Events(3), &reading(200, &["data: {}\n\n", event, last].concat()), "12").is_err());
    }

    #[test]
    fn grpc_needs_its_own_status() {
        let mut answer = reading(200, "\0\0\0\0\u{10}re-bench-12");
        assert!(check(&Expect::Grpc, &answer, "12").is_err());
        answer.grpc_status = Some(13);
        assert!(check(&Expect::Grpc, &answer, "12").is_err());
        answer.grpc_status = Some(0);
        assert_eq!(check(&Expect::Grpc, &answer, "12"), Ok(()));
    }

    #[test]
    fn clearing_forgets_everything_but_the_memory() {
        let mut answer = reading(200, "data: x\n\n");
        answer.clear();
        assert_eq!((answer.status, answer.body.len(), answer.events.count), (0, 0, 0));
        assert!(answer.body.capacity() > 0);
    }
}

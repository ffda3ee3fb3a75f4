//! Frames of the WebSocket binding: a JSON-RPC request with a few members beside its own.
//!
//! Those members are the binding's (`docs/reference/bindings/websocket.md`) and no agent's business: [`Frame::request`]
//! is the frame without them, byte for byte otherwise, and what the JSON-RPC binding would have got. It is peeked by
//! [`super::request`] as any other; this look only decides what the frame is.

use bytes::Bytes;
use moongate_core::{Code, Problem};

use super::names::{Seen, names};
use super::request::id;
use super::{Limits, RpcId, Span};
use crate::json::Fault;
use crate::json::keys::Names;
use crate::json::scan::{Kind, Scan, Scanner};
use crate::splice;

/// The member that holds a frame's own service parameters.
pub const PARAMETERS: &str = "a2a-service-parameters";

/// More service parameters than this are refused.
const MOST: usize = 32;

/// What a frame says beside its request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// The request's id.
    pub id: RpcId,
    /// Whether there is a `method`.
    pub is_request: bool,
    /// `cancelStream`: whether it is there and true.
    pub cancels: bool,
    /// `fromSeq`.
    pub from: Option<u64>,
    /// Service parameters, in the order of the frame.
    pub parameters: Vec<(Box<str>, Box<str>)>,
    /// What is well-formed but wrong.
    pub wrong: Option<Box<Problem>>,
    extras: Vec<Span>,
}

impl Frame {
    /// The request alone, as the JSON-RPC binding would have got it; the frame itself where it held nothing else.
    pub fn request(&self, frame: &Bytes) -> Bytes {
        if self.extras.is_empty() {
            return frame.clone();
        }
        let cuts = splice::remove_members(frame, &self.extras);
        let mut edits: Vec<(Span, Bytes)> = cuts.into_iter().map(|cut| (cut, Bytes::new())).collect();
        splice::splice(frame, &mut edits)
    }

    fn complain(&mut self, field: &str, why: &str) {
        if self.wrong.is_none() {
            let problem = Problem::new(Code::InvalidParams, format!("{field}: {why}")).field(field, why);
            self.wrong = Some(Box::new(problem));
        }
    }
}

names! {
    Member {
        Id = "id",
        Method = "method",
        Cancel = "cancelStream",
        From = "fromSeq",
        Parameters = "a2a-service-parameters",
    }
}

/// Looks at a frame.
///
/// # Errors
/// `BodyNotUtf8`, `BodyNotJson`, `TooDeep`, `DuplicateKey`; `BatchRefused` for an array, `NotARequest` for anything else
/// that is no object or has an `id` of another type than string, number or null; `InvalidParams` for a member that must
/// be spelled otherwise.
pub fn frame(body: &[u8], limits: &Limits) -> Result<Frame, Problem> {
    let run = || {
        let mut scanner = Scanner::new(body, limits)?;
        match scanner.kind()? {
            Kind::Object => {}
            Kind::Array => return scanner.refuse(Code::BatchRefused, "the frame is an array of requests"),
            _ => return scanner.refuse(Code::NotARequest, "the frame is no JSON object"),
        }
        let mut frame = Frame::default();
        let mut seen = Seen::default();
        scanner.object(Names::Folded, |scanner, key| {
            match seen.strictly(key)? {
                Some(Member::Id) => frame.id = id(scanner)?,
                Some(Member::Method) => {
                    frame.is_request = true;
                    scanner.value()?;
                }
                Some(Member::Cancel) => frame.cancel(scanner)?,
                Some(Member::From) => frame.from(scanner)?,
                Some(Member::Parameters) => frame.parameters(scanner)?,
                None => drop(scanner.value()?),
            }
            Ok(())
        })?;
        scanner.finish()?;
        Ok(frame)
    };
    run().map_err(|fault: Box<Fault>| fault.problem(body))
}

impl Frame {
    fn cancel(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        self.cancels = scanner.kind()? == Kind::True;
        if !self.cancels {
            self.complain("cancelStream", "must be true");
        }
        self.extras.push(scanner.value()?);
        Ok(())
    }

    fn from(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        let source = scanner.source();
        let is_number = scanner.kind()? == Kind::Number;
        let span = scanner.value()?;
        self.from = span.as_str(source.as_bytes()).parse().ok().filter(|_| is_number);
        if self.from.is_none() {
            self.complain("fromSeq", "must be the number of an event");
        }
        self.extras.push(span);
        Ok(())
    }

    fn parameters(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        if scanner.kind()? != Kind::Object {
            self.complain(PARAMETERS, "must be an object of strings");
            self.extras.push(scanner.value()?);
            return Ok(());
        }
        let span = scanner.object(Names::Exact, |scanner, key| {
            if scanner.kind()? != Kind::String {
                self.complain(PARAMETERS, "must be an object of strings");
                return scanner.value().map(drop);
            }
            let value = scanner.string()?;
            if self.parameters.len() < MOST {
                self.parameters.push((key.read().into(), value.read().into()));
            } else {
                self.complain(PARAMETERS, "has too many members");
            }
            Ok(())
        })?;
        self.extras.push(span);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> (Frame, String) {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let frame = frame(&body, &Limits::default()).unwrap();
        let request = String::from_utf8(frame.request(&body).to_vec()).unwrap();
        (frame, request)
    }

    #[test]
    fn the_bindings_own_members_are_read_and_cut_out() {
        let plain = r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"x","fromSeq":2}}"#;
        assert_eq!(look(plain).1, plain);
        let (frame, request) = look(
            r#"{"fromSeq":7,"jsonrpc":"2.0","id":"a","a2a-service-parameters":{"A2A-Version":"1.0","X":"\u00e9"},"method":"M","params":{}}"#,
        );
        assert_eq!((frame.from, frame.is_request, frame.cancels), (Some(7), true, false));
        assert_eq!(frame.parameters, [("A2A-Version".into(), "1.0".into()), ("X".into(), "é".into())]);
        assert_eq!(request, r#"{"jsonrpc":"2.0","id":"a","method":"M","params":{}}"#);
        let (frame, request) = look(r#"{"jsonrpc":"2.0","id":1,"cancelStream":true}"#);
        assert!(frame.cancels && !frame.is_request && frame.wrong.is_none());
        assert_eq!(request, r#"{"jsonrpc":"2.0","id":1}"#);
        let all = r#"{"fromSeq":1,"cancelStream":true,"a2a-service-parameters":{}}"#;
        assert_eq!(look(all).1, "{}");
    }

    #[test]
    fn wrong_values_are_told_and_leave_the_id_readable() {
        for wrong in [
            r#""fromSeq":"7""#,
            r#""fromSeq":-1"#,
            r#""fromSeq":1.5"#,
            r#""fromSeq":null"#,
            r#""cancelStream":false"#,
            r#""a2a-service-parameters":[]"#,
            r#""a2a-service-parameters":{"A2A-Version":1}"#,
        ] {
            let (frame, _) = look(&format!(r#"{{{wrong},"id":3}}"#));
            assert_eq!(frame.wrong.map(|problem| problem.code), Some(Code::InvalidParams), "{wrong}");
            assert_ne!(frame.id, RpcId::Absent);
        }
    }

    #[test]
    fn frames_that_could_be_read_in_two_ways_are_refused() {
        for (text, code) in [
            (r#"{"fromSeq":1,"fromSeq":2}"#, Code::DuplicateKey),
            (r#"{"fromSeq":1,"from\u0053eq":2}"#, Code::DuplicateKey),
            (r#"{"FromSeq":1}"#, Code::InvalidParams),
            (r#"[{"id":1}]"#, Code::BatchRefused),
            ("7", Code::NotARequest),
            ("{", Code::BodyNotJson),
            (r#"{"id":{}}"#, Code::NotARequest),
        ] {
            assert_eq!(frame(text.as_bytes(), &Limits::default()).unwrap_err().code, code, "{text}");
        }
    }
}

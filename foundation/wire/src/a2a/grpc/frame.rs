//! gRPC's length-prefixed messages (*gRPC over HTTP2*): one byte that says whether it is compressed, four bytes of
//! length, the message. We announce no compression, so a compressed message is an error.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use moongate_core::{Code, Problem};

const PREFIX: usize = 5;

/// Puts a message into its frame.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// Takes messages out of a body that comes in pieces. A message that lies in one piece is not copied.
#[derive(Debug)]
pub struct Deframer {
    pieces: VecDeque<Bytes>,
    length: usize,
    limit: usize,
    malformed: Code,
    too_large: Code,
}

impl Deframer {
    /// For bodies of callers; `limit` is the largest message, in bytes.
    pub fn requests(limit: usize) -> Self {
        Self::new(limit, Code::MalformedFrame, Code::BodyTooLarge)
    }

    /// For bodies of agents; what is wrong there is the agent's fault.
    pub fn answers(limit: usize) -> Self {
        Self::new(limit, Code::AgentGarbage, Code::AgentAnswerTooLarge)
    }

    fn new(limit: usize, malformed: Code, too_large: Code) -> Self {
        Self { pieces: VecDeque::new(), length: 0, limit, malformed, too_large }
    }

    /// Adds a piece of the body.
    pub fn feed(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// The next whole message, `None` until more is fed.
    ///
    /// # Errors
    /// A compressed message, or one over the limit; both are known from the first five bytes.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not be fed after it had said None")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some([compressed, length @ ..]) = self.prefix() else { return Ok(None) };
        if compressed != 0 {
            return Err(Problem::new(self.malformed, "the gRPC message is compressed, which was not offered"));
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.limit {
            let detail = format!("the gRPC message has {length} bytes, the limit is {}", self.limit);
            return Err(Problem::new(self.too_large, detail));
        }
        if self.length < PREFIX + length {
            return Ok(None);
        }
        self.take(PREFIX);
        Ok(Some(self.take(length)))
    }

    /// To be asked when the body has ended.
    ///
    /// # Errors
    /// The body ended in the middle of a message.
    pub fn finish(&self) -> Result<(), Problem> {
        if self.length == 0 {
            return Ok(());
        }
        Err(Problem::new(self.malformed, "the gRPC body ends in the middle of a message"))
    }

    /// The first five bytes, left where they are.
    fn prefix(&self) -> Option<[u8; PREFIX]> {
        let mut prefix = [0; PREFIX];
        let mut bytes = self.pieces.iter().flatten();
        for slot in &mut prefix {
            *slot = *bytes.next()?;
        }
        Some(prefix)
    }

    /// Takes `wanted` bytes, of which there must be enough.
    fn take(&mut self, wanted: usize) -> Bytes {
        self.length -= wanted;
        if let Some(front) = self.pieces.front_mut().filter(|front| front.len() >= wanted) {
            let taken = front.split_to(wanted);
            if front.is_empty() {
                self.pieces.pop_front();
            }
            return taken;
        }
        let mut taken = BytesMut::with_capacity(wanted);
        while taken.len() < wanted {
            let Some(front) = self.pieces.front_mut() else { break };
            let part = front.len().min(wanted - taken.len());
            taken.put_slice(front.get(..part).unwrap_or_default());
            front.advance(part);
            if front.is_empty() {
                self.pieces.pop_front();
            }
        }
        taken.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cutting() {
        let messages: [&[u8]; 4] = [b"one", b"", b"a longer message", &[0; 300]];
        let body: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        for size in 1..=body.len() {
            let mut deframer = Deframer::requests(1000);
            let mut seen = Vec::new();
            for piece in body.chunks(size) {
                deframer.feed(Bytes::copy_from_slice(piece));
                while let Some(message) = deframer.next().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, messages, "pieces of {size}");
            deframer.finish().unwrap();
        }
    }

    #[test]
    fn a_message_in_one_piece_is_not_copied() {
        let piece = frame(b"hello");
        let mut deframer = Deframer::requests(1000);
        deframer.feed(piece.clone());
        let message = deframer.next().unwrap().unwrap();
        assert_eq!(message.as_ptr(), piece[5..].as_ptr());
    }

    #[test]
    fn compressed_large_and_cut_off_messages_are_refused() {
        let mut compressed = Deframer::requests(10);
        compressed.feed(Bytes::from_static(&[1, 0, 0, 0, 0]));
        assert_eq!(compressed.next().unwrap_err().code, Code::MalformedFrame);

        let mut large = Deframer::answers(10);
        large.feed(Bytes::from_static(&[0, 0, 0, 0, 11]));
        assert_eq!(large.next().unwrap_err().code, Code::AgentAnswerTooLarge);

        let mut cut = Deframer::answers(10);
        cut.feed(Bytes::from_static(&[0, 0, 0, 0, 2, 7]));
        assert_eq!(cut.next().unwrap(), None);
        assert_eq!(cut.finish().unwrap_err().code, Code::AgentGarbage);
    }
}

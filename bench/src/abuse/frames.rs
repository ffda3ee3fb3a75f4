//! HTTP/2 frames by hand: only what attackers need, as no library sends what must not be sent.

/// The client's first bytes: the preface and empty settings.
pub(super) fn hello() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(settings());
    bytes
}

/// Empty settings, which must be acknowledged.
pub(super) fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

/// A request that has a body to come; with `end`, its headers are complete.
pub(super) fn headers(stream: u32, path: &str, end: bool) -> Vec<u8> {
    // Indexed from the static table: POST (3), http (6); then literals without indexing of :path (4), :authority (1).
    let mut block = vec![0x83, 0x86, 0x04];
    block.extend(text(path));
    block.push(0x01);
    block.extend(text("localhost"));
    for (name, value) in [("content-type", "application/json"), ("a2a-version", "1.0")] {
        block.push(0);
        block.extend(text(name));
        block.extend(text(value));
    }
    frame(1, if end { 4 } else { 0 }, stream, &block)
}

/// More headers of a request, which never end.
pub(super) fn continuation(stream: u32) -> Vec<u8> {
    let mut block = vec![0];
    block.extend(text("x-more"));
    block.extend(text("y"));
    frame(9, 0, stream, &block)
}

/// The end of a request that nobody wants any more (CANCEL).
pub(super) fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &8u32.to_be_bytes())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = length.get(1..).unwrap_or_default().to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A text of HPACK without Huffman, shorter than 127 bytes.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len().min(126)).unwrap_or(126)];
    bytes.extend(text.bytes().take(126));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_their_length_kind_flags_and_stream() {
        assert_eq!(settings(), [0, 0, 0, 4, 0, 0, 0, 0, 0]);
        assert_eq!(reset(5), [0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 8]);
        assert_eq!(continuation(3)[..9], [0, 0, 10, 9, 0, 0, 0, 0, 3]);
        let whole = headers(1, "/a", true);
        assert_eq!(whole[3..9], [1, 4, 0, 0, 0, 1]);
        assert_eq!(usize::from(whole[2]), whole.len() - 9);
        assert_eq!(whole[9..15], [0x83, 0x86, 0x04, 2, b'/', b'a']);
    }
}

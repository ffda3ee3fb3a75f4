//! The five packets of MQTT 5 that publishing takes. They are written to, and read from, plain bytes.

/// Ends a connection in order.
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];
/// The only message of a connection has this number.
const NUMBER: u16 = 1;
/// Longest that a broker may keep a silent connection.
const KEEP_ALIVE: u16 = 60;

/// A message at QoS 1.
pub(super) struct Publish<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// Kept for whoever subscribes later.
    pub(super) retain: bool,
    /// After so many seconds it is handed to nobody any more.
    pub(super) expires: Option<u32>,
}

/// What a broker answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// CONNACK, with its reason.
    Connected(u8),
    /// PUBACK of our message, with its reason.
    Taken(u8),
    /// DISCONNECT, with its reason.
    Left(u8),
    /// Anything else.
    Other,
}

/// A session that begins and ends with its connection, without a name and without a will.
pub(super) fn connect(login: Option<(&str, &str)>) -> Vec<u8> {
    let mut rest = Vec::new();
    text(&mut rest, "MQTT");
    let flags = 0x02 | if login.is_some() { 0xc0 } else { 0 };
    rest.extend([5, flags]);
    rest.extend(KEEP_ALIVE.to_be_bytes());
    // No properties, no name.
    rest.push(0);
    text(&mut rest, "");
    if let Some((name, password)) = login {
        text(&mut rest, name);
        text(&mut rest, password);
    }
    packet(0x10, &rest)
}

pub(super) fn publish(message: &Publish<'_>) -> Vec<u8> {
    let mut rest = Vec::new();
    text(&mut rest, message.topic);
    rest.extend(NUMBER.to_be_bytes());
    // The payload is text; and it may expire.
    let mut properties = vec![0x01, 1];
    if let Some(seconds) = message.expires {
        properties.push(0x02);
        properties.extend(seconds.to_be_bytes());
    }
    length(&mut rest, properties.len());
    rest.extend(properties);
    rest.extend(message.payload);
    packet(0x32 | u8::from(message.retain), &rest)
}

pub(super) fn answer(first: u8, rest: &[u8]) -> Answer {
    match (first, rest) {
        (0x20, [_, code, ..]) => Answer::Connected(*code),
        (0x40, [high, low, more @ ..]) if u16::from_be_bytes([*high, *low]) == NUMBER => {
            Answer::Taken(more.first().copied().unwrap_or(0))
        }
        (0xe0, more) => Answer::Left(more.first().copied().unwrap_or(0)),
        _ => Answer::Other,
    }
}

/// The reasons that an operator can do something about.
pub(super) fn reason(code: u8) -> String {
    let words = match code {
        // 1 to 5 are those of MQTT 3.1.1, in which a broker that knows no newer answers.
        0x01 | 0x84 => "it does not speak MQTT 5",
        0x04 | 0x86 => "bad user name or password",
        0x05 | 0x87 => "not authorized",
        0x88 | 0x89 | 0x03 => "it is busy or away",
        0x8a => "banned",
        0x90 => "it does not take this topic",
        0x97 => "quota exceeded",
        0x9a => "it keeps no messages (retain)",
        0x9b => "it takes no QoS 1",
        _ => return format!("reason {code}"),
    };
    words.to_owned()
}

fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    length(&mut bytes, rest.len());
    bytes.extend(rest);
    bytes
}

/// A number of variable length.
fn length(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        bytes.push(low | if number > 0 { 0x80 } else { 0 });
        if number == 0 {
            return;
        }
    }
}

/// A text with its length; whatever goes in is bounded by the configuration and far below 64 KiB.
fn text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(0);
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.bytes().take(usize::from(length)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_those_of_the_standard() {
        let bare = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 0x02, 0, 60, 0, 0, 0];
        assert_eq!(connect(None), bare);
        let named = connect(Some(("ann", "pw")));
        assert_eq!((named[9], &named[15..]), (0xc2, &[0, 3, b'a', b'n', b'n', 0, 2, b'p', b'w'][..]));
        let message = Publish { topic: "a/b", payload: b"7", retain: true, expires: Some(90) };
        let expected = [0x33, 16, 0, 3, b'a', b'/', b'b', 0, 1, 7, 1, 1, 2, 0, 0, 0, 90, b'7'];
        assert_eq!(publish(&message), expected);
        let long = publish(&Publish { payload: &[0; 300], retain: false, expires: None, ..message });
        assert_eq!(long[..3], [0x32, 0xb6, 0x02], "310 bytes follow");
    }

    #[test]
    fn answers_are_read_with_their_reasons() {
        assert_eq!(answer(0x20, &[0, 0, 0]), Answer::Connected(0));
        assert_eq!(answer(0x20, &[0, 0x87, 0]), Answer::Connected(0x87));
        assert_eq!(answer(0x40, &[0, 1]), Answer::Taken(0));
        assert_eq!(answer(0x40, &[0, 1, 0x10]), Answer::Taken(0x10));
        assert_eq!(answer(0x40, &[0, 2]), Answer::Other, "of a message that is not ours");
        assert_eq!(answer(0xe0, &[]), Answer::Left(0));
        for (first, rest) in [(0x20, &[][..]), (0x20, &[0]), (0x40, &[0]), (0x30, &[1, 2, 3]), (0xff, &[])] {
            assert_eq!(answer(first, rest), Answer::Other);
        }
        assert_eq!((reason(0x87), reason(0xff)), ("not authorized".to_owned(), "reason 255".to_owned()));
    }
}

//! Reads `application/x-www-form-urlencoded`: what pages send, and the few parameters of programs that are looked at before the
//! protocol crate does.

/// All pairs, decoded; what is not UTF-8 afterwards is left out.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter_map(|(key, value)| Some((decoded(key)?, decoded(value)?))).collect()
}

/// The first value of a parameter.
pub fn first<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The words of a parameter.
pub(super) fn words(pairs: &[(String, String)], name: &str) -> Vec<String> {
    let text = first(pairs, name).unwrap_or_default();
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Words and bytes of a scope at most.
const SCOPE: (usize, usize) = (64, 4096);
/// Bytes of what carries a signature at most.
const SIGNED: usize = 8192;
/// Bytes of any other parameter at most.
const OTHER: usize = 2048;

/// The first parameter that is larger than any honest one: rows are made of some of them.
pub(super) fn excess(pairs: &[(String, String)]) -> Option<&str> {
    let is_excessive = |name: &str, value: &str| match name {
        "scope" => value.len() > SCOPE.1 || value.split(' ').filter(|word| !word.is_empty()).count() > SCOPE.0,
        "token" | "subject_token" | "client_assertion" => value.len() > SIGNED,
        _ => value.len() > OTHER,
    };
    pairs.iter().find(|(name, value)| is_excessive(name, value)).map(|(name, _)| name.get(..64).unwrap_or(name))
}

/// One value, decoded.
pub fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit()? * 16 + digit()?
            }
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_what_is_malformed_is_left_out() {
        let pairs = pairs("scope=a2a%3A*%3Asend+a2a:x:get&a=%zz&b&=c&scope=second");
        assert_eq!(words(&pairs, "scope"), ["a2a:*:send", "a2a:x:get"]);
        assert_eq!((first(&pairs, "a"), first(&pairs, "b"), first(&pairs, "")), (None, Some(""), Some("c")));
    }
}

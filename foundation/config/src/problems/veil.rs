//! The file without its secrets, as long as it is: for excerpts.
//!
//! Covered are texts of keys that hold a secret, or that are spelled nearly like one, and logins within addresses.

/// Keys whose text is a secret.
const SECRET: [&str; 7] = ["secret", "password", "token", "bearer", "api_key", "client_secret", "authorization"];

/// The text with a star for each byte that is nobody's business.
pub(super) fn veiled(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['"', '\'', '#']) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        if from.starts_with('#') {
            rest = from;
            break;
        }
        let end = end_of_text(from);
        let (quoted, after) = from.split_at(end);
        let secret = key_before(&shown).is_some_and(holds_a_secret);
        shown.push_str(&if secret { stars(quoted) } else { without_login(quoted) });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Where a quoted text ends, its quotes included; the line, if nothing closes it.
fn end_of_text(quoted: &str) -> usize {
    let mut letters = quoted.char_indices();
    let Some((_, quote)) = letters.next() else { return 0 };
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return at + 1;
        }
        if letter == '\\' && quote == '"' {
            letters.next();
        }
    }
    quoted.len()
}

/// The key that a text is the value of, as `password` in `password = "`.
fn key_before(before: &str) -> Option<&str> {
    let key = before.trim_end().strip_suffix('=')?.trim_end();
    let start = key.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '-');
    Some(key.get(start.map_or(0, |start| start + 1)..).unwrap_or_default())
}

/// Whether a key is one of a secret's, or spelled nearly like one.
fn holds_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["secret", "passw"].iter().any(|word| key.contains(word))
        || SECRET.iter().any(|known| strsim::damerau_levenshtein(&key, known) <= 1)
}

/// Everything but the quotes around it covered.
fn stars(quoted: &str) -> String {
    let last = quoted.trim_end().len().saturating_sub(1);
    let cover = |(at, letter): (usize, char)| match letter {
        '"' | '\'' if at == 0 || at == last => letter.to_string(),
        '\r' | '\n' => letter.to_string(),
        _ => "*".repeat(letter.len_utf8()),
    };
    quoted.char_indices().map(cover).collect()
}

/// `scheme://name:password@host` with the login covered.
fn without_login(quoted: &str) -> String {
    let Some((scheme, rest)) = quoted.split_once("://") else { return quoted.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => {
            format!("{scheme}://{}{}", stars(rest.get(..at).unwrap_or_default()), rest.get(at..).unwrap_or_default())
        }
        None => quoted.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_covered_and_nothing_else_moves() {
        for (written, shown) in [
            ("secret = \"hunter2\"\n", "secret = \"*******\"\n"),
            ("secert = 'hunter2' # mine", "secert = '*******' # mine"),
            ("auth = { bearer = \"y\", header = \"X-Key\" }", "auth = { bearer = \"*\", header = \"X-Key\" }"),
            ("password = { file = \"mail.password\" }", "password = { file = \"mail.password\" }"),
            ("password = \"never closed", "password = \"************"),
            ("password=\"a\\\"b\"", "password=\"****\""),
            ("passwort = \"geheim\u{e9}\"", "passwort = \"********\""),
            ("url = \"https://ann:hunter2@gw.example/x@y\"", "url = \"https://***********@gw.example/x@y\""),
            ("url = \"https://gw.example/\"", "url = \"https://gw.example/\""),
            ("topic = \"home\"\nname = \"a\"", "topic = \"home\"\nname = \"a\""),
            ("client_cert = \"c.pem\"", "client_cert = \"c.pem\""),
            ("token_url = \"https://idp.example/token\"", "token_url = \"https://idp.example/token\""),
        ] {
            assert_eq!(veiled(written), shown);
            assert_eq!(veiled(written).len(), written.len());
        }
    }
}

//! Rust source without what it quotes: enough of a reader to find functions, tests and modules without a parser.
//!
//! [`mask`] turns comments, strings and characters into blanks of the same length, so that positions and lines stay
//! and a brace that is found is a brace.

/// The source with comments, strings and characters blanked.
pub(crate) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = quoted(bytes, at);
        if end > at {
            let end = end.min(bytes.len());
            for byte in out.get_mut(at..end).unwrap_or_default() {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment, string or character ends that begins at `at`; `at` itself if none does.
fn quoted(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let in_word = at > 0 && bytes.get(at - 1).is_some_and(|byte| is_word(*byte));
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + string(rest, 1),
        [b'b' | b'c', b'"', ..] if !in_word => at + string(rest, 2),
        [b'r', b'"' | b'#', ..] if !in_word => at + raw_string(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => at + raw_string(rest, 2),
        [b'b', b'\'', ..] if !in_word => at + 1 + character(rest.get(1..).unwrap_or_default()),
        [b'\'', ..] => at + character(rest),
        _ => at,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`; nothing for raw identifiers such as `r#type`.
fn raw_string(rest: &[u8], start: usize) -> usize {
    let hashes = rest.iter().skip(start).take_while(|byte| **byte == b'#').count();
    if rest.get(start + hashes) != Some(&b'"') {
        return 0;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = start + hashes + 1;
    let inside = rest.get(body..).unwrap_or_default();
    let found = inside.windows(close.len()).position(|window| window == close.as_slice());
    found.map_or(rest.len(), |found| body + found + close.len())
}

/// A character; nothing for a lifetime.
fn character(rest: &[u8]) -> usize {
    match rest {
        [b'\'', b'\\', ..] => {
            let inside = rest.iter().skip(3).position(|byte| *byte == b'\'');
            inside.map_or(0, |found| found + 4)
        }
        [b'\'', first, ..] => {
            let width = match first {
                0xF0.. => 4,
                0xE0.. => 3,
                0xC0.. => 2,
                _ => 1,
            };
            if rest.get(width + 1) == Some(&b'\'') { width + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The line of a position, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Where `word` stands alone, not inside a longer word.
pub(crate) fn words<'a>(masked: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    masked.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = masked.as_bytes();
        let before = at.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|byte| is_word(*byte));
        let after = bytes.get(at + word.len()).is_some_and(|byte| is_word(*byte));
        !before && !after
    })
}

/// Something with a name and a body in braces: a function or a module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    /// Where its keyword stands.
    pub(crate) at: usize,
    /// Where its body ends, after the brace; its `;` if it has none.
    pub(crate) end: usize,
}

/// All items that begin with this keyword (`fn`, `mod`) and have a body.
pub(crate) fn items(masked: &str, keyword: &str) -> Vec<Item> {
    words(masked, keyword).filter_map(|at| item(masked, at, keyword.len())).collect()
}

fn item(masked: &str, at: usize, keyword: usize) -> Option<Item> {
    let rest = masked.get(at + keyword..)?;
    let name: String = rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() || !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let (mut depth, mut braces) = (0i32, 0i32);
    for (offset, byte) in rest.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(Item { name, at, end: at + keyword + offset + 1 });
                }
            }
            b';' if depth == 0 && braces == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The parts of a file that only tests see: bodies of `#[cfg(test)]` modules.
pub(crate) fn test_modules(masked: &str) -> Vec<(usize, usize)> {
    let marked = |item: &Item| {
        let before = masked.get(..item.at).unwrap_or_default();
        let since = before.rfind(['}', ';', '{']).map_or(0, |at| at + 1);
        before.get(since..).is_some_and(|attributes| attributes.contains("#[cfg(test)]"))
    };
    items(masked, "mod").into_iter().filter(marked).map(|item| (item.at, item.end)).collect()
}

/// The tests of a file, each with the path of the inline modules around it: `tests::a_thing_holds`.
pub(crate) fn tests(masked: &str) -> Vec<String> {
    let modules = items(masked, "mod");
    let is_test = |item: &&Item| {
        let before = masked.get(..item.at).unwrap_or_default();
        let since = before.rfind(['}', ';', '{']).map_or(0, |at| at + 1);
        let attributes = before.get(since..).unwrap_or_default();
        attributes.contains("#[test]") || attributes.contains("::test]") || attributes.contains("::test(")
    };
    let path = |test: &Item| {
        let around = modules.iter().filter(|module| module.at < test.at && test.end < module.end);
        let mut path: Vec<&str> = around.map(|module| module.name.as_str()).collect();
        path.push(&test.name);
        path.join("::")
    };
    items(masked, "fn").iter().filter(is_test).map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_becomes_blank_and_lines_stay() {
        let text =
            "let a = \"{\\\"\"; // }\nlet b = '{'; /* { /* } */ { */ let c: &'static str = r#\"}\"#;\nlet r#fn = b'}';";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.lines().count(), 3);
        assert!(!masked.contains(['{', '}']), "{masked}");
        assert!(masked.contains("&'static str"), "{masked}");
    }

    #[test]
    fn functions_have_the_body_that_is_theirs() {
        let masked =
            mask("fn a<T>(x: [u8; 3]) -> T where T: Copy {\n if x { \"}\" }\n}\nfn b();\nfn c() {}\nlet d: fn(u8);");
        let names: Vec<_> = items(&masked, "fn").into_iter().map(|item| item.name).collect();
        assert_eq!(names, ["a", "c"]);
        let first = &items(&masked, "fn")[0];
        assert_eq!(line_of(&masked, first.end), 3);
    }

    #[test]
    fn tests_are_found_with_the_modules_around_them() {
        let text = "#[test]\nfn top() {}\nfn helper() {}\n#[cfg(test)]\nmod tests {\n mod deep {\n #[tokio::test(start_paused = true)]\n async fn held() {}\n }\n}";
        assert_eq!(tests(&mask(text)), ["top", "tests::deep::held"]);
        assert_eq!(test_modules(&mask(text)).len(), 1);
    }
}

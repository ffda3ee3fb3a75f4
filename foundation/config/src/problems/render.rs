//! Mistakes as the command line shows them, after the manner of compilers:
//!
//! ```text
//! error[MG-0103]: there is no key `body_byte` in [limits]
//!  --> moongate.toml:12:1
//!    |
//! 12 | body_byte = 5
//!    | ^^^^^^^^^ not a key of [limits]
//!    |
//!    = hint: did you mean `body_bytes`?
//! ```

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use super::Mistake;

/// The widest line, in columns of a terminal.
const WIDTH: usize = 100;

struct Paint {
    colours: bool,
}

impl Paint {
    fn with(&self, style: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn error(&self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn frame(&self, text: &str) -> String {
        self.with("1;34", text)
    }
}

pub(super) fn all(path: &Path, text: &str, mistakes: &[Mistake], colours: bool) -> String {
    let paint = Paint { colours };
    let mut out = String::new();
    for mistake in mistakes {
        one(&mut out, &paint, path, text, mistake);
        out.push('\n');
    }
    if let [_, _, ..] = mistakes {
        let _ = writeln!(out, "{}", paint.bold(&format!("{} mistakes in {}", mistakes.len(), path.display())));
    }
    out
}

fn one(out: &mut String, paint: &Paint, path: &Path, text: &str, mistake: &Mistake) {
    let head = format!("error[{}]", mistake.code);
    let lines = wrap(&mistake.message, WIDTH.saturating_sub(head.len() + 2));
    for (index, line) in lines.iter().enumerate() {
        let lead = if index == 0 { format!("{}: ", paint.error(&head)) } else { "  ".to_owned() };
        let _ = writeln!(out, "{lead}{}", paint.bold(line));
    }
    let numbers: Vec<usize> = mistake.places.iter().map(|(place, _)| Spot::of(text, place).number).collect();
    let gutter = numbers.iter().max().map_or(1, |number| number.to_string().len());
    let bar = paint.frame("|");
    let mut before = None;
    for (place, label) in &mistake.places {
        let spot = Spot::of(text, place);
        match before {
            None => {
                let place = format!("{}:{}:{}", path.display(), spot.number, spot.column);
                let _ = writeln!(out, "{:gutter$}{} {place}\n{:gutter$} {bar}", "", paint.frame("-->"), "");
            }
            Some(number) if number == spot.number => {}
            Some(_) => {
                let _ = writeln!(out, "{:gutter$} {}", "", paint.frame(":"));
            }
        }
        let (line, skip, carets) = spot.shown(WIDTH.saturating_sub(gutter + 3));
        if before != Some(spot.number) {
            let _ = writeln!(out, "{} {bar} {line}", paint.frame(&format!("{:>gutter$}", spot.number)));
        }
        let mark = paint.error(&format!("{} {label}", "^".repeat(carets)));
        let _ = writeln!(out, "{:gutter$} {bar} {:skip$}{}", "", "", mark.trim_end());
        before = Some(spot.number);
    }
    if before.is_some() {
        let _ = writeln!(out, "{:gutter$} {bar}", "");
    }
    let lead = gutter + 9;
    for (index, line) in wrap(mistake.advice(), WIDTH.saturating_sub(lead)).iter().enumerate() {
        let _ = match index {
            0 => writeln!(out, "{:gutter$} {} {line}", "", paint.frame("= hint:")),
            _ => writeln!(out, "{:lead$}{line}", ""),
        };
    }
}

/// A place in the text.
struct Spot<'t> {
    /// The line, counted from 1.
    number: usize,
    /// The character within it, counted from 1.
    column: usize,
    line: &'t str,
    /// The bytes of the line that are meant.
    from: usize,
    to: usize,
}

impl<'t> Spot<'t> {
    fn of(text: &'t str, place: &Range<usize>) -> Self {
        let start = floor(text, place.start);
        let end = floor(text, place.end.max(place.start));
        let before = text.get(..start).unwrap_or_default();
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(begin..).unwrap_or_default().lines().next().unwrap_or_default();
        let from = (start - begin).min(line.len());
        let to = (end - begin).clamp(from, line.len());
        let number = before.matches('\n').count() + 1;
        let column = line.get(..from).unwrap_or_default().chars().count() + 1;
        Self { number, column, line, from, to }
    }

    /// The line, cut to `width` around the place; the columns before the mark, and the mark's.
    fn shown(&self, width: usize) -> (String, usize, usize) {
        let before = self.line.get(..self.from).unwrap_or_default().replace('\t', " ");
        let meant = self.line.get(self.from..self.to).unwrap_or_default().replace('\t', " ");
        let after = self.line.get(self.to..).unwrap_or_default().replace('\t', " ");
        let too_wide = columns(&before) + columns(&meant) + columns(&after) > width;
        let (before, after) = if too_wide && columns(&before) > width / 2 {
            let keep = before.chars().rev().take(width / 4).collect::<String>().chars().rev().collect::<String>();
            (format!("…{keep}"), after)
        } else {
            (before, after)
        };
        let skip = columns(&before);
        let carets = columns(&meant).max(1).min(width.saturating_sub(skip).max(1));
        let mut line = format!("{before}{meant}{after}");
        while columns(&line) > width {
            line.pop();
        }
        (line, skip, carets)
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// How many columns of a terminal a text takes: two for each East Asian wide character.
fn columns(text: &str) -> usize {
    let wide = |c: char| {
        matches!(u32::from(c), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F
            | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
    };
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if columns(line) + 1 + columns(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_under_wide_characters() {
        let text = "名 = \"厨房\" # x\n";
        let place = text.find("\"厨房\"").unwrap();
        let spot = Spot::of(text, &(place..place + "\"厨房\"".len()));
        assert_eq!((spot.number, spot.column), (1, 5));
        let (_, skip, carets) = spot.shown(80);
        assert_eq!((skip, carets), (5, 6));
    }

    #[test]
    fn a_place_past_the_end_or_inside_a_character_is_survived() {
        for place in [0..0, 5..900, 900..901, 1..2] {
            let spot = Spot::of("厨房\n", &place);
            assert!(spot.number <= 2);
            spot.shown(10);
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let (line, skip, carets) = Spot::of(&text, &(500..504)).shown(80);
        assert!(columns(&line) <= 80 && line.starts_with('…'));
        assert_eq!(&line.chars().skip(skip).take(carets).collect::<String>(), "HERE");
    }
}

//! Everything that is wrong with a file, said at once.
//!
//! Each [`Mistake`] points at the place, says what is wrong there and, as a hint, what would be right. [`Problems`] is a
//! `miette::Diagnostic`, and [`Problems::render`] writes what the command line shows.

mod render;
mod veil;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use moongate_core::Code;

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// Which kind of mistake: `MG-01nn`.
    pub code: Code,
    /// What is wrong, without a full stop.
    pub message: String,
    /// Where, in bytes, and what to say there; the first is the place itself.
    pub places: Vec<(Range<usize>, String)>,
    /// What would be right.
    pub hint: Option<String>,
}

impl Mistake {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), places: Vec::new(), hint: None }
    }

    pub(crate) fn at(mut self, place: Range<usize>, label: impl Into<String>) -> Self {
        self.places.push((place, label.into()));
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The hint, or what the code itself advises.
    pub fn advice(&self) -> &str {
        self.hint.as_deref().unwrap_or_else(|| self.code.hint())
    }
}

/// All mistakes of one file, in the order in which they stand there.
#[derive(Clone)]
pub struct Problems {
    path: PathBuf,
    source: NamedSource<Arc<str>>,
    mistakes: Vec<Mistake>,
}

impl Problems {
    pub(crate) fn new(path: &Path, text: Arc<str>, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.places.first().map_or(usize::MAX, |(place, _)| place.start));
        let source = NamedSource::new(path.display().to_string(), text);
        Self { path: path.to_owned(), source, mistakes }
    }

    /// The mistakes.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the command line shows: each mistake with its lines and its hint, at most 100 columns wide.
    pub fn render(&self, colours: bool) -> String {
        // What is shown may be sent on to whoever helps, so no secret of the file's stands in it.
        render::all(&self.path, &veil::veiled(self.source.inner()), &self.mistakes, colours)
    }

    /// The same without a word of the file, which may hold secrets: a line for each mistake.
    pub fn brief(&self) -> String {
        let text = self.source.inner();
        let line = |mistake: &Mistake| {
            let (place, _) = mistake.places.first()?;
            let before = text.get(..place.start)?;
            Some(format!(" line {}", before.matches('\n').count() + 1))
        };
        let told = |mistake: &Mistake| {
            let line = line(mistake).unwrap_or_default();
            format!("{}{line}: {}; {}", mistake.code, mistake.message, mistake.advice())
        };
        self.mistakes.iter().map(told).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.as_slice() {
            [only] => write!(f, "{}: {}", only.code, only.message),
            [first, others @ ..] => write!(f, "{}: {} (and {} more)", first.code, first.message, others.len()),
            [] => f.write_str("nothing is wrong"),
        }
    }
}

impl std::error::Error for Problems {}

impl Diagnostic for Problems {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistakes.first().map(|mistake| Box::new(mistake.code) as Box<dyn fmt::Display>)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistakes.first().map(|mistake| Box::new(mistake.advice()) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let places = self.mistakes.iter().flat_map(|mistake| {
            mistake.places.iter().enumerate().map(|(index, (place, label))| {
                let label = if index == 0 { &mistake.message } else { label };
                LabeledSpan::new(Some(label.clone()), place.start, place.len())
            })
        });
        Some(Box::new(places))
    }
}

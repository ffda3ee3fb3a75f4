//! BM25F over an inverted index, normalised to the share of the question that a document accounts for.
//!
//! A term's weight in a document is its frequency over all fields (each with its own importance and length
//! normalisation), saturated to less than 1 (Robertson and Zaragoza, *The Probabilistic Relevance Framework*, 2009, §3.6).
//! A unit of the question is worth its inverse document frequency; words that no document has are worth something too, so
//! a question that is mostly about something else scores low. Weights and constants were chosen on the `dev` half of
//! `tests/data`.

use std::collections::HashMap;

use super::lexicon::Class;
use super::tokens::{Unit, index_terms, units};

/// Saturation: the frequency at which half the weight is reached.
const K1: f32 = 1.0;
/// How much the length of a field matters.
const B: f32 = 0.4;
/// Small catalogues are treated as if they had this many documents; otherwise every word in them would be common.
const SMALLEST: f32 = 40.0;
/// What a match by concept is worth against one by the word itself.
const CONCEPT: f32 = 0.92;
/// What a word unknown to all documents costs, as a share of the rarest known one.
const UNKNOWN: f32 = 0.5;

/// A part of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Name,
    Tag,
    Example,
    Description,
}

impl Field {
    const COUNT: usize = 5;

    fn importance(self) -> f32 {
        match self {
            Self::Name => 2.5,
            Self::Tag | Self::Id => 1.5,
            Self::Example | Self::Description => 1.2,
        }
    }
}

/// How much a unit counts, by its class.
fn share(class: Class) -> f32 {
    match class {
        Class::Thing => 1.0,
        Class::Action => 0.45,
        Class::Fragment => 0.6,
        Class::Detail => 0.25,
        Class::Nothing => 0.0,
    }
}

/// The inverted index.
#[derive(Debug)]
pub(super) struct Ranking {
    postings: HashMap<Box<str>, Vec<(u32, f32)>>,
    documents: usize,
}

/// A question, with each unit's worth worked out.
#[derive(Debug)]
pub(super) struct Asked {
    units: Vec<(Unit, f32)>,
    total: f32,
}

impl Ranking {
    pub(super) fn build<'a>(documents: impl Iterator<Item = Vec<(Field, &'a str)>>) -> Self {
        let mut counted = Vec::new();
        let mut totals = [0.0_f32; Field::COUNT];
        for fields in documents {
            let mut lengths = [0.0_f32; Field::COUNT];
            let mut counts: HashMap<Box<str>, [f32; Field::COUNT]> = HashMap::new();
            for (field, text) in fields {
                for term in index_terms(text) {
                    let counts = counts.entry(term.into()).or_default();
                    for (slot, length) in counts.iter_mut().zip(&mut lengths).skip(field as usize).take(1) {
                        *slot += 1.0;
                        *length += 1.0;
                    }
                }
            }
            totals.iter_mut().zip(lengths).for_each(|(total, length)| *total += length);
            counted.push((counts, lengths));
        }
        let documents = counted.len();
        let averages = totals.map(|total| (total / documents.max(1) as f32).max(1.0));
        let mut postings: HashMap<Box<str>, Vec<(u32, f32)>> = HashMap::new();
        for (doc, (counts, lengths)) in (0_u32..).zip(counted) {
            for (term, counts) in counts {
                postings.entry(term).or_default().push((doc, weight(&counts, &lengths, &averages)));
            }
        }
        Self { postings, documents }
    }

    /// Reads a question.
    pub(super) fn ask(&self, text: &str) -> Asked {
        let worth = |unit: Unit| {
            let known = unit.terms.iter().filter_map(|term| self.rarity(term)).fold(0.0, f32::max);
            let rarity = if known > 0.0 { known } else { self.idf(0) * UNKNOWN };
            let worth = rarity * share(unit.class);
            (unit, worth)
        };
        let units: Vec<_> = units(text).into_iter().map(worth).collect();
        // Details help whom they fit and cost nobody.
        let total = units.iter().filter(|(unit, _)| unit.class != Class::Detail).map(|(_, worth)| worth).sum();
        Asked { units, total }
    }

    /// Documents that account for some of the question, with their scores from 0 to 1; in order of documents. What matches nothing
    /// but an action, as "turn it on" does, is no match.
    pub(super) fn rank(&self, asked: &Asked) -> Vec<(usize, f32)> {
        let mut scores = vec![0.0_f32; self.documents];
        let mut about = vec![false; self.documents];
        let mut best = vec![0.0_f32; self.documents];
        for (unit, _) in &asked.units {
            let mut touched: Vec<u32> = Vec::new();
            for (term, factor) in factors(unit) {
                let Some(postings) = self.postings.get(term) else { continue };
                let factor = factor * self.idf(postings.len());
                for (doc, weight) in postings {
                    let Some(best) = best.get_mut(*doc as usize) else { continue };
                    if *best == 0.0 {
                        touched.push(*doc);
                    }
                    *best = best.max(weight * factor);
                }
            }
            let thing = matches!(unit.class, Class::Thing | Class::Fragment);
            for doc in touched.into_iter().map(|doc| doc as usize) {
                if let (Some(best), Some(score), Some(about)) =
                    (best.get_mut(doc), scores.get_mut(doc), about.get_mut(doc))
                {
                    *score += std::mem::take(best) * share(unit.class);
                    *about |= thing;
                }
            }
        }
        let ranked = scores.into_iter().zip(about).enumerate().filter(|(_, (score, about))| *about && *score > 0.0);
        ranked.map(|(doc, (score, _))| (doc, (score / asked.total.max(1e-6)).min(1.0))).collect()
    }

    /// Which of the question's words a document has.
    pub(super) fn explain(&self, asked: &Asked, doc: usize) -> String {
        let has = |term: &String| {
            let postings = self.postings.get(term.as_str());
            postings.is_some_and(|p| p.binary_search_by_key(&doc, |(at, _)| *at as usize).is_ok())
        };
        let mut words: Vec<&str> = Vec::new();
        for (unit, _) in asked.units.iter().filter(|(unit, _)| unit.terms.iter().any(has)) {
            if !words.contains(&unit.surface.as_str()) {
                words.push(&unit.surface);
            }
        }
        format!("words {}", words.join(", "))
    }

    fn rarity(&self, term: &str) -> Option<f32> {
        self.postings.get(term).map(|postings| self.idf(postings.len()))
    }

    fn idf(&self, having: usize) -> f32 {
        let (all, having) = ((self.documents as f32).max(SMALLEST), having as f32);
        (1.0 + (all - having + 0.5) / (having + 0.5)).ln()
    }
}

/// A unit's terms with their worth: the word itself, then concepts.
fn factors(unit: &Unit) -> impl Iterator<Item = (&str, f32)> {
    let factor = |term: &str| if term.starts_with('=') { CONCEPT } else { 1.0 };
    unit.terms.iter().map(move |term| (term.as_str(), factor(term)))
}

fn weight(counts: &[f32; Field::COUNT], lengths: &[f32; Field::COUNT], averages: &[f32; Field::COUNT]) -> f32 {
    let fields = [Field::Id, Field::Name, Field::Tag, Field::Example, Field::Description];
    let frequency: f32 = fields
        .into_iter()
        .zip(counts.iter().zip(lengths).zip(averages))
        .map(|(field, ((count, length), average))| field.importance() * count / (1.0 - B + B * length / average))
        .sum();
    frequency / (K1 + frequency)
}

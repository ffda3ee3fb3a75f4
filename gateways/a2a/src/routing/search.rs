//! Finding skills: by id, by tag and other attributes, and by words.
//!
//! One index over every skill that some agent offers. Words are ranked by BM25F (name and tags weigh more than examples
//! and description), English and Chinese alike (`search/tokens`), with a small lexicon of everyday concepts so that
//! "lamp", "灯" and "light" meet (`search/lexicon`). The score is how much of what was asked the skill accounts for, from
//! 0 to 1, so one threshold serves catalogues of any size. Order of strength: exact id, then name or tag, then words.
//!
//! The index is immutable and rebuilt when the registry changes. Who may see a skill is the caller's business (`allowed`
//! and the registry), and so is whether a match is good enough to act on: see `intent`.

mod lexicon;
#[cfg(test)]
mod measured;
mod ranking;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::HashMap;

use moongate_core::{AgentName, SkillId};

use ranking::{Asked, Field, Ranking};

/// The highest score that words alone can reach.
const WORDS: f32 = 0.9;

/// What a whole query may be instead of words, from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exact {
    Tag,
    Name,
    Id,
}

impl Exact {
    fn score(self) -> f32 {
        match self {
            Self::Tag => 0.92,
            Self::Name => 0.96,
            Self::Id => 1.0,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Name => "name",
            Self::Id => "id",
        }
    }
}

/// A skill of an agent, as far as it can be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillDoc {
    /// The agent that offers it.
    pub agent: AgentName,
    /// Its id in that agent's card.
    pub id: SkillId,
    /// Its name for people.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Example requests.
    pub examples: Vec<String>,
    /// Media types that it takes.
    pub inputs: Vec<String>,
    /// The zone that its agent serves.
    pub zone: Option<String>,
    /// Labels of its agent.
    pub labels: Vec<(String, String)>,
}

impl SkillDoc {
    /// A skill with nothing but a name.
    pub fn new(agent: AgentName, id: SkillId, name: impl Into<String>) -> Self {
        Self {
            agent,
            id,
            name: name.into(),
            description: String::new(),
            tags: Vec::new(),
            examples: Vec::new(),
            inputs: Vec::new(),
            zone: None,
            labels: Vec::new(),
        }
    }

    /// Whether another agent's skill is the same one, so that both form one pool.
    pub fn same_definition(&self, other: &Self) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.description == other.description
            && self.tags == other.tags
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| same(own, tag))
    }
}

/// What to look for; every part that is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// An id, `agent/id`, a name, a tag, or words.
    pub text: Option<&'a str>,
    /// A tag, in any case.
    pub tag: Option<&'a str>,
    /// A media type that the skill takes.
    pub input: Option<&'a str>,
    /// The zone of the agent.
    pub zone: Option<&'a str>,
    /// How many hits at most; 0 for all.
    pub limit: usize,
}

/// A skill that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its position among the skills that the index was built from.
    pub doc: usize,
    /// From 0 to 1; only what was asked in words makes it less than 0.9.
    pub score: f32,
    /// Why it was found, in words for people.
    pub reason: String,
}

/// What a text found, before anybody asks why.
pub(super) struct Ranked<'a> {
    text: &'a str,
    asked: Asked,
    /// Best first.
    pub(super) found: Vec<Found>,
}

/// One find.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) doc: usize,
    pub(super) score: f32,
    exact: Option<Exact>,
}

/// An immutable index over skills.
#[derive(Debug)]
pub struct SkillIndex {
    docs: Vec<SkillDoc>,
    /// Ids, `agent/id`, names and tags, in lower case.
    exact: HashMap<String, Vec<(usize, Exact)>>,
    ranking: Ranking,
}

impl SkillIndex {
    /// Indexes the skills; hits refer to them by position.
    pub fn build(docs: Vec<SkillDoc>) -> Self {
        let fields = docs.iter().map(|doc| {
            let mut fields = vec![
                (Field::Id, doc.id.as_str()),
                (Field::Name, doc.name.as_str()),
                (Field::Description, doc.description.as_str()),
            ];
            fields.extend(doc.tags.iter().map(|tag| (Field::Tag, tag.as_str())));
            fields.extend(doc.examples.iter().map(|example| (Field::Example, example.as_str())));
            fields.extend(doc.zone.iter().map(|zone| (Field::Tag, zone.as_str())));
            fields.extend(doc.labels.iter().map(|(_, value)| (Field::Tag, value.as_str())));
            fields
        });
        let ranking = Ranking::build(fields);
        let mut exact: HashMap<String, Vec<(usize, Exact)>> = HashMap::new();
        for (index, doc) in docs.iter().enumerate() {
            let mut add = |text: &str, what| exact.entry(text.to_lowercase()).or_default().push((index, what));
            doc.tags.iter().for_each(|tag| add(tag, Exact::Tag));
            add(&doc.name, Exact::Name);
            add(doc.id.as_str(), Exact::Id);
            add(&format!("{}/{}", doc.agent, doc.id), Exact::Id);
        }
        Self { docs, exact, ranking }
    }

    /// The skills, in the order they were given.
    pub fn docs(&self) -> &[SkillDoc] {
        &self.docs
    }

    /// What fits the query, best first; equals in order of agent and id.
    pub fn search(&self, query: &Query<'_>) -> Vec<Hit> {
        let text = query.text.map(str::trim).filter(|text| !text.is_empty());
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        match text {
            None => self.all(query, limit),
            Some(text) => {
                let passes = |doc| self.docs.get(doc).is_some_and(|doc| passes(doc, query));
                let ranked = self.rank(text, limit, &passes);
                ranked.found.iter().map(|found| self.hit(&ranked, found)).collect()
            }
        }
    }

    /// By id, name, tag or words, among the allowed: the best `limit`, best first.
    pub(super) fn rank<'a>(&self, text: &'a str, limit: usize, allowed: &dyn Fn(usize) -> bool) -> Ranked<'a> {
        let asked = self.ranking.ask(text);
        let mut named: HashMap<usize, Exact> = HashMap::new();
        for (doc, exact) in self.exact.get(&text.to_lowercase()).into_iter().flatten() {
            let known = named.entry(*doc).or_insert(*exact);
            *known = (*known).max(*exact);
        }
        let words = self.ranking.rank(&asked).into_iter().filter(|(doc, _)| !named.contains_key(doc));
        let words = words.map(|(doc, score)| Found { doc, score: score * WORDS, exact: None });
        let exact = named.iter().map(|(doc, exact)| Found { doc: *doc, score: exact.score(), exact: Some(*exact) });
        let mut found: Vec<Found> = exact.chain(words).filter(|found| allowed(found.doc)).collect();
        let order = |a: &Found, b: &Found| {
            let score = b.score.total_cmp(&a.score);
            score.then_with(|| self.place(a.doc).cmp(&self.place(b.doc))).then(a.doc.cmp(&b.doc))
        };
        if limit < found.len() {
            found.select_nth_unstable_by(limit, order);
            found.truncate(limit);
        }
        found.sort_unstable_by(order);
        Ranked { text, asked, found }
    }

    /// A find as a hit, with its reason.
    pub(super) fn hit(&self, ranked: &Ranked<'_>, found: &Found) -> Hit {
        let reason = match found.exact {
            Some(exact) => format!("{} {}", exact.word(), ranked.text),
            None => self.ranking.explain(&ranked.asked, found.doc),
        };
        Hit { doc: found.doc, score: found.score, reason }
    }

    fn all(&self, query: &Query<'_>, limit: usize) -> Vec<Hit> {
        let attributes = [("tag", query.tag), ("input", query.input), ("zone", query.zone)];
        let reasons: Vec<_> =
            attributes.iter().filter_map(|(name, value)| value.map(|value| format!("{name} {value}"))).collect();
        let reason = if reasons.is_empty() { "listed".to_owned() } else { reasons.join(", ") };
        let mut hits: Vec<Hit> = self
            .docs
            .iter()
            .enumerate()
            .filter(|(_, doc)| passes(doc, query))
            .map(|(doc, _)| Hit { doc, score: 1.0, reason: reason.clone() })
            .collect();
        hits.sort_by(|a, b| self.place(a.doc).cmp(&self.place(b.doc)));
        hits.truncate(limit);
        hits
    }

    fn place(&self, doc: usize) -> Option<(&AgentName, &SkillId)> {
        self.docs.get(doc).map(|doc| (&doc.agent, &doc.id))
    }
}

fn passes(doc: &SkillDoc, query: &Query<'_>) -> bool {
    query.tag.is_none_or(|tag| doc.has_tag(tag))
        && query.zone.is_none_or(|zone| doc.zone.as_deref().is_some_and(|own| same(own, zone)))
        && query.input.is_none_or(|input| doc.inputs.iter().any(|own| takes(own, input)))
}

/// `text/*` and `*/*` take what they say.
fn takes(own: &str, input: &str) -> bool {
    match own.strip_suffix("/*") {
        Some("*") => true,
        Some(family) => input.split_once('/').is_some_and(|(of, _)| same(of, family)),
        None => same(own, input),
    }
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}

//! Tests of the index: ranking, attributes, refusals.

use super::*;

fn doc(agent: &str, id: &str, name: &str, description: &str, tags: &[&str]) -> SkillDoc {
    SkillDoc {
        description: description.into(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..SkillDoc::new(agent.into(), id.into(), name)
    }
}

fn index() -> SkillIndex {
    let mut docs = vec![
        doc("lights", "lights.set", "Switch lights", "Turns lamps on or off.", &["light", "Home"]),
        doc("car", "car.locate", "Find car", "Shows where the vehicle is parked.", &["vehicle"]),
        doc("kiosk", "light", "Order a light meal", "Food for small appetites.", &["food"]),
        doc("washer", "washer.status", "洗衣机状态", "查询剩余时间。", &["home"]),
    ];
    docs[0].zone = Some("Kitchen".into());
    docs[0].inputs = vec!["text/plain".into(), "image/*".into()];
    SkillIndex::build(docs)
}

fn found(query: &Query<'_>) -> Vec<usize> {
    index().search(query).into_iter().map(|hit| hit.doc).collect()
}

#[test]
fn an_exact_id_beats_a_tag_and_a_tag_beats_words() {
    let hits = index().search(&Query { text: Some("light"), ..Query::default() });
    let order: Vec<_> = hits.iter().map(|hit| (hit.doc, hit.reason.as_str())).collect();
    assert_eq!(order, [(2, "id light"), (0, "tag light")]);
    assert!(hits[0].score == 1.0 && hits[1].score < 1.0 && hits[1].score > 0.9);
    let words = index().search(&Query { text: Some("lamps please"), ..Query::default() });
    assert!(words[0].doc == 0 && words[0].score <= 0.9, "{words:?}");
    assert_eq!(words[0].reason, "words lamps");
}

#[test]
fn an_agent_and_id_name_one_skill() {
    let hits = index().search(&Query { text: Some("car/car.locate"), ..Query::default() });
    assert_eq!((hits[0].doc, hits[0].score), (1, 1.0));
}

#[test]
fn every_given_attribute_must_hold() {
    assert_eq!(found(&Query { tag: Some("HOME"), ..Query::default() }), [0, 3]);
    assert_eq!(found(&Query { tag: Some("home"), zone: Some("kitchen"), ..Query::default() }), [0]);
    assert_eq!(found(&Query { input: Some("image/png"), ..Query::default() }), [0]);
    assert_eq!(found(&Query { input: Some("audio/wav"), ..Query::default() }), [0_usize; 0]);
    assert_eq!(found(&Query { text: Some("light"), tag: Some("food"), ..Query::default() }), [2]);
    assert_eq!(found(&Query { text: Some("lamp"), zone: Some("cellar"), ..Query::default() }), [0_usize; 0]);
}

#[test]
fn without_a_question_everything_is_listed_in_order_of_agents() {
    assert_eq!(found(&Query::default()), [1, 2, 0, 3]);
    assert_eq!(found(&Query { limit: 2, ..Query::default() }), [1, 2]);
    assert_eq!(found(&Query { text: Some("   "), limit: 1, ..Query::default() }), [1]);
}

#[test]
fn chinese_without_spaces_is_found_by_its_words() {
    let hits = index().search(&Query { text: Some("洗衣机还要多久"), ..Query::default() });
    assert_eq!(hits.first().map(|hit| hit.doc), Some(3), "{hits:?}");
}

#[test]
fn an_index_without_skills_finds_nothing() {
    let index = SkillIndex::build(Vec::new());
    assert!(index.search(&Query { text: Some("light"), ..Query::default() }).is_empty());
    assert!(index.search(&Query::default()).is_empty());
}

#[test]
fn one_skill_among_many_thousands_is_found_and_scores_stay_within_bounds() {
    let mut docs: Vec<_> = (0..20_000)
        .map(|n| {
            let name = format!("Process batch {}", n % 97);
            doc("plant", &format!("batch-{n}"), &name, "Runs a batch on the line and reports.", &["production"])
        })
        .collect();
    docs.push(doc("museum", "tours.book", "Guided tour", "Reserves places in a tour of the collection.", &["museum"]));
    let index = SkillIndex::build(docs);
    let hits = index.search(&Query { text: Some("a guided tour of the museum"), limit: 3, ..Query::default() });
    assert_eq!(hits[0].doc, 20_000);
    let common = index.search(&Query { text: Some("run a batch on the line"), ..Query::default() });
    assert_eq!(common.len(), 20_000);
    assert!(common.iter().all(|hit| (0.0..=0.9).contains(&hit.score)));
    assert!(common.windows(2).all(|pair| pair[0].score >= pair[1].score));
}

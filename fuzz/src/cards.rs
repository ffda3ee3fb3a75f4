//! Agent cards of every version.

use moongate_wire::a2a::card as wire;

/// A card that is accepted is JSON; its document reads as itself when written, and keeps its skills in every form.
pub fn card(data: &[u8]) {
    let Ok(card) = wire::parse(data) else { return };
    let found = crate::oracle::parse(data).expect("an accepted card is JSON");
    assert!(!found.twice);
    let again = wire::parse(&wire::write(&card.document)).expect("what was written can be read");
    assert_eq!(again.document, card.document);
    assert_eq!((&again.interfaces, again.streaming, again.push), (&card.interfaces, card.streaming, card.push));
    let mut merged = wire::parse(wire::merge_legacy(&card.document).to_string().as_bytes()).expect("a merged card");
    // The merged card offers the same addresses to 0.3 readers, after those that were there.
    assert!(merged.interfaces.starts_with(&card.interfaces));
    merged.document["supportedInterfaces"] = card.document["supportedInterfaces"].clone();
    assert_eq!(merged.document, card.document);
    // Who is reached by unknown bindings alone cannot be said to be reached at all in 0.3.
    if card.interfaces.iter().all(|interface| interface.binding.is_none()) {
        return;
    }
    let old = wire::parse(wire::to_v03(&card.document).to_string().as_bytes()).expect("a card of 0.3");
    let ids = |card: &wire::Card| card.skills.iter().map(|skill| skill.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&old), ids(&card));
}

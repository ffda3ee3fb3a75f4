//! A card's members as the canonical 1.0 document has them, whichever version wrote the card.

use moongate_core::scope::Demand;
use serde_json::{Map, Value};

use super::interfaces::{self, Stated};
use super::report::{ADDRESS, ENTRIES, LONG, Need, Object, Report, SHORT, object, unless_empty};
use super::security::{self, Split};
use super::{Card, MAX_SKILLS, Skill};

/// Reads a card; faults go to the report, and then the result means nothing.
pub(super) fn card(value: Value, report: &mut Report) -> Option<Card> {
    let mut source = Object::open(value, String::new(), report)?;
    let name = source.name("name", SHORT, report);
    let description = source.text("description", Need::Required, LONG, report);
    let version = source.text("version", Need::Required, SHORT, report);
    let (stated, legacy) = interfaces::take(&mut source, report);
    let capabilities = capabilities(&mut source, report);
    let (schemes, split) = security::take_schemes(&mut source, report);
    let requirements = security::take_requirements(&mut source, &split, report);
    let input = source.strings("defaultInputModes", Need::Optional, SHORT, report);
    let output = source.strings("defaultOutputModes", Need::Optional, SHORT, report);
    let skills = skills(&mut source, &split, report);
    let signed = !source.list("signatures", Need::Optional, ENTRIES, report).is_empty();
    let document = object([
        ("name", name.clone().map(Value::from)),
        ("description", description.map(Value::from)),
        ("supportedInterfaces", Some(stated.iter().map(Stated::to_value).collect())),
        ("provider", provider(&mut source, report)),
        ("version", version.map(Value::from)),
        ("documentationUrl", optional(&mut source, "documentationUrl", ADDRESS, report)),
        ("capabilities", Some(capabilities.document)),
        ("securitySchemes", (!schemes.is_empty()).then_some(Value::Object(schemes))),
        ("securityRequirements", unless_empty(requirements)),
        ("defaultInputModes", Some(input.into())),
        ("defaultOutputModes", Some(output.into())),
        ("skills", Some(skills.iter().map(|skill| skill.raw.clone()).collect())),
        ("iconUrl", optional(&mut source, "iconUrl", ADDRESS, report)),
    ]);
    Some(Card {
        document,
        interfaces: stated.iter().map(Stated::to_interface).collect(),
        name: name.unwrap_or_default(),
        skills,
        streaming: capabilities.streaming,
        push: capabilities.push,
        extended: capabilities.extended,
        required_extensions: capabilities.required,
        extensions: capabilities.extensions,
        signed,
        legacy,
    })
}

fn optional(source: &mut Object, name: &str, limit: usize, report: &mut Report) -> Option<Value> {
    source.text(name, Need::Optional, limit, report).filter(|text| !text.is_empty()).map(Value::from)
}

fn provider(source: &mut Object, report: &mut Report) -> Option<Value> {
    let mut provider = source.object("provider", report)?;
    let url = provider.text("url", Need::Optional, ADDRESS, report).unwrap_or_default();
    let organization = provider.text("organization", Need::Optional, SHORT, report).unwrap_or_default();
    Some(object([("url", Some(url.into())), ("organization", Some(organization.into()))]))
}

#[derive(Default)]
struct Capabilities {
    document: Value,
    streaming: bool,
    push: bool,
    extended: bool,
    extensions: Vec<String>,
    required: Vec<String>,
}

fn capabilities(source: &mut Object, report: &mut Report) -> Capabilities {
    let legacy_extended = source.boolean("supportsAuthenticatedExtendedCard", report);
    let Some(mut stated) = source.object("capabilities", report) else {
        if !source.has("capabilities") && !report.faults.iter().any(|fault| fault.field == "capabilities") {
            report.wrong("capabilities", "is required");
        }
        return Capabilities { document: object([]), ..Capabilities::default() };
    };
    let streaming = stated.boolean("streaming", report);
    let push = stated.boolean("pushNotifications", report);
    let extended = stated.boolean("extendedAgentCard", report).or(legacy_extended);
    let mut found = Capabilities {
        streaming: streaming == Some(true),
        push: push == Some(true),
        extended: extended == Some(true),
        ..Capabilities::default()
    };
    let mut documents = Vec::new();
    for (path, item) in stated.list("extensions", Need::Optional, ENTRIES, report) {
        let Some(mut item) = Object::open(item, path, report) else { continue };
        let Some(uri) = item.name("uri", ADDRESS, report) else { continue };
        let required = item.boolean("required", report);
        documents.push(object([
            ("uri", Some(uri.as_str().into())),
            ("description", optional(&mut item, "description", LONG, report)),
            ("required", required.map(Value::from)),
            ("params", item.anything("params", report)),
        ]));
        if required == Some(true) {
            found.required.push(uri.clone());
        }
        found.extensions.push(uri);
    }
    found.document = object([
        ("streaming", streaming.map(Value::from)),
        ("pushNotifications", push.map(Value::from)),
        ("extensions", unless_empty(documents)),
        ("extendedAgentCard", extended.map(Value::from)),
    ]);
    found
}

fn skills(source: &mut Object, split: &Split, report: &mut Report) -> Vec<Skill> {
    let mut skills: Vec<Skill> = Vec::new();
    let mut seen = Map::new();
    for (path, item) in source.list("skills", Need::Optional, MAX_SKILLS, report) {
        let Some(mut item) = Object::open(item, path, report) else { continue };
        let Some(skill) = skill(&mut item, split, report) else { continue };
        if seen.insert(skill.id.clone(), Value::Null).is_some() {
            report.wrong(item.path("id"), "is the id of another skill too");
        }
        skills.push(skill);
    }
    skills
}

fn skill(item: &mut Object, split: &Split, report: &mut Report) -> Option<Skill> {
    let id = item.name("id", SHORT, report);
    let name = item.text("name", Need::Required, SHORT, report);
    let description = item.text("description", Need::Required, LONG, report);
    let tags = item.strings("tags", Need::Required, SHORT, report);
    let examples = item.strings("examples", Need::Optional, LONG, report);
    let input_modes = item.strings("inputModes", Need::Optional, SHORT, report);
    let output_modes = item.strings("outputModes", Need::Optional, SHORT, report);
    let requirements = security::take_requirements(item, split, report);
    let demand = Demand::read(requirements.iter().map(security::scopes));
    let (id, name, description) = (id?, name?, description?);
    let list = |strings: &[String]| (!strings.is_empty()).then(|| Value::from(strings));
    let raw = object([
        ("id", Some(id.as_str().into())),
        ("name", Some(name.as_str().into())),
        ("description", Some(description.as_str().into())),
        ("tags", Some(tags.as_slice().into())),
        ("examples", list(&examples)),
        ("inputModes", list(&input_modes)),
        ("outputModes", list(&output_modes)),
        ("securityRequirements", unless_empty(requirements)),
    ]);
    Some(Skill { id, name, description, tags, examples, input_modes, output_modes, demand, raw })
}

//! Turns the vendored proto files into a table of their messages (`schema.rs`) that the codecs, the validator and the
//! HTTP binding read, without `protoc`. For the tests it also generates prost types, which the codecs are held against.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use protox::Compiler;
use protox::prost_reflect::{
    DescriptorPool, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value,
};

/// The packages, and the module that each becomes.
const PACKAGES: [(&str, &str); 2] = [("lf.a2a.v1", "v1"), ("a2a.v1", "v0_3")];
/// Lists that are written even when they are empty, though the proto file does not say REQUIRED: clients that read the
/// JSON without its schema count on them.
const ALWAYS: [&str; 1] = ["lf.a2a.v1.ListTaskPushNotificationConfigsResponse.configs"];
const FILES: [&str; 2] = ["v1/a2a.proto", "v0_3/a2a_v0_3.proto"];

#[allow(clippy::disallowed_methods, reason = "cargo tells build scripts by the environment where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let mut compiler = Compiler::new(["proto"])?;
    compiler.include_imports(true).open_files(FILES)?;
    let pool = compiler.descriptor_pool();
    let behaviour = pool.get_extension_by_name("google.api.field_behavior").ok_or("no google.api.field_behavior")?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    std::fs::write(out.join("schema.rs"), schema(&pool, &behaviour)?)?;
    prost_build::Config::new().out_dir(&out).compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The text of `schema.rs`: a module for each package, a static for each message and enum.
fn schema(pool: &DescriptorPool, behaviour: &ExtensionDescriptor) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    for (package, module) in PACKAGES {
        writeln!(text, "/// The messages of the package `{package}`.\npub(crate) mod {module} {{")?;
        writeln!(text, "use super::{{Choices, Field, Kind, Message, Shape}};")?;
        let mine = |name: &str| name == package;
        let messages: BTreeMap<String, MessageDescriptor> = pool
            .all_messages()
            .filter(|message| mine(message.package_name()) && !message.is_map_entry())
            .map(|message| (constant(message.name()), message))
            .collect();
        for (name, message) in &messages {
            write_message(&mut text, name, message, behaviour)?;
        }
        for choices in pool.all_enums().filter(|choices| mine(choices.package_name())) {
            write_choices(&mut text, &choices)?;
        }
        writeln!(text, "}}")?;
    }
    Ok(text)
}

fn write_message(
    text: &mut String,
    name: &str,
    message: &MessageDescriptor,
    behaviour: &ExtensionDescriptor,
) -> Result<(), Box<dyn Error>> {
    writeln!(text, "pub(crate) static {name}: Message = Message {{ name: {:?}, fields: &[", message.name())?;
    for field in message.fields() {
        let required = ALWAYS.contains(&field.full_name())
            || match field.options().get_extension(behaviour).as_ref() {
                Value::List(list) => list.contains(&Value::EnumNumber(2)),
                _ => false,
            };
        let (shape, kind) = shape(&field)?;
        let oneof = field.containing_oneof().filter(|oneof| oneof.fields().count() > 1 || !is_synthetic(oneof.name()));
        writeln!(
            text,
            "Field {{ number: {}, json: {:?}, proto: {:?}, shape: Shape::{shape}, kind: {kind}, required: {required}, \
             presence: {}, oneof: {:?} }},",
            field.number(),
            field.json_name(),
            field.name(),
            field.supports_presence(),
            oneof.map(|oneof| oneof.name().to_owned()),
        )?;
    }
    writeln!(text, "] }};")?;
    Ok(())
}

/// proto3 `optional` is a oneof of one whose name begins with an underscore.
fn is_synthetic(oneof: &str) -> bool {
    oneof.starts_with('_')
}

fn shape(field: &FieldDescriptor) -> Result<(&'static str, String), Box<dyn Error>> {
    if !field.is_map() {
        return Ok((if field.is_list() { "Many" } else { "One" }, kind(field.kind())?));
    }
    let Kind::Message(entry) = field.kind() else { return Err("a map without entries".into()) };
    let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
    if key.kind() != Kind::String {
        return Err(format!("{}: only text is known as the key of a map", field.full_name()).into());
    }
    Ok(("Map", kind(value.kind())?))
}

fn kind(kind: Kind) -> Result<String, Box<dyn Error>> {
    Ok(match kind {
        Kind::String => "Kind::Text".to_owned(),
        Kind::Bytes => "Kind::Bytes".to_owned(),
        Kind::Bool => "Kind::Bool".to_owned(),
        Kind::Int32 => "Kind::Int32".to_owned(),
        Kind::Enum(choices) => format!("Kind::Choice(&{})", constant(choices.name())),
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Struct" => "Kind::Struct".to_owned(),
            "google.protobuf.Value" => "Kind::Value".to_owned(),
            "google.protobuf.Timestamp" => "Kind::Timestamp".to_owned(),
            name if name.starts_with("google.protobuf.") => return Err(format!("{name} is not known").into()),
            _ => format!("Kind::Message(&{})", constant(message.name())),
        },
        other => return Err(format!("fields of the type {other:?} are not known").into()),
    })
}

fn write_choices(text: &mut String, choices: &EnumDescriptor) -> Result<(), Box<dyn Error>> {
    let name = constant(choices.name());
    write!(text, "pub(crate) static {name}: Choices = Choices {{ name: {:?}, values: &[", choices.name())?;
    for value in choices.values() {
        write!(text, "({}, {:?}),", value.number(), value.name())?;
    }
    writeln!(text, "] }};")?;
    Ok(())
}

/// `TaskStatusUpdateEvent` → `TASK_STATUS_UPDATE_EVENT`.
fn constant(name: &str) -> String {
    let mut text = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}

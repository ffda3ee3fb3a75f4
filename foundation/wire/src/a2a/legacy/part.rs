//! Parts of messages and artifacts.
//!
//! | 1.0 | 0.3 with `kind` | 0.3 ProtoJSON |
//! |---|---|---|
//! | `{text}` | `{kind:"text",text}` | `{text}` |
//! | `{raw,filename,mediaType}` | `{kind:"file",file:{bytes,name,mimeType}}` | `{file:{fileWithBytes,name,mimeType}}` |
//! | `{url,filename,mediaType}` | `{kind:"file",file:{uri,name,mimeType}}` | `{file:{fileWithUri,name,mimeType}}` |
//! | `{data}` any JSON | `{kind:"data",data:OBJECT}` | `{data:{data:OBJECT}}` |
//!
//! - Data that is no object becomes `{"value":…}` with `metadata.data_part_compat = true`, as a2a-sdk does.
//! - `fileWithBytes` is a `bytes` field, but the SDKs for Python and Go fill it with base64 *text*, so that ProtoJSON
//!   encodes it twice. We write what they read. Reading, bytes that are themselves padded base64 are unwrapped, others
//!   (the JavaScript SDK's) are taken as they are.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use moongate_core::Problem;
use serde_json::{Map, Value};

use super::Style;
use super::baggage::{DATA_PART_COMPAT, DISPLACED, Shape, Way, settle};
use super::fields::{At, Fields, Put};

const PART: Shape = Shape {
    v1: &["text", "raw", "url", "data", "metadata", "filename", "mediaType"],
    v03: &["kind", "type", "text", "file", "data", "metadata"],
    only_v1: &["filename", "mediaType"],
};

/// A 0.3 part as 1.0 says it.
pub(super) fn to_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let says_kind = fields.has("kind") || fields.has("type");
    let kind = part_kind(&mut fields)?;
    let mut metadata = fields.object("metadata")?;
    let mut out = Map::new();
    let mut kept = Map::new();
    match kind {
        "text" => {
            let text = fields.key("text")?;
            out.put("text", Some(text));
        }
        "file" => {
            let at = at.member("file");
            let file = fields.take("file")?.ok_or_else(|| at.wrong("is required"))?;
            kept.put("file", file_to_v1(file, at, &mut out)?);
        }
        _ => {
            let data = fields.take("data")?;
            let data = unwrap_proto_data(data, says_kind, &at.member("data"))?;
            out.insert("data".to_owned(), undo_compat(data, &mut metadata));
        }
    }
    kept.put_rest(fields.rest());
    settle(&mut out, metadata, kept, Way::ToV1, &PART);
    Ok(Value::Object(out))
}

fn part_kind(fields: &mut Fields<'_>) -> Result<&'static str, Problem> {
    let at = fields.at();
    let kind = match fields.take("kind")? {
        None => fields.take("type")?,
        some => some,
    };
    match kind {
        Some(kind) => match kind.as_str() {
            Some("text") => Ok("text"),
            Some("file") => Ok("file"),
            Some("data") => Ok("data"),
            _ => Err(at.member("kind").wrong("must be \"text\", \"file\" or \"data\"")),
        },
        None if fields.has("text") => Ok("text"),
        None if fields.has("file") => Ok("file"),
        None if fields.has("data") => Ok("data"),
        None => Err(at.wrong("must hold one of text, file and data")),
    }
}

/// Moves the file's members into `out`; returns those that 1.0 cannot say.
fn file_to_v1(file: Value, at: At<'_>, out: &mut Map<String, Value>) -> Result<Option<Value>, Problem> {
    let mut file = Fields::open(file, at)?;
    let bytes = file.take("bytes")?;
    let uri = file.take_any(&["uri", "fileWithUri"])?;
    let proto_bytes = file.take("fileWithBytes")?;
    match (bytes, uri, proto_bytes) {
        (Some(Value::String(bytes)), None, None) => out.put("raw", Some(standard(bytes, &at.member("bytes"))?)),
        (None, Some(Value::String(uri)), None) => out.put("url", Some(uri)),
        (None, None, Some(Value::String(bytes))) => {
            out.put("raw", Some(once_encoded(bytes, &at.member("fileWithBytes"))?));
        }
        (None, None, None) => return Err(at.wrong("must hold bytes or uri")),
        _ => return Err(at.wrong("must hold either bytes or uri, as a string")),
    }
    out.put("filename", file.text("name")?);
    out.put("mediaType", file.text("mimeType")?);
    let rest = file.rest();
    Ok((!rest.is_empty()).then_some(Value::Object(rest)))
}

fn unwrap_proto_data(data: Option<Value>, says_kind: bool, at: &At<'_>) -> Result<Value, Problem> {
    let data = data.unwrap_or_else(|| Value::Object(Map::new()));
    if says_kind || at.style() == Style::Kind {
        return if data.is_object() { Ok(data) } else { Err(at.wrong("must be an object")) };
    }
    let mut fields = Fields::open(data, *at)?;
    let inner = fields.object("data")?.unwrap_or_default();
    Ok(Value::Object(inner))
}

fn undo_compat(data: Value, metadata: &mut Option<Map<String, Value>>) -> Value {
    let Some(marked) = metadata else { return data };
    if marked.get(DATA_PART_COMPAT) != Some(&Value::Bool(true)) || !is_wrapped(&data) {
        return data;
    }
    marked.shift_remove(DATA_PART_COMPAT);
    if marked.is_empty() {
        *metadata = None;
    }
    match data {
        Value::Object(mut wrapped) => wrapped.shift_remove("value").unwrap_or_default(),
        other => other,
    }
}

fn is_wrapped(data: &Value) -> bool {
    data.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("value"))
}

/// A 1.0 part as 0.3 says it.
pub(super) fn from_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut metadata = fields.object("metadata")?;
    let filename = fields.text("filename")?;
    let media_type = fields.text("mediaType")?;
    let mut out = Map::new();
    let mut kept = Map::new();
    match content(&mut fields)? {
        Content::Text(text) => {
            open_part(&mut out, "text", at.style());
            out.put("text", Some(text));
            kept.put("filename", filename);
            kept.put("mediaType", media_type);
        }
        Content::File(member, content) => {
            open_part(&mut out, "file", at.style());
            let mut file = Map::new();
            file.put(member, Some(content));
            file.put("mimeType", media_type);
            file.put("name", filename);
            out.put("file", Some(file));
        }
        Content::Data(data) => {
            open_part(&mut out, "data", at.style());
            let data = mark_compat(data, &mut metadata, &mut kept);
            out.put("data", Some(if at.style() == Style::Proto { wrap("data", data) } else { data }));
            kept.put("filename", filename);
            kept.put("mediaType", media_type);
        }
    }
    kept.put_rest(fields.rest());
    settle(&mut out, metadata, kept, Way::FromV1, &PART);
    Ok(Value::Object(out))
}

enum Content {
    Text(String),
    File(&'static str, String),
    Data(Value),
}

fn content(fields: &mut Fields<'_>) -> Result<Content, Problem> {
    let at = fields.at();
    let data = fields.take_even_null("data")?;
    let mut found = None;
    for name in ["text", "raw", "url"] {
        match fields.take(name)? {
            None => {}
            Some(Value::String(content)) if found.is_none() => found = Some((name, content)),
            Some(Value::String(_)) => return Err(at.wrong("must hold only one of text, raw, url and data")),
            Some(_) => return Err(at.member(name).wrong("must be a string")),
        }
    }
    match (found, data) {
        (Some(_), Some(data)) if !data.is_null() => Err(at.wrong("must hold only one of text, raw, url and data")),
        (Some(("text", text)), _) => Ok(Content::Text(text)),
        (Some(("url", url)), _) => {
            Ok(Content::File(if at.style() == Style::Kind { "uri" } else { "fileWithUri" }, url))
        }
        (Some((_, raw)), _) => {
            let raw = standard(raw, &at.member("raw"))?;
            match at.style() {
                Style::Kind => Ok(Content::File("bytes", raw)),
                Style::Proto => Ok(Content::File("fileWithBytes", STANDARD.encode(raw))),
            }
        }
        (None, Some(data)) => Ok(Content::Data(data)),
        (None, None) => Err(at.wrong("must hold one of text, raw, url and data")),
    }
}

fn open_part(out: &mut Map<String, Value>, kind: &str, style: Style) {
    if style == Style::Kind {
        out.put("kind", Some(kind));
    }
}

/// Data as an object, marked if it was none; an object that would be mistaken for a marked one loses its flag.
fn mark_compat(data: Value, metadata: &mut Option<Map<String, Value>>, kept: &mut Map<String, Value>) -> Value {
    let flagged = metadata.as_ref().and_then(|metadata| metadata.get(DATA_PART_COMPAT)).is_some();
    if data.is_object() && !(flagged && is_wrapped(&data)) {
        return data;
    }
    let mut displaced = Map::new();
    if let Some(flag) = metadata.as_mut().and_then(|metadata| metadata.shift_remove(DATA_PART_COMPAT)) {
        displaced.insert(DATA_PART_COMPAT.to_owned(), flag);
    }
    let was_empty = metadata.as_ref().is_some_and(Map::is_empty);
    if was_empty || !displaced.is_empty() {
        kept.put(DISPLACED, Some(displaced));
    }
    if data.is_object() {
        return data;
    }
    metadata.get_or_insert_default().insert(DATA_PART_COMPAT.to_owned(), Value::Bool(true));
    wrap("value", data)
}

fn wrap(name: &str, value: Value) -> Value {
    let mut wrapped = Map::new();
    wrapped.insert(name.to_owned(), value);
    Value::Object(wrapped)
}

/// Any alphabet, padded or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

fn decode(text: &str) -> Option<Vec<u8>> {
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT.with_decode_allow_trailing_bits(true)).decode(text).ok()
}

/// Base64 in the form that every reader knows: standard alphabet, padded. Costs one look if it is so already.
fn standard(text: String, at: &At<'_>) -> Result<String, Problem> {
    if is_padded_base64(text.as_bytes()) {
        return Ok(text);
    }
    decode(&text).map(|bytes| STANDARD.encode(bytes)).ok_or_else(|| at.wrong("must be base64"))
}

fn once_encoded(text: String, at: &At<'_>) -> Result<String, Problem> {
    let bytes = decode(&text).ok_or_else(|| at.wrong("must be base64"))?;
    if !bytes.is_empty() && is_padded_base64(&bytes) {
        return String::from_utf8(bytes).map_err(|_| at.wrong("must be base64"));
    }
    Ok(STANDARD.encode(bytes))
}

fn is_padded_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let body = text.split_at(text.len() - padding).0;
    text.len().is_multiple_of(4) && body.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

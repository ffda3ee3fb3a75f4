//! What a caller asked for, as the store keeps it with the task: enough to send it to an agent later, and to know the user's
//! own message when an agent has forgotten it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A stored request.
#[derive(Deserialize)]
pub struct Asked<'a> {
    /// The extensions that the caller declared.
    pub extensions: Vec<String>,
    /// The question that people must have answered with yes before it is sent.
    #[serde(default)]
    pub approval: Option<String>,
    /// The canonical parameters.
    #[serde(borrow)]
    pub params: &'a RawValue,
}

impl<'a> Asked<'a> {
    /// Reads a stored request; `None` if it is none.
    pub fn read(stored: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(stored).ok()
    }
}

/// Writes a request down.
pub fn write(extensions: &[String], approval: Option<&str>, params: &[u8]) -> Bytes {
    let extensions = serde_json::to_vec(extensions).unwrap_or_else(|_| b"[]".to_vec());
    let mut out = Vec::with_capacity(params.len() + extensions.len() + 26);
    out.extend_from_slice(br#"{"extensions":"#);
    out.extend_from_slice(&extensions);
    if let Some(approval) = approval.and_then(|approval| serde_json::to_vec(approval).ok()) {
        out.extend_from_slice(br#","approval":"#);
        out.extend_from_slice(&approval);
    }
    out.extend_from_slice(br#","params":"#);
    out.extend_from_slice(params);
    out.push(b'}');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let extensions = ["https://example.com/x\"y".to_owned()];
        let written = write(&extensions, Some("a\"1"), br#"{"message": {"messageId":"m"}}"#);
        let asked = Asked::read(&written).unwrap();
        assert_eq!(asked.approval.as_deref(), Some("a\"1"));
        assert_eq!(Asked::read(&write(&extensions, None, b"{}")).unwrap().approval, None);
        assert_eq!(asked.extensions, ["https://example.com/x\"y"]);
        assert_eq!(asked.params.get(), r#"{"message": {"messageId":"m"}}"#);
        assert!(Asked::read(b"{}").is_none());
    }
}

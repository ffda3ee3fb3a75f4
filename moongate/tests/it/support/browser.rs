//! A browser as far as pages without scripts need one: it keeps cookies, sends forms as a page of its origin would, and finds
//! fields in what it got.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Answer, soon};

/// A browser at one gateway's listener in clear text.
pub(crate) struct Browser {
    /// `http://address`.
    pub(crate) base: String,
    cookies: BTreeMap<String, String>,
    /// The last page.
    pub(crate) page: String,
}

impl Browser {
    pub(crate) fn at(base: &str) -> Self {
        Self { base: base.to_owned(), cookies: BTreeMap::new(), page: String::new() }
    }

    /// The same listener, by a name that passkeys can be bound to.
    pub(crate) fn by_name(base: &str) -> Self {
        let port = base.rsplit(':').next().unwrap();
        Self::at(&format!("http://localhost:{port}"))
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Sends a form from a page of the same origin.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = self.base.clone();
        self.send("POST", path, &[("origin", &origin), ("sec-fetch-site", "same-origin")], &form(fields)).await
    }

    /// Sends a form with the session's token, as it stood in the last page.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.field("form");
        let fields = [&[("form", token.as_str())], fields].concat();
        self.post(path, &fields).await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let authority = self.base.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(authority.replace("localhost", "127.0.0.1")).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", authority);
        }
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let (parts, body) = soon("an answer", sender.send_request(request)).await.unwrap().into_parts();
        let body = soon("the body", body.collect()).await.unwrap().to_bytes();
        driver.abort();
        for cookie in parts.headers.get_all("set-cookie") {
            let (pair, rest) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
        if answer.header("content-type").starts_with("text/html") {
            self.page = answer.text();
        }
        answer
    }

    /// The value of a hidden field in the last page.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.page.split_once(&start).unwrap_or_else(|| panic!("no field {name} in {}", self.page)).1;
        rest.split('"').next().unwrap().to_owned()
    }

    /// What the last page's script would ask the browser for, for the form that goes to this path.
    pub(crate) fn options(&self, path: &str) -> serde_json::Value {
        let rest = self.page.split_once(&format!("action=\"{path}\"")).unwrap().1;
        let rest = rest.split_once("data-options=\"").unwrap().1;
        serde_json::from_str(&rest.split('"').next().unwrap().replace("&quot;", "\"").replace("&amp;", "&")).unwrap()
    }

    /// The cookies as a request carries them.
    pub(crate) fn cookies(&self) -> String {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        cookies.join("; ")
    }

    /// Whether the session's cookie is there.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookies.get("moongate").map(String::as_str)
    }
}

/// A form's body.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = |text: &str| -> String {
        text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
    };
    fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&")
}

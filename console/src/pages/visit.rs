//! One request of a browser, and what it proves by where it comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, Method, Request};
use moongate_core::{Code, Problem};
use moongate_identity::authority::form::{first, pairs};
use moongate_identity::people::Site;
use parking_lot::RwLock;

use super::{FORM, Visitor};

/// How the gateway is known outside, and where it is reached on this machine.
#[derive(Default)]
pub struct Public {
    url: RwLock<Option<String>>,
    /// Origins of its pages by the name of this machine.
    local: OnceLock<Vec<String>>,
}

impl Public {
    /// By this URL: `scheme://host[:port]`, from the configuration.
    pub fn new(url: Option<String>) -> Self {
        let public = Self::default();
        public.change(url);
        public
    }

    /// By this one from now on.
    pub fn change(&self, url: Option<String>) {
        *self.url.write() = url.map(|url| origin_of(&url));
    }

    /// Listeners were opened here; whether they speak TLS. `localhost` leads to those that are bound to its usual addresses,
    /// and to no other: on another address of this machine, its port is anybody's.
    pub fn opened(&self, listeners: impl IntoIterator<Item = (SocketAddr, bool)>) {
        let leads = |ip: IpAddr| {
            ip.is_unspecified() || [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&ip)
        };
        let own = listeners.into_iter().filter(|(address, _)| leads(address.ip().to_canonical()));
        let origin = |(address, secure): (SocketAddr, bool)| {
            origin_of(&format!("{}://localhost:{}", if secure { "https" } else { "http" }, address.port()))
        };
        let _ = self.local.set(own.map(origin).collect());
    }

    /// The site that passkeys belong to, and the origins at which its pages really are. A request has no say in it: whoever
    /// stands between a browser and the gateway writes into it what they like, but not where the browser's page is from.
    fn site(&self) -> Option<Site> {
        let public = self.origin();
        let host = public.as_deref().map_or_else(|| "localhost".to_owned(), host_of);
        if host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let local = self.local.get().map(Vec::as_slice).unwrap_or_default();
        let origins = local.iter().chain(&public).filter(|origin| host_of(origin) == host).cloned().collect();
        Some(Site { host, origins })
    }

    fn origin(&self) -> Option<String> {
        self.url.read().clone()
    }

    /// What links begin with: the public URL, or this machine by a name that passkeys work with.
    pub(crate) fn base(&self, headers: &HeaderMap) -> String {
        if let Some(origin) = self.origin() {
            return origin;
        }
        let host = text(headers, HOST.as_str()).unwrap_or("localhost");
        let (name, port) = split(host);
        let name = if name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) { "localhost" } else { name };
        format!("http://{name}{port}")
    }
}

/// `scheme://host[:port]` of a URL, without the scheme's own port.
fn origin_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let own = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    format!("{scheme}://{}", authority.strip_suffix(own).unwrap_or(authority)).to_ascii_lowercase()
}

/// The host of an origin.
fn host_of(origin: &str) -> String {
    split(origin.split_once("://").map_or("", |(_, rest)| rest)).0.to_owned()
}

/// A host and its `:port`, without the brackets of an address.
fn split(authority: &str) -> (&str, &str) {
    let at = authority.rfind(':').filter(|at| !authority.get(*at..).unwrap_or_default().contains(']'));
    let (host, port) = authority.split_at(at.unwrap_or(authority.len()));
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(crate) struct Visit {
    visitor: Visitor,
    request: Request<Bytes>,
    public: Option<String>,
    site: Option<Site>,
    fields: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl Visit {
    pub(crate) fn new(visitor: Visitor, public: &Public, request: Request<Bytes>) -> Self {
        let body = std::str::from_utf8(request.body()).unwrap_or_default();
        let body = if body.len() <= FORM { body } else { "" };
        let (fields, query) = (pairs(body), pairs(request.uri().query().unwrap_or_default()));
        Self { visitor, public: public.origin(), site: public.site(), request, fields, query }
    }

    pub(crate) fn method(&self) -> &Method {
        self.request.method()
    }

    /// Whether it wants nothing changed.
    pub(crate) fn reads(&self) -> bool {
        matches!(*self.method(), Method::GET | Method::HEAD)
    }

    pub(crate) fn request(&self) -> &Request<Bytes> {
        &self.request
    }

    pub(crate) fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// The path with its query.
    pub(crate) fn here(&self) -> String {
        self.request.uri().path_and_query().map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn raw_query(&self) -> &str {
        self.request.uri().query().unwrap_or_default()
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.visitor.address
    }

    /// A field of the form.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }

    /// A parameter of the address.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The names of all of them.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|(name, _)| name.as_str())
    }

    fn authority(&self) -> &str {
        let host = text(self.request.headers(), HOST.as_str());
        host.or_else(|| self.request.uri().authority().map(http::uri::Authority::as_str)).unwrap_or_default()
    }

    /// Whether the browser speaks TLS: with us, or with a proxy before us that answers by the public name.
    fn secure(&self) -> bool {
        let by_name = || origin_of(&format!("https://{}", self.authority()));
        self.visitor.secure || self.public.as_ref().is_some_and(|public| *public == by_name())
    }

    /// The origin by which the visitor called us.
    fn own_origin(&self) -> String {
        origin_of(&format!("{}://{}", if self.secure() { "https" } else { "http" }, self.authority()))
    }

    /// A form counts only if a page of the very same origin sent it. Browsers say so in `Origin`; and in `Sec-Fetch-Site`,
    /// all that are still kept up.
    pub(crate) fn comes_from_here(&self) -> Result<(), Problem> {
        let refused = || Problem::new(Code::FormRefused, "the form was not sent from this gateway’s own page");
        let headers = self.request.headers();
        if text(headers, "sec-fetch-site").is_some_and(|site| site != "same-origin") {
            return Err(refused());
        }
        let origin = text(headers, ORIGIN.as_str()).ok_or_else(refused)?;
        let own = origin == self.own_origin() || self.public.as_deref() == Some(origin);
        if own { Ok(()) } else { Err(refused()) }
    }

    /// Whether a page of another site led here.
    pub(crate) fn came_from_elsewhere(&self) -> bool {
        text(self.request.headers(), "sec-fetch-site").is_some_and(|site| matches!(site, "cross-site" | "same-site"))
    }

    /// The name of the session's cookie: over TLS, one that no other host can set.
    pub(crate) fn cookie_name(&self) -> &'static str {
        if self.secure() { "__Host-moongate" } else { "moongate" }
    }

    /// The name of the operator's cookie, by the same rule.
    fn operator_cookie_name(&self) -> &'static str {
        if self.secure() { "__Host-moongate-operator" } else { "moongate-operator" }
    }

    /// The session's cookie.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie_of(self.cookie_name())
    }

    /// The cookie of the operator's session, which a link opened.
    pub(crate) fn operator_cookie(&self) -> Option<&str> {
        self.cookie_of(self.operator_cookie_name())
    }

    /// Two of one name are none: somebody slipped one in.
    fn cookie_of(&self, wanted: &str) -> Option<&str> {
        let cookies = self.request.headers().get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut own = cookies.flat_map(|value| value.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == wanted).then_some(value)
        });
        let cookie = own.next()?;
        own.next().is_none().then_some(cookie)
    }

    /// The cookie as it is set; `None` takes it away.
    pub(crate) fn set_cookie(&self, value: Option<&str>) -> String {
        self.set(self.cookie_name(), value, "/")
    }

    /// The operator's cookie as it is set; `None` takes it away.
    pub(crate) fn set_operator_cookie(&self, value: Option<&str>) -> String {
        // Cookies know no ports: whatever else this machine serves shall not get it with every request.
        let path = if self.secure() { "/" } else { "/console" };
        self.set(self.operator_cookie_name(), value, path)
    }

    fn set(&self, name: &str, value: Option<&str>, path: &str) -> String {
        let secure = if self.secure() { "; Secure" } else { "" };
        let end = if value.is_none() { "; Max-Age=0" } else { "" };
        format!("{name}={}; Path={path}; HttpOnly; SameSite=Strict{secure}{end}", value.unwrap_or_default())
    }

    /// The site that passkeys of this visit belong to; `None` where the page was called in another way, or by an address, to
    /// which no passkey can be bound.
    pub(crate) fn site(&self) -> Option<Site> {
        self.site.clone().filter(|site| site.origins.contains(&self.own_origin()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(public: Option<&str>, secure: bool, headers: &[(&str, &str)]) -> Visit {
        let mut request = Request::post("/oauth/device?user_code=AB%20C");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let visitor = Visitor { address: IpAddr::from([127, 0, 0, 1]), secure };
        let request = request.body(Bytes::from_static(b"a=1+2&b=%C3%A9&c=%zz&d")).unwrap();
        let public = Public::new(public.map(str::to_owned));
        public.opened([
            ("127.0.0.1:7444".parse().unwrap(), false),
            ("[::]:7443".parse().unwrap(), true),
            ("127.0.0.2:7445".parse().unwrap(), false),
        ]);
        Visit::new(visitor, &public, request)
    }

    #[test]
    fn forms_and_queries_are_decoded() {
        let visit = visit(None, false, &[]);
        assert_eq!((visit.field("a"), visit.field("b"), visit.field("c")), (Some("1 2"), Some("é"), None));
        assert_eq!((visit.field("d"), visit.parameter("user_code")), (Some(""), Some("AB C")));
    }

    #[test]
    fn a_form_must_come_from_the_very_same_origin() {
        let public = Some("https://gate.example:443/");
        let of = |secure, headers: &[(&str, &str)]| visit(public, secure, headers).comes_from_here().is_ok();
        assert!(of(false, &[("host", "localhost:7444"), ("origin", "http://localhost:7444")]));
        assert!(of(true, &[("host", "GATE.example"), ("origin", "https://gate.example")]));
        assert!(of(false, &[("host", "localhost:7444"), ("origin", "https://gate.example")]), "behind a proxy");
        for (what, headers) in [
            ("no origin", vec![("host", "localhost:7444")]),
            ("another port", vec![("host", "localhost:7444"), ("origin", "http://localhost:3000")]),
            ("another name of the same machine", vec![("host", "localhost:7444"), ("origin", "http://127.0.0.1:7444")]),
            ("clear text", vec![("host", "gate.example"), ("origin", "http://gate.example:7444")]),
            ("nowhere", vec![("host", "localhost:7444"), ("origin", "null")]),
            (
                "another site by the browser's word",
                vec![("host", "localhost:7"), ("origin", "http://localhost:7"), ("sec-fetch-site", "cross-site")],
            ),
        ] {
            assert!(!of(false, &headers), "{what}");
        }
    }

    #[test]
    fn cookies_are_bound_to_the_host_over_tls_and_one_of_a_name_counts() {
        let with = |secure, cookie| visit(None, secure, &[("cookie", cookie)]);
        assert_eq!(with(true, "a=b; __Host-moongate=x").cookie(), Some("x"));
        assert_eq!(with(true, "moongate=x").cookie(), None);
        assert_eq!(with(false, "moongate=x; moongate=y").cookie(), None);
        assert_eq!(
            with(true, "").set_cookie(Some("x")),
            "__Host-moongate=x; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        let proxied = visit(Some("https://gate.example"), false, &[("host", "gate.example")]);
        assert_eq!(proxied.cookie_name(), "__Host-moongate", "the browser speaks TLS with the proxy");
        assert_eq!(with(false, "").set_cookie(None), "moongate=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }

    #[test]
    fn passkeys_belong_to_the_public_host_or_to_localhost() {
        let site = |public, secure, host| visit(public, secure, &[("host", host)]).site().map(|site| site.host);
        assert_eq!(site(None, false, "localhost:7444").as_deref(), Some("localhost"));
        assert_eq!(site(None, true, "localhost:7443").as_deref(), Some("localhost"));
        assert_eq!(site(None, false, "127.0.0.1:7444"), None);
        let public = Some("https://gate.example:7443");
        assert_eq!(site(public, true, "gate.example:7443").as_deref(), Some("gate.example"));
        assert_eq!(site(public, true, "gate.example"), None);
        assert_eq!(site(public, false, "localhost:7444"), None);
        assert_eq!(site(Some("https://192.0.2.1:7443"), true, "192.0.2.1:7443"), None);
        assert_eq!(site(None, false, "[::1]:7444"), None);
    }

    #[test]
    fn no_request_says_where_passkeys_may_be_used() {
        let origins = |public, secure, host| visit(public, secure, &[("host", host)]).site().map(|site| site.origins);
        let both = ["http://localhost:7444", "https://localhost:7443"].map(str::to_owned).to_vec();
        assert_eq!(origins(None, false, "localhost:7444"), Some(both));
        for (secure, host) in [(false, "localhost:9999"), (false, "localhost:7443"), (true, "localhost:7444")] {
            assert_eq!(origins(None, secure, host), None, "{host}: no listener of ours is there");
        }
        assert_eq!(origins(None, false, "localhost:7445"), None, "it is bound to another address");
        let public = Some("https://gate.example");
        assert_eq!(origins(public, false, "gate.example"), Some(vec!["https://gate.example".to_owned()]));
        assert_eq!(origins(public, true, "gate.example:9999"), None);
    }
}

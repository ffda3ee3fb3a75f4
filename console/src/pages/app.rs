//! The approval pages as something that a telephone installs, and which is told of questions: a manifest, a worker, icons, and the
//! browsers that a person has subscribed with.
//!
//! A subscription opens nothing. Its browser is called; whoever answers signs in there like anywhere else.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use moongate_approval::channels::push::Person;
use moongate_core::{Code, Problem};
use moongate_identity::people::SignedIn;

use super::approvals::{PLACE, may};
use super::reply::{asset, see};
use super::visit::Visit;
use super::{Answer, Pages};

/// Where these files and forms are.
const OWN: &str = "/approvals/app/";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The file of a path; nothing in it is anybody's.
pub(super) fn file(path: &str) -> Option<Response<Bytes>> {
    let response = match path.strip_prefix(OWN)? {
        "manifest.json" => asset("application/manifest+json", include_bytes!("../../assets/manifest.json")),
        "push.js" => asset(SCRIPT, include_bytes!("../../assets/push.js")),
        "worker.js" => {
            let mut response = asset(SCRIPT, include_bytes!("../../assets/worker.js"));
            // It lies in a folder of its own, and serves the pages above it.
            let (name, value) = (HeaderName::from_static("service-worker-allowed"), HeaderValue::from_static(PLACE));
            response.headers_mut().insert(name, value);
            response
        }
        "icon.svg" => asset("image/svg+xml", include_bytes!("../../assets/icon.svg")),
        "icon-192.png" => asset("image/png", include_bytes!("../../assets/icon-192.png")),
        "icon-512.png" => asset("image/png", include_bytes!("../../assets/icon-512.png")),
        _ => return None,
    };
    Some(response)
}

/// Whether a path is one of these forms.
pub(super) fn is_form(path: &str) -> bool {
    path.strip_prefix(OWN).is_some_and(|form| matches!(form, "subscribe" | "unsubscribe"))
}

/// Somebody as subscriptions name them.
pub(super) fn person(who: &SignedIn) -> Person {
    Person { name: who.user.name.as_str().to_owned(), handle: who.user.handle().to_owned() }
}

impl Pages {
    /// Takes a form of these.
    pub(super) async fn app(&self, visit: &Visit, who: &SignedIn, path: &str) -> Answer {
        may(who)?;
        let field = |name| visit.field(name).unwrap_or_default();
        if path.ends_with("/subscribe") {
            let keys = (field("p256dh"), field("auth"));
            self.push.subscribe(person(who), field("label"), field("endpoint"), keys).await?;
        } else if !self.push.unsubscribe(field("key"), Some(&person(who))).await? {
            return Err(Problem::new(Code::NoSuchSubscription, "this browser is not told any more"));
        }
        Ok(see(PLACE))
    }
}

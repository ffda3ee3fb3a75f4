//! A POST of JSON, signed as [Standard Webhooks](https://www.standardwebhooks.com) says where there is a secret:
//!
//! ```text
//! webhook-id: 5f0c….pending          the same at each repetition
//! webhook-timestamp: 1795814100
//! webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body))
//!
//! {"type": "approval.asked", "id": "5f0c…", "title": "A yes is wanted: lock, door.open", "link": "https://…/approvals/5f0c…",
//!  "class": "critical", "state": "pending", "expiresAt": "2026-11-27T21:15:00.000Z"}
//! ```

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_core::approval::State;
use moongate_core::seam::notifier::{Notice, Notifier};
use moongate_core::seam::{Clock, Dialer, Later};
use moongate_core::{Problem, Time};
use moongate_wire::a2a::timestamp;
use serde_json::{Value, json};

use super::http::post;
use super::words::{Place, title};

/// A receiver.
pub struct Webhook {
    /// Sends.
    pub dialer: Arc<dyn Dialer>,
    /// Dates signatures.
    pub clock: Arc<dyn Clock>,
    /// Its URL.
    pub url: String,
    /// What it and the gateway know, and nobody else.
    pub secret: Option<Vec<u8>>,
    /// Where the pages are.
    pub place: Place,
}

impl Notifier for Webhook {
    fn follows(&self) -> bool {
        true
    }

    fn tell<'a>(&'a self, notice: &'a Notice) -> Later<'a, Result<(), Problem>> {
        Box::pin(async move {
            let body = event(notice, &self.place).to_string();
            let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            let id = format!("{}.{}", notice.id, notice.state.as_str());
            headers.extend(signature(self.secret.as_deref(), id, self.clock.now(), &body));
            post(&self.dialer, &self.url, headers, body.into()).await
        })
    }
}

/// A question as programs are told of it.
pub(super) fn event(notice: &Notice, place: &Place) -> Value {
    let asked = notice.state == State::Pending;
    json!({
        "type": if asked { "approval.asked" } else { "approval.over" },
        "id": &*notice.id,
        "title": title(notice),
        "link": place.link(notice),
        "class": notice.class.as_str(),
        "state": notice.state.as_str(),
        "expiresAt": moment(notice.expires_at),
    })
}

/// UTC, with milliseconds.
fn moment(time: Time) -> String {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    let nanos = u32::try_from(time.0 % 1000 * 1_000_000).unwrap_or(0);
    timestamp::format(seconds, nanos).unwrap_or_default()
}

fn signature(secret: Option<&[u8]>, id: String, now: Time, body: &str) -> Vec<(String, String)> {
    let seconds = (now.0 / 1000).to_string();
    let signed = secret.map(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        STANDARD.encode(hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes()))
    });
    let mut headers = vec![("webhook-id".to_owned(), id), ("webhook-timestamp".to_owned(), seconds)];
    headers.extend(signed.map(|mac| ("webhook-signature".to_owned(), format!("v1,{mac}"))));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the specification's reference libraries.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let headers = signature(
            Some(&secret),
            "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
            Time(1_614_265_330_000),
            r#"{"test": 2432232314}"#,
        );
        let value = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("webhook-signature"), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(value("webhook-timestamp"), Some("1614265330"));
        assert_eq!(signature(None, "a".to_owned(), Time(0), "").len(), 2);
    }
}

//! [ntfy](https://docs.ntfy.sh/publish/): the body is the text, headers say the rest, and a tap opens the question's page.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_core::Problem;
use moongate_core::approval::Class;
use moongate_core::seam::notifier::{Notice, Notifier};
use moongate_core::seam::{Clock, Dialer, Later};

use super::http::post;
use super::words::{Place, line, title};

/// A topic.
pub struct Ntfy {
    /// Sends.
    pub dialer: Arc<dyn Dialer>,
    /// Says how much time is left.
    pub clock: Arc<dyn Clock>,
    /// The topic's URL.
    pub url: String,
    /// An access token of the server, if the topic wants one.
    pub token: Option<String>,
    /// Where the pages are.
    pub place: Place,
}

impl Notifier for Ntfy {
    fn tell<'a>(&'a self, notice: &'a Notice) -> Later<'a, Result<(), Problem>> {
        Box::pin(async move {
            let mut headers = vec![
                ("title".to_owned(), word(&title(notice))),
                ("priority".to_owned(), if notice.class == Class::Critical { "5" } else { "4" }.to_owned()),
                ("content-type".to_owned(), "text/plain; charset=utf-8".to_owned()),
            ];
            headers.extend(self.place.link(notice).map(|link| ("click".to_owned(), link)));
            headers.extend(self.token.as_ref().map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
            let body = line(notice, &self.place, self.clock.now());
            post(&self.dialer, &self.url, headers, body.into()).await
        })
    }
}

/// Text as a header's value may have it (RFC 2047).
fn word(text: &str) -> String {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && !text.starts_with("=?") {
        return text.to_owned();
    }
    format!("=?UTF-8?B?{}?=", STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_title_in_any_script_is_one_line_of_ascii() {
        assert_eq!(word("A yes is wanted: lock"), "A yes is wanted: lock");
        assert_eq!(word("Tür"), "=?UTF-8?B?VMO8cg==?=");
        assert!(word("=?UTF-8?B?AA==?=").starts_with("=?UTF-8?B?PT9V"), "nobody writes another title by its name");
    }
}

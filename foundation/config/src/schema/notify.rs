//! The tables `[[notify]]`.

use moongate_core::approval::Class;

use crate::secret::Secret;

/// A channel by which people learn that something waits for their yes.
#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    /// What it is called in logs and numbers.
    pub name: String,
    /// What it is; `None` was complained of.
    pub way: Option<Way>,
    /// Tells of this class only.
    pub class: Option<Class>,
    /// Tells of questions of these rules only; of all if there are none.
    pub rules: Vec<String>,
}

/// What a channel is.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// A topic of ntfy.
    Ntfy {
        /// The topic's URL.
        url: String,
        /// An access token.
        token: Option<Secret>,
    },
    /// A URL that takes JSON.
    Webhook {
        /// The URL.
        url: String,
        /// What signs, decoded.
        secret: Option<Secret>,
    },
    /// Letters by a mail server.
    Mail {
        /// The server.
        server: Server,
        /// Name and password there.
        login: Option<(String, Secret)>,
        /// Who writes.
        from: String,
        /// To whom.
        to: Vec<String>,
    },
    /// Browsers that people have subscribed with.
    Push {
        /// The push services that are accepted; those of the usual browsers if there are none.
        services: Vec<String>,
        /// Whom they write to about us, if not to the public URL.
        contact: Option<String>,
    },
    /// Topics of an MQTT broker.
    Mqtt {
        /// The broker.
        server: Server,
        /// Name and password there.
        login: Option<(String, Secret)>,
        /// What the topics begin with.
        topic: String,
    },
}

/// A server that is not one of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Whether TLS is spoken.
    pub secure: bool,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

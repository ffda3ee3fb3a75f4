//! The channels by which people are told that something waits for them, as the configuration has them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_a2a::A2aGateway;
use moongate_approval::channels::push::{self, Answers, Push, SERVICES, Ways, WebPush};
use moongate_approval::channels::{About, Channel, Channels, Mail, Mqtt, Ntfy, Place, Webhook};
use moongate_config::Config;
use moongate_config::Secret;
use moongate_config::schema::{Notify, Server, Way};
use moongate_core::seam::notifier::Notifier;
use moongate_core::seam::{Clock, Dialer, Vault};
use moongate_core::{Listener, Problem, Scope};
use moongate_identity::People;
use moongate_identity::people::UserName;
use moongate_identity::revocation::Seams;
use moongate_telemetry::Telemetry;
use moongate_transport::{Origin, Pool};
use parking_lot::Mutex;

use super::egress::SwappableEgress;
use super::listeners::Listening;
use super::outbound::Outbound;
use crate::surface::Status;

/// What channels are made of.
type Terms = (Vec<Notify>, Place, String);

/// The channels, and what they were made of.
pub(crate) struct Notifications {
    channels: Arc<Channels>,
    dialer: Arc<dyn Dialer>,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    push: Arc<Push>,
    people: Arc<People>,
    current: Mutex<Option<Terms>>,
}

impl Notifications {
    /// None yet; how they fare is part of the status.
    pub(crate) fn new(
        gateway: &A2aGateway,
        telemetry: &Telemetry,
        outbound: &Outbound,
        status: &Status,
        (push, people): (Arc<Push>, Arc<People>),
    ) -> Self {
        let clock = gateway.clock.clone();
        let channels = Channels::new(gateway.desk.clone(), clock.clone(), telemetry.metrics().clone());
        let channels = Arc::new(channels);
        status.introduce(channels.clone());
        Self {
            channels,
            dialer: outbound.dialer(),
            pool: outbound.pool(),
            clock,
            push,
            people,
            current: Mutex::default(),
        }
    }

    /// Those of a configuration from now on; where nothing about them has changed, they go on.
    pub(crate) fn apply(&self, config: &Config, listening: &[Listening]) {
        let terms = (config.notify.clone(), place(config, listening), contact(config));
        let mut current = self.current.lock();
        if current.as_ref() == Some(&terms) {
            return;
        }
        // Browsers may subscribe to what any channel of that kind takes.
        let pushes: Vec<push::Terms> = terms.0.iter().filter_map(|notify| self.push_terms(notify, &terms.2)).collect();
        let services = pushes.iter().flat_map(|one| one.services.clone()).collect();
        self.push.configure((!pushes.is_empty()).then(|| push::Terms { services, contact: terms.2.clone() }));
        self.channels.replace(terms.0.iter().filter_map(|notify| self.channel(notify, &terms.1, &terms.2)).collect());
        *current = Some(terms);
    }

    fn push_terms(&self, notify: &Notify, own: &str) -> Option<push::Terms> {
        let Some(Way::Push { services, contact }) = &notify.way else { return None };
        let usual = || SERVICES.map(str::to_owned).to_vec();
        let services = if services.is_empty() { usual() } else { services.clone() };
        Some(push::Terms { services, contact: contact.clone().unwrap_or_else(|| own.to_owned()) })
    }

    fn channel(&self, notify: &Notify, place: &Place, contact: &str) -> Option<Channel> {
        let (dialer, clock, place) = (self.dialer.clone(), self.clock.clone(), place.clone());
        let (kind, notifier): (_, Arc<dyn Notifier>) = match notify.way.as_ref()? {
            Way::Ntfy { url, token } => {
                let token = token.as_ref().map(|token| token.expose().to_owned());
                ("ntfy", Arc::new(Ntfy { dialer, clock, url: url.clone(), token, place }))
            }
            Way::Webhook { url, secret } => {
                let secret = secret.as_ref().and_then(|secret| secret.expose().strip_prefix("whsec_"));
                let secret = secret.and_then(|text| STANDARD.decode(text).ok());
                ("webhook", Arc::new(Webhook { dialer, clock, url: url.clone(), secret, place }))
            }
            Way::Mail { server, login, from, to } => {
                let from = from.parse().ok()?;
                let to = to.iter().map(|to| to.parse()).collect::<Result<_, _>>().ok()?;
                let (pool, server, login) = (Pool::clone(&self.pool), origin(server), exposed(login.as_ref()));
                ("mail", Arc::new(Mail { pool, clock, server, login, from, to, place }))
            }
            Way::Push { .. } => {
                let terms = self.push_terms(notify, contact)?;
                ("push", Arc::new(WebPush::new(self.push.clone(), terms, answers(&self.people))))
            }
            Way::Mqtt { server, login, topic } => {
                let (pool, broker, login) = (Pool::clone(&self.pool), origin(server), exposed(login.as_ref()));
                ("mqtt", Arc::new(Mqtt { pool, clock, broker, login, topic: topic.clone(), place }))
            }
        };
        let about = About { class: notify.class, rules: notify.rules.clone() };
        Some(Channel { name: notify.name.as_str().into(), kind, about, notifier })
    }
}

/// Who may answer questions: people with the right to, who have not been shut out.
fn answers(people: &Arc<People>) -> Answers {
    let people = people.clone();
    Arc::new(move |person| {
        let people = people.clone();
        Box::pin(async move {
            let Some(name) = UserName::read(&person.name) else { return Ok(None) };
            let user = people.find(&name).await?.filter(|user| user.handle() == person.handle);
            let approve = Scope::parse("approve");
            Ok(user.map(|user| !user.disabled && approve.is_some_and(|approve| user.rights().covers(&approve))))
        })
    })
}

/// Whom push services write to unless the channel says so.
fn contact(config: &Config) -> String {
    let public = config.public_url.clone().filter(|url| url.starts_with("https://"));
    public.unwrap_or_else(|| format!("mailto:operator@{}", config.domain))
}

fn origin(server: &Server) -> Origin {
    Origin { secure: server.secure, host: server.host.clone(), port: server.port, h2: false }
}

fn exposed(login: Option<&(String, Secret)>) -> Option<(String, String)> {
    login.map(|(user, password)| (user.clone(), password.expose().to_owned()))
}

/// Subscriptions of browsers, and the key that they are bound to.
pub(super) async fn push(
    seams: &Seams,
    vault: &Arc<dyn Vault>,
    egress: &Arc<SwappableEgress>,
) -> Result<Arc<Push>, Problem> {
    let ways = Ways { dialer: seams.dialer.clone(), egress: egress.clone() };
    Push::open(seams.store.clone(), vault.clone(), seams.clock.clone(), ways).await
}

/// Where people find the pages, while there are pages: by the public name, or on this machine.
fn place(config: &Config, listening: &[Listening]) -> Place {
    if config.oauth.is_none() {
        return Place(None);
    }
    let public = config.public_url.as_deref().and_then(|url| Origin::parse(url, false).ok());
    let own = || {
        let listeners = [Listener::Admin, Listener::Plain, Listener::Main];
        let mut held = listeners.iter().filter_map(|one| listening.iter().find(|held| held.listener == *one));
        let held = held.next()?;
        // Passkeys work with a name and not with an address.
        Some(format!("{}://localhost:{}", if held.tls.is_some() { "https" } else { "http" }, held.address.port()))
    };
    Place(public.map(|origin| origin.to_string()).or_else(own))
}

//! The gateway's own authorization server: made where `[oauth]` stands in the configuration, changed and ended with it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use moongate_a2a::routing::discovery::Address;
use moongate_config::Config;
use moongate_console::pages::Public;
use moongate_core::{Listener, Problem};
use moongate_identity::authority::Terms;
use moongate_identity::signing::Workshop;
use moongate_identity::{Authority, People};

/// The authorization server while it is on, for all who ask for it.
pub(crate) type Own = ArcSwapOption<Authority>;

/// What it takes to turn it on, off, and into another one.
pub(crate) struct Authorities {
    workshop: Workshop,
    /// The issuer where there is no `public_url`: the first listener's own address.
    address: String,
    pub(crate) own: Arc<Own>,
    pub(crate) people: Arc<People>,
    /// How pages and links name the gateway.
    pub(crate) public: Arc<Public>,
}

impl Authorities {
    /// Makes it as the configuration says; `addresses` are those of the listeners, the main one first.
    pub(crate) async fn open(
        config: &Config,
        workshop: Workshop,
        addresses: &[(Listener, Address)],
    ) -> Result<Self, Problem> {
        let address = addresses.first().map(|(_, address)| address.url.clone()).unwrap_or_default();
        let people = People::new(workshop.store.clone(), workshop.clock.clone(), workshop.vault.clone());
        let (own, public) = (Arc::new(ArcSwapOption::empty()), Arc::new(Public::default()));
        let this = Self { workshop, address, own, people: Arc::new(people), public };
        this.apply(config).await?;
        Ok(this)
    }

    /// Takes over what a configuration says.
    pub(crate) async fn apply(&self, config: &Config) -> Result<(), Problem> {
        self.public.change(config.public_url.clone());
        let Some(oauth) = &config.oauth else {
            self.own.store(None);
            return Ok(());
        };
        let terms = Terms {
            issuer: config.public_url.clone().unwrap_or_else(|| self.address.clone()),
            token: oauth.token_seconds,
            refresh: oauth.refresh_seconds,
            device: oauth.device_seconds,
            scopes: oauth.scopes.clone(),
            certificates: !config.peers.is_empty() || !config.devices.is_empty(),
        };
        match self.own.load_full() {
            Some(own) => own.change(terms)?,
            None => {
                let own = Authority::open(self.workshop.clone(), &config.domain, terms).await?;
                own.introduce(self.people.clone());
                self.people.tell(own.epoch().clone());
                self.own.store(Some(own));
            }
        }
        Ok(())
    }

    /// Looks after it for as long as the gateway runs, whether it is on or not.
    pub(crate) async fn tend(self: Arc<Self>) {
        let mut interval = tokio::time::interval(std::time::Duration::from_secs(60));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Some(own) = self.own.load_full() {
                own.tend().await;
            }
        }
    }
}

//! Opening the listeners: all are bound before any serves, so that a port that is taken stops the start, not half of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use moongate_a2a::routing::discovery::{Address, LetsIn};
use moongate_config::Config;
use moongate_core::{Listener, Problem};
use moongate_telemetry::Telemetry;
use moongate_transport::{Bound, Cores, Drain, Listen, ListenLimits, TlsSlot, bind as open, serve};

use super::trust::Boundary;
use crate::surface::{ListenerSurface, Surface};

/// A listener that is open.
pub(crate) struct Listening {
    pub(crate) listener: Listener,
    pub(crate) address: SocketAddr,
    pub(crate) open: Arc<AtomicUsize>,
    /// Its TLS configuration, which may be replaced.
    pub(crate) tls: Option<Arc<TlsSlot>>,
}

/// Listeners that are bound and do not serve yet.
pub(crate) struct AllBound(Vec<(Listener, Bound, Option<Arc<TlsSlot>>)>);

/// Binds every listener of a configuration.
pub(crate) fn bind(config: &Config, boundary: &Boundary) -> Result<AllBound, Problem> {
    let mut all = Vec::new();
    let listen = &config.listen;
    for (listener, address) in
        [(Listener::Main, listen.main), (Listener::Plain, listen.plain), (Listener::Admin, listen.admin)]
    {
        let Some(address) = address else { continue };
        let bound = open(address)?;
        let tls = match listener {
            Listener::Main => Some(boundary.slot(config, bound.local_addr())?),
            Listener::Plain | Listener::Admin => None,
        };
        all.push((listener, bound, tls));
    }
    Ok(AllBound(all))
}

/// The host of a URL.
pub(crate) fn host(url: &str) -> Option<String> {
    moongate_transport::Origin::parse(url, false).ok().map(|origin| origin.host)
}

impl AllBound {
    /// The addresses, with real ports.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(_, bound, _)| bound.local_addr()).collect()
    }

    /// The same, and whether they speak TLS.
    pub(crate) fn opened(&self) -> Vec<(SocketAddr, bool)> {
        self.0.iter().map(|(_, bound, tls)| (bound.local_addr(), tls.is_some())).collect()
    }

    /// The address of one of them, if it is opened.
    pub(crate) fn address(&self, listener: Listener) -> Option<SocketAddr> {
        self.0.iter().find(|(of, ..)| *of == listener).map(|(_, bound, _)| bound.local_addr())
    }

    /// The listeners that other machines reach.
    pub(crate) fn facing_out(&self) -> Vec<Listener> {
        self.0.iter().filter(|(_, bound, _)| faces_out(bound)).map(|(listener, _, _)| *listener).collect()
    }

    /// How each listener is reached, as cards say it; the main one first.
    pub(crate) fn public(&self, config: &Config) -> Vec<(Listener, Address)> {
        self.0
            .iter()
            .map(|(listener, bound, tls)| {
                let own = own_address(bound.local_addr(), tls.is_some());
                let public = config.public_url.as_deref().filter(|_| *listener == Listener::Main);
                let address = public.and_then(public_address).unwrap_or(own);
                (*listener, Address { guarded: faces_out(bound), lets_in: lets_in(config), ..address })
            })
            .collect()
    }

    /// Begins to serve. The admin listener ends by the second drain, all others by the first.
    pub(crate) fn serve(
        self,
        config: &Config,
        (surface, boundary): (Arc<Surface>, &Boundary),
        telemetry: &Telemetry,
        (drain, last): (&Drain, &Drain),
        cores: &Arc<Cores>,
    ) -> Vec<Listening> {
        let limits = ListenLimits {
            connections: config.limits.connections,
            per_address: config.limits.connections_per_address,
            header_bytes: config.limits.header_bytes,
            ..ListenLimits::default()
        };
        let mut listening = Vec::new();
        for (listener, bound, tls) in self.0 {
            let open = Arc::new(AtomicUsize::new(0));
            telemetry.metrics().connections(listener).set(0);
            let address = bound.local_addr();
            tracing::info!(listener = listener.as_str(), %address, tls = tls.is_some(), "listening");
            let drain = if listener == Listener::Admin { last.clone() } else { drain.clone() };
            let handler = Arc::new(ListenerSurface { listener, surface: surface.clone() });
            let clients = tls.is_some().then(|| boundary.clients.clone());
            let (slot, cores) = (tls.clone(), Some(cores.clone()));
            let listen = Listen { tls, clients, limits, open: open.clone(), cores };
            tokio::spawn(serve(bound, listen, handler, drain));
            listening.push(Listening { listener, address, open, tls: slot });
        }
        listening
    }
}

/// Whether other machines reach it.
fn faces_out(bound: &Bound) -> bool {
    !bound.local_addr().ip().to_canonical().is_loopback()
}

/// A listener's own address, as cards say it.
pub(crate) fn own_address(address: SocketAddr, secure: bool) -> Address {
    let authority = address.to_string();
    Address {
        url: format!("{}://{authority}", if secure { "https" } else { "http" }),
        authority,
        guarded: false,
        lets_in: LetsIn::default(),
    }
}

/// By what callers of other machines prove who they are.
pub(crate) fn lets_in(config: &Config) -> LetsIn {
    LetsIn {
        token: !config.issuers.is_empty() || config.oauth.is_some(),
        oauth: config.oauth.as_ref().map(|own| own.scopes.words().into()),
        certificate: !config.peers.is_empty() || !config.devices.is_empty(),
    }
}

pub(crate) fn public_address(url: &str) -> Option<Address> {
    let origin = moongate_transport::Origin::parse(url, false).ok()?;
    let authority = format!("{}:{}", origin.host, origin.port);
    Some(Address { url: url.trim_end_matches('/').to_owned(), authority, guarded: false, lets_in: LetsIn::default() })
}

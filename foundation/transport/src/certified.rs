//! Connections whose other side has shown a certificate of its domain, in either direction: whom it names, and the end of
//! those that it does not carry any more.
//!
//! A certificate is judged when a connection is made. What it was judged by may change while the connection lives: an
//! authority goes, a revocation list comes, the certificate runs out. [`Certified::recheck`] judges every live chain anew
//! and closes the connections of those that no longer hold, whatever they are in the middle of: an exchange, a stream of
//! events, a WebSocket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;
use moongate_core::Certificate;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;

/// A certificate with its chain, the leaf first, as the other side presented it.
pub type Chain = Arc<[CertificateDer<'static>]>;

/// Judges a chain: whom it names, or `None` if it does not hold (any more).
pub type Naming = Arc<dyn Fn(&[CertificateDer<'static>]) -> Option<Arc<Certificate>> + Send + Sync>;

/// The live connections of a listener, or of lines to other domains, that have a certificate.
pub struct Certified {
    naming: Naming,
    live: Mutex<HashMap<u64, (Chain, Arc<Switch>)>>,
    next: AtomicU64,
}

impl Certified {
    /// None yet.
    pub fn new(naming: Naming) -> Self {
        Self { naming, live: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// Takes a new connection up; `None` if its certificate does not hold.
    pub(crate) fn admit(self: &Arc<Self>, chain: Chain) -> Option<Held> {
        let switch = Arc::new(Switch::default());
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        // Entered before it is judged: a change that comes in between finds it.
        self.live.lock().insert(key, (chain.clone(), switch.clone()));
        let seat = Seat { among: self.clone(), key };
        let certificate = (self.naming)(&chain)?;
        Some(Held { certificate, switch, _seat: seat })
    }

    /// Judges every live chain anew; how many connections had to be closed.
    pub fn recheck(&self) -> usize {
        let live: Vec<_> = self.live.lock().values().cloned().collect();
        let mut judged: HashMap<Chain, bool> = HashMap::new();
        let mut closed = 0;
        for (chain, switch) in live {
            let holds = *judged.entry(chain).or_insert_with_key(|chain| (self.naming)(chain).is_some());
            if !holds {
                switch.turn_off();
                closed += 1;
            }
        }
        closed
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.live.lock().len()
    }
}

impl std::fmt::Debug for Certified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certified").field("open", &self.open()).finish_non_exhaustive()
    }
}

/// One live connection with a certificate.
pub(crate) struct Held {
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) switch: Arc<Switch>,
    _seat: Seat,
}

struct Seat {
    among: Arc<Certified>,
    key: u64,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.among.live.lock().remove(&self.key);
    }
}

/// Cuts a connection off. Two may wait for it: the task that drives the connection, and whoever reads from its socket
/// after it has changed over to another protocol.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    off: AtomicBool,
    driver: AtomicWaker,
    reader: AtomicWaker,
}

impl Switch {
    fn turn_off(&self) {
        self.off.store(true, Ordering::Release);
        self.driver.wake();
        self.reader.wake();
    }

    /// Whether it is off; the driver's task is woken when it becomes so.
    pub(crate) fn is_off_for_driver(&self, cx: &Context<'_>) -> bool {
        self.driver.register(cx.waker());
        self.is_off()
    }

    /// The same for who reads.
    pub(crate) fn is_off_for_reader(&self, cx: &Context<'_>) -> bool {
        self.reader.register(cx.waker());
        self.is_off()
    }

    /// Whether it is off now.
    pub(crate) fn is_off(&self) -> bool {
        self.off.load(Ordering::Acquire)
    }
}

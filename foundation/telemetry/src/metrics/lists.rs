//! How the revocation lists of other domains stand, as gauges.

use std::collections::BTreeMap;
use std::fmt::Error;

use parking_lot::Mutex;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// How a list stands, from the best to the worst. A gauge of each says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListState {
    /// It holds.
    Fresh,
    /// It has expired, and serves for a while.
    Grace,
    /// It has expired: nobody is let in by it.
    Expired,
    /// There is none: nobody is let in.
    Missing,
}

impl ListState {
    const ALL: [Self; 4] = [Self::Fresh, Self::Grace, Self::Expired, Self::Missing];

    fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Grace => "grace",
            Self::Expired => "expired",
            Self::Missing => "missing",
        }
    }
}

/// The list of one authority of a domain.
#[derive(Clone, Debug, PartialEq)]
pub struct RevocationList {
    /// The trust domain.
    pub domain: String,
    /// The authority's name.
    pub authority: String,
    /// How its list stands.
    pub state: ListState,
    /// Its `nextUpdate` in seconds since 1970; of a list that there is.
    pub next_update: Option<f64>,
}

type Standing = BTreeMap<(String, String), (ListState, Option<f64>)>;

/// All lists as they were last told of.
#[derive(Debug, Default)]
pub(super) struct RevocationLists(Mutex<Standing>);

impl RevocationLists {
    /// Replaces what was told before. Of authorities that share a name, the worse one counts.
    pub(super) fn set(&self, lists: Vec<RevocationList>) {
        let mut standing = Standing::new();
        for RevocationList { domain, authority, state, next_update } in lists {
            let place = standing.entry((domain, authority)).or_insert((state, next_update));
            if state > place.0 {
                *place = (state, next_update);
            }
        }
        *self.0.lock() = standing;
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let standing = self.0.lock();
        let help = "Whether the revocation list of a domain's authority stands so";
        let mut metric = encoder.encode_descriptor("revocation_list_state", help, None, MetricType::Gauge)?;
        for ((domain, authority), (found, _)) in standing.iter() {
            for state in ListState::ALL {
                let labels =
                    [("domain", domain.as_str()), ("authority", authority.as_str()), ("state", state.as_str())];
                metric.encode_family(&labels)?.encode_gauge(&i64::from(state == *found))?;
            }
        }
        let help = "Until when the revocation list of a domain's authority holds, in seconds since 1970";
        let unit = Some(&Unit::Seconds);
        let mut metric =
            encoder.encode_descriptor("revocation_list_next_update_timestamp", help, unit, MetricType::Gauge)?;
        for ((domain, authority), (_, next_update)) in standing.iter() {
            let Some(next_update) = next_update else { continue };
            let labels = [("domain", domain.as_str()), ("authority", authority.as_str())];
            metric.encode_family(&labels)?.encode_gauge(next_update)?;
        }
        Ok(())
    }
}

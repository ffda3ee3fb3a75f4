//! What the channels of approvals did, by their names.

use std::collections::BTreeMap;
use std::fmt::Error;

use parking_lot::Mutex;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::expose::count;
use super::series::Counter;

/// The numbers of one channel.
#[derive(Clone, Debug, Default)]
pub struct Notifications {
    /// News that the channel took.
    pub told: Counter,
    /// Tries that failed.
    pub failed: Counter,
    /// Questions that ran out before the channel took them.
    pub late: Counter,
}

/// Those of all channels.
#[derive(Debug, Default)]
pub(super) struct ByChannel(Mutex<BTreeMap<String, Notifications>>);

impl ByChannel {
    pub(super) fn of(&self, channel: &str) -> Notifications {
        self.0.lock().entry(channel.to_owned()).or_default().clone()
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let channels = self.0.lock();
        let help = "What became of telling people that something waits for their yes";
        let mut metric = encoder.encode_descriptor("approval_notifications", help, None, MetricType::Counter)?;
        for (channel, numbers) in channels.iter() {
            for (result, counter) in [("told", &numbers.told), ("failed", &numbers.failed), ("late", &numbers.late)] {
                count(&mut metric, &[("channel", channel.as_str()), ("result", result)], counter.value())?;
            }
        }
        Ok(())
    }
}

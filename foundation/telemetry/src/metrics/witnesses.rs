//! How far witnesses have signed the audit log, as numbers.

use std::fmt::Error;

use parking_lot::Mutex;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// One witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What it is called here.
    pub name: String,
    /// How many lines of the running month it has signed.
    pub size: u64,
    /// How often it did not sign.
    pub failures: u64,
}

/// All of them, and with whom a log has two histories, with how often that was seen.
#[derive(Debug, Default)]
pub(super) struct Witnesses(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    witnesses: Vec<Witness>,
    conflicts: Vec<(String, u64)>,
}

impl Witnesses {
    pub(super) fn set(&self, witnesses: Vec<Witness>, conflicts: Vec<(String, u64)>) {
        *self.0.lock() = Known { witnesses, conflicts };
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let known = self.0.lock();
        let Known { witnesses, conflicts } = &*known;
        let help = "Lines of the audit log's running month that a witness has signed";
        let mut metric = encoder.encode_descriptor("audit_witnessed_lines", help, None, MetricType::Gauge)?;
        for witness in witnesses {
            let size = i64::try_from(witness.size).unwrap_or(i64::MAX);
            metric.encode_family(&[("witness", witness.name.as_str())])?.encode_gauge(&size)?;
        }
        let help = "Times that a witness did not sign";
        let mut metric = encoder.encode_descriptor("audit_witness_failures", help, None, MetricType::Counter)?;
        for witness in witnesses {
            let labels = [("witness", witness.name.as_str())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&witness.failures, None)?;
        }
        let help = "Times that an audit log was seen with two histories, by whom that showed";
        let mut metric = encoder.encode_descriptor("audit_conflicts", help, None, MetricType::Counter)?;
        for (with, times) in conflicts {
            let labels = [("with", with.as_str())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(times, None)?;
        }
        Ok(())
    }
}

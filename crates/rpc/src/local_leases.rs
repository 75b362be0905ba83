//! Types of the local API's leases and counters (`spec/leases.md` §3).

use std::collections::BTreeMap;

use freehold_primitives::{Account, Digest, UnixSeconds};
use serde::{Deserialize, Serialize};

use crate::local::HeaderReference;

/// `POST /freehold/v1/leases/{name}/acquire`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcquireLease {
    /// Length of the lease in seconds, 10 to 3,600; 60 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_s: Option<u64>,
    /// How long to wait for a lease that another instance holds, in seconds, at most 25; 0 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u64>,
}

/// How this disk stands to the counters that the chain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskState {
    /// It has seen the newest batch.
    Current,
    /// It has not: it was rolled back or is new, or another instance wrote since. No counter is raised until the app says,
    /// by `adopt`, that its data are those of the newest batch.
    Behind,
}

/// The disk's memory of a lease's counters beside the chain's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskReport {
    /// How they stand to each other.
    pub state: DiskState,
    /// Number of the newest batch that this disk has seen; 0 for none.
    pub disk_sequence: u64,
    /// Number of the newest batch on the chain; 0 for none.
    pub chain_sequence: u64,
}

/// A lease as the chain shows it under a certified header, and what this instance has of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseReport {
    /// Its name.
    pub name: String,
    /// Fence of the newest taking; 0 where there never was one.
    pub fence: u64,
    /// Instance that holds it, as far as the lease's own entry says; `None` where it is free.
    pub holder: Option<Digest>,
    /// Account of that instance.
    pub account: Option<Account>,
    /// End of the lease; 0 where it is free.
    pub expires_at: UnixSeconds,
    /// Whether this very instance holds it, by its own clock and with its margin.
    pub held: bool,
    /// How this disk stands to the counters; `None` where this instance does not hold the lease.
    pub disk: Option<DiskReport>,
    /// Header under which the entry was seen.
    pub header: HeaderReference,
}

/// `POST /freehold/v1/leases/{name}/adopt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptCounters {
    /// Number of the chain's newest batch, as `chain_sequence` told it: the app's data are those of it.
    pub sequence: u64,
}

/// `POST /freehold/v1/counters/increment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncrementCounter {
    /// Lease that this instance holds.
    pub lease: String,
    /// Name of the counter.
    pub counter: String,
    /// By how much, 1 to 2³²; 1 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<u64>,
}

/// Answer to [`IncrementCounter`], once the batch stands under a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncrementedCounter {
    /// The counter after this increment. No other increment got this value.
    pub value: u64,
    /// Number of the batch that it stands in.
    pub sequence: u64,
    /// Fence under which it was written.
    pub fence: u64,
    /// Header under which the batch was seen.
    pub header: HeaderReference,
}

/// Answer of `GET /freehold/v1/counters/{lease}`: the chain's word under a certified header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountersReport {
    /// Lease that they stand under.
    pub lease: String,
    /// Number of the newest batch; 0 for none.
    pub sequence: u64,
    /// Fence under which it was written.
    pub fence: u64,
    /// Values by name.
    pub values: BTreeMap<String, u64>,
    /// Header under which they were seen.
    pub header: HeaderReference,
}

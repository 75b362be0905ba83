//! What consensus needs of a runtime, in one name: clock, tasks, storage, network and randomness come from it, so
//! that a simulation can stand in for the machine.

use commonware_runtime::{Clock, Metrics, Network, Resolver, Spawner, Storage};
use rand_core::CryptoRng;

/// A runtime that can carry a validator: the engine's runtime on the machine, or its deterministic one.
pub trait Runtime: Spawner + Clock + Metrics + Storage + Network + Resolver + CryptoRng {}

impl<E: Spawner + Clock + Metrics + Storage + Network + Resolver + CryptoRng> Runtime for E {}

//! Keeping collateral fresh: what vendors publish is fetched, verified under the genesis's roots, compared with what stands
//! on the chain and submitted where it is newer; operators are warned before it would drop their instances.
//!
//! Invariant: nothing is submitted that the chain would not accept from anyone; the bot holds no power but its fee. It
//! warns before it submits. The clock that counts is the chain's.

mod bot;
mod bring;
mod choice;
mod http;
mod outlook;
mod pace;
mod registry;
mod report;
mod vcek;
mod vendor;

#[cfg(test)]
mod tests;

pub(crate) use bring::{Bringer, BringerParts};
pub(crate) use http::VendorClient;

pub use self::{
    bot::{CollateralBot, CollateralConfig, EarlyLook, VendorUse},
    http::{FetchError, VendorUrl},
    report::{Basis, CollateralEvent, CollateralWarning, RoundSummary},
    vendor::{AMD_KDS, INTEL_PCS, PckCa, Place, Promotion, SourceError, Subject, VendorSources},
};

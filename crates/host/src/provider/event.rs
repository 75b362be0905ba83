//! What a provider's machine tells whoever started it. Counts, sizes and names of public things: nothing that an app says.

use std::net::SocketAddr;

use freehold_primitives::{AppId, Digest};
use freehold_rpc::RentalRefusal;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderEvent {
    /// A rental of one of the provider's offers is served from now on.
    Rented {
        /// The rental.
        rental: u64,
        /// Its app.
        app_id: AppId,
    },
    /// A rental or a bundle is refused.
    Refused {
        /// The rental.
        rental: u64,
        /// Why.
        refusal: RentalRefusal,
    },
    /// A renter's command was taken.
    Commanded {
        /// The rental.
        rental: u64,
        /// What for.
        action: &'static str,
    },
    /// A bundle is there and checked.
    Brought {
        /// The rental.
        rental: u64,
        /// The bundle.
        bundle: Digest,
        /// Bytes of its files.
        bytes: u64,
    },
    /// An instance is registered and its app answers.
    Serving {
        /// The rental.
        rental: u64,
        /// The instance.
        instance_id: Digest,
        /// Where the app answers.
        api: SocketAddr,
    },
    /// The instance counts for the rental: its seconds are paid from now on.
    Attached {
        /// The rental.
        rental: u64,
        /// The instance.
        instance_id: Digest,
    },
    /// What was served so far is paid.
    Claimed {
        /// The rental.
        rental: u64,
        /// Seconds that were paid since it began.
        seconds_paid: u64,
    },
    /// An app was stopped.
    Stopped {
        /// The rental.
        rental: u64,
    },
    /// A rental ended, and nothing is left of it here.
    Ended {
        /// The rental.
        rental: u64,
        /// Seconds that were paid.
        seconds_paid: u64,
    },
    /// Something needs attention.
    Trouble {
        /// Which rental's, if one's.
        rental: Option<u64>,
        /// A sentence.
        message: String,
    },
}

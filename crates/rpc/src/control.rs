//! The control channel from guest to host (`spec/local-api.md` §4): the guest asks its host to pay for what it signed.
//!
//! The host can refuse or delay, which the guest notices on the chain; it can change nothing, since the guest signs.

use freehold_primitives::{Account, Digest};
use serde::{Deserialize, Serialize};

use crate::hexed::{BareHex, bare_signature};

/// Largest body on the control channel, in bytes.
pub const CONTROL_BODY_BYTES_MAX: usize = 256 * 1024;

/// `POST /v1/registration`: submit `Apps.register` with these arguments and some value for the instance's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationSubmit {
    /// Canonical document of the registration.
    pub registration: BareHex,
    /// Evidence.
    pub evidence: BareHex,
    /// Signature of the instance's account, 65 bytes.
    #[serde(with = "bare_signature")]
    pub signature: [u8; 65],
    /// The instance's account, whose allowance the host tops up.
    pub account: Account,
}

/// Answer to [`RegistrationSubmit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationSubmitted {
    /// Hash of the transaction that carries it.
    pub tx_hash: Digest,
}

/// `POST /v1/endorsement`: the certificate of the key that signed an SEV-SNP report, where the hypervisor gave none beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndorsementWanted {
    /// The report, as the processor gave it.
    pub report: BareHex,
}

/// Answer to [`EndorsementWanted`]. It vouches for nothing: the chain verifies it like any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endorsement {
    /// The certificate, DER.
    pub certificate: BareHex,
}

//! What a renter and a provider say to each other (`spec/provider-api.md`): commands that the rental's renter signs, how the
//! rented app stands, and pages of its sealed log.
//!
//! A command is the very text that was signed: nobody has to agree on one form of it. Who may command is on the chain.

use std::net::SocketAddr;

use freehold_crypto::{AccountKey, recover_account, sha256};
use freehold_primitives::{Account, AppId, Digest, Register};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    endpoint::Endpoint,
    hexed::bare_signature,
    http_client::{HttpClient, HttpError},
};

/// Domain of what is signed.
const DOMAIN: &[u8] = b"freehold rental command v1\n";
/// Longest command, in bytes.
pub const COMMAND_BYTES_MAX: usize = 4 * 1024;
/// Longest request to a provider, in bytes: a command in JSON, and its signature.
pub const PROVIDER_BODY_BYTES_MAX: usize = 16 * 1024;
/// How far a command's time may lie from the provider's clock, in milliseconds.
pub const COMMAND_SKEW_MS: u64 = 300_000;
/// Longest address of a bundle, in bytes.
pub const BUNDLE_SOURCE_BYTES_MAX: usize = 1024;
/// Most bytes of a log's records in one page.
pub const LOG_PAGE_BYTES_MAX: usize = 256 * 1024;

/// What a renter asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RentalAction {
    /// Run this bundle, in place of what runs.
    Deploy {
        /// Its digest.
        bundle: Digest,
        /// Where its layout is served, `http(s)://…`; the provider's own stores where there is none.
        source: Option<String>,
    },
    /// Start what was stopped.
    Start,
    /// Stop it; the rental goes on, and its seconds come back.
    Stop,
    /// Stop and start it.
    Restart,
    /// Say how it stands.
    Report,
    /// Give the log's records from this number on.
    Logs {
        /// The first number wanted.
        from: u64,
    },
}

impl RentalAction {
    /// Whether it changes something, so that it must never be taken twice.
    pub const fn changes(&self) -> bool {
        !matches!(self, Self::Report | Self::Logs { .. })
    }
}

/// A command, bound to one provider, one rental of one chain, and a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RentalCommand {
    /// The chain.
    pub genesis_hash: Digest,
    /// The provider that is meant.
    pub provider: Account,
    /// The rental's number.
    pub rental: u64,
    /// The renter's clock, in milliseconds since the Unix epoch; a command that changes something must lie above the last one.
    pub sent_at_ms: u64,
    /// What is asked for.
    pub action: RentalAction,
}

/// A command as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCommand {
    /// The command's JSON, byte for byte what was signed.
    pub command: String,
    /// The renter's signature of 65 bytes, r ‖ s ‖ v, over SHA-256 of the domain and the command.
    #[serde(with = "bare_signature")]
    pub signature: [u8; 65],
}

/// Why a command is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It is too long or no command.
    #[error("it is no command (spec/provider-api.md)")]
    Malformed,
    /// The signature is none of an account.
    #[error("its signature is none of an account")]
    Signature,
}

fn signed_digest(command: &str) -> Digest {
    sha256(&[DOMAIN, command.as_bytes()].concat())
}

impl RentalCommand {
    /// Signs the command by the renter's account.
    pub fn sign(&self, key: &AccountKey) -> SignedCommand {
        let command = serde_json::to_string(self).expect("a command has no map and no float");
        let signature = key.sign(&signed_digest(&command));
        SignedCommand { command, signature }
    }
}

impl SignedCommand {
    /// The command, and the account that signed it.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn open(&self) -> Result<(RentalCommand, Account), CommandError> {
        if self.command.len() > COMMAND_BYTES_MAX {
            return Err(CommandError::Malformed);
        }
        let command = serde_json::from_str(&self.command).map_err(|_| CommandError::Malformed)?;
        let signer = recover_account(&signed_digest(&self.command), &self.signature);
        Ok((command, signer.map_err(|_| CommandError::Signature)?))
    }
}

/// How far a rented app has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RentalStage {
    /// No bundle was named yet.
    Waiting,
    /// The bundle is being brought.
    Fetching,
    /// The app is being started and registered.
    Starting,
    /// It is registered and holds its keys.
    Serving,
    /// It is stopped, as its renter asked.
    Stopped,
    /// The provider does not run it, and says why.
    Refused,
    /// It broke; it is tried again.
    Failed,
}

/// Why a provider refuses. The word is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// The request is no command.
    Malformed,
    /// The command is for another provider or another chain.
    OtherProvider,
    /// The provider serves no such rental now.
    UnknownRental,
    /// The signer is not the rental's renter.
    NotTheRenter,
    /// The command's time is too far from the provider's clock.
    Stale,
    /// The command is not above the last one that was taken.
    Replayed,
    /// There is nothing to start: no bundle was named.
    NoBundle,
    /// The provider's policy does not name the app.
    AppNotAllowed,
    /// As many rentals are served as the policy allows.
    Full,
    /// The offer's price is below what the policy asks for, or in a token that it does not name.
    Price,
    /// Apps of this kind are not run.
    Kind,
    /// It wants more processors than were rented or the policy allows.
    Cpus,
    /// It wants more memory.
    Memory,
    /// It wants more disk.
    Disk,
    /// It wants a network that the policy does not give.
    Egress,
    /// Bundles from there are not fetched.
    Source,
    /// The bundle is not to be had.
    Unavailable,
    /// The bundle is not what its digest says, or is malformed.
    Bundle,
    /// This machine cannot run it.
    CannotRun,
    /// The chain refuses the instance's registration, as a rule because the app's policy does not name what runs here.
    Registration,
    /// Something failed at the provider.
    Internal,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RentalRefusal {
    /// What for.
    pub code: RefusalCode,
    /// A sentence for people.
    pub message: String,
}

/// A refusal as an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RentalRefusalBody {
    /// The refusal.
    pub error: RentalRefusal,
}

/// How much a provider keeps of an app's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogCount {
    /// Number of the oldest record that is kept.
    pub first: u64,
    /// Number that the next record gets.
    pub next: u64,
    /// Bytes that are kept.
    pub bytes: u64,
    /// Lines that were not kept, since they were not sealed or came too fast.
    pub dropped: u64,
}

/// How a rented app stands at its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RentalReport {
    /// The rental.
    pub rental: u64,
    /// The app.
    pub app_id: AppId,
    /// How far it has come.
    pub stage: RentalStage,
    /// Why it is refused or failed.
    pub reason: Option<RentalRefusal>,
    /// The bundle that it is to run.
    pub bundle: Option<Digest>,
    /// The instance that is registered.
    pub instance_id: Option<Digest>,
    /// Where the app's API is offered.
    pub api: Option<SocketAddr>,
    /// Where TLS to its instance is taken, by names that lead there (`spec/ingress.md`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<SocketAddr>,
    /// Whether the app listens.
    pub answers: bool,
    /// How often it was started.
    pub starts: u64,
    /// Time of the last command that was taken.
    pub last_command_ms: u64,
    /// Its log.
    pub logs: LogCount,
}

/// A record of an app's log, as its provider keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// Its number.
    pub number: u64,
    /// When it came, by the provider's clock, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The sealed record, in base64.
    pub record: String,
}

/// A page of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPage {
    /// Records, in order.
    pub records: Vec<LogEntry>,
    /// What is kept.
    pub count: LogCount,
}

/// Whom one reaches at an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderInfo {
    /// The provider.
    pub provider: Account,
    /// The chain that it serves.
    pub genesis_hash: Digest,
    /// The VMs that rented apps run in; beside the provider's own processes where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<ProviderVm>,
}

/// What a renter must know of a provider's VMs to compute what they will show. Nothing of it is believed: where it is not so,
/// the app's policy refuses the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderVm {
    /// SHA-256 of PID 1, agent and their libraries (`spec/provider-api.md` §6).
    pub programs: Digest,
    /// SHA-256 of what runs containers, with its libraries; nothing where the machine has none of it, and runs no such app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<Digest>,
    /// What a TEE measures beside the image; nothing where the TEE is emulated.
    pub tee: Option<ProviderTee>,
}

/// A TEE, and what of its VMs no file of the image says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProviderTee {
    /// Intel TDX.
    Tdx {
        /// SHA-256 of the firmware.
        firmware: Digest,
        /// Register that the firmware's last separator extends: 0 or 1.
        separator: u8,
        /// SHA-384 of QEMU's table loader, RSDP and ACPI tables; without them nothing is said of RTMR0.
        acpi: Option<[Register; 3]>,
    },
    /// AMD SEV-SNP.
    Snp {
        /// SHA-256 of the firmware.
        firmware: Digest,
        /// QEMU's model of the CPUs.
        cpu: String,
        /// `SEV_FEATURES` that the host's KVM turns on.
        features: u64,
    },
}

/// Why a provider gave no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It refused.
    #[error("the provider refuses: {}", .0.message)]
    Refused(RentalRefusal),
    /// It did not answer.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// A client of a provider.
#[derive(Debug, Clone)]
pub struct ProviderClient {
    http: HttpClient,
}

impl ProviderClient {
    /// A client of the provider at an endpoint.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { http: HttpClient::new(endpoint) }
    }

    /// Whom one reaches.
    ///
    /// # Errors
    /// [`ProviderError::Http`].
    pub async fn info(&self) -> Result<ProviderInfo, ProviderError> {
        Ok(self.http.get_json("/v1/host").await?)
    }

    /// Sends a command; how the app stands then.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn command(&self, command: &SignedCommand) -> Result<RentalReport, ProviderError> {
        self.post("/v1/command", command).await
    }

    /// Asks for a page of the log by a command for it.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn logs(&self, command: &SignedCommand) -> Result<LogPage, ProviderError> {
        self.post("/v1/logs", command).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, command: &SignedCommand) -> Result<T, ProviderError> {
        self.http.post_json(path, command).await.map_err(refusal)
    }
}

/// The provider's own words, where it was the provider that refused.
fn refusal(error: HttpError) -> ProviderError {
    let HttpError::Refused { body, .. } = &error else { return error.into() };
    match serde_json::from_str::<RentalRefusalBody>(body) {
        Ok(refused) => ProviderError::Refused(refused.error),
        Err(_) => error.into(),
    }
}

#[cfg(test)]
mod tests;

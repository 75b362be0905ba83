//! Why a host does not start, or what it could not do.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use freehold_bundle::BundleError;
use freehold_containers::ContainerError;
use freehold_crypto::KeyError;
use freehold_image::ImageError;
use freehold_primitives::{AppId, Digest, TrustDomain};
use freehold_rpc::{EndpointError, NodeError, VerifiedError};
use thiserror::Error;

use crate::{
    collateral::{FetchError, SourceError},
    measure::MeasureError,
};

/// Why a host does not start, or what it could not do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// An account's secret is out of range.
    #[error("an account's secret is not usable: {0}")]
    Key(#[from] KeyError),
    /// A program or model cannot be measured.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The node gave no usable answer.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The chain gave no checked answer.
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    /// The genesis has no root of trust for the emulator.
    #[error(
        "this chain's genesis does not admit evidence of this emulated machine: make the network anew with its kind \
         (`--tee`), or run the app on real hardware"
    )]
    NoEmulatedRoot,
    /// The genesis has no root of trust for the machine's hardware.
    #[error(
        "this chain's genesis lists no root of `{}`, who vouches for this machine: no evidence of it is admitted. Make a network \
         for development with `freehold up --vendor-roots`, or join one whose genesis lists it",
        .0.as_str()
    )]
    NoVendorRoot(TrustDomain),
    /// A policy would admit an emulated TEE beside one of hardware.
    #[error(
        "the app's policy would admit emulated evidence beside that of hardware, by which whoever runs the emulator gets the app's \
         keys: run it without --add-to-policy, or make another app for hardware"
    )]
    EmulatedBesideHardware,
    /// A report's key has no certificate to be had.
    #[error("the certificate of the report's key is not to be had: {0}")]
    Endorsement(&'static str),
    /// A transaction was refused by the chain.
    #[error("the chain refused to {what} (transaction {tx_hash})")]
    Reverted {
        /// What was tried.
        what: &'static str,
        /// The transaction.
        tx_hash: Digest,
    },
    /// The recorded app is not this owner's, or closed.
    #[error("app {0}, which {path} names, cannot be updated by this owner: remove that file to create a new app", path = .1.display())]
    ForeignApp(AppId, PathBuf),
    /// The app's policy does not admit the build, and its rule lets nothing new in at once.
    #[error(
        "app {0} promises notice or co-signers for its upgrades, and its policy does not admit this build: announce it with \
         `freehold app upgrade`, and run it once it is in force (docs/upgrades.md)"
    )]
    NoticePromised(AppId),
    /// The genesis names no app for executors.
    #[error(
        "this chain's genesis names no app whose instances validate and execute (membership.app): it has no executors \
         that are no validators"
    )]
    NoExecutors,
    /// The app that the genesis names is not there, and this account's next transaction would not make it.
    #[error(
        "the genesis names the app {0} for executors, which does not exist, and this account cannot create it: its owner \
         does so with the first transaction of the account that `genesis combine --app-owner` named"
    )]
    OtherCreator(AppId),
    /// A socket path would be too long.
    #[error(transparent)]
    Socket(#[from] EndpointError),
    /// The address of the API is taken or forbidden.
    #[error("{address} cannot be bound for the app's API: {source}; choose another with --api")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address of the ingress is taken or forbidden.
    #[error("{address} cannot be bound for the ingress: {source}; choose another address, or end what listens there")]
    BindIngress {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A rental that was served here is of another provider's offer.
    #[error("rental {0}, which was served here, is another provider's: name its key, or another folder for the state")]
    OtherProvider(u64),
    /// The network has no market.
    #[error("this network has no market: its block 0 was made by an older release")]
    NoMarket,
    /// A vendor's collateral is not to be had.
    #[error(transparent)]
    Vendor(#[from] SourceError),
    /// The bundle is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The containers cannot be run.
    #[error(transparent)]
    Containers(ContainerError),
    /// The VM image cannot be read, or is changed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The bundle asks for what this host cannot give; better not run than run otherwise than it says.
    #[error("this host cannot run the app: {what}; {hint}")]
    CannotRun {
        /// What it asks for.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// The app must be kept apart, and no sandbox that may be taken works here.
    #[error(
        "no sandbox works here, so the app cannot be kept apart ({}): install the package `bubblewrap` and allow user \
         namespaces, or use Linux 6.12 or newer with Landlock, or run the app unprotected with --no-sandbox",
        faults.join("; ")
    )]
    NoIsolation {
        /// What each of them said, by its name.
        faults: Vec<String>,
    },
    /// The app is made of containers, and what runs them is not there or too old.
    #[error("the app is made of containers and needs {needs}, and {fault}: {hint}")]
    NoRuntime {
        /// What it needs.
        needs: &'static str,
        /// What is there instead.
        fault: String,
        /// What to do.
        hint: &'static str,
    },
    /// The app is to run in a VM, and QEMU is not there.
    #[error(
        "the app is to run in a VM, and `{program}` cannot be started: {source}; install the package `qemu-system-x86`"
    )]
    NoQemu {
        /// QEMU's program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file, directory or process failed.
    #[error("{what} ({path}): {source}; check the free space and the rights", path = .path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The app did not serve in time.
    #[error("the app did not serve within {0:?}; last trouble: {1}")]
    NotReady(Duration, String),
}

impl HostError {
    /// What this host cannot do, and what to do about it.
    pub(crate) fn cannot(what: &str, hint: &'static str) -> Self {
        Self::CannotRun { what: what.to_owned(), hint }
    }

    pub(crate) fn system(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::System { what, path, source }
    }
}

impl From<ContainerError> for HostError {
    fn from(error: ContainerError) -> Self {
        match error {
            ContainerError::CannotRun { what, hint } => Self::CannotRun { what, hint },
            ContainerError::NoRuntime { needs, fault, hint } => Self::NoRuntime { needs, fault, hint },
            ContainerError::Bundle(error) => Self::Bundle(error),
            ContainerError::System { what, path, source } => Self::System { what, path, source },
            error => Self::Containers(error),
        }
    }
}

impl From<FetchError> for HostError {
    fn from(error: FetchError) -> Self {
        Self::Vendor(error.into())
    }
}

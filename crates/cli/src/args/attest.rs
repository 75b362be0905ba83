//! Arguments of `attest`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AttestCommand {
    /// Show what evidence says, in plain words; nothing is verified.
    Inspect {
        /// File of evidence, or an event log.
        file: PathBuf,
        /// Format: tdx, sgx, snp, nitro, nvidia, bundle or eventlog; by default the bytes say it.
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Judge evidence: one verdict for each file.
    Verify(AttestVerifyArgs),
    /// Make evidence of the emulator, in any status.
    Emulate(AttestEmulateArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 all accepted, 1 any refused, 2 usage.\n\
                        Without --policy: up to date or hardened, no debug, any measurement, no Milan processors \
                        (docs/attestation.md).")]
pub(crate) struct AttestVerifyArgs {
    /// Files of evidence: raw, hex, base64, PEM, or JSON of the vendors' and clouds' tools.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Collateral: a file, or a folder of the vendor's files.
    #[arg(long, value_name = "PATH")]
    pub(crate) collateral: Option<PathBuf>,
    /// Policy to judge by, over the default one.
    #[arg(long, value_name = "POLICY.toml")]
    pub(crate) policy: Option<PathBuf>,
    /// Moment to judge at, in Unix seconds; the clock of this machine by default.
    #[arg(long, value_name = "UNIX")]
    pub(crate) now: Option<u64>,
    /// Format: tdx, sgx, snp, nitro, nvidia or bundle; by default the bytes say it.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Refuse evidence that is not in its canonical form, instead of bringing hardware's form into it.
    #[arg(long)]
    pub(crate) canonical: bool,
    /// Refuse evidence of emulated hardware.
    #[arg(long)]
    pub(crate) require_hardware: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AttestEmulateArgs {
    /// List every kind and status, and the code that `attest verify` gives.
    #[arg(long)]
    pub(crate) list: bool,
    /// Kind: tdx-v4, tdx-v5, sgx, snp, nitro or nvidia.
    #[arg(long, value_name = "KIND", required_unless_present = "list")]
    pub(crate) kind: Option<String>,
    /// Status, as `--list` names it; `up-to-date` or `good` is in order.
    #[arg(long, value_name = "STATUS", default_value = "good")]
    pub(crate) status: String,
    /// Report data in hex, up to 64 bytes; zeros follow.
    #[arg(long, value_name = "HEX")]
    pub(crate) report_data: Option<String>,
    /// Moment at which it is made, in Unix seconds; the clock of this machine by default.
    #[arg(long, value_name = "UNIX")]
    pub(crate) now: Option<u64>,
    /// Folder for `evidence.bin` (or `.json`) and `collateral.bin`.
    #[arg(long, value_name = "DIR", default_value = "emulated")]
    pub(crate) out: PathBuf,
}

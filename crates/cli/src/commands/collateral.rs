//! `collateral`: the vendors' statements on the chain, kept fresh, and warnings before they drop an instance.

mod show;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use freehold_crypto::genesis_hash;
use freehold_host::{
    CollateralBot, CollateralConfig, CollateralEvent, EarlyLook, PckCa, Promotion, RoundSummary, Subject,
    VendorSources, VendorUse,
};
use freehold_primitives::{SnpProduct, SnpSigningKey};
use freehold_rpc::{Endpoint, NodeClient};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use crate::{
    args::{CollateralCommand, CollateralScopeArgs, CollateralWatchArgs, FindArgs},
    find,
    output::Output,
};

/// Exit status of a round that only warns.
const WARNED: u8 = 3;
/// Longest file of a secret or of authorities, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;
const DAY_S: u64 = 86_400;

/// Runs the command.
pub(crate) async fn run(command: CollateralCommand, output: Output) -> Result<ExitCode> {
    match command {
        CollateralCommand::Status(scope) => once(config(&scope).await?, output).await,
        CollateralCommand::Watch(args) => {
            let mut config = config(&args.scope).await?;
            fill(&mut config, &args)?;
            if args.once { once(config, output).await } else { again_and_again(config, output).await }
        }
    }
}

/// What stands on the chain for its live instances.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CollateralStanding {
    /// Documents.
    pub(super) documents: usize,
    /// Unix seconds at which the oldest was issued.
    pub(super) oldest: u64,
    /// Unix seconds at which the first ends.
    pub(super) first_end: u64,
    /// Warnings that `collateral status` gives.
    pub(super) warnings: usize,
}

/// Looks at what stands on the chain, as `collateral status` does, and says nothing.
pub(super) async fn standing(find: &FindArgs) -> Result<CollateralStanding> {
    let scope = CollateralScopeArgs::of_all(find.clone());
    let (events, mut told) = mpsc::unbounded_channel();
    let mut bot = CollateralBot::new(config(&scope).await?, events)?;
    let summary = bot.round().await;
    drop(bot);
    let mut standing = CollateralStanding { warnings: summary.warnings, ..CollateralStanding::default() };
    while let Some(event) = told.recv().await {
        if let CollateralEvent::Standing { issued_at, expires_at, .. } = event {
            let is_first = standing.documents == 0;
            standing.documents += 1;
            standing.oldest = if is_first { issued_at } else { standing.oldest.min(issued_at) };
            standing.first_end = if is_first { expires_at } else { standing.first_end.min(expires_at) };
        }
    }
    Ok(standing)
}

async fn once(config: CollateralConfig, output: Output) -> Result<ExitCode> {
    let (events, told) = mpsc::unbounded_channel();
    let mut bot = CollateralBot::new(config, events)?;
    let work = async move { bot.round().await };
    let (summary, ()) = tokio::join!(work, tell(told, output));
    show::summary(&summary, output);
    Ok(exit_code(&summary))
}

async fn again_and_again(config: CollateralConfig, output: Output) -> Result<ExitCode> {
    let (events, told) = mpsc::unbounded_channel();
    let mut bot = CollateralBot::new(config, events)?;
    let (stop, stopping) = watch::channel(false);
    let work = async move { bot.watch(stopping).await };
    let end = async {
        let asked = super::asked_to_stop().await;
        stop.send_replace(true);
        asked
    };
    let (_, asked, ()) = tokio::join!(work, end, tell(told, output));
    asked.map(|()| ExitCode::SUCCESS)
}

async fn tell(mut told: mpsc::UnboundedReceiver<CollateralEvent>, output: Output) {
    while let Some(event) = told.recv().await {
        show::event(&event, output);
    }
}

/// Failures are said before warnings: what could not be looked at may be worse.
fn exit_code(summary: &RoundSummary) -> ExitCode {
    match summary {
        RoundSummary { failures: 1.., .. } => ExitCode::from(super::FAILURE),
        RoundSummary { warnings: 1.., .. } => ExitCode::from(WARNED),
        _ => ExitCode::SUCCESS,
    }
}

/// What both commands share: nothing is fetched and nobody pays.
async fn config(scope: &CollateralScopeArgs) -> Result<CollateralConfig> {
    let endpoints = find::endpoints(&scope.find).await?;
    let node: Endpoint = endpoints.rpc.parse()?;
    let genesis = NodeClient::new(node.clone()).genesis().await.context("the node does not tell its genesis")?;
    if genesis_hash(&genesis) != endpoints.genesis_hash {
        bail!("the node at {} tells the genesis of another network", endpoints.rpc);
    }
    let tdx = scope.tdx.iter().map(|family| Ok(Subject::Tdx(*family)));
    let sgx = scope.sgx.iter().map(|text| sgx(text));
    let snp = scope.snp.iter().map(|text| snp(text));
    Ok(CollateralConfig {
        node,
        network_key: endpoints.network_key,
        genesis,
        payer_secret: None,
        vendors: VendorUse::None,
        sources: VendorSources::default(),
        authorities: None,
        subjects: tdx.chain(sgx).chain(snp).collect::<Result<_>>()?,
        apps: scope.apps.clone(),
        provider: scope.provider,
        promotion: Promotion::Standard,
        early: EarlyLook::Ask,
        notice: Duration::from_secs(scope.notice_days * DAY_S),
        expiry_notice: Duration::from_secs(scope.expiry_days * DAY_S),
        interval: Duration::MAX,
    })
}

fn fill(config: &mut CollateralConfig, args: &CollateralWatchArgs) -> Result<()> {
    config.vendors = VendorUse::Fetch;
    config.sources = VendorSources { intel: args.intel.clone(), amd: args.amd.clone() };
    config.payer_secret = args.payer.as_deref().map(secret).transpose()?;
    config.authorities = args.authorities.as_deref().map(read).transpose()?;
    config.subjects.extend(args.nitro.iter().cloned().map(Subject::Nitro));
    config.subjects.extend(args.nvidia.iter().cloned().map(Subject::Nvidia));
    if args.submit_early {
        config.promotion = Promotion::Early;
    }
    if args.no_early {
        config.early = EarlyLook::Skip;
    }
    config.interval = Duration::from_secs(args.interval_minutes * 60);
    Ok(())
}

fn sgx(text: &str) -> Result<Subject> {
    let (family, ca) = text.split_once(':').unwrap_or((text, "platform"));
    let ca = match ca {
        "platform" => PckCa::Platform,
        "processor" => PckCa::Processor,
        other => bail!("`{other}` is no CA of Intel's: write processor or platform"),
    };
    Ok(Subject::Sgx(family.parse().with_context(|| format!("`{family}` is no FMSPC: write 12 hex digits"))?, ca))
}

fn snp(text: &str) -> Result<Subject> {
    let (product, key) = text.split_once(':').unwrap_or((text, "vcek"));
    let product = match product {
        "milan" => SnpProduct::Milan,
        "genoa" => SnpProduct::Genoa,
        "turin" => SnpProduct::Turin,
        other => bail!("`{other}` is no product of AMD's that is known: write milan, genoa or turin"),
    };
    let key = match key {
        "vcek" => SnpSigningKey::Vcek,
        "vlek" => SnpSigningKey::Vlek,
        other => bail!("`{other}` is no kind of key: write vcek or vlek"),
    };
    Ok(Subject::Snp(product, key))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("{} cannot be read", path.display());
    if fs::metadata(path).with_context(cannot)?.len() > FILE_BYTES_MAX {
        bail!("{} is longer than {FILE_BYTES_MAX} bytes", path.display());
    }
    fs::read(path).with_context(cannot)
}

/// An account's secret, from a file that nobody else may read.
pub(super) fn secret(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let mode = fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} can be read by others: make it yours alone with chmod 600", path.display());
    }
    let text = Zeroizing::new(read(path)?);
    let digits = text.trim_ascii();
    let mut secret = Zeroizing::new([0; 32]);
    let decoded = hex::decode_to_slice(digits.strip_prefix(b"0x").unwrap_or(digits), &mut *secret);
    decoded.map_err(|_| anyhow::anyhow!("{} holds no secret of 32 bytes in hex", path.display()))?;
    Ok(secret)
}

//! `app logs`: what a rented app says, opened here (`spec/logs.md`): by its owner, or by anybody where its manifest says so.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use freehold_crypto::{AccountKey, genesis_hash};
use freehold_primitives::{Account, AppId, Digest};
use freehold_rpc::{
    LogChain, LogGap, LogSecret, LogSource, NodeClient, OpenedRecord, ProviderClient, RecordError, RentalAction,
};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use serde_json::json;
use tokio::time::sleep;

use super::{
    deployed::{Deployed, client, network, signed},
    run::plain,
};
use crate::{
    args::{AppLogsArgs, DeployedArgs},
    commands::market::{Offered, rented},
    output::Output,
};

/// Pause between two looks at a log that is followed.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

/// Runs `app logs`.
pub(super) async fn run(args: AppLogsArgs, output: Output) -> Result<ExitCode> {
    let reader = match args.rental {
        Some(rental) => LogReader::of_anybody(&args.app, rental).await?,
        None => LogReader::of_owner(&args.app).await?,
    };
    let shown = reader.show(&args, output);
    tokio::select! {
        shown = shown => shown?,
        stop = crate::commands::asked_to_stop() => stop?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Who reads a log, and which.
struct LogReader {
    client: ProviderClient,
    account: AccountKey,
    genesis_hash: Digest,
    provider: Account,
    rental: u64,
    /// What may open its records: a log has been the owner's alone at one time, and everybody's at another.
    secrets: Vec<LogSecret>,
}

impl LogReader {
    async fn of_owner(args: &DeployedArgs) -> Result<Self> {
        let deployed = Deployed::open(args).await?;
        let (note, account) = (deployed.note()?, deployed.account()?);
        Ok(Self {
            client: client(&note)?,
            genesis_hash: genesis_hash(&deployed.network.genesis),
            provider: note.provider,
            rental: note.rental,
            secrets: vec![LogSecret::of(&account, &note.app_id), LogSecret::of_everybody(&note.app_id)],
            account,
        })
    }

    /// Whoever asks for a public log signs in no name.
    async fn of_anybody(args: &DeployedArgs, rental: u64) -> Result<Self> {
        let network = network(args).await?;
        let node = NodeClient::new(network.node.clone());
        let found = rented(&node, rental).await?;
        if found.app.is_zero() {
            bail!("there is no rental {rental}: see `freehold market list`");
        }
        let app = AppId::from_bytes(found.app.0).context("the rental's app has no id")?;
        let offer = Offered::find(&node, found.offer).await?;
        Ok(Self {
            client: ProviderClient::new(offer.endpoint),
            account: AccountKey::generate(&mut UnwrapErr(SysRng)),
            genesis_hash: genesis_hash(&network.genesis),
            provider: Account(offer.provider.0.0),
            rental,
            secrets: vec![LogSecret::of_everybody(&app)],
        })
    }

    /// Opens a record; a log that is public now may hold what was its owner's alone before, which is `Sealed` to anybody.
    fn open(&self, record: &str) -> Result<OpenedRecord, RecordError> {
        let mut opened = self.secrets.iter().map(|secret| secret.open(record));
        opened.find(|opened| !matches!(opened, Err(RecordError::Sealed))).unwrap_or(Err(RecordError::Sealed))
    }

    async fn show(&self, args: &AppLogsArgs, output: Output) -> Result<()> {
        let (mut chain, mut from) = (LogChain::default(), args.from);
        loop {
            let command =
                signed(self.genesis_hash, (self.provider, self.rental), RentalAction::Logs { from }, &self.account)?;
            let page = self.client.logs(&command).await?;
            let is_last = page.records.is_empty();
            for entry in page.records {
                if entry.number < from {
                    bail!("the provider gave record {} where {from} was asked for", entry.number);
                }
                if entry.number > from && from > 0 {
                    output.warn(&format!("the provider keeps no records from {from} to {} any more", entry.number - 1));
                }
                from = entry.number + 1;
                let record = match self.open(&entry.record) {
                    Err(RecordError::Sealed) if args.rental.is_some() => {
                        output.warn(&format!("record {} is its owner's alone", entry.number));
                        continue;
                    }
                    record => record.map_err(|error| anyhow!("record {}: {error}", entry.number))?,
                };
                match chain.follow(&record).filter(|_| entry.number > args.from) {
                    Some(LogGap::Missing(lines) | LogGap::Beginning(lines)) => {
                        output.warn(&format!("{lines} records before record {} are missing", entry.number));
                    }
                    Some(LogGap::Replaced) => {
                        output.warn(&format!("record {} does not follow the one before", entry.number))
                    }
                    None => {}
                }
                if args.service.is_some() && args.service != record.service {
                    continue;
                }
                let stream = if record.source == LogSource::Output { "out" } else { "err" };
                let line = String::from_utf8_lossy(&record.line).into_owned();
                output.object(&json!({
                    "event": "log", "number": entry.number, "at_ms": entry.at_ms, "service": record.service,
                    "stream": stream, "line": line,
                }));
                let service = record.service.map_or_else(String::new, |service| format!("{} ", plain(&service)));
                output.text(&format!("{service}{stream} | {}", plain(&line)));
            }
            match (is_last, args.follow) {
                (true, false) => return Ok(()),
                (true, true) => sleep(FOLLOW_PAUSE).await,
                (false, _) => {}
            }
        }
    }
}

//! One function for each effect of the state machine; each gives the input that says how it went.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use freehold_crypto::{Ed25519Secret, content_digest};
use freehold_primitives::{BlockMoment, Canonical as _, Digest, Registration};
use freehold_rpc::{BareHex, HttpError, RegistrationSubmit, RegistrationSubmitted};
use thiserror::Error;
use tokio::{sync::mpsc, time::sleep};

use super::{Guest, Serving};
use crate::{
    anchor::Anchorer,
    chain::{self, ChainError},
    clock::boot_ms,
    evidence::QuoteError,
    keys::Identity,
    leases::{LeaseParts, Leases},
    receipts::{AdoptedReceipt, LogError, LogFile, ReceiptStore, ReceiptWriter, Signer, WriterParts},
    release::ROOT_CONTEXT,
    roots::{HeldRoots, Roots},
    seen::{FloorError, SeenError, SeenFile, admit},
    spending::Spending,
    state::{Input, Stage, StopReason},
    state_disk::StateDiskError,
};

/// Pause between two looks for newer headers.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);
/// The same while there is none yet, or the instance waits to serve.
const FOLLOW_PAUSE_START: Duration = Duration::from_millis(100);
/// Pause between two writings of the newest header to disk, in milliseconds.
const KEEP_SEEN_MS: u64 = 5_000;
/// Most logs of predecessors that are read.
const LOGS_MAX: usize = 4096;

/// Follows certified headers, through a relay that can only withhold.
pub(super) async fn follow(guest: Arc<Guest>, inputs: mpsc::Sender<Input>) {
    let mut seen = None;
    let mut kept_ms = None;
    loop {
        match guest.chain.newest_above(seen).await {
            Ok(Some(header)) if seen.is_none_or(|seen| header.height() > seen) => {
                if seen.is_none()
                    && let Err(error) = above_floor(&guest, guest.floor.as_ref(), &header.moment()).await
                {
                    tracing::warn!(%error, "a certified header does not count");
                    guest.note(Some(error.to_string()));
                    sleep(FOLLOW_PAUSE).await;
                    continue;
                }
                seen = Some(header.height());
                keep_seen(&guest, &header.moment(), &mut kept_ms);
                if inputs.send(Input::Header(header.moment())).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "no certified header");
                if seen.is_none() {
                    guest.note(Some(format!("no certified header yet: {error}")));
                }
            }
        }
        sleep(if seen.is_none() { FOLLOW_PAUSE_START } else { FOLLOW_PAUSE }).await;
    }
}

/// Whether the first header of this boot continues what the disk has seen: by height and time, and on the same branch,
/// where the relay still has the header that was seen.
async fn above_floor(guest: &Guest, floor: Option<&BlockMoment>, offered: &BlockMoment) -> Result<(), FloorError> {
    admit(floor, offered)?;
    let Some(floor) = floor.filter(|floor| floor.height < offered.height) else { return Ok(()) };
    match guest.chain.headers(floor.height).await {
        Ok(Some(headers)) => admit(Some(floor), &headers.first().moment()),
        _ => Ok(()),
    }
}

/// Keeps the newest header on disk, now and then. A disk that fails is told of, and stops nothing: the floor is lower then.
fn keep_seen(guest: &Guest, moment: &BlockMoment, kept_ms: &mut Option<u64>) {
    let now_ms = boot_ms();
    if kept_ms.is_some_and(|kept| now_ms.saturating_sub(kept) < KEEP_SEEN_MS) {
        return;
    }
    match guest.kept.get().unwrap_or(&guest.seen).store(moment) {
        Ok(()) => *kept_ms = Some(now_ms),
        Err(error) => tracing::warn!(%error, "the newest header is not kept"),
    }
}

/// Why a registration did not come about.
#[derive(Debug, Error)]
#[non_exhaustive]
enum RegisterError {
    #[error(transparent)]
    Quote(#[from] QuoteError),
    #[error("the host did not submit the registration: {0}")]
    Host(#[from] HttpError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}

fn failed(guest: &Guest, error: &RegisterError) -> Input {
    if let RegisterError::Chain(ChainError::Lost(reason)) = error {
        return Input::Lost(*reason);
    }
    tracing::warn!(%error, "not registered");
    guest.note(Some(error.to_string()));
    Input::RegistrationFailed
}

/// Registers, or renews, with a fresh quote over the hash of this block.
pub(super) async fn register(guest: &Guest, moment: BlockMoment) -> Input {
    let identity = guest.identity.get_or_init(|| guest.keys.identity(&guest.settings, moment.time_unix_s));
    match try_register(guest, identity, moment).await {
        Ok(terms) => terms,
        Err(error) => failed(guest, &error),
    }
}

async fn try_register(guest: &Guest, identity: &Identity, moment: BlockMoment) -> Result<Input, RegisterError> {
    let evidence = guest.quotes.for_chain(identity.keyset_digest, moment.block_hash).await?;
    let registration = Registration {
        subject: identity.subject.clone(),
        keyset: identity.keyset.clone(),
        nonce_height: moment.height,
        nonce: moment.block_hash,
        evidence_kind: evidence.kind,
        trust_domain: guest.settings.trust_domain,
        family: evidence.family,
        lease_s: guest.settings.lease_s,
    };
    let submit = RegistrationSubmit {
        registration: BareHex(registration.to_canonical()),
        evidence: BareHex(evidence.bytes.clone()),
        signature: guest.keys.account.sign_registration(&registration, &evidence.bytes),
        account: identity.subject.account,
    };
    guest.submits(content_digest(&evidence.bytes));
    let submitted: RegistrationSubmitted = guest.control.post_json("/v1/registration", &submit).await?;
    tracing::info!(tx_hash = %submitted.tx_hash, instance = %identity.instance_id, "registration submitted");
    let seen = chain::wait_for_registration(&guest.chain, identity, &evidence.bytes, &submitted.tx_hash).await?;
    guest.keep_granted(seen.granted);
    Ok(Input::Registered(seen.terms))
}

/// Looks whether the registration still stands.
pub(super) async fn recheck(guest: &Guest) -> Input {
    let Some(identity) = guest.identity.get() else { return Input::RecheckFailed };
    match chain::standing(&guest.chain, identity).await {
        // Evidence that this guest never sent was made by another copy of it, with the same keys.
        Ok(Some((_, evidence))) if !guest.has_submitted(&evidence) => Input::Lost(StopReason::Copied),
        Ok(Some((terms, _))) => Input::Registered(terms),
        Err(ChainError::Lost(reason)) => Input::Lost(reason),
        Ok(None) => Input::RecheckFailed,
        Err(error) => {
            tracing::debug!(%error, "no checked look at the registration");
            Input::RecheckFailed
        }
    }
}

/// Why the instance cannot begin to serve.
#[derive(Debug, Error)]
#[non_exhaustive]
enum KeysError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("no thread for receipts can be started: {0}")]
    Thread(std::io::Error),
    #[error(transparent)]
    Disk(#[from] StateDiskError),
    #[error(transparent)]
    Seen(#[from] SeenError),
    #[error(transparent)]
    Floor(#[from] FloorError),
}

/// Fetches the root key and opens the receipt logs under it.
pub(super) async fn fetch_keys(guest: &Arc<Guest>) -> Input {
    let Some(identity) = guest.identity.get() else { return Input::KeysFailed };
    match try_fetch_keys(guest, identity).await {
        Ok(()) => Input::KeysReady,
        Err(error) => {
            tracing::warn!(%error, "no keys yet");
            guest.note(Some(error.to_string()));
            Input::KeysFailed
        }
    }
}

async fn try_fetch_keys(guest: &Arc<Guest>, identity: &Identity) -> Result<(), KeysError> {
    let release = guest.release().ok_or_else(|| ChainError::NoGrant(ROOT_CONTEXT.to_owned()))?;
    let roots = release.roots(guest.take_granted()).await?;
    let dir = &kept_dir(guest, &roots).await?;
    let file = LogFile::create(dir, identity.instance_id, &roots.newest.secret)?;
    let store = Arc::new(ReceiptStore::new(file.reader()?));
    adopt(dir, &store, identity, &roots);
    let weak = Arc::downgrade(guest);
    let parts = WriterParts {
        file,
        store: Arc::clone(&store),
        signer: Signer {
            key: Ed25519Secret::from_seed(&guest.keys.receipt.to_seed()),
            instance: identity.instance_id,
            keyset_digest: identity.keyset_digest,
        },
        moment: Arc::new(move || {
            let guest = weak.upgrade()?;
            let life = guest.life();
            let serving = life.stage() == Stage::Serving;
            life.newest().zip(life.now_unix_s(boot_ms())).filter(|_| serving)
        }),
        appended: Arc::clone(&guest.appended),
    };
    let writer = ReceiptWriter::start(parts).map_err(KeysError::Thread)?;
    let (weak, roots) = (Arc::downgrade(guest), Arc::new(HeldRoots::new(roots)));
    let leases = Arc::new(Leases::new(LeaseParts {
        sender: Arc::clone(&guest.sender),
        app_id: guest.settings.app_id,
        instance: identity.instance_id,
        state_dir: dir.clone(),
        roots: Arc::clone(&roots),
        now: Arc::new(move || {
            let guest = weak.upgrade()?;
            let life = guest.life();
            life.now_unix_s(boot_ms()).filter(|_| life.stage() == Stage::Serving)
        }),
        inputs: guest.inputs.clone(),
    }));
    // Keys are fetched by one task at a time, and only until this stands.
    let spending = Spending::new(dir, Arc::clone(&roots));
    let _ = guest.serving.set(Serving { roots, store, writer, leases, spending });
    Ok(())
}

/// The folder for what outlives this boot: on the state disk where there is one, which then has a say in what header counts.
async fn kept_dir(guest: &Guest, roots: &Roots) -> Result<PathBuf, KeysError> {
    let Some(folder) = guest.disk.open(roots).await? else { return Ok(guest.settings.paths.state_dir.clone()) };
    if guest.kept.get().is_none() {
        let kept = SeenFile::new(&folder, guest.settings.chain.genesis_hash);
        let (floor, newest) = (kept.load()?, guest.life().newest());
        if let Some(newest) = newest {
            above_floor(guest, floor.as_ref(), &newest).await?;
        }
        let _ = guest.kept.set(kept);
    }
    Ok(folder)
}

/// Reads what predecessors of the app left in this directory. What cannot be read is left where it is.
fn adopt(dir: &Path, store: &ReceiptStore, identity: &Identity, roots: &Roots) {
    let own = LogFile::path_of(dir, &identity.instance_id);
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "log") && *path != own);
    paths.sort();
    if paths.len() > LOGS_MAX {
        tracing::warn!(count = paths.len(), "more receipt logs than can be read; the rest stays on disk");
    }
    for path in paths.iter().take(LOGS_MAX) {
        // A log of before a rotation is sealed under the generation before.
        let mut opened = LogFile::open(path, &roots.newest.secret);
        if let (Err(_), Some(previous)) = (&opened, &roots.previous) {
            opened = LogFile::open(path, &previous.secret);
        }
        match opened {
            Ok((file, records)) => {
                let receipts: Vec<_> = records.iter().map_while(AdoptedReceipt::of).collect();
                tracing::info!(instance = %file.instance(), receipts = receipts.len(), "adopted a predecessor's receipts");
                store.adopt(file, &receipts);
            }
            Err(error) => tracing::warn!(%error, "a receipt log was not adopted"),
        }
    }
}

/// The anchoring task, once the instance serves.
pub(super) fn anchorer(guest: &Guest) -> Option<Anchorer> {
    let serving = guest.serving.get()?;
    let own: Digest = guest.identity.get()?.instance_id;
    let (store, appended) = (Arc::clone(&serving.store), Arc::clone(&guest.appended));
    Some(Anchorer { sender: Arc::clone(&guest.sender), store, appended, own })
}

//! What must hold of the two keys of a network, seen by one who sees every share.
//!
//! The derivation key stays the genesis', the network key is the one that the chain names for the term; every machine in a
//! term holds the same committees; shares fit their polynomial, 2f + 1 of them make an app's key and 2f do not, whatever liars
//! send, under every master; the key is the same in every term, and opens for nobody but its instance; another key that was
//! asked for came; shares that were in force and are no longer are on no disk.

use std::collections::BTreeMap;

use freehold_consensus::{Committee, KeyShare, TermKeys};
use freehold_crypto::{
    Derivation, DerivedKey, EncryptedShare, Polynomial, Share, TransportSecret, combine, encrypt_share,
};
use freehold_primitives::{AppId, NetworkKey};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::{
    monitor::Violation,
    network::{Common, Host, scalars},
    plan::{Role, Succeeds},
};

type Checked<T> = Result<T, &'static str>;

/// How far terms came in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TermProgress {
    /// The newest term.
    pub term: u64,
    /// The term since which its shares are in force; 0 where nothing was reshared.
    pub since: u64,
    /// Members that are no validators of the genesis.
    pub newcomers: usize,
    /// How often another network key followed.
    pub network_keys: usize,
    /// Generation of the newest master of the derivation key.
    pub masters: u32,
}

/// Checks what the validators hold, whether the keys that were asked for came, and tells how far terms came.
pub(crate) fn check<'a>(common: &Common, hosts: &[Host], asked: impl Iterator<Item = &'a Succeeds>) -> TermProgress {
    let held: Vec<(&Host, TermKeys)> = hosts.iter().filter_map(|host| Some((host, host.term_keys()?))).collect();
    let newest = held.iter().map(|(_, keys)| keys.term).max().unwrap_or_default();
    let dealt = &common.keys.dealt;
    let mut first: BTreeMap<u64, &TermKeys> = BTreeMap::new();
    for (host, keys) in &held {
        let (machine, term) = (host.id, keys.term);
        let named = common.monitor.network_key(term);
        if (Some(keys.consensus.public_key()), keys.derivation.public_key()) != (named, dealt.derivation_polynomial[0])
        {
            common.monitor.violated(Violation::KeyChanged { term });
        }
        let others = first.entry(term).or_insert(keys);
        if committees(others) != committees(keys) {
            common.monitor.violated(Violation::Committee { machine, term });
        }
    }
    let now: Vec<_> = held.iter().map(|(_, keys)| keys).filter(|keys| keys.term == newest).collect();
    let shares: Vec<_> = dealt.derivation_shares.iter().collect();
    let first_key = release(&dealt.derivation_polynomial, &shares);
    if let Err(reason) = shares_of_term(&now).and_then(|key| same(&key, &first_key?)) {
        common.monitor.violated(Violation::Shares { term: newest, reason });
    }
    erased(common, hosts);
    let of_genesis = &common.keys.genesis.validators;
    let newcomers = |keys: &&TermKeys| keys.consensus.keys().iter().filter(|key| !of_genesis.contains(key)).count();
    let progress = TermProgress {
        term: newest,
        since: now.first().map_or(0, |keys| keys.since),
        newcomers: now.first().map_or(0, newcomers),
        network_keys: common.monitor.successions(),
        masters: now.first().and_then(|keys| keys.masters.last()).map_or(0, |master| master.generation),
    };
    // One member at fault may keep every round from being clean, until a candidate takes its seat.
    let well = hosts.iter().all(|host| matches!(host.role, Role::Honest | Role::Loses));
    for which in asked.filter(|_| well) {
        let (key, came) = match which {
            Succeeds::NetworkKey => ("network key", progress.network_keys > 0),
            Succeeds::Master => ("master", progress.masters > 0),
        };
        if !came {
            common.monitor.violated(Violation::NotSucceeded { key, term: newest });
        }
    }
    progress
}

/// Who holds which key in a term: of both keys, of the one that waits, and of masters by generation.
fn committees(keys: &TermKeys) -> impl PartialEq {
    let masters: Vec<_> = keys.masters.iter().map(|master| (master.generation, master.committee.clone())).collect();
    let waiting = keys.successor.as_ref().map(|successor| successor.committee.clone());
    (keys.consensus.clone(), keys.derivation.clone(), waiting, masters)
}

fn same(now: &Option<DerivedKey>, first: &DerivedKey) -> Checked<()> {
    match now {
        Some(now) if now.as_bytes() != first.as_bytes() => Err("an app's key is another than at the start"),
        _ => Ok(()),
    }
}

/// Checks the shares that are in force, makes an app's key of them under every later master, and under the first where there
/// are enough.
fn shares_of_term(held: &[&TermKeys]) -> Checked<Option<DerivedKey>> {
    let Some(keys) = held.first() else { return Ok(None) };
    fit(&keys.consensus, held.iter().filter_map(|keys| keys.consensus_share.as_ref()))?;
    if let Some(waiting) = &keys.successor {
        fit(&waiting.committee, held.iter().filter_map(|keys| keys.successor.as_ref()?.share.as_ref()))?;
    }
    for master in &keys.masters {
        let shares = held.iter().filter_map(|keys| keys.master(master.generation)?.share.as_ref());
        key_of(&master.committee, shares)?.ok_or("nobody holds a later master")?;
    }
    key_of(&keys.derivation, held.iter().filter_map(|keys| keys.derivation_share.as_ref()))
}

/// Checks shares against their committee and makes an app's key of them; `None` where they are too few.
fn key_of<'a>(committee: &Committee, shares: impl Iterator<Item = &'a KeyShare>) -> Checked<Option<DerivedKey>> {
    let shares: BTreeMap<u32, &KeyShare> = shares.map(|share| (share.index(), share)).collect();
    fit(committee, shares.values().copied())?;
    let coefficients = committee.coefficients();
    let shares: Vec<_> = shares.into_values().collect();
    // Without terms a validator does not hold its share of this key itself.
    if shares.len() < coefficients.len() { Ok(None) } else { release(&coefficients, &shares).map(Some) }
}

fn fit<'a>(committee: &Committee, shares: impl Iterator<Item = &'a KeyShare>) -> Checked<()> {
    let polynomial = Polynomial::new(&committee.coefficients()).map_err(|_| "a polynomial is none")?;
    for share in shares {
        let share = Share::from_bytes(share.index(), share.scalar()).map_err(|_| "a share is none")?;
        share.check(&polynomial).map_err(|_| "a share does not lie on its polynomial")?;
    }
    Ok(())
}

/// An app's key from the shares, released as the key service does, with a liar among those that answer.
fn release(coefficients: &[NetworkKey], shares: &[&KeyShare]) -> Checked<DerivedKey> {
    let mut rng = StdRng::seed_from_u64(0);
    let polynomial = Polynomial::new(coefficients).map_err(|_| "a polynomial is none")?;
    let threshold = polynomial.threshold();
    let derivation = Derivation::new(polynomial.master(), &AppId::new([7; 20]), "simulation", 0);
    let derivation = derivation.map_err(|_| "no derivation")?;
    let (instance, other) = (TransportSecret::generate(&mut rng), TransportSecret::generate(&mut rng));
    let mut sent = Vec::new();
    for share in shares {
        let share = Share::from_bytes(share.index(), share.scalar()).map_err(|_| "a share is none")?;
        let encrypted = encrypt_share(&share, &derivation, &instance.public(), &mut rng);
        sent.push(encrypted.map_err(|_| "a share is not encrypted")?);
    }
    let key =
        instance.recover(&polynomial, &derivation, &sent[..threshold]).map_err(|_| "2f + 1 shares make no key")?;
    let last = instance.recover(&polynomial, &derivation, &sent[sent.len() - threshold..]);
    if !last.is_ok_and(|last| last.as_bytes() == key.as_bytes()) {
        return Err("another quorum makes another key");
    }
    // 2f shares and a forged one, and 2f shares taken for enough.
    let forged = forged(&sent[threshold - 1], &derivation, &instance, &mut rng)?;
    let few = [&sent[..threshold - 1], &[forged]].concat();
    if instance.recover(&polynomial, &derivation, &few).is_ok() {
        return Err("2f shares and a forged one make the key");
    }
    let fewer = (threshold > 1).then(|| combine(&few[..threshold - 1], threshold - 1)).and_then(Result::ok);
    if fewer.is_some_and(|key| instance.open(&key, &derivation).is_ok()) {
        return Err("2f shares make the key");
    }
    let combined = combine(&sent, threshold).map_err(|_| "shares do not combine")?;
    if other.open(&combined, &derivation).is_ok() {
        return Err("the key opens for another instance");
    }
    // A liar among enough honest ones is dropped.
    if sent.len() > threshold {
        let lying = [&[forged], &sent[..threshold - 1], &sent[threshold..]].concat();
        let recovered = instance.recover(&polynomial, &derivation, &lying);
        if !recovered.is_ok_and(|recovered| recovered.as_bytes() == key.as_bytes()) {
            return Err("a liar keeps the key from its instance");
        }
    }
    Ok(key)
}

/// A share under the index of `of` that its holder did not make.
fn forged(
    of: &EncryptedShare,
    derivation: &Derivation,
    instance: &TransportSecret,
    rng: &mut StdRng,
) -> Checked<EncryptedShare> {
    let invented = Share::from_bytes(of.index(), &[5; 32]).map_err(|_| "a share is none")?;
    encrypt_share(&invented, derivation, &instance.public(), rng).map_err(|_| "a share is not encrypted")
}

/// No honest disk has a share that its machine held once and does not hold now.
fn erased(common: &Common, hosts: &[Host]) {
    for host in hosts.iter().filter(|host| host.role == Role::Honest) {
        let now = host.term_keys().map(|keys| scalars(&keys)).unwrap_or_default();
        let before = host.held.iter().filter(|(scalar, _)| !now.contains(scalar));
        for (_, term) in before.filter(|(scalar, _)| host.disk.holds(*scalar)) {
            common.monitor.violated(Violation::Kept { machine: host.id, term: *term });
        }
    }
}

//! What must hold of the two keys of a network, seen by one who sees every share.
//!
//! Both keys stay what the genesis says, term by term; every machine in a term holds the same committee; shares fit their
//! polynomial, 2f + 1 of them make an app's key and 2f do not, whatever liars send; the key is the same in every term, and
//! opens for nobody but its instance; shares of a term that is over are on no disk.

use std::collections::BTreeMap;

use freehold_consensus::{Committee, KeyShare, TermKeys};
use freehold_crypto::{
    Derivation, DerivedKey, EncryptedShare, Polynomial, Share, TransportSecret, combine, encrypt_share,
};
use freehold_primitives::{AppId, NetworkKey};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::{
    monitor::Violation,
    network::{Common, Host},
    plan::Role,
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
}

/// Checks what the validators hold, and tells how far terms came.
pub(crate) fn check(common: &Common, hosts: &[Host]) -> TermProgress {
    let held: Vec<(&Host, TermKeys)> = hosts.iter().filter_map(|host| Some((host, host.term_keys()?))).collect();
    let newest = held.iter().map(|(_, keys)| keys.term).max().unwrap_or_default();
    let dealt = &common.keys.dealt;
    let genesis = (dealt.network_key, dealt.derivation_polynomial[0]);
    let mut first: BTreeMap<u64, &TermKeys> = BTreeMap::new();
    for (host, keys) in &held {
        let (machine, term) = (host.id, keys.term);
        if (keys.consensus.public_key(), keys.derivation.public_key()) != genesis {
            common.monitor.violated(Violation::KeyChanged { term });
        }
        let others = first.entry(term).or_insert(keys);
        if others.consensus != keys.consensus || others.derivation != keys.derivation {
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
    TermProgress {
        term: newest,
        since: now.first().map_or(0, |keys| keys.since),
        newcomers: now.first().map_or(0, newcomers),
    }
}

fn same(now: &Option<DerivedKey>, first: &DerivedKey) -> Checked<()> {
    match now {
        Some(now) if now.as_bytes() != first.as_bytes() => Err("an app's key is another than at the start"),
        _ => Ok(()),
    }
}

/// Checks the shares that are in force, and makes an app's key of them where there are enough.
fn shares_of_term(held: &[&TermKeys]) -> Checked<Option<DerivedKey>> {
    let Some(keys) = held.first() else { return Ok(None) };
    fit(&keys.consensus, held.iter().filter_map(|keys| keys.consensus_share.as_ref()))?;
    let derivation: BTreeMap<u32, &KeyShare> =
        held.iter().filter_map(|keys| keys.derivation_share.as_ref()).map(|share| (share.index(), share)).collect();
    fit(&keys.derivation, derivation.values().copied())?;
    let coefficients = keys.derivation.coefficients();
    let shares: Vec<_> = derivation.into_values().collect();
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

/// The shares of the genesis must be on no honest disk once others are in force.
fn erased(common: &Common, hosts: &[Host]) {
    let dealt = &common.keys.dealt;
    let shares = dealt.consensus_shares.iter().zip(&dealt.derivation_shares);
    for host in hosts.iter().filter(|host| host.role == Role::Honest) {
        let replaced = host.term_keys().is_some_and(|keys| keys.since > 0);
        let Some((consensus, derivation)) = shares.clone().nth(host.validator).filter(|_| replaced) else { continue };
        if host.disk.holds(consensus.scalar()) || host.disk.holds(derivation.scalar()) {
            common.monitor.violated(Violation::Kept { machine: host.id, term: 0 });
        }
    }
}

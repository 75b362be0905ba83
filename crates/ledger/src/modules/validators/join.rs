//! Joining, moving into another instance, and what a validator says of itself.

use std::net::SocketAddr;

use alloy_primitives::{Address, U256};
use freehold_crypto::{possession_message, verify_ed25519};
use freehold_evm::{ModuleCall, ModuleContext, ModuleFailure};
use freehold_primitives::{
    Account, Digest, Diversity, Ed25519Key, Genesis, PEER_ADDRESS_BYTES_MAX,
    entries::{InstanceEntry, ValidatorEntry, ValidatorState},
};

use super::{
    super::{
        abi::IValidators::{Attested, Joined, Moved, PayeeSet, attestCall, joinCall, setAddressCall, setPayeeCall},
        entries::live_instance_of,
        refusal::ModuleRefusal,
    },
    CANDIDATES_MAX,
    rules::{SEATS_DIVERSE_MIN, seats_held_max},
    standing::{add_bond, find, identity, keep, keep_roster, log, moved, own, roster, validator},
};
use crate::state::{to_account, to_address};

/// Gas of checking an Ed25519 signature.
pub(super) const SIGNATURE_GAS: u64 = 3_000;

/// What joining is judged by.
pub(super) struct Registrar<'a> {
    pub(super) genesis: &'a Genesis,
    pub(super) genesis_hash: Digest,
}

impl Registrar<'_> {
    pub(super) fn join(
        &self,
        ctx: &mut ModuleContext<'_>,
        call: &ModuleCall,
        args: &joinCall,
    ) -> Result<(), ModuleFailure> {
        let key = identity(&args.identity);
        let account = to_account(&call.caller);
        self.check_possession(ctx, &key, &account, &args.possession)?;
        check_address(&args.reachedAt)?;
        let instance = self.instance(ctx, &call.caller)?;
        let operator = instance.as_ref().map_or(account, |instance| instance.provider);
        let before = find(ctx, &key)?;
        let mut roster = roster(ctx)?;
        if let Some(before) = &before {
            check_return(before, &operator, roster.term)?;
        }
        if roster.candidates.len() >= CANDIDATES_MAX {
            return Err(ModuleRefusal::CandidatesFull.into());
        }
        let height = ctx.environment().height;
        let payee = if args.payee.is_zero() { account } else { to_account(&args.payee) };
        let mut entry = ValidatorEntry {
            identity: key,
            account,
            operator,
            payee,
            bond: before.as_ref().map_or([0; 32], |before| before.bond),
            address: args.reachedAt.clone(),
            instance_id: instance.as_ref().map(|instance| instance.instance_id),
            vendor: instance.as_ref().map(|instance| instance.trust_domain),
            state: ValidatorState::Candidate,
            joined_at: height,
            since: height,
            jailed_until: before.as_ref().map_or(0, |before| before.jailed_until),
            locked_until: 0,
            slashed_in: before.and_then(|before| before.slashed_in),
        };
        add_bond(ctx, &mut entry, call.value)?;
        check_bond(&entry, &self.genesis.membership.bond_min)?;
        keep(ctx, &entry)?;
        roster.candidates.push(key);
        keep_roster(ctx, &roster)?;
        let bond = U256::from_be_bytes(entry.bond);
        log(ctx, &Joined { identity: args.identity, account: call.caller, bond, reachedAt: entry.address })?;
        self.log_attested(ctx, &key, instance.as_ref())
    }

    /// A validator moves into the instance whose account calls. Whoever ran it must run that instance.
    pub(super) fn attest(
        &self,
        ctx: &mut ModuleContext<'_>,
        caller: &Address,
        args: &attestCall,
    ) -> Result<(), ModuleFailure> {
        let key = identity(&args.identity);
        let account = to_account(caller);
        self.check_possession(ctx, &key, &account, &args.possession)?;
        let instance = self.instance(ctx, caller)?.ok_or(ModuleRefusal::ValidatorsOpen)?;
        let mut entry = validator(ctx, &key)?;
        if instance.provider != entry.operator {
            return Err(ModuleRefusal::ValidatorCaller.into());
        }
        (entry.account, entry.instance_id) = (account, Some(instance.instance_id));
        if entry.vendor != Some(instance.trust_domain) {
            entry.vendor = Some(instance.trust_domain);
            self.check_vendor(ctx, &entry)?;
        }
        keep(ctx, &entry)?;
        self.log_attested(ctx, &key, Some(&instance))
    }

    /// The caller's live instance under a genesis that wants one.
    fn instance(&self, ctx: &mut ModuleContext<'_>, caller: &Address) -> Result<Option<InstanceEntry>, ModuleFailure> {
        let Some(app) = &self.genesis.membership.app else { return Ok(None) };
        let instance = live_instance_of(ctx, caller)?.filter(|instance| instance.app_id == *app);
        Ok(Some(instance.ok_or(ModuleRefusal::NotLive)?))
    }

    fn check_possession(
        &self,
        ctx: &mut ModuleContext<'_>,
        key: &Ed25519Key,
        account: &Account,
        signature: &[u8],
    ) -> Result<(), ModuleFailure> {
        ctx.charge(SIGNATURE_GAS)?;
        let message = possession_message(self.genesis.chain_id, &self.genesis_hash, account);
        let signature = signature.try_into().map_err(|_| ModuleRefusal::Possession)?;
        Ok(verify_ed25519(key, &message, signature).map_err(|_| ModuleRefusal::Possession)?)
    }

    /// A validator with a seat does not make its new vendor hold a threshold.
    fn check_vendor(&self, ctx: &mut ModuleContext<'_>, entry: &ValidatorEntry) -> Result<(), ModuleFailure> {
        let seats = roster(ctx)?.seats;
        let size = seats.len();
        let waived = self.genesis.membership.diversity == Diversity::Waived;
        if waived || size < SEATS_DIVERSE_MIN || !seats.contains(&entry.identity) {
            return Ok(());
        }
        let mut held = 1;
        for seat in seats.iter().filter(|seat| **seat != entry.identity) {
            held += usize::from(validator(ctx, seat)?.vendor == entry.vendor);
        }
        if held > seats_held_max(size) { Err(ModuleRefusal::Diversity.into()) } else { Ok(()) }
    }

    fn log_attested(
        &self,
        ctx: &mut ModuleContext<'_>,
        key: &Ed25519Key,
        instance: Option<&InstanceEntry>,
    ) -> Result<(), ModuleFailure> {
        let Some(instance) = instance else { return Ok(()) };
        let event = Attested {
            identity: key.0.into(),
            instance: instance.instance_id.0.into(),
            account: to_address(&instance.account),
            vendor: instance.trust_domain as u8,
        };
        log(ctx, &event)
    }
}

/// Who has left comes back by the hand of who ran it, and not before its jail is over.
fn check_return(before: &ValidatorEntry, operator: &Account, term: u64) -> Result<(), ModuleFailure> {
    if before.state != ValidatorState::Left {
        return Err(ModuleRefusal::ValidatorExists.into());
    }
    if before.operator != *operator {
        return Err(ModuleRefusal::ValidatorCaller.into());
    }
    if term < before.jailed_until { Err(ModuleRefusal::JailRuns.into()) } else { Ok(()) }
}

/// A bond is at least what the genesis asks for.
pub(super) fn check_bond(entry: &ValidatorEntry, least: &[u8; 32]) -> Result<(), ModuleFailure> {
    if entry.bond < *least { Err(ModuleRefusal::Bond.into()) } else { Ok(()) }
}

/// An address is an IP address and a port, in the one form in which they are printed.
pub(super) fn is_address(text: &str) -> bool {
    let parsed = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    text.len() <= PEER_ADDRESS_BYTES_MAX && parsed.is_some_and(|address| address.to_string() == text)
}

fn check_address(text: &str) -> Result<(), ModuleFailure> {
    if is_address(text) { Ok(()) } else { Err(ModuleRefusal::PeerAddress.into()) }
}

pub(super) fn set_address(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    args: &setAddressCall,
) -> Result<(), ModuleFailure> {
    let mut entry = own(ctx, caller, &args.identity)?;
    check_address(&args.reachedAt)?;
    entry.address.clone_from(&args.reachedAt);
    keep(ctx, &entry)?;
    log(ctx, &Moved { identity: args.identity, reachedAt: entry.address })
}

pub(super) fn set_payee(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    args: &setPayeeCall,
) -> Result<(), ModuleFailure> {
    let mut entry = own(ctx, caller, &args.identity)?;
    if args.payee.is_zero() {
        return Err(ModuleRefusal::PayeeZero.into());
    }
    entry.payee = to_account(&args.payee);
    keep(ctx, &entry)?;
    log(ctx, &PayeeSet { identity: args.identity, payee: args.payee })
}

/// A validator that may wait for a seat does so, behind all others.
pub(super) fn enqueue(ctx: &mut ModuleContext<'_>, entry: &mut ValidatorEntry) -> Result<(), ModuleFailure> {
    let mut roster = roster(ctx)?;
    if roster.candidates.len() >= CANDIDATES_MAX {
        return Err(ModuleRefusal::CandidatesFull.into());
    }
    let height = ctx.environment().height;
    entry.joined_at = height;
    moved(entry, ValidatorState::Candidate, height);
    roster.candidates.push(entry.identity);
    keep_roster(ctx, &roster)
}

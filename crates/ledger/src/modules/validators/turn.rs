//! The turn to a new term, as the chain executes it before the transactions of the term's first block
//! (`spec/membership.md` §4). What the payload says was checked before (`crate::term`); here it takes effect.
//!
//! Seats are decided upon from who holds the keys now. So whoever was to take a seat in a round that failed waits again,
//! and who was to go is asked again.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure, ViewError};
use freehold_primitives::{
    Account, Canonical as _, Ed25519Key, Genesis, Height, Membership, TermTurn,
    entries::{
        CommitteeEntry, EntryKind, Peer, PlayersEntry, RosterEntry, TurnAct, TurnEntry, TurnEvent, ValidatorEntry,
        ValidatorState,
    },
};

use super::{
    super::{abi::IValidators::turnCall, entries::store, refusal::ModuleRefusal},
    CANDIDATES_MAX,
    bonds::leave,
    masters,
    rules::{Ballot, Faults, Standing, faulty_max},
    standing::{bonded, committee, find, is_attested, keep, keep_roster, moved, pay, roster, standing},
    succession,
};
use crate::state::to_address;

/// Everything that a turn decides upon.
struct Turn<'a> {
    rules: &'a Membership,
    said: TermTurn,
    height: Height,
    /// Seats and candidates of the term that ends.
    roster: RosterEntry,
    /// Who signed in it.
    before: CommitteeEntry,
    faults: Faults,
    /// Everybody whom the turn may concern.
    validators: BTreeMap<Ed25519Key, ValidatorEntry>,
    /// Of these, as they were.
    found: BTreeMap<Ed25519Key, ValidatorEntry>,
    /// Whose instance is not live, where the genesis wants one.
    lapsed: BTreeSet<Ed25519Key>,
    events: Vec<TurnEvent>,
}

pub(super) fn turn(ctx: &mut ModuleContext<'_>, genesis: &Genesis, args: &turnCall) -> Result<(), ModuleFailure> {
    let said = TermTurn::from_canonical(&args.said).map_err(|_| ModuleRefusal::Call)?;
    let mut turn = Turn::read(ctx, &genesis.membership, said)?;
    turn.write_committee(ctx)?;
    masters::turn(ctx, genesis, &turn.said)?;
    turn.jail();
    let players = turn.decide();
    turn.seat(&players);
    let reward = turn.reward(ctx, args.balance)?;
    turn.write(ctx, players, reward)
}

impl<'a> Turn<'a> {
    fn read(ctx: &mut ModuleContext<'_>, rules: &'a Membership, said: TermTurn) -> Result<Self, ModuleFailure> {
        let roster = roster(ctx)?;
        let before = committee(ctx, roster.term)?.ok_or(ViewError::Malformed)?;
        let all: BTreeSet<_> =
            [&roster.seats, &roster.candidates, &before.members, &said.members].into_iter().flatten().collect();
        let mut validators = BTreeMap::new();
        let mut lapsed = BTreeSet::new();
        for identity in all {
            let entry = find(ctx, identity)?.ok_or(ViewError::Malformed)?;
            if let Some(app) = &rules.app
                && !is_attested(ctx, &entry, app)?
            {
                lapsed.insert(*identity);
            }
            validators.insert(*identity, entry);
        }
        let faults = Faults::judge(&said.silent, &said.disputes, faulty_max(roster.seats.len()));
        let height = ctx.environment().height;
        let (found, events) = (validators.clone(), Vec::new());
        Ok(Self { rules, said, height, roster, before, faults, validators, found, lapsed, events })
    }

    fn write_committee(&self, ctx: &mut ModuleContext<'_>) -> Result<(), ModuleFailure> {
        let said = &self.said;
        let entry = CommitteeEntry {
            term: said.term,
            members: said.members.clone(),
            consensus_polynomial: said.consensus_polynomial.clone(),
            derivation_polynomial: said.derivation_polynomial.clone(),
            outcome: said.outcome,
            decided_at: self.height,
        };
        store(ctx, EntryKind::Committee, &slots::term_id(said.term), &entry).map(|_| ())
    }

    /// Jails whoever is at fault, and candidates without a live instance. With a seat one keeps it until a candidate comes;
    /// one that leaves goes on leaving.
    fn jail(&mut self) {
        let until = self.said.term.saturating_add(self.rules.jail_terms.into());
        for guilty in self.faults.guilty.clone() {
            let Some(entry) = self.validators.get_mut(&guilty) else { continue };
            entry.jailed_until = entry.jailed_until.max(until);
            if matches!(entry.state, ValidatorState::Active | ValidatorState::Candidate) {
                moved(entry, ValidatorState::Jailed, self.height);
            }
            self.note(guilty, TurnAct::Jailed);
        }
        for lapsed in self.lapsed.clone() {
            let Some(entry) = self.validators.get_mut(&lapsed) else { continue };
            if entry.state == ValidatorState::Candidate {
                entry.jailed_until = entry.jailed_until.max(self.said.term);
                moved(entry, ValidatorState::Jailed, self.height);
                self.note(lapsed, TurnAct::Lapsed);
            }
        }
    }

    /// Who shall hold the keys in the next term.
    fn decide(&self) -> BTreeSet<Ed25519Key> {
        let seated: Vec<Standing> = self.members().map(standing).collect();
        let mut waiting: Vec<&ValidatorEntry> = self
            .validators
            .values()
            .filter(|entry| {
                let identity = &entry.identity;
                let waits = self.roster.candidates.contains(identity) || self.roster.seats.contains(identity);
                let may = matches!(entry.state, ValidatorState::Candidate | ValidatorState::Active);
                let accused = self.faults.guilty.contains(identity) || self.faults.disputes(identity);
                waits && may && !accused && !self.lapsed.contains(identity) && !self.said.members.contains(identity)
            })
            .collect();
        waiting.sort_by_key(|entry| (entry.joined_at, self.place(&entry.identity), entry.identity));
        let waiting: Vec<Standing> = waiting.into_iter().map(standing).collect();
        let departing = self.departing();
        let &Membership { diversity, term_blocks, .. } = self.rules;
        let (faults, departing) = (&self.faults, &departing[..]);
        Ballot { seated: &seated, waiting: &waiting, faults, departing, diversity, term_blocks }.decide()
    }

    /// Place among those who wait; a seat that was not taken comes first.
    fn place(&self, identity: &Ed25519Key) -> Option<usize> {
        self.roster.candidates.iter().position(|candidate| candidate == identity)
    }

    fn members(&self) -> impl Iterator<Item = &ValidatorEntry> {
        self.said.members.iter().filter_map(|member| self.validators.get(member))
    }

    /// Members that give up their seats where candidates come: from the jail, without a live instance, or as they wish.
    fn departing(&self) -> Vec<Ed25519Key> {
        let rank = |entry: &ValidatorEntry| match entry.state {
            ValidatorState::Jailed => Some(0),
            _ if self.lapsed.contains(&entry.identity) => Some(1),
            ValidatorState::Leaving | ValidatorState::Left => Some(2),
            ValidatorState::Active | ValidatorState::Candidate => None,
        };
        let mut departing: Vec<_> =
            self.members().filter_map(|entry| Some((rank(entry)?, entry.since, entry.identity))).collect();
        departing.sort_unstable();
        departing.into_iter().map(|(_, _, identity)| identity).collect()
    }

    /// Everybody stands where the decision puts them.
    fn seat(&mut self, players: &BTreeSet<Ed25519Key>) {
        let identities: Vec<_> = self.validators.keys().copied().collect();
        for identity in identities {
            let had_seat = self.roster.seats.contains(&identity) || self.said.members.contains(&identity);
            match (players.contains(&identity), had_seat) {
                (true, _) => self.sit(identity),
                (false, true) => self.stand_up(identity),
                (false, false) => {}
            }
        }
    }

    fn sit(&mut self, identity: Ed25519Key) {
        let height = self.height;
        let Some(entry) = self.validators.get_mut(&identity) else { return };
        match entry.state {
            ValidatorState::Candidate => moved(entry, ValidatorState::Active, height),
            // It had left with a round that failed: it is needed on.
            ValidatorState::Left => {
                moved(entry, ValidatorState::Leaving, height);
                entry.locked_until = 0;
            }
            ValidatorState::Active | ValidatorState::Leaving | ValidatorState::Jailed => {}
        }
        self.roster.candidates.retain(|candidate| *candidate != identity);
        if !self.roster.seats.contains(&identity) {
            self.note(identity, TurnAct::Seated);
        }
    }

    fn stand_up(&mut self, identity: Ed25519Key) {
        let height = self.height;
        let sat = self.roster.seats.contains(&identity);
        let disputed = self.faults.disputes(&identity);
        let lapsed = self.lapsed.contains(&identity);
        let until = self.said.term.saturating_add(self.rules.jail_terms.into());
        let Some(entry) = self.validators.get_mut(&identity) else { return };
        let act = match entry.state {
            // Of an earlier term already; it signed on because rounds failed.
            ValidatorState::Left | ValidatorState::Candidate => None,
            ValidatorState::Leaving => {
                leave(entry, &mut self.roster, height, self.rules);
                // It signs on in the term that begins.
                entry.locked_until = entry.locked_until.saturating_add(1);
                Some(TurnAct::Left)
            }
            ValidatorState::Jailed => Some(TurnAct::Unseated),
            ValidatorState::Active if lapsed => {
                moved(entry, ValidatorState::Jailed, height);
                entry.jailed_until = entry.jailed_until.max(until);
                Some(TurnAct::Lapsed)
            }
            ValidatorState::Active => {
                moved(entry, ValidatorState::Candidate, height);
                if disputed {
                    entry.joined_at = height;
                }
                Some(if disputed { TurnAct::Disputed } else { TurnAct::Unseated })
            }
        };
        if let Some(act) = act.filter(|_| sat) {
            self.note(identity, act);
        }
    }

    /// Pays the fees of the term to those who signed in it and are in no jail, in equal parts; what is left stays for the
    /// next term.
    fn reward(&mut self, ctx: &mut ModuleContext<'_>, balance: U256) -> Result<U256, ModuleFailure> {
        let fees = balance.saturating_sub(bonded(ctx)?);
        let each = fees.checked_div(U256::from(self.before.members.len())).unwrap_or_default();
        if each.is_zero() {
            return Ok(each);
        }
        let ended = self.roster.term;
        for member in self.before.members.clone() {
            let Some(entry) = self.validators.get(&member) else { continue };
            let jailed = entry.state == ValidatorState::Jailed || entry.jailed_until > ended;
            if !jailed && entry.payee != Account::ZERO {
                pay(ctx, to_address(&entry.payee), each)?;
                self.note(member, TurnAct::Rewarded);
            }
        }
        Ok(each)
    }

    fn write(
        mut self,
        ctx: &mut ModuleContext<'_>,
        players: BTreeSet<Ed25519Key>,
        reward: U256,
    ) -> Result<(), ModuleFailure> {
        let term = self.said.term;
        succession::turn(ctx, &self.said)?;
        self.queue(&players);
        for (identity, entry) in &self.validators {
            if self.found.get(identity) != Some(entry) {
                keep(ctx, entry)?;
            }
        }
        let address = |identity: &Ed25519Key| self.validators.get(identity).map(|entry| entry.address.clone());
        let peer = |identity| Peer { identity, address: address(&identity).unwrap_or_default() };
        let entry = PlayersEntry { term, players: players.iter().copied().map(peer).collect() };
        store(ctx, EntryKind::Players, &slots::term_id(term), &entry)?;
        let roster = RosterEntry { term, seats: players.into_iter().collect(), candidates: self.roster.candidates };
        keep_roster(ctx, &roster)?;
        let (height, reward) = (self.height, reward.to_be_bytes());
        store(ctx, EntryKind::Turn, &slots::term_id(term), &TurnEntry { term, height, reward, events: self.events })?;
        Ok(())
    }

    /// Who waits now, in order: from whom seats were taken behind those who waited, in bounds.
    fn queue(&mut self, players: &BTreeSet<Ed25519Key>) {
        let waits =
            |entry: &&ValidatorEntry| entry.state == ValidatorState::Candidate && !players.contains(&entry.identity);
        let mut waiting: Vec<&ValidatorEntry> = self.validators.values().filter(waits).collect();
        waiting.sort_by_key(|entry| (entry.joined_at, self.place(&entry.identity), entry.identity));
        let identities: Vec<_> = waiting.into_iter().map(|entry| entry.identity).collect();
        self.roster.candidates = identities;
        for late in self.roster.candidates.split_off(self.roster.candidates.len().min(CANDIDATES_MAX)) {
            if let Some(entry) = self.validators.get_mut(&late) {
                leave(entry, &mut self.roster, self.height, self.rules);
                self.events.push(TurnEvent { identity: late, act: TurnAct::Left });
            }
        }
    }

    fn note(&mut self, identity: Ed25519Key, act: TurnAct) {
        self.events.push(TurnEvent { identity, act });
    }
}

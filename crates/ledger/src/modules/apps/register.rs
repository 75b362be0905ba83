//! Registration and renewal: the ordered check list of `spec/registration.md` §3 (design D7).
//!
//! Every check has its own code, and the first that fails is the answer. JSON is never parsed: keyset and statement are
//! built from typed fields and compared as digests.

use alloy_primitives::U256;
use alloy_sol_types::SolEvent as _;
use freehold_attestation::{UnverifiedQuote, VerifiedClaims, claims, judge};
use freehold_crypto::{content_digest, keyset_digest, recover_registration, report_data, slots, subject_digest};
use freehold_evm::{ModuleCall, ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppPolicy, Canonical as _, Digest, EVIDENCE_BYTES_MAX, EvidenceKind, Genesis, NONCE_AGE_S_MAX,
    REGISTRATION_BYTES_MAX, Registration, UnixSeconds,
    entries::{AccountEntry, AppEntry, DenyEntry, EntryKind, InstanceEntry, UsedEvidenceEntry},
};

use super::{
    super::{
        abi::IApps::{InstanceRegistered, InstanceRenewed, registerCall},
        collateral,
        entries::{is_live, live_instance_of, load, load_app, load_instance, store},
        keys,
        refusal::ModuleRefusal,
    },
    instances::enlist,
    owner::subjects,
};
use crate::state::{to_account, to_address};

/// Gas of verifying a TDX quote, charged before anything is looked at.
const TDX_EVIDENCE_GAS: u64 = 300_000;
/// Gas of recovering a signer, as the precompile's.
const RECOVER_GAS: u64 = 3_000;
/// Length of a signature of the instance's account.
const SIGNATURE_BYTES: usize = 65;

/// What registration is judged under.
pub(super) struct Registrar<'a> {
    pub(super) genesis: &'a Genesis,
    pub(super) genesis_hash: Digest,
}

/// A registration whose checks 1 to 6 have passed.
struct Candidate {
    registration: Registration,
    instance_id: Digest,
    app: AppEntry,
    /// The entry, where this is a renewal.
    before: Option<InstanceEntry>,
}

/// Evidence that verified, and what judged it.
struct Judged {
    claims: VerifiedClaims,
    collateral_digest: Digest,
    keyset_digest: Digest,
}

impl Registrar<'_> {
    pub(super) fn register(
        &self,
        ctx: &mut ModuleContext<'_>,
        call: &ModuleCall,
        args: &registerCall,
    ) -> Result<(), ModuleFailure> {
        ctx.charge(TDX_EVIDENCE_GAS)?;
        let candidate = self.identify(ctx, call, args)?;
        let judged = self.judge(ctx, &candidate, &args.evidence)?;
        let instance = self.admit(ctx, &candidate, &judged, &args.evidence)?;
        record(ctx, &candidate, &instance, &judged)?;
        ctx.put(instance.evidence_digest, args.evidence.to_vec())?;
        if !call.value.is_zero() {
            forward(ctx, &instance, call.value)?;
        }
        Ok(())
    }

    /// Checks 1 to 6: who registers what, where and when.
    fn identify(
        &self,
        ctx: &mut ModuleContext<'_>,
        call: &ModuleCall,
        args: &registerCall,
    ) -> Result<Candidate, ModuleFailure> {
        let registration = read(args)?;
        let subject = &registration.subject;
        check(subject.chain_id == self.genesis.chain_id, ModuleRefusal::Chain)?;
        check(subject.genesis_hash == self.genesis_hash, ModuleRefusal::Genesis)?;
        let app = load_app(ctx, &subject.app_id)?.ok_or(ModuleRefusal::RegistrationAppUnknown)?;
        check(app.closed_at.is_none(), ModuleRefusal::RegistrationAppClosed)?;
        check(subject.provider == to_account(&call.caller), ModuleRefusal::Provider)?;
        ctx.charge(RECOVER_GAS)?;
        let signer = recover_registration(&args.registration, &args.evidence, &args.signature);
        check(signer.is_ok_and(|signer| signer == subject.account), ModuleRefusal::Signature)?;
        let instance_id = subject_digest(subject);
        let live = live_instance_of(ctx, &to_address(&subject.account))?;
        check(live.is_none_or(|live| live.instance_id == instance_id), ModuleRefusal::AccountLive)?;
        let before = load_instance(ctx, &instance_id)?;
        if let Some(before) = &before {
            check(is_live(ctx, before), ModuleRefusal::RenewalLate)?;
            check(before.keyset_digest == keyset_digest(&registration.keyset), ModuleRefusal::RenewalKeyset)?;
        }
        let moment = ctx.moment(registration.nonce_height)?.ok_or(ModuleRefusal::NonceUnknown)?;
        check(moment.block_hash == registration.nonce, ModuleRefusal::NonceUnknown)?;
        let age_s = ctx.environment().time_unix_s.saturating_sub(moment.time_unix_s);
        check(age_s <= NONCE_AGE_S_MAX, ModuleRefusal::NonceOld)?;
        Ok(Candidate { registration, instance_id, app, before })
    }

    /// Checks 7 to 9: the evidence binds this keyset, verifies, and satisfies the app's policy.
    fn judge(
        &self,
        ctx: &mut ModuleContext<'_>,
        candidate: &Candidate,
        evidence: &[u8],
    ) -> Result<Judged, ModuleFailure> {
        let registration = &candidate.registration;
        let EvidenceKind::TdxQuoteV4 = registration.evidence_kind;
        let keyset = &registration.keyset;
        check(keyset.is_well_formed() && keyset.subject == candidate.instance_id, ModuleRefusal::Keyset)?;
        let keyset_digest = keyset_digest(keyset);
        let quote = UnverifiedQuote::read(evidence);
        let quote = quote.map_err(|refusal| ModuleRefusal::EvidenceMalformed.because(refusal))?;
        let wanted = report_data(&keyset_digest, Some(&registration.nonce));
        check(*quote.report_data() == wanted, ModuleRefusal::ReportData)?;

        let newest = collateral::newest_dcap(ctx, registration.trust_domain, &registration.fmspc)?;
        let (collateral_digest, document) = newest.ok_or(ModuleRefusal::CollateralMissing)?;
        let now = ctx.environment().parent_time_unix_s;
        let claims = claims(evidence, &document, &self.genesis.trust_roots, now);
        let claims = claims.map_err(|refusal| ModuleRefusal::Evidence.because(refusal))?;
        let as_stated = claims.trust_domain() == registration.trust_domain && claims.fmspc() == registration.fmspc;
        check(as_stated && *claims.report_data() == wanted, ModuleRefusal::Domain)?;
        judge(&claims, &candidate.app.policy.evidence, now)
            .map_err(|refusal| ModuleRefusal::EvidencePolicy.because(refusal))?;
        Ok(Judged { claims, collateral_digest, keyset_digest })
    }

    /// Checks 10 to 13: nothing of it is denied or used up, and there is time left. Gives the entry.
    fn admit(
        &self,
        ctx: &mut ModuleContext<'_>,
        candidate: &Candidate,
        judged: &Judged,
        evidence: &[u8],
    ) -> Result<InstanceEntry, ModuleFailure> {
        let Candidate { registration, app, .. } = candidate;
        let expires_at = self.expiry(ctx, registration, &app.policy, judged.claims.expires_at());
        let instance = entry(ctx, candidate, judged, expires_at, content_digest(evidence));
        for (kind, subject) in subjects(&instance) {
            let id = slots::deny_id(&app.app_id, kind, subject);
            let denied: Option<DenyEntry> = load(ctx, EntryKind::Deny, &id)?;
            check(denied.is_none(), ModuleRefusal::DeniedSubject)?;
        }
        check(registration.keyset.not_after >= expires_at, ModuleRefusal::KeysetExpiry)?;
        let signed_part = judged.claims.signed_part_digest();
        let used: Option<UsedEvidenceEntry> = load(ctx, EntryKind::UsedEvidence, signed_part.as_bytes())?;
        check(used.is_none(), ModuleRefusal::EvidenceUsed)?;
        check(expires_at > ctx.environment().time_unix_s, ModuleRefusal::LeaseEmpty)?;
        Ok(instance)
    }

    /// End of the lease: what was asked for, bounded by the app's policy, the genesis and the evidence.
    fn expiry(
        &self,
        ctx: &ModuleContext<'_>,
        registration: &Registration,
        policy: &AppPolicy,
        evidence_expires_at: UnixSeconds,
    ) -> UnixSeconds {
        let lease_s = registration.lease_s.min(policy.lease_s_max).min(self.genesis.lease_s);
        ctx.environment().parent_time_unix_s.saturating_add(lease_s).min(evidence_expires_at)
    }
}

fn check(passed: bool, refusal: ModuleRefusal) -> Result<(), ModuleFailure> {
    if passed { Ok(()) } else { Err(refusal.into()) }
}

fn read(args: &registerCall) -> Result<Registration, ModuleFailure> {
    let fits = args.registration.len() <= REGISTRATION_BYTES_MAX
        && args.evidence.len() <= EVIDENCE_BYTES_MAX
        && args.signature.len() <= SIGNATURE_BYTES;
    check(fits, ModuleRefusal::RegistrationTooLong)?;
    Registration::from_canonical(&args.registration).map_err(|_| ModuleRefusal::RegistrationMalformed.into())
}

fn entry(
    ctx: &ModuleContext<'_>,
    candidate: &Candidate,
    judged: &Judged,
    expires_at: UnixSeconds,
    evidence_digest: Digest,
) -> InstanceEntry {
    let Candidate { registration, instance_id, app, before } = candidate;
    let (subject, claims, environment) = (&registration.subject, &judged.claims, ctx.environment());
    InstanceEntry {
        instance_id: *instance_id,
        app_id: app.app_id,
        app_version: app.version,
        provider: subject.provider,
        account: subject.account,
        transport_key: subject.transport_key,
        keyset_digest: judged.keyset_digest,
        keyset_not_after: registration.keyset.not_after,
        evidence_digest,
        collateral_digest: judged.collateral_digest,
        nonce_height: registration.nonce_height,
        nonce: registration.nonce,
        judged_at_unix_s: environment.parent_time_unix_s,
        trust_domain: claims.trust_domain(),
        measurement: claims.measurement().clone(),
        tcb_status: claims.tcb_status(),
        platform: claims.platform(),
        fmspc: claims.fmspc(),
        opened_at: before.as_ref().map_or(environment.height, |before| before.opened_at),
        renewed_at: environment.height,
        expires_at,
        closed_at: None,
        closed_code: None,
    }
}

/// Check 14, and everything that a registration writes but its value.
fn record(
    ctx: &mut ModuleContext<'_>,
    candidate: &Candidate,
    instance: &InstanceEntry,
    judged: &Judged,
) -> Result<(), ModuleFailure> {
    let id = instance.instance_id;
    enlist(ctx, instance)?;
    let digest = store(ctx, EntryKind::Instance, id.as_bytes(), instance)?;
    if candidate.before.is_none() {
        let account = AccountEntry { instance_id: id };
        store(ctx, EntryKind::Account, instance.account.as_bytes(), &account)?;
    }
    let used = UsedEvidenceEntry { instance_id: id, height: ctx.environment().height };
    store(ctx, EntryKind::UsedEvidence, judged.claims.signed_part_digest().as_bytes(), &used)?;
    let app = (*instance.app_id.as_bytes()).into();
    let account = to_address(&instance.account);
    let (instance_id, expires_at, entry) = (id.0.into(), instance.expires_at, digest.0.into());
    let event = if candidate.before.is_none() {
        InstanceRegistered { app, instance: instance_id, account, expiresAt: expires_at, entry }.encode_log_data()
    } else {
        InstanceRenewed { app, instance: instance_id, account, expiresAt: expires_at, entry }.encode_log_data()
    };
    ctx.log(to_address(&slots::APPS), event)?;
    keys::grant_boot_contexts(ctx, instance, &candidate.app.policy)
}

/// Sends the value that came with a registration on to the instance's account: its allowance for gas.
fn forward(ctx: &mut ModuleContext<'_>, instance: &InstanceEntry, value: U256) -> Result<(), ModuleFailure> {
    let moved = ctx.transfer(to_address(&instance.account), value)?;
    assert!(moved, "the value of a call stands in the module's balance before the call begins");
    Ok(())
}

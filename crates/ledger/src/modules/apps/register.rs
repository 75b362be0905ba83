//! Registration and renewal: the ordered check list of `spec/registration.md` §3 (design D7).
//!
//! Every check has its own code, and the first that fails is the answer. JSON is never parsed: keyset and statement are
//! built from typed fields and compared as digests.

use alloy_primitives::U256;
use alloy_sol_types::SolEvent as _;
use freehold_attestation::{Evidence, UnverifiedEvidence, VerifiedClaims, VerifierVersion};
use freehold_crypto::{content_digest, keyset_digest, recover_registration, report_data, slots, subject_digest};
use freehold_evm::{ModuleCall, ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, AppPolicy, Canonical as _, Digest, EVIDENCE_BYTES_MAX, EvidenceBundle, EvidenceKind, Genesis,
    NONCE_AGE_S_MAX, REGISTRATION_BYTES_MAX, Registration, UnixSeconds,
    entries::{AccountEntry, AppEntry, EntryKind, InstanceEntry, TcbLevel, UsedEvidenceEntry},
};

use super::{
    super::{
        abi::IApps::{InstanceRegistered, InstanceRenewed, registerCall},
        collateral,
        entries::{is_denied, is_open, live_instance_of, load, load_app, load_instance, store},
        keys,
        refusal::ModuleRefusal,
    },
    attest::{AttestationTerms, attest},
    governor,
    instances::{enlist, platform_has_room},
    shadow,
};
use crate::state::{to_account, to_address};

/// Gas of verifying a TDX or SGX quote, charged before the evidence is looked at.
const DCAP_EVIDENCE_GAS: u64 = 300_000;
/// Gas of verifying an SEV-SNP report.
const SNP_EVIDENCE_GAS: u64 = 600_000;
/// Gas of verifying a Nitro document, and of verifying one GPU's report.
const CHAIN_EVIDENCE_GAS: u64 = 1_000_000;
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
    collateral_digests: Vec<Digest>,
    keyset_digest: Digest,
    verifier: VerifierVersion,
    tier: u8,
}

impl Registrar<'_> {
    pub(super) fn register(
        &self,
        ctx: &mut ModuleContext<'_>,
        call: &ModuleCall,
        args: &registerCall,
    ) -> Result<(), ModuleFailure> {
        let registration = read(args)?;
        ctx.charge(evidence_gas(registration.evidence_kind, &args.evidence))?;
        let candidate = self.identify(ctx, call, args, registration)?;
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
        registration: Registration,
    ) -> Result<Candidate, ModuleFailure> {
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
            check(is_open(ctx, before), ModuleRefusal::RenewalLate)?;
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
        let keyset = &registration.keyset;
        check(keyset.is_well_formed() && keyset.subject == candidate.instance_id, ModuleRefusal::Keyset)?;
        let keyset_digest = keyset_digest(keyset);
        let outline = UnverifiedEvidence::read(registration.evidence_kind, evidence);
        let outline = outline.map_err(|refusal| ModuleRefusal::EvidenceMalformed.because(refusal))?;
        let wanted = report_data(&keyset_digest, Some(&registration.nonce));
        check(*outline.report_data() == wanted, ModuleRefusal::ReportData)?;

        let verifier = collateral::in_force(ctx)?;
        let newest = collateral::newest(ctx, registration, evidence)?;
        let (collateral_digests, documents): (Vec<Digest>, Vec<Vec<u8>>) = newest.into_iter().unzip();
        let documents: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
        let evidence = Evidence { kind: registration.evidence_kind, bytes: evidence, collateral: &documents };
        let terms = AttestationTerms {
            stated: (registration.trust_domain, registration.family),
            roots: &self.genesis.trust_roots,
            policy: &candidate.app.policy.evidence,
            verifier,
            now_unix_s: ctx.environment().parent_time_unix_s,
        };
        let claims = attest(&evidence, &terms).map_err(|(refusal, detail)| match detail {
            Some(detail) => refusal.because(detail),
            None => refusal.into(),
        })?;
        check(*claims.report_data() == wanted, ModuleRefusal::Domain)?;
        let tier = governor::highest_tier(ctx, &claims)?;
        Ok(Judged { claims, collateral_digests, keyset_digest, verifier, tier })
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
        check(!is_denied(ctx, &app.app_id, &instance)?, ModuleRefusal::DeniedSubject)?;
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

/// Gas of verifying evidence, by its kind; of a bundle, by the kind of its primary and the number of its GPUs.
fn evidence_gas(kind: EvidenceKind, evidence: &[u8]) -> u64 {
    match kind {
        EvidenceKind::Tdx | EvidenceKind::Sgx => DCAP_EVIDENCE_GAS,
        EvidenceKind::Snp => SNP_EVIDENCE_GAS,
        EvidenceKind::Nitro | EvidenceKind::Nvidia => CHAIN_EVIDENCE_GAS,
        EvidenceKind::Bundle => EvidenceBundle::from_canonical(evidence).map_or(CHAIN_EVIDENCE_GAS, |bundle| {
            let gpus = u64::try_from(bundle.gpus.len()).unwrap_or(u64::MAX);
            // A bundle in a bundle is refused; it is not looked into here either.
            let primary =
                if bundle.primary_kind == EvidenceKind::Bundle { EvidenceKind::Nitro } else { bundle.primary_kind };
            evidence_gas(primary, &[]).saturating_add(gpus.saturating_mul(CHAIN_EVIDENCE_GAS))
        }),
    }
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
        collateral_digests: judged.collateral_digests.clone(),
        nonce_height: registration.nonce_height,
        nonce: registration.nonce,
        judged_at_unix_s: environment.parent_time_unix_s,
        evidence_kind: registration.evidence_kind,
        trust_domain: claims.trust_domain(),
        measurement: claims.measurement().clone(),
        tcb_status: claims.tcb_status(),
        tcb_level: claims.tcb_level(),
        tcb_level_lowest: lowest(before.as_ref().and_then(|before| before.tcb_level_lowest), claims.tcb_level()),
        tier: judged.tier,
        platform: claims.platform(),
        family: claims.family(),
        gpus: claims.gpu_records(),
        opened_at: before.as_ref().map_or(environment.height, |before| before.opened_at),
        renewed_at: environment.height,
        expires_at,
        closed_at: None,
        closed_code: None,
    }
}

fn lowest(before: Option<TcbLevel>, now: Option<TcbLevel>) -> Option<TcbLevel> {
    match (before, now) {
        (Some(before), Some(now)) => Some(before.lowest(now)),
        _ => now.or(before),
    }
}

/// Checks 15 and 16: the chain denies neither what stands now nor what stood until this renewal, and the platform has
/// room.
fn check_platform(
    ctx: &mut ModuleContext<'_>,
    candidate: &Candidate,
    instance: &InstanceEntry,
) -> Result<(), ModuleFailure> {
    for stands in candidate.before.iter().chain([instance]) {
        check(!is_denied(ctx, &AppId::CHAIN, stands)?, ModuleRefusal::DeniedByChain)?;
    }
    let max = candidate.app.policy.instances_per_platform_max;
    check(platform_has_room(ctx, instance, max)?, ModuleRefusal::PlatformFull)
}

/// Checks 14 to 16, and everything that a registration writes but its value.
fn record(
    ctx: &mut ModuleContext<'_>,
    candidate: &Candidate,
    instance: &InstanceEntry,
    judged: &Judged,
) -> Result<(), ModuleFailure> {
    let id = instance.instance_id;
    enlist(ctx, instance)?;
    check_platform(ctx, candidate, instance)?;
    shadow::cast(ctx, instance, candidate.before.as_ref())?;
    let digest = store(ctx, EntryKind::Instance, id.as_bytes(), instance)?;
    if candidate.before.is_none() {
        let account = AccountEntry { instance_id: id };
        store(ctx, EntryKind::Account, instance.account.as_bytes(), &account)?;
    }
    let height = ctx.environment().height;
    let used = UsedEvidenceEntry { instance_id: id, height, verifier: judged.verifier.number() };
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

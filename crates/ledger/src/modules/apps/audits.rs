//! Auditors: anyone's word on a policy of an app, in their own name (`spec/upgrades.md` §5).
//!
//! The chain judges no audit: it says who said what, of which policy and when. Whose word counts, the reader decides.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Digest,
    entries::{AuditEntry, AuditVerdict, EntryKind},
};

use super::{
    super::{
        abi::IApps::{Audited, auditCall, auditOfCall},
        entries::{load_app, load_bytes, store},
        refusal::ModuleRefusal,
    },
    app_id,
};
use crate::state::{to_account, to_address};

/// Writes what the caller says, in place of what they said of this policy before.
pub(super) fn say(ctx: &mut ModuleContext<'_>, caller: &Address, args: &auditCall) -> Result<(), ModuleFailure> {
    let app = app_id(args.app)?;
    load_app(ctx, &app)?.ok_or(ModuleRefusal::AppUnknown)?;
    let verdict = match args.verdict {
        1 => AuditVerdict::Sound,
        2 => AuditVerdict::Flawed,
        _ => return Err(ModuleRefusal::Audit.into()),
    };
    if !AuditEntry::is_place(&args.place) {
        return Err(ModuleRefusal::Audit.into());
    }
    let environment = *ctx.environment();
    let (auditor, policy) = (to_account(caller), Digest(args.policy.0));
    let entry = AuditEntry {
        auditor,
        app_id: app,
        policy,
        verdict,
        report: Digest(args.report.0),
        place: args.place.clone(),
        said_at: environment.height,
        said_at_unix_s: environment.time_unix_s,
    };
    let digest = store(ctx, EntryKind::Audit, &slots::audit_id(&auditor, &app, &policy), &entry)?;
    let event =
        Audited { app: args.app, policy: args.policy, auditor: *caller, verdict: args.verdict, entry: digest.0.into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

pub(super) fn entry_bytes(ctx: &mut ModuleContext<'_>, args: &auditOfCall) -> Result<Bytes, ModuleFailure> {
    let id = slots::audit_id(&to_account(&args.auditor), &app_id(args.id)?, &Digest(args.policy.0));
    let bytes = load_bytes(ctx, EntryKind::Audit, &id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

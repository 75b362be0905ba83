//! Reading the registry.

use alloy_primitives::{Address, B256, Bytes, FixedBytes};
use freehold_crypto::{keccak256, measurement_digest, slots};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{AppId, Digest, entries::EntryKind};

use super::{
    super::{
        abi::IApps::{self, Caller, IAppsCalls, Standing, deniedCall, instancesReturn},
        entries::{IndexKind, is_denied, is_open, live_instance_of, load_app, load_bytes, load_ids, load_instance},
        refusal::ModuleRefusal,
        returned,
    },
    INSTANCES_PAGE, app_id, audits,
    denials::named,
    governor, leases, metadata, protocol, settings, shadow, upgrades,
};
use crate::state::to_address;

/// Answers a view; `None` where the call is none.
pub(super) fn answer(ctx: &mut ModuleContext<'_>, calls: &IAppsCalls) -> Result<Option<Bytes>, ModuleFailure> {
    let answer = match calls {
        IAppsCalls::app(args) => returned::<IApps::appCall>(&app(ctx, &app_id(args.id)?)?),
        IAppsCalls::instance(args) => returned::<IApps::instanceCall>(&instance(ctx, args.id)?),
        IAppsCalls::instances(args) => {
            returned::<IApps::instancesCall>(&instances(ctx, &app_id(args.id)?, args.cursor)?)
        }
        IAppsCalls::isAuthorized(args) => {
            returned::<IApps::isAuthorizedCall>(&is_authorized(ctx, &app_id(args.id)?, &args.caller)?)
        }
        IAppsCalls::caller(args) => returned::<IApps::callerCall>(&caller(ctx, &args.account)?),
        IAppsCalls::standing(args) => returned::<IApps::standingCall>(&standing(ctx, &Digest(args.id.0))?),
        IAppsCalls::denied(args) => returned::<IApps::deniedCall>(&denied(ctx, args)?),
        IAppsCalls::isDenied(args) => {
            let instance = load_instance(ctx, &Digest(args.instance.0))?.ok_or(ModuleRefusal::InstanceUnknown)?;
            returned::<IApps::isDeniedCall>(&is_denied(ctx, &AppId::CHAIN, &instance)?)
        }
        IAppsCalls::shadow(args) => {
            returned::<IApps::shadowCall>(&shadow::page(ctx, &named(args.kind, &args.subject)?, args.cursor)?)
        }
        IAppsCalls::governor(_) => returned::<IApps::governorCall>(&governor::governor(ctx)?),
        IAppsCalls::protocol(_) => returned::<IApps::protocolCall>(&protocol::view(ctx)?),
        IAppsCalls::tier(args) => returned::<IApps::tierCall>(&governor::tier(ctx, args.number)?),
        IAppsCalls::lease(args) => {
            returned::<IApps::leaseCall>(&leases::entry_bytes(ctx, &app_id(args.id)?, &args.name)?)
        }
        IAppsCalls::settings(args) => returned::<IApps::settingsCall>(&settings::entry_bytes(ctx, &app_id(args.id)?)?),
        IAppsCalls::metadata(args) => {
            returned::<IApps::metadataCall>(&metadata::entry_bytes(ctx, &Digest(args.instance.0))?)
        }
        IAppsCalls::leaseHolder(args) => {
            returned::<IApps::leaseHolderCall>(&leases::holder(ctx, &app_id(args.id)?, &args.name)?)
        }
        IAppsCalls::upgrade(args) => returned::<IApps::upgradeCall>(&upgrades::entry_bytes(ctx, &app_id(args.id)?)?),
        IAppsCalls::upgradeRule(args) => {
            returned::<IApps::upgradeRuleCall>(&upgrades::rule_of(ctx, &app_id(args.id)?)?)
        }
        IAppsCalls::auditOf(args) => returned::<IApps::auditOfCall>(&audits::entry_bytes(ctx, args)?),
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn app(ctx: &mut ModuleContext<'_>, id: &AppId) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::App, id.as_bytes())?.ok_or(ModuleRefusal::AppUnknown)?;
    Ok(bytes.into())
}

fn instance(ctx: &mut ModuleContext<'_>, id: B256) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::Instance, id.as_slice())?.ok_or(ModuleRefusal::InstanceUnknown)?;
    Ok(bytes.into())
}

fn instances(ctx: &mut ModuleContext<'_>, id: &AppId, cursor: u64) -> Result<instancesReturn, ModuleFailure> {
    let all = load_ids(ctx, IndexKind::Instances, id.as_bytes())?;
    let start = usize::try_from(cursor).unwrap_or(usize::MAX).min(all.len());
    let end = (start + INSTANCES_PAGE).min(all.len());
    let ids = all[start..end].iter().map(|id| id.0.into()).collect();
    Ok(instancesReturn { ids, next: if end < all.len() { end as u64 } else { 0 } })
}

/// Takes effect in the very next call after a revocation, a denial, a change of policy or the end of a lease.
pub(super) fn is_authorized(ctx: &mut ModuleContext<'_>, id: &AppId, caller: &Address) -> Result<bool, ModuleFailure> {
    let Some(instance) = live_instance_of(ctx, caller)?.filter(|instance| instance.app_id == *id) else {
        return Ok(false);
    };
    Ok(load_app(ctx, &instance.app_id)?.is_some_and(|app| app.closed_at.is_none()))
}

/// What the chain knows of the live instance of an open app whose account this is; all zero where there is none.
fn caller(ctx: &mut ModuleContext<'_>, account: &Address) -> Result<Caller, ModuleFailure> {
    let nobody = Caller {
        app: FixedBytes::ZERO,
        instance: B256::ZERO,
        provider: Address::ZERO,
        measurement: B256::ZERO,
        launch: B256::ZERO,
        model: B256::ZERO,
        tier: 0,
        trustDomain: 0,
        evidenceKind: 0,
        openedAt: 0,
        expiresAt: 0,
    };
    let Some(instance) = live_instance_of(ctx, account)? else { return Ok(nobody) };
    let app = load_app(ctx, &instance.app_id)?.filter(|app| app.closed_at.is_none());
    let Some(app) = app else { return Ok(nobody) };
    let measurement = measurement_digest(&instance.measurement);
    let model = app.policy.models.iter().find(|release| release.measurement == measurement);
    Ok(Caller {
        app: (*instance.app_id.as_bytes()).into(),
        instance: instance.instance_id.0.into(),
        provider: to_address(&instance.provider),
        measurement: measurement.0.into(),
        launch: keccak256(&[instance.measurement.launched()]).0.into(),
        model: model.map_or(B256::ZERO, |release| release.model.0.into()),
        tier: instance.tier,
        trustDomain: instance.trust_domain as u8,
        evidenceKind: instance.evidence_kind as u8,
        openedAt: instance.opened_at,
        expiresAt: instance.expires_at,
    })
}

/// What the registry holds of an instance; all zero where there is none.
fn standing(ctx: &mut ModuleContext<'_>, id: &Digest) -> Result<Standing, ModuleFailure> {
    let Some(instance) = load_instance(ctx, id)? else {
        return Ok(Standing {
            app: FixedBytes::ZERO,
            account: Address::ZERO,
            provider: Address::ZERO,
            measurement: B256::ZERO,
            platform: B256::ZERO,
            tier: 0,
            trustDomain: 0,
            evidenceKind: 0,
            gpus: 0,
            isLive: false,
            isDenied: false,
            openedAt: 0,
            renewedAt: 0,
            judgedAt: 0,
            expiresAt: 0,
            closedAt: 0,
            closedCode: 0,
        });
    };
    let denied = is_denied(ctx, &AppId::CHAIN, &instance)?;
    Ok(Standing {
        app: (*instance.app_id.as_bytes()).into(),
        account: to_address(&instance.account),
        provider: to_address(&instance.provider),
        measurement: measurement_digest(&instance.measurement).0.into(),
        platform: instance.platform.0.into(),
        tier: instance.tier,
        trustDomain: instance.trust_domain as u8,
        evidenceKind: instance.evidence_kind as u8,
        gpus: u8::try_from(instance.gpus.len()).unwrap_or(u8::MAX),
        isLive: is_open(ctx, &instance) && !denied,
        isDenied: denied,
        openedAt: instance.opened_at,
        renewedAt: instance.renewed_at,
        judgedAt: instance.judged_at_unix_s,
        expiresAt: instance.expires_at,
        closedAt: instance.closed_at.unwrap_or_default(),
        closedCode: instance.closed_code.map_or(0, |code| code as u8),
    })
}

fn denied(ctx: &mut ModuleContext<'_>, args: &deniedCall) -> Result<Bytes, ModuleFailure> {
    let subject = named(args.kind, &args.subject)?;
    let id = slots::deny_id(&app_id(args.id)?, subject.kind(), subject.key());
    let bytes = load_bytes(ctx, EntryKind::Deny, &id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

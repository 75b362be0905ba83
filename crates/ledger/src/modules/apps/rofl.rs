//! `rofl.*` through `SUBCALL` (`spec/sapphire.md` §6): another encoding in front of this registry, nothing more.
//!
//! Who the origin is, the transaction's signer tells; what it may, the registry's entries tell, so that a revocation
//! counts from the next call on. A policy travels as our own document, because Oasis's has no words for ours.

use freehold_evm::{ModuleContext, ModuleFailure, Subcall, SubcallFailure, SubcallHandler, SubcallRefusal};
use freehold_primitives::{
    Account, AppId, Canonical as _, CborMap, CborValue, Digest,
    entries::{InstanceEntry, METADATA_PREFIX, Metadata},
};

use super::{
    super::{
        entries::{is_live, live_instance_of, load_app, load_instance},
        refusal::ModuleRefusal,
    },
    Apps,
    instances::live_instances,
    metadata, owner, views,
};
use crate::state::to_address;

/// Gas of any of these methods, beside what it reads and writes.
const GAS: u64 = 1_000;
const INVALID_ARGUMENT: SubcallRefusal = refusal(1);
const UNKNOWN_APP: SubcallRefusal = refusal(2);
const APP_EXISTS: SubcallRefusal = refusal(10);
const FORBIDDEN: SubcallRefusal = refusal(11);
const UNKNOWN_INSTANCE: SubcallRefusal = refusal(12);

const fn refusal(code: u32) -> SubcallRefusal {
    SubcallRefusal { module: "rofl", code }
}

impl SubcallHandler for Apps {
    fn call(&self, subcall: &Subcall<'_>, ctx: &mut ModuleContext<'_>) -> Result<Vec<u8>, SubcallFailure> {
        let Some(("rofl", method)) = subcall.method.split_once('.') else {
            return Err(SubcallRefusal::INVALID_METHOD.into());
        };
        let body = subcall.body.clone();
        match method {
            "IsAuthorizedOrigin" => is_authorized_origin(&body, ctx),
            "OriginApp" => origin_app(&body, ctx),
            "App" => app(body.into_fields()?, ctx),
            "AppInstance" => self.app_instance(body.into_fields()?, ctx),
            "AppInstances" => self.app_instances(body.into_fields()?, ctx),
            "Create" => create(body.into_fields()?, subcall, ctx),
            "Update" => self.update(body.into_fields()?, subcall, ctx),
            "Remove" => remove(body.into_fields()?, subcall, ctx),
            _ => Err(SubcallRefusal::INVALID_METHOD.into()),
        }
    }
}

fn is_authorized_origin(body: &CborValue<'_>, ctx: &mut ModuleContext<'_>) -> Result<Vec<u8>, SubcallFailure> {
    ctx.charge(GAS)?;
    let app = app_id(body)?;
    let origin = ctx.environment().origin;
    let authorized = views::is_authorized(ctx, &app, &origin).map_err(translate)?;
    Ok(CborValue::Bool(authorized).to_vec())
}

fn origin_app(body: &CborValue<'_>, ctx: &mut ModuleContext<'_>) -> Result<Vec<u8>, SubcallFailure> {
    ctx.charge(GAS)?;
    if !body.is_null() {
        return Err(SubcallRefusal::INVALID_ARGUMENT.into());
    }
    let origin = ctx.environment().origin;
    let instance = live_instance_of(ctx, &origin).map_err(translate)?.ok_or(UNKNOWN_INSTANCE)?;
    open_app(ctx, &instance.app_id)?;
    Ok(CborValue::Bytes(instance.app_id.as_bytes()).to_vec())
}

fn app(mut fields: CborMap<'_>, ctx: &mut ModuleContext<'_>) -> Result<Vec<u8>, SubcallFailure> {
    ctx.charge(GAS)?;
    let app = app_id(&fields.required("id")?)?;
    fields.finish()?;
    let entry = open_app(ctx, &app)?;
    let (admin, policy) = (wire(&entry.owner), entry.policy.to_canonical());
    let nothing = CborValue::Array(vec![CborValue::Bytes(&[]), CborValue::Bytes(&[])]);
    let config = CborValue::map([
        ("id", CborValue::Bytes(app.as_bytes())),
        ("policy", CborValue::Bytes(&policy)),
        ("admin", CborValue::Bytes(&admin)),
        ("stake", nothing),
        ("metadata", CborValue::map([])),
        ("secrets", CborValue::map([])),
    ]);
    Ok(config.to_vec())
}

fn create(
    mut fields: CborMap<'_>,
    subcall: &Subcall<'_>,
    ctx: &mut ModuleContext<'_>,
) -> Result<Vec<u8>, SubcallFailure> {
    ctx.charge(GAS)?;
    let policy = policy(&fields.required("policy")?)?;
    let scheme = u8::try_from(fields.required("scheme")?.unsigned()?).map_err(|_| INVALID_ARGUMENT)?;
    nothing(fields.optional("metadata"))?;
    fields.finish()?;
    ctx.require_mutable()?;
    let app = owner::create(ctx, &subcall.caller, scheme, policy).map_err(translate)?;
    Ok(CborValue::Bytes(app.as_bytes()).to_vec())
}

fn remove(
    mut fields: CborMap<'_>,
    subcall: &Subcall<'_>,
    ctx: &mut ModuleContext<'_>,
) -> Result<Vec<u8>, SubcallFailure> {
    ctx.charge(GAS)?;
    let app = app_id(&fields.required("id")?)?;
    fields.finish()?;
    ctx.require_mutable()?;
    owner::close(ctx, &owner::Owned { app, caller: &subcall.caller }).map_err(translate)?;
    Ok(CborValue::Null.to_vec())
}

impl Apps {
    fn update(
        &self,
        mut fields: CborMap<'_>,
        subcall: &Subcall<'_>,
        ctx: &mut ModuleContext<'_>,
    ) -> Result<Vec<u8>, SubcallFailure> {
        ctx.charge(GAS)?;
        let app = app_id(&fields.required("id")?)?;
        let policy_value = fields.required("policy")?;
        let policy = policy(&policy_value)?;
        // Without an admin nobody could change the app any more; `Remove` says so more plainly.
        let admin: [u8; 21] = fields.required("admin")?.array_of().map_err(|_| INVALID_ARGUMENT)?;
        let (version, admin) = admin.split_first_chunk::<1>().expect("21 > 1");
        if *version != [0] {
            return Err(INVALID_ARGUMENT.into());
        }
        nothing(fields.optional("metadata"))?;
        nothing(fields.optional("secrets"))?;
        fields.finish()?;
        ctx.require_mutable()?;
        let owned = owner::Owned { app, caller: &subcall.caller };
        owner::update(ctx, &self.genesis, &owned, policy).map_err(translate)?;
        let admin = alloy_primitives::Address::from_slice(admin);
        if admin != subcall.caller {
            owner::set_owner(ctx, &owned, &admin).map_err(translate)?;
        }
        Ok(CborValue::Null.to_vec())
    }

    fn app_instance(&self, mut fields: CborMap<'_>, ctx: &mut ModuleContext<'_>) -> Result<Vec<u8>, SubcallFailure> {
        ctx.charge(GAS)?;
        let app = app_id(&fields.required("app")?)?;
        let id = Digest(fields.required("instance")?.array_of()?);
        fields.finish()?;
        open_app(ctx, &app)?;
        let instance = load_instance(ctx, &id).map_err(translate)?;
        let instance = instance.filter(|instance| instance.app_id == app).ok_or(UNKNOWN_INSTANCE)?;
        if !is_live(ctx, &instance).map_err(translate)? {
            return Err(UNKNOWN_INSTANCE.into());
        }
        let wire = InstanceWire::read(ctx, instance)?;
        Ok(wire.value(self.genesis.epoch_s).to_vec())
    }

    fn app_instances(&self, mut fields: CborMap<'_>, ctx: &mut ModuleContext<'_>) -> Result<Vec<u8>, SubcallFailure> {
        ctx.charge(GAS)?;
        let app = app_id(&fields.required("id")?)?;
        fields.finish()?;
        open_app(ctx, &app)?;
        let mut wires = Vec::new();
        for instance in live_instances(ctx, &app).map_err(translate)? {
            wires.push(InstanceWire::read(ctx, instance)?);
        }
        let values = wires.iter().map(|wire| wire.value(self.genesis.epoch_s)).collect();
        Ok(CborValue::Array(values).to_vec())
    }
}

/// An instance with its addresses and its metadata's keys as they travel.
struct InstanceWire {
    entry: InstanceEntry,
    account: [u8; 21],
    provider: [u8; 21],
    metadata: Vec<(String, String)>,
}

impl InstanceWire {
    fn read(ctx: &mut ModuleContext<'_>, entry: InstanceEntry) -> Result<Self, SubcallFailure> {
        let Metadata { pairs } = metadata::of(ctx, &entry.instance_id).map_err(translate)?;
        let metadata = pairs.into_iter().map(|pair| (format!("{METADATA_PREFIX}{}", pair.key), pair.value)).collect();
        let (account, provider) = (wire(&entry.account), wire(&entry.provider));
        Ok(Self { entry, account, provider, metadata })
    }

    fn value(&self, epoch_s: u64) -> CborValue<'_> {
        let metadata = self.metadata.iter().map(|(key, value)| (key.as_str(), CborValue::Text(value)));
        CborValue::map([
            ("app", CborValue::Bytes(self.entry.app_id.as_bytes())),
            ("account", CborValue::Bytes(&self.account)),
            ("instance", CborValue::Bytes(self.entry.instance_id.as_bytes())),
            ("provider", CborValue::Bytes(&self.provider)),
            ("expiration", CborValue::Unsigned(self.entry.expires_at / epoch_s.max(1))),
            ("metadata", CborValue::map(metadata)),
        ])
    }
}

/// An app that is open; a closed one does not exist for these methods.
fn open_app(
    ctx: &mut ModuleContext<'_>,
    app: &AppId,
) -> Result<freehold_primitives::entries::AppEntry, SubcallFailure> {
    let entry = load_app(ctx, app).map_err(translate)?;
    Ok(entry.filter(|entry| entry.closed_at.is_none()).ok_or(UNKNOWN_APP)?)
}

fn app_id(value: &CborValue<'_>) -> Result<AppId, SubcallFailure> {
    AppId::from_bytes(value.array_of()?).map_err(|_| SubcallRefusal::INVALID_ARGUMENT.into())
}

fn policy<'a>(value: &CborValue<'a>) -> Result<&'a [u8], SubcallFailure> {
    value.bytes().map_err(|_| INVALID_ARGUMENT.into())
}

/// Metadata of an app and secrets have no place in the registry: an empty map, or none.
fn nothing(value: Option<CborValue<'_>>) -> Result<(), SubcallFailure> {
    let Some(value) = value else { return Ok(()) };
    let fields = value.into_fields()?;
    fields.finish().map_err(|_| INVALID_ARGUMENT.into())
}

fn wire(account: &Account) -> [u8; 21] {
    let mut out = [0; 21];
    out[1..].copy_from_slice(to_address(account).as_slice());
    out
}

/// The registry's refusals under Sapphire's numbers.
fn translate(failure: ModuleFailure) -> SubcallFailure {
    let ModuleFailure::Revert(output) = failure else { return failure.into() };
    let refusal = ModuleRefusal::from_revert(&output).map(|(refusal, _)| refusal);
    match refusal {
        Some(ModuleRefusal::AppUnknown | ModuleRefusal::AppClosed) => UNKNOWN_APP,
        Some(ModuleRefusal::NotOwner) => FORBIDDEN,
        Some(ModuleRefusal::AppExists) => APP_EXISTS,
        Some(ModuleRefusal::InstanceUnknown) => UNKNOWN_INSTANCE,
        _ => INVALID_ARGUMENT,
    }
    .into()
}

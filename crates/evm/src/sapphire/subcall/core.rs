//! `core.CallDataPublicKey` and `core.CurrentEpoch`.

use freehold_primitives::CborValue;

use super::{SubcallFailure, SubcallRefusal};
use crate::{
    module::ModuleContext,
    sapphire::{CallDataKey, subcall::SubcallPlace},
};

/// Gas of the epoch's public key.
const PUBLIC_KEY_GAS: u64 = 20;
/// Gas of the epoch.
const EPOCH_GAS: u64 = 10;
/// Epochs for which a call-data key is accepted at least (design D2).
const KEY_EPOCHS: u64 = 5;

pub(super) fn call(
    method: &str,
    body: &CborValue<'_>,
    place: &SubcallPlace<'_>,
    ctx: &mut ModuleContext<'_>,
) -> Result<Vec<u8>, SubcallFailure> {
    match method {
        "CallDataPublicKey" => {
            nothing(body)?;
            ctx.charge(PUBLIC_KEY_GAS)?;
            public_key(place.call_data_key.as_ref())
        }
        "CurrentEpoch" => {
            nothing(body)?;
            ctx.charge(EPOCH_GAS)?;
            Ok(CborValue::Unsigned(place.epoch).to_vec())
        }
        _ => Err(SubcallRefusal::INVALID_METHOD.into()),
    }
}

fn public_key(key: Option<&CallDataKey>) -> Result<Vec<u8>, SubcallFailure> {
    let key = key.ok_or(SubcallRefusal::INVALID_ARGUMENT)?;
    let public_key = CborValue::map([
        ("key", CborValue::Bytes(&key.public_key)),
        ("checksum", CborValue::Bytes(&key.checksum)),
        ("signature", CborValue::Bytes(&key.signature)),
        ("expiration", CborValue::Unsigned(key.epoch.saturating_add(KEY_EPOCHS))),
    ]);
    Ok(CborValue::map([("epoch", CborValue::Unsigned(key.epoch)), ("public_key", public_key)]).to_vec())
}

fn nothing(body: &CborValue<'_>) -> Result<(), SubcallFailure> {
    if body.is_null() { Ok(()) } else { Err(SubcallRefusal::INVALID_ARGUMENT.into()) }
}

//! Queries of the runtime in appd's words, each answered by proof.

use alloy_primitives::U256;
use freehold_crypto::oasis_address;
use freehold_primitives::{Account, AppId, CborError, CborValue, entries::AppEntry};
use freehold_rpc::VerifiedError;
use freehold_verify::EntryKey;
use thiserror::Error;

use super::call::{CallRunError, Simulated, simulate};
use crate::agent::Guest;

/// Why a query has no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum QueryError {
    #[error("unknown method: {0}")]
    Method(String),
    #[error("malformed arguments: {0}")]
    Arguments(#[from] CborError),
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    #[error(transparent)]
    Call(#[from] CallRunError),
    #[error("unknown application")]
    NoApp,
}

/// Answers a query: CBOR in, CBOR out.
pub(crate) async fn query(guest: &Guest, method: &str, arguments: &[u8]) -> Result<Vec<u8>, QueryError> {
    let arguments = CborValue::read(arguments)?;
    match method {
        "evm.Balance" => {
            let found = guest.chain().account(&address(arguments)?).await?.value;
            let balance = found.map_or([0; 32], |account| account.balance);
            // An amount has no zeros before it.
            let start = balance.iter().position(|byte| *byte != 0).unwrap_or(balance.len());
            Ok(CborValue::Bytes(&balance[start..]).to_vec())
        }
        "evm.Code" => {
            let code = guest.chain().code(&address(arguments)?).await?.value;
            Ok(CborValue::Bytes(&code).to_vec())
        }
        "evm.Storage" => {
            let mut fields = arguments.into_fields()?;
            let account = Account(fields.required("address")?.array_of()?);
            let slot: [u8; 32] = fields.required("index")?.array_of()?;
            fields.finish()?;
            let value = guest.chain().storage(&account, &slot).await?.value;
            Ok(CborValue::Bytes(&value.0).to_vec())
        }
        "evm.SimulateCall" => {
            let output = simulate(guest, simulated(arguments)?).await?;
            Ok(CborValue::Bytes(&output).to_vec())
        }
        "rofl.App" => app(guest, arguments).await,
        other => Err(QueryError::Method(other.to_owned())),
    }
}

fn address(arguments: CborValue<'_>) -> Result<Account, CborError> {
    let mut fields = arguments.into_fields()?;
    let account = Account(fields.required("address")?.array_of()?);
    fields.finish()?;
    Ok(account)
}

fn simulated(arguments: CborValue<'_>) -> Result<Simulated, CborError> {
    let mut fields = arguments.into_fields()?;
    let to = match fields.optional("address") {
        Some(address) if !address.is_null() => Some(Account(address.array_of()?)),
        _ => None,
    };
    let value = fields.optional("value").map_or(Ok(&[][..]), |value| value.bytes())?;
    if value.len() > 32 {
        return Err(CborError::Type);
    }
    let gas = fields.optional("gas_limit").map_or(Ok(0), |gas| gas.unsigned())?;
    Ok(Simulated {
        caller: fields.required("caller")?.array_of()?,
        to,
        value: U256::from_be_slice(value),
        gas: Some(gas).filter(|gas| *gas > 0),
        data: fields.optional("data").map_or(Ok(&[][..]), |data| data.bytes())?.to_vec(),
    })
}

/// What of an app's entry has the same meaning here: id, administrator, and where it was closed nothing.
async fn app(guest: &Guest, arguments: CborValue<'_>) -> Result<Vec<u8>, QueryError> {
    let mut fields = arguments.into_fields()?;
    let id: [u8; 21] = fields.required("id")?.array_of()?;
    fields.finish()?;
    let id = AppId::from_bytes(id).map_err(|_| QueryError::NoApp)?;
    let entry = guest.chain().entry::<AppEntry>(&EntryKey::App(id)).await?.entry;
    let entry = entry.filter(|entry| entry.closed_at.is_none()).ok_or(QueryError::NoApp)?;
    let admin = oasis_address(&entry.owner);
    let empty = || CborValue::map([]);
    let fields = [
        ("id", CborValue::Bytes(id.as_bytes())),
        ("admin", CborValue::Bytes(&admin)),
        ("metadata", empty()),
        ("secrets", empty()),
    ];
    Ok(CborValue::map(fields).to_vec())
}

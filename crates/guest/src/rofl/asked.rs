//! What an app asks to be signed, read out of both of appd's forms.

use freehold_crypto::slots::{APPS, COLLATERAL, KEYS, LOG, MODELS, VALIDATORS, VISIBILITY};
use freehold_primitives::{Account, CborError, CborValue};
use freehold_rpc::{RoflTransaction, SignSubmit};
use thiserror::Error;

/// Modules: what the instance's account calls there speaks for the instance itself.
const MODULES: [Account; 7] = [APPS, KEYS, LOG, COLLATERAL, VALIDATORS, MODELS, VISIBILITY];
/// Longest call data or code, in bytes: a transaction's bound, less what stands around it.
pub(super) const DATA_BYTES_MAX: usize = 120 * 1024;
/// Format of a call in the open.
const FORMAT_PLAIN: u64 = 0;

/// Why a request is no transaction of ours. The sentences are appd's where it has one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum AskedError {
    #[error("malformed address")]
    Address,
    #[error("transaction method not allowed")]
    Method,
    #[error("use the encrypt flag for encryption")]
    Format,
    #[error("malformed transaction: {0}")]
    Malformed(#[from] CborError),
    #[error("transaction too large")]
    TooLarge,
    #[error("the instance's account calls no system module for its app")]
    Module,
    #[error("a contract's code cannot be encrypted: it is public on the chain; set encrypt to false")]
    EncryptedCreation,
    #[error("insufficient balance")]
    Value,
    #[error("gas limit out of range")]
    Gas,
}

/// A transaction as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Callee; `None` to create a contract.
    pub(crate) to: Option<Account>,
    pub(crate) value_wei: u128,
    pub(crate) data: Vec<u8>,
    /// 0: to be estimated.
    pub(crate) gas_limit: u64,
    /// Whether the call data is sealed to the chain.
    pub(crate) encrypt: bool,
}

impl Asked {
    /// Reads a request.
    pub(crate) fn read(request: SignSubmit) -> Result<Self, AskedError> {
        let asked = match request.tx {
            RoflTransaction::Eth(eth) => Self {
                to: callee(&eth.to.0)?,
                value_wei: amount(&eth.value.0)?,
                data: eth.data.0,
                gas_limit: gas(&eth.gas_limit.0)?,
                encrypt: request.encrypt,
            },
            RoflTransaction::Std(document) => Self::read_std(&document.0, request.encrypt)?,
        };
        if asked.data.len() > DATA_BYTES_MAX {
            return Err(AskedError::TooLarge);
        }
        match asked.to {
            Some(to) if MODULES.contains(&to) => Err(AskedError::Module),
            None if asked.encrypt => Err(AskedError::EncryptedCreation),
            _ => Ok(asked),
        }
    }

    /// A transaction of the runtime SDK: `{v, call: {format?, method, body}, ai: {fee: {gas}}}`.
    fn read_std(document: &[u8], encrypt: bool) -> Result<Self, AskedError> {
        let mut fields = CborValue::read(document)?.into_fields()?;
        let mut call = fields.required("call")?.into_fields()?;
        let method = call.required("method")?.text()?;
        if call.optional("format").map_or(Ok(FORMAT_PLAIN), |format| format.unsigned())? != FORMAT_PLAIN {
            return Err(AskedError::Format);
        }
        let body = call.required("body")?;
        let (to, value, data) = match method {
            "evm.Call" => {
                let mut body = body.into_fields()?;
                (Some(Account(body.required("address")?.array_of()?)), body.required("value")?, body.required("data")?)
            }
            "evm.Create" => {
                let mut body = body.into_fields()?;
                (None, body.required("value")?, body.required("init_code")?)
            }
            _ => return Err(AskedError::Method),
        };
        Ok(Self {
            to,
            value_wei: amount(value.bytes()?)?,
            data: data.bytes()?.to_vec(),
            gas_limit: fee_gas(fields.optional("ai"))?,
            encrypt,
        })
    }
}

fn callee(bytes: &[u8]) -> Result<Option<Account>, AskedError> {
    match bytes {
        [] => Ok(None),
        bytes => bytes.try_into().map(|bytes| Some(Account(bytes))).map_err(|_| AskedError::Address),
    }
}

/// Wei that an account can have: what is above is more than there is.
fn amount(bytes: &[u8]) -> Result<u128, AskedError> {
    let split = bytes.len().saturating_sub(16);
    let (high, low) = bytes.split_at(split);
    if bytes.len() > 32 || high.iter().any(|byte| *byte != 0) {
        return Err(AskedError::Value);
    }
    Ok(low.iter().fold(0, |value, byte| (value << 8) | u128::from(*byte)))
}

fn gas(word: &[u8; 32]) -> Result<u64, AskedError> {
    let gas = amount(word).ok().and_then(|gas| u64::try_from(gas).ok());
    gas.ok_or(AskedError::Gas)
}

fn fee_gas(info: Option<CborValue<'_>>) -> Result<u64, AskedError> {
    let Some(info) = info.filter(|info| !info.is_null()) else { return Ok(0) };
    let Some(fee) = info.into_fields()?.optional("fee") else { return Ok(0) };
    Ok(fee.into_fields()?.optional("gas").map_or(Ok(0), |gas| gas.unsigned())?)
}

#[cfg(test)]
mod tests;

//! Positional parameters: the first ones by type, later ones optional, and more let through, as other nodes do.

use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde::de::DeserializeOwned;

use super::error::invalid_params;

/// The first parameter.
pub(super) fn one<A: DeserializeOwned>(params: &Params<'_>) -> Result<A, ErrorObjectOwned> {
    params.sequence().next().map_err(unreadable)
}

/// The first parameter and, where it is given, the second.
pub(super) fn two<A, B>(params: &Params<'_>) -> Result<(A, Option<B>), ErrorObjectOwned>
where
    A: DeserializeOwned,
    B: DeserializeOwned,
{
    let mut sequence = params.sequence();
    let first = sequence.next().map_err(unreadable)?;
    Ok((first, sequence.optional_next().map_err(unreadable)?))
}

/// The first two parameters.
pub(super) fn pair<A, B>(params: &Params<'_>) -> Result<(A, B), ErrorObjectOwned>
where
    A: DeserializeOwned,
    B: DeserializeOwned,
{
    let mut sequence = params.sequence();
    Ok((sequence.next().map_err(unreadable)?, sequence.next().map_err(unreadable)?))
}

/// The first three parameters.
pub(super) fn triple<A, B, C>(params: &Params<'_>) -> Result<(A, B, C), ErrorObjectOwned>
where
    A: DeserializeOwned,
    B: DeserializeOwned,
    C: DeserializeOwned,
{
    let mut sequence = params.sequence();
    let (first, second) = (sequence.next().map_err(unreadable)?, sequence.next().map_err(unreadable)?);
    Ok((first, second, sequence.next().map_err(unreadable)?))
}

/// The first two parameters and, where it is given, the third.
pub(super) fn three<A, B, C>(params: &Params<'_>) -> Result<(A, B, Option<C>), ErrorObjectOwned>
where
    A: DeserializeOwned,
    B: DeserializeOwned,
    C: DeserializeOwned,
{
    let mut sequence = params.sequence();
    let (first, second) = (sequence.next().map_err(unreadable)?, sequence.next().map_err(unreadable)?);
    Ok((first, second, sequence.optional_next().map_err(unreadable)?))
}

/// What a call and its kin take.
type CallParams<A, B, C, D> = (A, Option<B>, Option<C>, Option<D>);

/// The first parameter, and of the three after it those that are given.
pub(super) fn call_params<A, B, C, D>(params: &Params<'_>) -> Result<CallParams<A, B, C, D>, ErrorObjectOwned>
where
    A: DeserializeOwned,
    B: DeserializeOwned,
    C: DeserializeOwned,
    D: DeserializeOwned,
{
    let mut sequence = params.sequence();
    let first = sequence.next().map_err(unreadable)?;
    let second = sequence.optional_next().map_err(unreadable)?;
    let third = sequence.optional_next().map_err(unreadable)?;
    Ok((first, second, third, sequence.optional_next().map_err(unreadable)?))
}

/// What the parser says stands in the error's data; clients show the message.
fn unreadable(error: ErrorObjectOwned) -> ErrorObjectOwned {
    let said = error.data().and_then(|data| serde_json::from_str::<String>(data.get()).ok());
    said.map_or_else(|| error.clone(), |said| invalid_params(format!("invalid params: {said}")))
}

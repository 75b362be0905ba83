//! The modules' ABI, read from the Solidity interfaces, and their refusals in words.
#![allow(missing_docs, clippy::all, unreachable_pub, reason = "generated from Solidity by alloy")]

use alloy_sol_types::{SolError as _, sol};
use freehold_rpc::NodeError;

sol!("../../contracts/interfaces/IApps.sol");
sol!("../../contracts/interfaces/ICollateral.sol");
sol!("../../contracts/interfaces/IMarket.sol");

/// What a node said, with a module's refusal code where it gave one.
pub(crate) fn explain(error: &NodeError) -> String {
    if let NodeError::Refused { data: Some(data), .. } = error
        && let Some(bytes) = data.as_str().and_then(|text| hex::decode(text.trim_start_matches("0x")).ok())
        && let Ok(refused) = IApps::Refused::abi_decode(&bytes)
    {
        let IApps::Refused { code, detail } = refused;
        return format!(
            "the module refused with code {code}, detail {detail} (spec/registration.md, spec/evidence.md)"
        );
    }
    error.to_string()
}

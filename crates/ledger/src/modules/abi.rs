//! The modules' ABI, read from the Solidity interfaces: there is no second copy of it.
#![allow(missing_docs, clippy::all, unreachable_pub, reason = "generated from Solidity by alloy")]

use alloy_sol_types::sol;

sol!("../../contracts/interfaces/IApps.sol");
sol!("../../contracts/interfaces/IKeys.sol");
sol!("../../contracts/interfaces/ILog.sol");
sol!("../../contracts/interfaces/ICollateral.sol");
sol!("../../contracts/interfaces/IValidators.sol");
sol!("../../contracts/interfaces/IVisibility.sol");

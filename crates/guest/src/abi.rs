//! ABI of the modules that an instance calls, read from their Solidity interfaces.
#![allow(missing_docs, clippy::all, unreachable_pub, dead_code, reason = "generated from Solidity by alloy")]

use alloy_sol_types::sol;

sol!("../../contracts/interfaces/IApps.sol");
sol!("../../contracts/interfaces/ILog.sol");
sol!("../../contracts/interfaces/IKeys.sol");

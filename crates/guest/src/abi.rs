//! The `Log` module's ABI, read from its Solidity interface.
#![allow(missing_docs, clippy::all, unreachable_pub, reason = "generated from Solidity by alloy")]

use alloy_sol_types::sol;

sol!("../../contracts/interfaces/ILog.sol");

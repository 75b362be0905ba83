//! An ERC-20 token in as few instructions as it takes: balances in slot 0's mapping as Solidity lays them out, `transfer`
//! with its check and its event; any other call mints to the caller. The same code runs on every node.

use alloy_primitives::{Address, Bytes, U256, hex};

/// Gas limit of a transfer in the open.
pub(super) const TRANSFER_GAS: u64 = 60_000;
/// Gas limit of a transfer in an envelope: its bytes and its opening come on top.
pub(super) const SEALED_TRANSFER_GAS: u64 = 80_000;

/// Selector; mint of 2¹²⁸ to the caller; `transfer(address,uint256)`; failure.
const RUNTIME: [u8; 142] = hex!(
    "5f3560e01c63a9059cbb14602457"
    "335f525f60205260405f208054600160801b019055005b"
    "335f525f60205260405f208054602435808210608a5790039055600435"
    "5f525f60205260405f2080546024350190556024355f52600435337f"
    "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    "60205fa360015f5260205ff35b5f5ffd"
);
/// Calls `Visibility.makePublic()`; where there is no such module the call does nothing.
const MAKE_PUBLIC: [u8; 23] = hex!("630000000060e01b5f525f5f60045f5f62f4ee075af150");

/// Whether storage is public. Ethereum's is in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    Public,
    Confidential,
}

/// Init code.
pub(super) fn init_code(runtime: &[u8], storage: Storage) -> Bytes {
    let mut before = Vec::new();
    if storage == Storage::Public {
        before.extend_from_slice(&MAKE_PUBLIC);
        before[1..5].copy_from_slice(&alloy_primitives::keccak256("makePublic()")[..4]);
    }
    let (length, offset) = (runtime.len() as u8, before.len() as u8 + 9);
    // PUSH1 length, DUP1, PUSH1 offset, PUSH0, CODECOPY, PUSH0, RETURN
    [&before[..], &[0x60, length, 0x80, 0x60, offset, 0x5f, 0x39, 0x5f, 0xf3], runtime].concat().into()
}

/// Init code of the token.
pub(super) fn token(storage: Storage) -> Bytes {
    init_code(&RUNTIME, storage)
}

/// Call data of a transfer.
pub(super) fn transfer(to: &Address, amount: u64) -> Vec<u8> {
    let amount = U256::from(amount).to_be_bytes::<32>();
    [&hex!("a9059cbb")[..], to.into_word().as_slice(), &amount].concat()
}

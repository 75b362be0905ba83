//! A contract that does what its call data says, for tests of storage: words `op`, `a`, `b`, or `op`, `a` and bytes.
#![allow(dead_code, clippy::unwrap_used)]

use alloy_primitives::{Address, Bytes, U256, hex};

/// What the machine is told.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// `sstore(slot, value)`
    Store(U256, U256),
    /// Logs `sload(slot)`.
    Load(U256),
    /// Writes, then reverts.
    StoreAndRevert(U256, U256),
    /// `create` with this init code.
    Create(Bytes),
    /// `selfdestruct(caller)`
    Destroy,
    /// Calls an address.
    Call(Address, Bytes),
    /// Delegates to an address.
    Delegate(Address, Bytes),
    /// `create2` with this salt and init code.
    Create2(U256, Bytes),
    /// Returns `sload(slot)`.
    Read(U256),
}

impl Op {
    /// Call data.
    pub(crate) fn data(&self) -> Bytes {
        let word = |number: u8, first: U256, rest: &[u8]| {
            let parts = [&U256::from(number).to_be_bytes::<32>()[..], &first.to_be_bytes::<32>()[..], rest];
            Bytes::from(parts.concat())
        };
        let address = |address: &Address| U256::from_be_bytes(address.into_word().0);
        match self {
            Self::Store(slot, value) => word(0, *slot, &value.to_be_bytes::<32>()),
            Self::Load(slot) => word(1, *slot, &[]),
            Self::StoreAndRevert(slot, value) => word(2, *slot, &value.to_be_bytes::<32>()),
            Self::Create(code) => word(3, U256::ZERO, code),
            Self::Destroy => word(4, U256::ZERO, &[]),
            Self::Call(to, data) => word(5, address(to), data),
            Self::Delegate(to, data) => word(6, address(to), data),
            Self::Create2(salt, code) => word(7, *salt, code),
            Self::Read(slot) => word(8, *slot, &[]),
        }
    }
}

/// Copies the bytes behind the second word to memory.
const COPY: [u8; 8] = hex!("6040360360405f37");
/// Length of those bytes.
const LENGTH: [u8; 4] = hex!("60403603");

fn bodies() -> Vec<Vec<u8>> {
    let call = |value: &[u8], opcode: u8| {
        [&COPY[..], &hex!("5f5f"), &LENGTH, &hex!("5f"), value, &hex!("6020355a"), &[opcode], &hex!("5000")].concat()
    };
    vec![
        hex!("6040356020355500").to_vec(),
        hex!("602035545f5260205fa000").to_vec(),
        hex!("604035602035555f5ffd").to_vec(),
        [&COPY[..], &LENGTH, &hex!("5f5ff05000")].concat(),
        hex!("33ff").to_vec(),
        call(&[0x5f], 0xf1),
        call(&[], 0xf4),
        // CREATE2 pops value, offset, size, salt.
        [&COPY[..], &hex!("602035"), &LENGTH, &hex!("5f5ff55000")].concat(),
        hex!("602035545f5260205ff3").to_vec(),
    ]
}

/// Its code.
pub(crate) fn runtime() -> Vec<u8> {
    const CASE_BYTES: usize = 9;
    let bodies = bodies();
    let mut code = Vec::new();
    let mut at = bodies.len() * CASE_BYTES + 1;
    for (number, body) in (0_u8..).zip(&bodies) {
        let [high, low] = u16::try_from(at).unwrap().to_be_bytes();
        // PUSH1 number, PUSH0, CALLDATALOAD, EQ, PUSH2 target, JUMPI
        code.extend_from_slice(&[0x60, number, 0x5f, 0x35, 0x14, 0x61, high, low, 0x57]);
        at += 1 + body.len();
    }
    code.push(0x00);
    for body in bodies {
        code.push(0x5b);
        code.extend_from_slice(&body);
    }
    code
}

/// Calls `Visibility.makePublic()`; leaves the success on the stack.
pub(crate) fn make_public() -> Vec<u8> {
    let selector = &alloy_primitives::keccak256("makePublic()")[..4];
    // Store the selector, then CALL(gas, f4ee07, 0, 0, 4, 0, 0).
    [&[0x63][..], selector, &hex!("60e01b5f525f5f60045f5f62f4ee075af1")].concat()
}

/// Init code that runs `before`, then deploys `runtime`.
pub(crate) fn constructor(before: &[u8], runtime: &[u8]) -> Bytes {
    let [high, low] = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    let offset = u16::try_from(before.len() + 13).unwrap().to_be_bytes();
    // PUSH2 length, DUP1, PUSH2 offset, PUSH0, CODECOPY, PUSH0, RETURN
    let tail = [0x61, high, low, 0x80, 0x61, offset[0], offset[1], 0x5f, 0x39, 0x5f, 0xf3];
    let padding = [0x00, 0x00];
    [before, &tail, &padding, runtime].concat().into()
}

/// Init code of a machine whose storage is confidential.
pub(crate) fn confidential() -> Bytes {
    constructor(&[], &runtime())
}

/// Init code of a machine whose storage is public.
pub(crate) fn public() -> Bytes {
    constructor(&[make_public(), vec![0x50]].concat(), &runtime())
}

//! Deoxys-II-256-128 (Deoxys v1.43, CAESAR) over the AES rounds of the `aes` crate, eight blocks at a time.
//!
//! The block cipher takes a tweak with every block. Its schedule is linear in the tweak, and a byte of the tweak only moves
//! from round to round: so the schedule of a whole message is made once, and a block's number is put into it by one
//! exclusive or a round. Tweaks hold nonces, tags and block numbers, which are public; nothing here branches on a secret.
//! Invariant: byte for byte the same as the `deoxys` crate, against which the tests compare it.

use aes::{
    Block,
    hazmat::{Block8, cipher_round, cipher_round_par},
};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::mrae::{DEOXYS_NONCE_BYTES, DEOXYS_TAG_BYTES, DeoxysError};

/// Keys of the block cipher: one before the first of sixteen rounds, one for each.
const KEYS: usize = 17;
/// Bytes of a block.
const BLOCK: usize = 16;
/// Blocks that are encrypted side by side.
const LANES: usize = 8;
/// Fewer blocks than these go one by one.
const LANES_MIN: usize = 3;
/// The byte at `H[i]` moves to `i` from one round's tweakey to the next.
const H: [usize; BLOCK] = [1, 6, 11, 12, 5, 10, 15, 0, 9, 14, 3, 4, 13, 2, 7, 8];
/// Where a byte of the tweak stands in each round's key.
const PLACES: [[u8; BLOCK]; KEYS] = places();
/// What the lowest three bits of a block's number add to each round's key.
const NUMBERS: [[u128; LANES]; KEYS] = numbers();

/// The lowest and the highest bit of every byte.
const LOW_BITS: u128 = u128::from_le_bytes([0x01; BLOCK]);
const HIGH_BITS: u128 = u128::from_le_bytes([0x80; BLOCK]);

/// First byte of the tweak: associated data, message, tag; and what the last, padded block of either adds.
const ASSOCIATED: u8 = 0x20;
const MESSAGE: u8 = 0x00;
const TAG: u8 = 0x10;
const PADDED: u8 = 0x40;
/// What marks the tweaks that encrypt.
const ENCRYPTING: u8 = 0x80;

/// A key for each round, as little-endian numbers.
type Schedule = [u128; KEYS];

const fn places() -> [[u8; BLOCK]; KEYS] {
    let mut places = [[0; BLOCK]; KEYS];
    let mut byte = 0;
    while byte < BLOCK {
        places[0][byte] = byte as u8;
        let mut round = 1;
        while round < KEYS {
            let mut to = 0;
            while H[to] != places[round - 1][byte] as usize {
                to += 1;
            }
            places[round][byte] = to as u8;
            round += 1;
        }
        byte += 1;
    }
    places
}

const fn numbers() -> [[u128; LANES]; KEYS] {
    let mut numbers = [[0; LANES]; KEYS];
    let mut round = 0;
    while round < KEYS {
        let mut number = 0;
        while number < LANES {
            numbers[round][number] = (number as u128) << (8 * PLACES[round][BLOCK - 1] as u32);
            number += 1;
        }
        round += 1;
    }
    numbers
}

fn permuted(bytes: &[u8; BLOCK]) -> [u8; BLOCK] {
    H.map(|from| bytes[from])
}

/// Puts one byte of a tweak into a schedule.
fn add_byte(schedule: &mut Schedule, at: usize, byte: u8) {
    for (key, places) in schedule.iter_mut().zip(&PLACES) {
        *key ^= u128::from(byte) << (8 * u32::from(places[at]));
    }
}

/// A key of Deoxys-II-256-128; wiped when dropped.
pub(crate) struct DeoxysKey {
    subkeys: Zeroizing<Schedule>,
}

impl DeoxysKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let (mut third, mut second) = (Zeroizing::new([0; BLOCK]), Zeroizing::new([0; BLOCK]));
        third.copy_from_slice(&key[..BLOCK]);
        second.copy_from_slice(&key[BLOCK..]);
        let mut subkeys = Zeroizing::new([0; KEYS]);
        let mut constant: u8 = 0x2f;
        for subkey in &mut *subkeys {
            let constants =
                u128::from_le_bytes([1, 2, 4, 8, constant, constant, constant, constant, 0, 0, 0, 0, 0, 0, 0, 0]);
            *subkey = u128::from_le_bytes(*second) ^ u128::from_le_bytes(*third) ^ constants;
            // Doubling in the field of AES.
            constant = (constant << 1) ^ (0x1b * (constant >> 7));
            // Two feedback shift registers, on all bytes at once.
            let (left, right) = (u128::from_le_bytes(permuted(&second)), u128::from_le_bytes(permuted(&third)));
            *second = ((left << 1) & !LOW_BITS | (left >> 7 ^ left >> 5) & LOW_BITS).to_le_bytes();
            *third = ((right >> 1) & !HIGH_BITS | (right << 7 ^ right << 1) & HIGH_BITS).to_le_bytes();
        }
        Self { subkeys }
    }

    /// Seals in place; the tag.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; DEOXYS_NONCE_BYTES],
        associated: &[u8],
        text: &mut [u8],
    ) -> [u8; DEOXYS_TAG_BYTES] {
        let tag = self.tag(nonce, associated, text);
        self.stream(nonce, &tag, text);
        tag
    }

    /// Opens in place; where the tag is another, nothing of the text is left.
    ///
    /// # Errors
    /// [`DeoxysError`].
    pub(crate) fn open(
        &self,
        nonce: &[u8; DEOXYS_NONCE_BYTES],
        associated: &[u8],
        text: &mut [u8],
        tag: &[u8; DEOXYS_TAG_BYTES],
    ) -> Result<(), DeoxysError> {
        self.stream(nonce, tag, text);
        if self.tag(nonce, associated, text).ct_eq(tag).into() {
            return Ok(());
        }
        text.zeroize();
        Err(DeoxysError)
    }

    fn tag(&self, nonce: &[u8; DEOXYS_NONCE_BYTES], associated: &[u8], text: &[u8]) -> [u8; DEOXYS_TAG_BYTES] {
        let sum = self.sum(ASSOCIATED, associated) ^ self.sum(MESSAGE, text);
        encrypt(&self.schedule(&tweak(TAG, nonce)), 0, sum).to_le_bytes()
    }

    /// The schedule of a tweak.
    fn schedule(&self, tweak: &[u8; BLOCK]) -> Zeroizing<Schedule> {
        let (mut schedule, mut tweak) = (self.subkeys.clone(), *tweak);
        for key in &mut *schedule {
            *key ^= u128::from_le_bytes(tweak);
            tweak = permuted(&tweak);
        }
        schedule
    }

    /// The sum of all blocks of associated data or message, each encrypted under its number; the last one padded where it
    /// is not full.
    fn sum(&self, kind: u8, bytes: &[u8]) -> u128 {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut sum = 0;
        if !blocks.is_empty() {
            let mut schedule = self.subkeys.clone();
            add_byte(&mut schedule, 0, kind);
            for (group, blocks) in (0_u64..).zip(blocks.chunks(LANES)) {
                let mut lanes = [0; LANES];
                for (lane, block) in lanes.iter_mut().zip(blocks) {
                    *lane = u128::from_le_bytes(*block);
                }
                encrypt_group(&schedule, group, &mut lanes[..blocks.len()]);
                sum ^= lanes[..blocks.len()].iter().fold(0, |sum, lane| sum ^ lane);
            }
        }
        if !rest.is_empty() {
            let mut padded = [0; BLOCK];
            padded[..rest.len()].copy_from_slice(rest);
            padded[rest.len()] = 0x80;
            let mut schedule = self.subkeys.clone();
            add_byte(&mut schedule, 0, kind | PADDED);
            sum ^= encrypt(&schedule, blocks.len() as u64, u128::from_le_bytes(padded));
        }
        sum
    }

    /// Adds the key stream of a nonce and a tag.
    fn stream(&self, nonce: &[u8; DEOXYS_NONCE_BYTES], tag: &[u8; DEOXYS_TAG_BYTES], text: &mut [u8]) {
        let mut first = *tag;
        first[0] |= ENCRYPTING;
        let schedule = self.schedule(&first);
        let block = u128::from_le_bytes(tweak(0, nonce));
        for (group, text) in (0_u64..).zip(text.chunks_mut(LANES * BLOCK)) {
            let mut lanes = [block; LANES];
            encrypt_group(&schedule, group, &mut lanes[..text.len().div_ceil(BLOCK)]);
            for (part, lane) in text.chunks_mut(BLOCK).zip(&lanes) {
                for (byte, key) in part.iter_mut().zip(lane.to_le_bytes()) {
                    *byte ^= key;
                }
            }
        }
    }
}

/// A first byte, then a nonce.
fn tweak(first: u8, nonce: &[u8; DEOXYS_NONCE_BYTES]) -> [u8; BLOCK] {
    let mut tweak = [first; BLOCK];
    tweak[1..].copy_from_slice(nonce);
    tweak
}

/// Encrypts up to eight blocks whose numbers follow each other from eight times `group` on.
fn encrypt_group(schedule: &Schedule, group: u64, blocks: &mut [u128]) {
    let mut schedule = Zeroizing::new(*schedule);
    let number = group * LANES as u64;
    for (at, byte) in (BLOCK - 8..).zip(number.to_be_bytes()) {
        if byte != 0 {
            add_byte(&mut schedule, at, byte);
        }
    }
    if blocks.len() < LANES_MIN {
        for (block, number) in blocks.iter_mut().zip(0..) {
            *block = rounds(&schedule, number, *block);
        }
        return;
    }
    let mut lanes = Block8::default();
    for ((lane, block), number) in lanes.iter_mut().zip(&*blocks).zip(NUMBERS[0]) {
        *lane = Block::from((block ^ schedule[0] ^ number).to_le_bytes());
    }
    for (key, numbers) in schedule.iter().zip(&NUMBERS).skip(1) {
        let mut keys = Block8::default();
        for (lane, number) in keys.iter_mut().zip(numbers) {
            *lane = Block::from((key ^ number).to_le_bytes());
        }
        cipher_round_par(&mut lanes, &keys);
    }
    for (block, lane) in blocks.iter_mut().zip(&lanes) {
        *block = u128::from_le_bytes((*lane).into());
    }
}

/// Encrypts one block.
fn encrypt(schedule: &Schedule, number: u64, block: u128) -> u128 {
    let mut one = [block];
    let (group, place) = (number / LANES as u64, (number % LANES as u64) as usize);
    let mut schedule = Zeroizing::new(*schedule);
    for (key, numbers) in schedule.iter_mut().zip(&NUMBERS) {
        *key ^= numbers[place];
    }
    encrypt_group(&schedule, group, &mut one);
    one[0]
}

/// All rounds for one block, whose number's lowest bits are `number`.
fn rounds(schedule: &Schedule, number: usize, block: u128) -> u128 {
    let mut state = Block::from((block ^ schedule[0] ^ NUMBERS[0][number]).to_le_bytes());
    for (key, numbers) in schedule.iter().zip(&NUMBERS).skip(1) {
        cipher_round(&mut state, &Block::from((key ^ numbers[number]).to_le_bytes()));
    }
    u128::from_le_bytes(state.into())
}

#[cfg(test)]
mod tests;

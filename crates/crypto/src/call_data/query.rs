//! Signed queries: calls outside of any block whose sender is proven by an EIP-712 signature.

use freehold_primitives::{Account, CborError, CborValue, Digest};

use super::{CallData, CallDataRefusal, envelope::Call};
use crate::{hash::keccak256, keys::recover_account};

const DOMAIN_TYPE: &[u8] = b"EIP712Domain(string name,string version,uint256 chainId)";
const DOMAIN_NAME: &[u8] = b"oasis-runtime-sdk/evm: signed query";
const DOMAIN_VERSION: &[u8] = b"1.0.0";
const CALL_TYPE: &[u8] = b"Call(address from,address to,uint64 gasLimit,uint256 gasPrice,uint256 value,bytes data,\
    Leash leash)Leash(uint64 nonce,uint64 blockNumber,bytes32 blockHash,uint64 blockRange)";
const LEASH_TYPE: &[u8] = b"Leash(uint64 nonce,uint64 blockNumber,bytes32 blockHash,uint64 blockRange)";

/// How far from a block a signed query may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leash {
    /// Nonce of the signer: the query dies when the account's is above it.
    pub nonce: u64,
    /// Height of the block that it is leashed to.
    pub block_number: u64,
    /// Hash of that block.
    pub block_hash: Digest,
    /// Its length in blocks.
    pub block_range: u64,
}

/// What a signed query says beside its leash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryCall<'a> {
    /// Who asks.
    pub from: Account,
    /// Who is called; zero where a contract would be made.
    pub to: Account,
    /// Gas limit.
    pub gas_limit: u64,
    /// Price per gas, big-endian.
    pub gas_price: [u8; 32],
    /// Value, big-endian.
    pub value: [u8; 32],
    /// Call data as the contract gets it: the signature is over the plaintext.
    pub data: &'a [u8],
}

/// A signed query as it stands in the data of an `eth_call`.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedQuery<'a> {
    /// The call, sealed or in the open.
    pub data: CallData<'a>,
    /// Leash and signature.
    pub proof: QueryProof,
}

/// Leash and signature of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryProof {
    /// The leash.
    pub leash: Leash,
    /// `r ‖ s ‖ v`, low `s`, `v` 27 or 28, or 0 or 1.
    pub signature: [u8; 65],
}

impl<'a> SignedQuery<'a> {
    /// Reads a signed query; `None` where the data is none.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        // A map of three fields.
        if data.first() != Some(&0xa3) {
            return None;
        }
        CborValue::read(data).and_then(Self::fields).ok()
    }

    fn fields(value: CborValue<'a>) -> Result<Self, CborError> {
        let mut fields = value.into_fields()?;
        let call = Call::read(fields.required("data")?)?;
        let leash = Leash::read(fields.required("leash")?)?;
        let signature = fields.required("signature")?.array_of()?;
        fields.finish()?;
        Ok(Self { data: CallData::of(call), proof: QueryProof { leash, signature } })
    }
}

impl QueryProof {
    /// Checks that `call.from` signed the call under this leash.
    ///
    /// # Errors
    /// [`CallDataRefusal::Signature`], [`CallDataRefusal::Signer`].
    pub fn verify(&self, chain_id: u64, call: &QueryCall<'_>) -> Result<(), CallDataRefusal> {
        let mut signature = self.signature;
        // Wallets end a signature with 27 or 28, others with 0 or 1.
        if signature[64] < 27 {
            signature[64] += 27;
        }
        let digest = call.digest(chain_id, &self.leash);
        let signer = recover_account(&digest, &signature).map_err(|_| CallDataRefusal::Signature)?;
        if signer == call.from { Ok(()) } else { Err(CallDataRefusal::Signer) }
    }

    /// The data of an `eth_call` with this proof; `call` is the call in CBOR, sealed or wrapped.
    ///
    /// # Errors
    /// [`CborError`] where `call` is no canonical CBOR.
    pub fn pack(&self, call: &[u8]) -> Result<Vec<u8>, CborError> {
        let leash = CborValue::map([
            ("nonce", CborValue::Unsigned(self.leash.nonce)),
            ("block_hash", CborValue::Bytes(self.leash.block_hash.as_bytes())),
            ("block_range", CborValue::Unsigned(self.leash.block_range)),
            ("block_number", CborValue::Unsigned(self.leash.block_number)),
        ]);
        let fields =
            [("data", CborValue::read(call)?), ("leash", leash), ("signature", CborValue::Bytes(&self.signature))];
        Ok(CborValue::map(fields).to_vec())
    }
}

impl Leash {
    fn read(value: CborValue<'_>) -> Result<Self, CborError> {
        let mut fields = value.into_fields()?;
        let leash = Self {
            nonce: fields.required("nonce")?.unsigned()?,
            block_hash: Digest(fields.required("block_hash")?.array_of()?),
            block_range: fields.required("block_range")?.unsigned()?,
            block_number: fields.required("block_number")?.unsigned()?,
        };
        fields.finish()?;
        Ok(leash)
    }

    fn struct_hash(&self) -> Digest {
        keccak256(&[
            keccak256(&[LEASH_TYPE]).as_bytes(),
            &word(self.nonce),
            &word(self.block_number),
            self.block_hash.as_bytes(),
            &word(self.block_range),
        ])
    }
}

impl QueryCall<'_> {
    /// What is signed (EIP-712).
    pub fn digest(&self, chain_id: u64, leash: &Leash) -> Digest {
        let domain = keccak256(&[
            keccak256(&[DOMAIN_TYPE]).as_bytes(),
            keccak256(&[DOMAIN_NAME]).as_bytes(),
            keccak256(&[DOMAIN_VERSION]).as_bytes(),
            &word(chain_id),
        ]);
        let call = keccak256(&[
            keccak256(&[CALL_TYPE]).as_bytes(),
            &address_word(&self.from),
            &address_word(&self.to),
            &word(self.gas_limit),
            &self.gas_price,
            &self.value,
            keccak256(&[self.data]).as_bytes(),
            leash.struct_hash().as_bytes(),
        ]);
        keccak256(&[&[0x19, 0x01], domain.as_bytes(), call.as_bytes()])
    }
}

fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

fn address_word(account: &Account) -> [u8; 32] {
    let mut word = [0; 32];
    word[12..].copy_from_slice(account.as_bytes());
    word
}

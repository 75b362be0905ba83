//! What a block gives to Sapphire's precompiles: epoch, secret randomness, call-data key.
//!
//! A node without state keys has neither randomness nor key, and says so: [`None`] is a failure of the call, never
//! zeros. Nothing here has a `Debug`, so that no secret reaches a log.

use freehold_crypto::hkdf_sha256;
use zeroize::Zeroizing;

/// Separates draws of one root from anything else that could hang on it.
const DRAW_INFO: &[u8] = b"freehold sapphire random bytes";
/// Separates a query's randomness from that of transactions.
const QUERY_INFO: &[u8] = b"freehold sapphire query randomness";

/// What a block gives to Sapphire's precompiles.
#[derive(Clone, Default)]
pub struct SapphireContext {
    /// Epoch of the block: block time over the genesis's `epoch_s`.
    pub epoch: u64,
    /// Root of the block's randomness; `None` where the node has no state keys.
    pub randomness: Option<BlockRandomness>,
    /// Public key that call data is encrypted to; `None` where it is not known.
    pub call_data_key: Option<CallDataKey>,
    /// Fresh entropy of a query, from whoever runs it. Transactions take no notice of it.
    pub query_entropy: [u8; 32],
}

impl SapphireContext {
    /// What a query sees in place of a transaction.
    pub(crate) fn into_query(self) -> Self {
        let randomness = self.randomness.map(|randomness| randomness.for_query(&self.query_entropy));
        Self { randomness, ..self }
    }
}

/// Secret root of the randomness of one block (design D4): the same for every executor, wiped when dropped.
#[derive(Clone)]
pub struct BlockRandomness(Zeroizing<[u8; 32]>);

impl BlockRandomness {
    /// The randomness that hangs on this root: 32 secret bytes that only executors of this block know.
    pub const fn new(root: Zeroizing<[u8; 32]>) -> Self {
        Self(root)
    }

    /// Fills `out`: HKDF-SHA256 of the root over transaction, draw and personalisation. At most 8,160 bytes.
    pub(super) fn draw(&self, tx_index: u32, draw: u64, personalisation: &[u8], out: &mut [u8]) {
        let info = [DRAW_INFO, &tx_index.to_be_bytes(), &draw.to_be_bytes(), personalisation];
        hkdf_sha256(&[], &*self.0, &info, out);
    }

    /// A root for one query, from which nothing follows about what a transaction would draw.
    fn for_query(&self, entropy: &[u8; 32]) -> Self {
        let mut root = Zeroizing::new([0; 32]);
        hkdf_sha256(entropy, &*self.0, &[QUERY_INFO], &mut *root);
        Self(root)
    }
}

/// The epoch's public key of call data (`core.CallDataPublicKey`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallDataKey {
    /// X25519 public key.
    pub public_key: [u8; 32],
    /// Checksum of the key manager: on this chain whatever the chain's key service states.
    pub checksum: [u8; 32],
    /// Signature over key, checksum and epoch, as the key service makes it.
    pub signature: [u8; 64],
    /// Epoch of the key.
    pub epoch: u64,
}

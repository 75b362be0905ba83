//! `KEYPAIR_GENERATE`, `SIGN` and `VERIFY` (`spec/sapphire.md` §3), for Sapphire's nine signature algorithms.

use freehold_crypto::{
    SignatureAlgorithm as Algorithm, SignatureError, SignedMessage, key_pair_from_seed, sign_message, verify_message,
};

use super::{
    Failure, GasMeter, Refusal,
    abi::{Arguments, encode_two_bytes, encode_word},
};

/// Gas of a word of input where the algorithm hashes what it signs.
const WORD_GAS: u64 = 8;

/// Input: `abi(uint256 algorithm, bytes seed)`. Output: `abi(bytes public, bytes secret)`.
pub(super) fn generate(input: &[u8], meter: &mut GasMeter) -> Result<Vec<u8>, Failure> {
    let arguments = Arguments(input);
    let algorithm = algorithm(&arguments)?;
    meter.charge(match curve(algorithm) {
        Curve::Ed25519 | Curve::Sr25519 => 1_000,
        Curve::Secp256k1 => 1_500,
        Curve::Secp256r1 => 4_000,
        Curve::Secp384r1 => 18_000,
    })?;
    let pair = key_pair_from_seed(algorithm, arguments.bytes(1)?)?;
    Ok(encode_two_bytes(&pair.public, &pair.secret))
}

/// Input: `abi(uint256 algorithm, bytes secret, bytes contextOrDigest, bytes message)`. Output: the signature.
pub(super) fn sign(input: &[u8], meter: &mut GasMeter) -> Result<Vec<u8>, Failure> {
    let arguments = Arguments(input);
    let algorithm = algorithm(&arguments)?;
    let base = match curve(algorithm) {
        Curve::Ed25519 | Curve::Sr25519 => 1_500,
        Curve::Secp256k1 => 3_000,
        Curve::Secp256r1 => 9_000,
        Curve::Secp384r1 => 43_200,
    };
    meter.charge_linear(base, word_gas(algorithm), input.len())?;
    Ok(sign_message(algorithm, arguments.bytes(1)?, arguments.bytes(2)?, arguments.bytes(3)?)?)
}

/// Input: `abi(uint256 algorithm, bytes public, bytes contextOrDigest, bytes message, bytes signature)`. Output:
/// `abi(bool)`.
pub(super) fn verify(input: &[u8], meter: &mut GasMeter) -> Result<Vec<u8>, Failure> {
    let arguments = Arguments(input);
    let algorithm = algorithm(&arguments)?;
    let base = match curve(algorithm) {
        Curve::Ed25519 | Curve::Sr25519 => 2_000,
        Curve::Secp256k1 => 3_000,
        Curve::Secp256r1 => 7_900,
        Curve::Secp384r1 => 37_920,
    };
    meter.charge_linear(base, word_gas(algorithm), input.len())?;
    let signed =
        SignedMessage { context: arguments.bytes(2)?, message: arguments.bytes(3)?, signature: arguments.bytes(4)? };
    let valid = verify_message(algorithm, arguments.bytes(1)?, &signed)?;
    Ok(encode_word(u64::from(valid)))
}

enum Curve {
    Ed25519,
    Secp256k1,
    Sr25519,
    Secp256r1,
    Secp384r1,
}

const fn curve(algorithm: Algorithm) -> Curve {
    match algorithm {
        Algorithm::Ed25519Oasis | Algorithm::Ed25519Pure | Algorithm::Ed25519PrehashedSha512 => Curve::Ed25519,
        Algorithm::Secp256k1Oasis | Algorithm::Secp256k1PrehashedKeccak256 | Algorithm::Secp256k1PrehashedSha256 => {
            Curve::Secp256k1
        }
        Algorithm::Sr25519 => Curve::Sr25519,
        Algorithm::Secp256r1PrehashedSha256 => Curve::Secp256r1,
        Algorithm::Secp384r1PrehashedSha384 => Curve::Secp384r1,
    }
}

const fn word_gas(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Ed25519Oasis | Algorithm::Ed25519Pure | Algorithm::Secp256k1Oasis | Algorithm::Sr25519 => WORD_GAS,
        _ => 0,
    }
}

fn algorithm(arguments: &Arguments<'_>) -> Result<Algorithm, Refusal> {
    let number = arguments.integer(0)?.and_then(|number| u8::try_from(number).ok());
    number.and_then(Algorithm::from_number).ok_or(Refusal::Algorithm)
}

impl From<SignatureError> for Failure {
    fn from(error: SignatureError) -> Self {
        Self::Refused(match error {
            SignatureError::Public => Refusal::Public,
            SignatureError::Digest => Refusal::Digest,
            _ => Refusal::Secret,
        })
    }
}

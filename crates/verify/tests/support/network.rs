//! A network whose secret is known: certificates as ordinary BLS signatures of the group key, which is what recovered
//! threshold signatures are (`spec/certificate.md`; the engine's own output is tested in `crypto`).
#![allow(dead_code)]

use alloy_consensus::Header;
use alloy_rlp::Encodable;
use blst::min_sig::SecretKey;
use freehold_crypto::{body_digest, chain_namespace, payload_digest, sha256};
use freehold_primitives::{
    Canonical, Certificate, Digest, Executed, G1Point, NetworkKey, PayloadHead, SuccessionRecord, succession_body,
};
use freehold_verify::FinalityProof;

/// Chain id of the test network.
pub(crate) const CHAIN_ID: u64 = 23293;
const SIGNATURE_TAG: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

/// Maker of certificates.
pub(crate) struct Network(SecretKey, u64);

impl Network {
    /// Chain id of the test network.
    pub(crate) const CHAIN: u64 = CHAIN_ID;

    /// The test network.
    pub(crate) fn new() -> Self {
        Self::of(42, 0)
    }

    /// A network of a seed whose payloads are of this term.
    pub(crate) fn of(seed: u8, term: u64) -> Self {
        Self(SecretKey::key_gen(&[seed; 32], &[]).unwrap(), term)
    }

    /// The record by which this key names another, in the last payload of its term.
    pub(crate) fn naming(&self, genesis_hash: Digest, key: NetworkKey) -> SuccessionRecord {
        let payload_head = PayloadHead {
            chain_id: CHAIN_ID,
            height: 400,
            term: self.1,
            view: 300,
            parent: sha256(b"parent"),
            timestamp_ms: 1_795_000_000_000,
            proposer: 1,
            executed: Executed { height: 399, block_hash: Digest([3; 32]) },
            parent_seed: Some(G1Point([5; 48])),
            body: body_digest(&succession_body(&key)),
        };
        let certificate = self.certify(genesis_hash, &payload_head);
        SuccessionRecord { payload_head, network_key: key, certificate }
    }

    /// Its key.
    pub(crate) fn key(&self) -> NetworkKey {
        NetworkKey(self.0.sk_to_pk().compress())
    }

    /// Headers under a certificate: a payload two heights on names the last.
    pub(crate) fn finality(&self, genesis_hash: Digest, headers: &[Header]) -> FinalityProof {
        let last = headers.last().unwrap();
        let head = PayloadHead {
            chain_id: CHAIN_ID,
            height: last.number + 2,
            term: self.1,
            view: last.number + 300,
            parent: sha256(b"parent"),
            timestamp_ms: (last.timestamp + 1) * 1000,
            proposer: 1,
            executed: Executed { height: last.number, block_hash: Digest(last.hash_slow().0) },
            parent_seed: Some(G1Point([5; 48])),
            body: sha256(b"body"),
        };
        let certificate = self.certify(genesis_hash, &head);
        let rlp = |header: &Header| {
            let mut out = Vec::new();
            header.encode(&mut out);
            out
        };
        FinalityProof {
            headers: headers.iter().map(rlp).collect(),
            payload_head: head.to_canonical(),
            certificate: certificate.to_canonical(),
        }
    }

    /// A certificate over a payload head.
    pub(crate) fn certify(&self, genesis_hash: Digest, head: &PayloadHead) -> Certificate {
        let payload = payload_digest(head);
        let parent_view = head.view - 1;
        let mut round = Vec::new();
        varint(&mut round, head.term);
        varint(&mut round, head.view);
        let mut proposal = round.clone();
        varint(&mut proposal, parent_view);
        proposal.extend_from_slice(&payload.0);
        let namespace = chain_namespace(head.chain_id, &genesis_hash);
        let sign = |suffix: &[u8], message: &[u8]| {
            let mut bytes = Vec::new();
            varint(&mut bytes, (namespace.len() + suffix.len()) as u64);
            bytes.extend_from_slice(&namespace);
            bytes.extend_from_slice(suffix);
            bytes.extend_from_slice(message);
            G1Point(self.0.sign(&bytes, SIGNATURE_TAG, &[]).compress())
        };
        Certificate {
            term: head.term,
            view: head.view,
            parent_view,
            payload,
            signature: sign(b"_FINALIZE", &proposal),
            seed: sign(b"_SEED", &round),
        }
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

//! Checking a page of blocks (`spec/sync.md` §1): certificate → payloads above → headers by parent hashes → each block.
//!
//! Invariant: a [`CheckedPage`] holds certified blocks that follow on the tip, whole, with their own payloads. Whether a
//! block's writes give its state root, only the tree can say; the follower asks it.

use alloy_consensus::Header;
use freehold_crypto::{
    CertificateError, CertificateVerifier, body_digest, chain_namespace, content_digest, hash, keccak256,
    payload_digest,
};
use freehold_ledger::Write;
use freehold_primitives::{Body, Canonical, Certificate, Digest, G1Point, Height, NetworkKey, Payload, Term};
use freehold_rpc::{HexBytes, SYNC_BLOCKS_MAX, SyncBlock, SyncCover, SyncPage, SyncPart, SyncPiece};
use freehold_verify::{
    BlockBytes, ChainTrust, FinalityProof, NetworkKeys, VerifiedBlock, VerifiedHeader, verify_ancestors, verify_block,
    verify_finality_under,
};

use super::error::Lie;
use crate::store::{PayloadRow, StoredWrites};

/// Pages of so many blocks keep every certificate; of longer ones each eighth, which proofs of any block can lean on.
const DENSE_MAX: usize = 16;
const SPARSE: u64 = 8;

/// Content under its digests.
type Pieces = Vec<(Digest, Vec<u8>)>;

/// A certified block.
pub(crate) struct CheckedBlock {
    pub(crate) block: VerifiedBlock,
    pub(crate) payload: PayloadRow,
    /// EIP-2718 bytes of the block's transactions.
    pub(crate) raw: Vec<Vec<u8>>,
    /// What it says that it wrote; none where executing it is to tell.
    pub(crate) writes: Option<Vec<Write>>,
    /// Content under its digests.
    pub(crate) content: Pieces,
}

impl CheckedBlock {
    pub(crate) const fn header(&self) -> &Header {
        self.block.header()
    }
}

/// Certified blocks, and the payloads above them up to the certified one.
pub(crate) struct CheckedPage {
    pub(crate) blocks: Vec<CheckedBlock>,
    pub(crate) ahead: Vec<PayloadRow>,
}

/// Checks a page that is to follow on the block `tip`.
pub(crate) fn check_page(
    (trust, keys): (&ChainTrust, &NetworkKeys),
    tip: (Height, Digest),
    part: SyncPart,
    page: SyncPage,
) -> Result<CheckedPage, Lie> {
    let Some(cover) = page.cover else { return Ok(CheckedPage { blocks: Vec::new(), ahead: Vec::new() }) };
    if page.blocks.is_empty() || page.blocks.len() as u64 > SYNC_BLOCKS_MAX {
        return Err(Lie::Form("no blocks, or too many".to_owned()));
    }
    let ahead = cover.payloads.iter().map(|document| payload(&document.0)).collect::<Result<Vec<_>, _>>()?;
    let headers = headers((trust, keys), &page.blocks, &cover, &ahead)?;
    let first = headers.first().ok_or(Lie::Gap(tip.0))?;
    if first.height() != tip.0 + 1 || first.parent_hash() != tip.1 {
        return Err(Lie::Gap(tip.0));
    }
    let last = headers.get(page.blocks.len() - 1).ok_or(Lie::Gap(tip.0))?;
    let ahead = rows(last, ahead, &cover)?;
    let namespace = chain_namespace(trust.chain_id, &trust.genesis_hash);
    let verifier = |(from, key): (Term, &NetworkKey)| Ok((from, CertificateVerifier::new(key, &namespace)?));
    let verifiers = keys.all().map(verifier).collect::<Result<_, CertificateError>>().map_err(|_| Lie::Genesis)?;
    let check = Check { verifiers, part, dense: page.blocks.len() <= DENSE_MAX };
    let pairs = headers.iter().zip(page.blocks);
    let blocks = pairs.map(|(header, block)| check.block(header, block)).collect::<Result<_, Lie>>()?;
    Ok(CheckedPage { blocks, ahead })
}

/// The headers of the blocks and of those above them, up to the one that the certified payload names.
fn headers(
    (trust, keys): (&ChainTrust, &NetworkKeys),
    blocks: &[SyncBlock],
    cover: &SyncCover,
    ahead: &[Payload],
) -> Result<Vec<VerifiedHeader>, Lie> {
    let rlps: Vec<&[u8]> =
        blocks.iter().map(|block| &block.header).chain(&cover.headers).map(|rlp| rlp.0.as_slice()).collect();
    let (top, below) = rlps.split_last().ok_or_else(|| Lie::Form("no headers".to_owned()))?;
    let certified = ahead.last().ok_or_else(|| Lie::Form("no certified payload".to_owned()))?;
    let proof = FinalityProof {
        headers: vec![top.to_vec()],
        payload_head: certified.head.to_canonical(),
        certificate: cover.certificate.0.clone(),
    };
    let top = *verify_finality_under(trust, keys, &proof).map_err(Lie::Finality)?.last();
    let run = verify_ancestors(&top, below).map_err(Lie::Block)?;
    Ok(run.into_iter().map(|(header, _)| header).chain([top]).collect())
}

/// The payloads above the last block, each the child of the one before; the last one with its certificate, which
/// [`headers`] has verified.
fn rows(last: &VerifiedHeader, ahead: Vec<Payload>, cover: &SyncCover) -> Result<Vec<PayloadRow>, Lie> {
    let (mut parent, mut height) = (last.payload(), last.height());
    let mut rows = Vec::with_capacity(ahead.len());
    for payload in ahead {
        height += 1;
        if payload.head.parent != parent || payload.head.height != height {
            return Err(Lie::Payload(height));
        }
        parent = payload_digest(&payload.head);
        rows.push(PayloadRow { payload, seed: None, certificate: None });
    }
    if let Some(row) = rows.last_mut() {
        row.certificate = Certificate::from_canonical(&cover.certificate.0).ok();
    }
    Ok(rows)
}

/// A payload whose body is the one that its head names.
fn payload(document: &[u8]) -> Result<Payload, Lie> {
    let payload = Payload::from_canonical(document).map_err(|error| Lie::Form(error.to_string()))?;
    if body_digest(&payload.body.0) == payload.head.body { Ok(payload) } else { Err(Lie::Payload(payload.head.height)) }
}

/// What each block is checked by.
struct Check {
    /// By the first term of each key, oldest first.
    verifiers: Vec<(Term, CertificateVerifier)>,
    part: SyncPart,
    dense: bool,
}

impl Check {
    fn block(&self, header: &VerifiedHeader, block: SyncBlock) -> Result<CheckedBlock, Lie> {
        let height = header.height();
        let payload = payload(&block.payload.0)?;
        let digest = payload_digest(&payload.head);
        if digest != header.payload() || payload.head.height != height {
            return Err(Lie::Payload(height));
        }
        let raw = executed(&payload, &block.left_out).ok_or(Lie::Payload(height))?;
        let bytes = BlockBytes {
            header: block.header.0.clone(),
            transactions: raw.clone(),
            receipts: block.receipts.into_iter().map(|receipt| receipt.0).collect(),
        };
        let verified = verify_block(header, &bytes).map_err(Lie::Block)?;
        let seed = self.seed(verified.header(), block.seed)?;
        let names_key = matches!(Body::read(&payload.body.0), Ok(Body::Succession(_)));
        let wanted = names_key || self.dense || height.is_multiple_of(SPARSE);
        let certificate = match block.certificate.filter(|_| wanted) {
            Some(document) => Some(self.certificate(height, &digest, &document)?),
            None => None,
        };
        let (writes, content) = self.writes(height, block.writes, block.content)?;
        let payload = PayloadRow { payload, seed, certificate };
        Ok(CheckedBlock { block: verified, payload, raw, writes, content })
    }

    /// The seed that the header's randomness comes from. Executing takes it; a write set does not.
    fn seed(&self, header: &Header, seed: Option<HexBytes>) -> Result<Option<G1Point>, Lie> {
        let lie = || Lie::Seed(header.number);
        let Some(seed) = seed else {
            let needed = self.part == SyncPart::Payloads && !header.mix_hash.is_zero();
            return if needed { Err(lie()) } else { Ok(None) };
        };
        let seed = <[u8; 48]>::try_from(seed.0).map(G1Point).map_err(|_| lie())?;
        let randomness = hash("freehold randomness", &[seed.as_bytes()]);
        if header.mix_hash.0 == randomness.0 { Ok(Some(seed)) } else { Err(lie()) }
    }

    fn certificate(&self, height: Height, payload: &Digest, document: &HexBytes) -> Result<Certificate, Lie> {
        let certificate = Certificate::from_canonical(&document.0).map_err(|_| Lie::Certificate(height))?;
        let verifier = self.verifiers.iter().rev().find(|(from, _)| *from <= certificate.term);
        let verified = certificate.payload == *payload
            && verifier.is_some_and(|(_, verifier)| verifier.verify(&certificate).is_ok());
        if verified { Ok(certificate) } else { Err(Lie::Certificate(height)) }
    }

    fn writes(
        &self,
        height: Height,
        writes: Option<HexBytes>,
        content: Vec<SyncPiece>,
    ) -> Result<(Option<Vec<Write>>, Pieces), Lie> {
        if self.part == SyncPart::Payloads {
            return Ok((None, Vec::new()));
        }
        let document = writes.ok_or(Lie::Writes(height))?;
        let StoredWrites { writes, content: digests } =
            StoredWrites::from_canonical(&document.0).map_err(|_| Lie::Writes(height))?;
        if !content.iter().map(|piece| &piece.digest).eq(&digests) {
            return Err(Lie::Content);
        }
        Ok((Some(writes), content.into_iter().map(piece).collect::<Result<_, Lie>>()?))
    }
}

/// A piece of content whose digest is its own, as code or as a document.
pub(crate) fn piece(piece: SyncPiece) -> Result<(Digest, Vec<u8>), Lie> {
    let SyncPiece { digest, bytes: HexBytes(bytes) } = piece;
    if keccak256(&[&bytes]) == digest || content_digest(&bytes) == digest {
        Ok((digest, bytes))
    } else {
        Err(Lie::Content)
    }
}

/// The transactions of a payload but those left out; `None` where the positions are not ascending positions in it.
fn executed(payload: &Payload, left_out: &[u32]) -> Option<Vec<Vec<u8>>> {
    let body = Body::read(&payload.body.0).ok()?.ordinary();
    let mut left_out = left_out.iter().peekable();
    let mut raw = Vec::with_capacity(body.transactions.len());
    for (at, transaction) in (0_u32..).zip(body.transactions) {
        if left_out.next_if_eq(&&at).is_none() {
            raw.push(transaction.0);
        }
    }
    left_out.next().is_none().then_some(raw)
}

//! Blocks and headers of any height, under certificates.

use alloy_consensus::Header;
use freehold_primitives::Height;
use freehold_verify::{
    BlockBytes, VerifiedBlock, VerifiedHeader, VerifiedHeaders, open_header, verify_ancestors, verify_block,
};

use super::{VerifiedClient, VerifiedError};
use crate::node::HEADER_RANGE_MAX;

impl VerifiedClient {
    /// The headers from `height` as [`Self::headers`], and the first one with every field of it.
    ///
    /// # Errors
    /// As [`Self::headers`], and [`VerifiedError::Block`].
    pub async fn header(&self, height: Height) -> Result<Option<(VerifiedHeaders, Header)>, VerifiedError> {
        let Some((proof, headers)) = self.proven(height).await? else { return Ok(None) };
        let rlp = proof.headers.first().ok_or(VerifiedError::OtherHeight(height))?;
        let header = open_header(headers.first(), rlp)?;
        Ok(Some((headers, header)))
    }

    /// The whole block of a verified header.
    ///
    /// # Errors
    /// [`VerifiedError::Node`], [`VerifiedError::Block`], [`VerifiedError::Withheld`].
    pub async fn block(&self, header: &VerifiedHeader) -> Result<VerifiedBlock, VerifiedError> {
        let raw = self.node.raw_block(header.height()).await?.ok_or(VerifiedError::Withheld(header.height()))?;
        let bytes = |list: Vec<crate::HexBytes>| list.into_iter().map(|bytes| bytes.0).collect();
        let block =
            BlockBytes { header: raw.header.0, transactions: bytes(raw.transactions), receipts: bytes(raw.receipts) };
        Ok(verify_block(header, &block)?)
    }

    /// The headers of the heights from `from` up to and without `child`, oldest first, by parent hashes from `child` down.
    ///
    /// # Errors
    /// [`VerifiedError::Node`], [`VerifiedError::Block`], [`VerifiedError::Withheld`].
    pub async fn ancestors(
        &self,
        child: &VerifiedHeader,
        from: Height,
    ) -> Result<Vec<(VerifiedHeader, Header)>, VerifiedError> {
        let mut runs = Vec::new();
        let mut child = *child;
        while child.height() > from {
            let begin = from.max(child.height().saturating_sub(HEADER_RANGE_MAX));
            let count = child.height() - begin;
            let rlps = self.node.raw_headers(begin, count).await?;
            if rlps.len() as u64 != count {
                return Err(VerifiedError::Withheld(child.height()));
            }
            let rlps: Vec<Vec<u8>> = rlps.into_iter().map(|rlp| rlp.0).collect();
            let run = verify_ancestors(&child, &rlps)?;
            child = run.first().ok_or(VerifiedError::Withheld(child.height()))?.0;
            runs.push(run);
        }
        Ok(runs.into_iter().rev().flatten().collect())
    }
}

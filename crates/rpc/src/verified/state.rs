//! Accounts, slots, code, and all that a call reads, under certified state roots.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_rlp::Decodable as _;
use freehold_crypto::keccak256;
use freehold_primitives::{Account, Digest, Height};
use freehold_verify::{AccountState, VerifiedHeader, verify_account, verify_leaf, verify_storage};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{CERTIFICATE_WAIT, POLL, VerifiedClient, VerifiedError};
use crate::node::{CallPurpose, Proof};

/// Visibility byte of an account whose storage is public.
const PUBLIC: u8 = 1;

/// A value, and the header under whose state root it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven<T> {
    /// The header.
    pub header: VerifiedHeader,
    /// The value.
    pub value: T,
}

/// All that a call reads, each value proven under one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReads {
    /// The header.
    pub verified: VerifiedHeader,
    /// Every field of it.
    pub header: Header,
    /// Values of the tree; `None` where absence is proven.
    pub values: BTreeMap<Digest, Option<Vec<u8>>>,
    /// Bytes that may be code and documents: good for no other digest than their own.
    pub content: Vec<Vec<u8>>,
    /// Headers that may be of earlier blocks: good only where a value names their hash.
    pub headers: Vec<Header>,
}

impl VerifiedClient {
    /// An account at the newest executed height, `None` where it is proven absent.
    ///
    /// # Errors
    /// [`VerifiedError::Node`], [`VerifiedError::Finality`], [`VerifiedError::State`], [`VerifiedError::NotFinal`].
    pub async fn account(&self, account: &Account) -> Result<Proven<Option<AccountState>>, VerifiedError> {
        let proof = self.node.proof(account, &[]).await?;
        self.proven_account(account, &proof).await
    }

    async fn proven_account(
        &self,
        account: &Account,
        proof: &Proof,
    ) -> Result<Proven<Option<AccountState>>, VerifiedError> {
        let header = *self.wait_for_headers(proof.height).await?.first();
        let value = verify_account(&header, account, &proof.account.proof.0)?;
        Ok(Proven { header, value })
    }

    /// A slot of a public account at the newest executed height; zero where it is proven absent.
    ///
    /// # Errors
    /// As [`Self::account`], [`VerifiedError::Confidential`], [`VerifiedError::OtherHeight`].
    pub async fn storage(&self, account: &Account, slot: &[u8; 32]) -> Result<Proven<Digest>, VerifiedError> {
        let Proven { header, value } = self.account(account).await?;
        match value {
            None => return Ok(Proven { header, value: Digest::ZERO }),
            Some(state) if state.visibility != PUBLIC => return Err(VerifiedError::Confidential(*account)),
            Some(_) => {}
        }
        let proof = self.node.proof(account, &[*slot]).await?;
        // The account may have gone and come again in between.
        let Proven { header, value } = self.proven_account(account, &proof).await?;
        if value.is_some_and(|state| state.visibility != PUBLIC) {
            return Err(VerifiedError::Confidential(*account));
        }
        let [leaf] = <[_; 1]>::try_from(proof.proofs).map_err(|_| VerifiedError::OtherHeight(proof.height))?;
        let value = verify_storage(&header, account, slot, &leaf.proof.0)?.unwrap_or(Digest::ZERO);
        Ok(Proven { header, value })
    }

    /// Code of an account at the newest executed height, empty where it has none.
    ///
    /// # Errors
    /// As [`Self::account`], [`VerifiedError::NoContent`].
    pub async fn code(&self, account: &Account) -> Result<Proven<Vec<u8>>, VerifiedError> {
        let Proven { header, value } = self.account(account).await?;
        let hash = value.map(|state| state.code_hash).filter(|hash| *hash != keccak256(&[]));
        let Some(hash) = hash else { return Ok(Proven { header, value: Vec::new() }) };
        let code = self.node.content(&hash).await?.filter(|code| keccak256(&[code]) == hash);
        Ok(Proven { header, value: code.ok_or(VerifiedError::NoContent)? })
    }

    /// All that a call reads behind the newest executed block. Whether it is all, only the call itself tells.
    ///
    /// # Errors
    /// As [`Self::account`].
    pub async fn call_reads(
        &self,
        request: &Value,
        purpose: CallPurpose,
        entropy: &Digest,
    ) -> Result<CallReads, VerifiedError> {
        let proof = self.node.prove_call(request, purpose, entropy).await?;
        let (verified, header) = self.wait_for_header(proof.height).await?;
        let mut values = BTreeMap::new();
        for leaf in &proof.leaves {
            values.insert(leaf.key, verify_leaf(&verified, &leaf.key, &leaf.proof.0)?);
        }
        let headers = proof.headers.iter().filter_map(|rlp| Header::decode(&mut rlp.0.as_slice()).ok()).collect();
        let content = proof.content.into_iter().map(|bytes| bytes.0).collect();
        Ok(CallReads { verified, header, values, content, headers })
    }

    async fn wait_for_header(&self, height: Height) -> Result<(VerifiedHeader, Header), VerifiedError> {
        let end = Instant::now() + CERTIFICATE_WAIT;
        loop {
            if let Some((headers, header)) = self.header(height).await? {
                return Ok((*headers.first(), header));
            }
            if Instant::now() >= end {
                return Err(VerifiedError::NotFinal(height));
            }
            sleep(POLL).await;
        }
    }
}

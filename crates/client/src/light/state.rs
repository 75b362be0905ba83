//! Accounts at the newest block: balance, nonce, code, storage.

use std::time::Duration;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U256};
use freehold_ledger::to_account;
use freehold_verify::{AccountState, VerifiedHeader};

use super::{
    error::LightError,
    head::{LightClient, locked},
};

/// For how long a transaction that was sent through this client counts for the pending nonce.
const SENT_FOR: Duration = Duration::from_secs(120);

impl LightClient {
    /// Refuses blocks whose state is not proven: `id` may name the newest block only.
    pub(crate) fn check_newest(&self, id: Option<BlockId>, header: &VerifiedHeader) -> Result<(), LightError> {
        match id {
            None => Ok(()),
            Some(BlockId::Number(BlockNumberOrTag::Number(asked))) if asked != header.height() => {
                Err(LightError::OldState { asked, newest: header.height() })
            }
            Some(BlockId::Number(BlockNumberOrTag::Earliest)) => {
                Err(LightError::OldState { asked: 0, newest: header.height() })
            }
            Some(BlockId::Number(_)) => Ok(()),
            Some(BlockId::Hash(hash)) if hash.block_hash == B256::from(header.block_hash().0) => Ok(()),
            Some(BlockId::Hash(hash)) => Err(LightError::NoBlock(hash.block_hash.to_string())),
        }
    }

    async fn account(&self, address: &Address, id: Option<BlockId>) -> Result<Option<AccountState>, LightError> {
        let account = &to_account(address);
        let (header, state) = self
            .read_now(|node| async move {
                let proven = node.account(account).await?;
                Ok((proven.header, proven.value))
            })
            .await?;
        self.check_newest(id, &header)?;
        Ok(state)
    }

    /// Balance in wei.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn balance(&self, address: &Address, id: Option<BlockId>) -> Result<U256, LightError> {
        let account = self.account(address, id).await?;
        Ok(account.map_or(U256::ZERO, |account| U256::from_be_bytes(account.balance)))
    }

    /// Transactions sent; with the tag `pending`, those that went through this client and are not executed yet count too.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn nonce(&self, address: &Address, id: Option<BlockId>) -> Result<u64, LightError> {
        let mut nonce = self.account(address, id).await?.map_or(0, |account| account.nonce);
        if id == Some(BlockId::pending()) {
            let sent = locked(&self.sent);
            while sent.get(&(*address, nonce)).is_some_and(|at| at.elapsed() < SENT_FOR) {
                nonce += 1;
            }
        }
        Ok(nonce)
    }

    /// Code.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn code(&self, address: &Address, id: Option<BlockId>) -> Result<Bytes, LightError> {
        let account = &to_account(address);
        let (header, code) = self
            .read_now(|node| async move {
                let proven = node.code(account).await?;
                Ok((proven.header, proven.value))
            })
            .await?;
        self.check_newest(id, &header)?;
        Ok(code.into())
    }

    /// A slot of a public account.
    ///
    /// # Errors
    /// Every [`LightError`]; of a confidential account, that it is one.
    pub async fn storage(&self, address: &Address, slot: U256, id: Option<BlockId>) -> Result<B256, LightError> {
        let (account, slot) = (&to_account(address), &slot.to_be_bytes());
        let (header, value) = self
            .read_now(|node| async move {
                let proven = node.storage(account, slot).await?;
                Ok((proven.header, proven.value))
            })
            .await?;
        self.check_newest(id, &header)?;
        Ok(B256::from(value.0))
    }
}

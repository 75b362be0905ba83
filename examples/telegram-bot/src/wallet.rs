//! The instance's account, through the local API: its address, its proven balance, and payments within the owner's limits.

use anyhow::{Context as _, Result, bail};
use freehold_rpc::{Endpoint, HttpClient, HttpError, LocalClient, RoflData};
use serde_json::json;
use std::time::Duration;

/// Pause between two looks at whether the instance serves.
const POLL: Duration = Duration::from_millis(100);

/// The account.
pub(crate) struct Wallet {
    guest: HttpClient,
    account: [u8; 20],
}

impl Wallet {
    /// Waits until the instance serves, and asks for its account.
    pub(crate) async fn open(socket: &str) -> Result<Self> {
        let endpoint = Endpoint::unix(socket)?;
        let local = LocalClient::new(endpoint.clone());
        while !local.health().await.is_ok_and(|health| health.ready) {
            tokio::time::sleep(POLL).await;
        }
        Ok(Self { guest: HttpClient::new(endpoint), account: local.instance().await?.subject.account.0 })
    }

    /// As everybody writes it.
    pub(crate) fn address(&self) -> String {
        format!("0x{}", hex::encode(self.account))
    }

    /// In wei, as the chain proves it.
    pub(crate) async fn balance(&self) -> Result<u128> {
        // CBOR: {"address": 20 bytes}.
        let arguments = format!("a16761646472657373{:02x}{}", 0x40 + self.account.len(), hex::encode(self.account));
        let asked = json!({ "method": "evm.Balance", "args": arguments });
        let answer: RoflData = self.guest.post_json("/rofl/v1/query", &asked).await?;
        // CBOR: bytes without leading zeros.
        let answer = hex::decode(answer.data)?;
        let (_, bytes) = answer.split_first().context("the balance is empty")?;
        Ok(bytes.iter().fold(0, |wei: u128, byte| wei << 8 | u128::from(*byte)))
    }

    /// Pays. What the owner's limits do not allow is refused in the guest's words.
    pub(crate) async fn pay(&self, to: &str, wei: &str) -> Result<()> {
        let call = json!({ "gas_limit": 0, "to": to, "value": wei, "data": "" });
        let asked = json!({ "encrypt": false, "tx": { "kind": "eth", "data": call } });
        let answer: RoflData = match self.guest.post_json("/rofl/v1/tx/sign-submit", &asked).await {
            Ok(answer) => answer,
            Err(HttpError::Refused { body, .. }) => bail!("{body}"),
            Err(error) => return Err(error.into()),
        };
        // CBOR: {"ok": …} or {"fail": …}.
        if answer.data.starts_with("a1626f6b") { Ok(()) } else { bail!("the transaction failed") }
    }
}

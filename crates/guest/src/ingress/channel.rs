//! Evidence for the very connection it is asked over (`spec/ingress.md` §3): the quote's nonce binds the key that the instance
//! shows there, so that whoever stands between cannot pass another's answer on as its own.

use std::{io, time::Duration};

use freehold_primitives::Digest;
use freehold_rpc::{BareHex, CHANNEL_FORMAT, ChannelAnswer, channel_nonce};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use crate::agent::Guest;

/// Longest wait for the caller's bytes, and for the quote.
const ASK_WAIT: Duration = Duration::from_secs(10);
const QUOTE_WAIT: Duration = Duration::from_secs(30);

/// Reads 32 bytes and answers one JSON document.
pub(super) async fn answer(
    guest: &Guest,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    spki_sha256: &Digest,
    acme_account: Option<String>,
) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut random = [0; 32];
    timeout(ASK_WAIT, stream.read_exact(&mut random)).await.map_err(late)??;
    let identity = guest.identity().ok_or(io::ErrorKind::NotConnected)?;
    let nonce = channel_nonce(&random, spki_sha256);
    let quote = guest.quotes().for_caller(identity.keyset_digest, Some(nonce));
    let quote = timeout(QUOTE_WAIT, quote).await.map_err(late)?.map_err(io::Error::other)?;
    let answer = ChannelAnswer {
        format: CHANNEL_FORMAT.to_owned(),
        keyset: serde_json::from_str(&identity.keyset.to_jcs())?,
        quote: BareHex(quote.bytes.clone()),
        acme_account,
    };
    let text = serde_json::to_vec(&answer)?;
    timeout(ASK_WAIT, stream.write_all(&text)).await.map_err(late)?
}

//! Telegram's Bot API (core.telegram.org/bots/api): HTTP/1.1 over TLS, `getUpdates` by long polling and `sendMessage`.
//!
//! Invariant: the token stands in paths alone, and no error or log line holds a path. Every wait and every answer is bounded.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use crate::member;

/// The public service.
const SERVICE: &str = "https://api.telegram.org";
/// How long Telegram holds a question that has no answer yet, in seconds.
const POLL_S: u64 = 25;
/// Longest exchange.
const WAIT: Duration = Duration::from_secs(POLL_S + 15);
/// Longest answer, in bytes, and longest message that is sent, in letters.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const LETTERS_MAX: usize = 4_096;

/// A message to the bot.
pub(crate) struct Message {
    pub(crate) chat: i64,
    /// Number of the user who wrote it.
    pub(crate) from: i64,
    pub(crate) text: String,
}

/// A bot's connection to the service.
pub(crate) struct Telegram {
    host: String,
    port: u16,
    path: String,
    tls: TlsConnector,
}

impl Telegram {
    /// For a token; `service` is `https://HOST[:PORT]`, `authority` the PEM of a certificate to trust in place of the public ones.
    pub(crate) fn new(token: &str, service: Option<String>, authority: Option<String>) -> Result<Self> {
        let service = service.unwrap_or_else(|| SERVICE.to_owned());
        let place = service.strip_prefix("https://").context("TELEGRAM_API begins with https://")?;
        let (host, port) = place.trim_end_matches('/').rsplit_once(':').unwrap_or((place, "443"));
        let is_token = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte));
        ensure!(is_token && !token.is_empty(), "TELEGRAM_TOKEN is no token of a bot");
        let mut roots = RootCertStore::empty();
        match authority {
            Some(text) => roots.add(CertificateDer::from(pem::parse(text)?.into_contents()))?,
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            host: host.to_owned(),
            port: port.parse().context("TELEGRAM_API names no port")?,
            path: format!("/bot{token}"),
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Messages after those that were seen: the number of each update, and its message where it is one of text.
    pub(crate) async fn updates(&self, after: i64) -> Result<Vec<(i64, Option<Message>)>> {
        let asked = json!({ "offset": after, "timeout": POLL_S, "allowed_updates": ["message"] });
        let found = self.call("getUpdates", &asked).await?;
        let updates = found.as_array().context("the updates are no list")?;
        updates.iter().map(|update| Ok((number(update, "update_id")?, message(update)))).collect()
    }

    /// Writes into a chat.
    pub(crate) async fn send(&self, chat: i64, text: &str) -> Result<()> {
        let text: String = text.chars().take(LETTERS_MAX).collect();
        self.call("sendMessage", &json!({ "chat_id": chat, "text": text })).await.map(drop)
    }

    async fn call(&self, method: &str, body: &Value) -> Result<Value> {
        timeout(WAIT, self.exchange(method, body)).await.context("the service took too long")?
    }

    async fn exchange(&self, method: &str, body: &Value) -> Result<Value> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.context("the service is not reached")?;
        let name = ServerName::try_from(self.host.clone()).context("the service has no name for TLS")?;
        let stream = self.tls.connect(name, stream).await.context("the service does not prove its name")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = Request::post(format!("{}/{method}", self.path))
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .context("the request cannot be made")?;
        let answer = sender.send_request(request).await?;
        let text = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        driver.abort();
        let text = text.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
        let answer: Value = serde_json::from_slice(&text).context("the answer is no JSON")?;
        if answer.get("ok") != Some(&Value::Bool(true)) {
            bail!(
                "Telegram refused `{method}`: {}",
                answer.get("description").and_then(Value::as_str).unwrap_or("no reason")
            );
        }
        member(&answer, "result").cloned()
    }
}

fn number(value: &Value, name: &str) -> Result<i64> {
    member(value, name)?.as_i64().with_context(|| format!("`{name}` is no number"))
}

fn message(update: &Value) -> Option<Message> {
    let message = update.get("message")?;
    Some(Message {
        chat: number(message.get("chat")?, "id").ok()?,
        from: number(message.get("from")?, "id").ok()?,
        text: message.get("text")?.as_str()?.to_owned(),
    })
}

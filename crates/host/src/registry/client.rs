//! One repository of one registry: requests that are let in, with tokens or a password, and redirects of blobs.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::{sync::Mutex, time::timeout};
use zeroize::Zeroizing;

use super::{
    challenge::{self, Challenge},
    credentials::{self, Password, SecretText},
    error::RegistryError,
    push::FileBody,
    reference::ImageName,
};
use crate::collateral::{FetchError, VendorClient, VendorUrl};

/// Longest wait for the head of an answer.
pub(super) const HEAD_WAIT: Duration = Duration::from_secs(30);
/// Longest way of one blob, up or down.
pub(super) const BLOB_WAIT: Duration = Duration::from_secs(900);
/// Most redirects that one blob follows.
const REDIRECTS_MAX: usize = 3;
/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// Longest answer of a token service, and what is read of a refusal, in bytes.
const TOKEN_ANSWER_BYTES_MAX: usize = 256 * 1024;
const REFUSAL_BYTES_MAX: usize = 4 * 1024;
/// What is shown of a refusal, in characters.
const REFUSAL_SHOWN: usize = 300;

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Take, as anybody or with the password that this user keeps for the registry.
    Read,
    /// Take as anybody: no file of passwords is looked at.
    Anonymous,
    /// Take and give, with the password that this user keeps for the registry.
    Write,
}

/// A body that is sent.
pub(super) type Sent = Either<Full<Bytes>, FileBody>;

/// What is asked of a registry; made anew for each try, since a body is read once.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: VendorUrl,
    pub(super) headers: Vec<(header::HeaderName, String)>,
    /// Longest wait for the head of the answer, the sending of the body included.
    pub(super) wait: Duration,
}

/// A repository of a registry. Clones share the token. No `Debug`: it holds secrets.
#[derive(Clone)]
pub struct Registry {
    client: VendorClient,
    pub(super) name: ImageName,
    base: VendorUrl,
    access: Access,
    password: Arc<Option<Password>>,
    /// The value of the header that let the last request in.
    pass: Arc<Mutex<Option<Zeroizing<String>>>>,
}

/// What a token service answers.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<SecretText>,
    access_token: Option<SecretText>,
}

impl Registry {
    /// Prepares to talk to a repository. Nothing is sent yet.
    ///
    /// # Errors
    /// [`RegistryError::Passwords`], [`RegistryError::Helper`], [`RegistryError::Fetch`].
    pub fn open(name: &ImageName, access: Access) -> Result<Self, RegistryError> {
        let password = match access {
            Access::Anonymous => None,
            Access::Read | Access::Write => credentials::find(name.registry())?,
        };
        Self::with(VendorClient::new(None)?, name, access, password)
    }

    pub(super) fn with(
        client: VendorClient,
        name: &ImageName,
        access: Access,
        password: Option<Password>,
    ) -> Result<Self, RegistryError> {
        let base = name.origin().parse()?;
        let (password, pass) = (Arc::new(password), Arc::new(Mutex::new(None)));
        Ok(Self { client, name: name.clone(), base, access, password, pass })
    }

    /// The address of something of the repository.
    pub(super) fn url(&self, path: &str) -> VendorUrl {
        self.base.below(&format!("/v2/{}/{path}", self.name.repository()))
    }

    /// Asks, and is let in: at most once with another pass than the last one.
    pub(super) async fn ask(
        &self,
        ask: &Ask,
        body: impl Fn() -> io::Result<Sent>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let pass = self.pass.lock().await.clone();
        let response = self.send(ask, pass.as_deref().map(String::as_str), &body).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let pass = self.let_in(&response, &ask.url).await?;
        *self.pass.lock().await = Some(pass.clone());
        let response = self.send(ask, Some(&pass), &body).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            *self.pass.lock().await = None;
            return Err(self.unauthorized());
        }
        Ok(response)
    }

    /// Asks without a body.
    pub(super) async fn ask_plain(&self, ask: &Ask) -> Result<Response<Incoming>, RegistryError> {
        self.ask(ask, || Ok(Either::Left(Full::default()))).await
    }

    /// Asks for a blob and follows where it sends on: on the same origin as before, elsewhere over TLS alone and without a pass.
    pub(super) async fn ask_blob(&self, ask: &Ask) -> Result<Response<Incoming>, RegistryError> {
        let mut response = self.ask_plain(ask).await?;
        let mut at = Ask { url: ask.url.clone(), headers: ask.headers.clone(), method: ask.method.clone(), ..*ask };
        for _ in 0..REDIRECTS_MAX {
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            let elsewhere = || to.parse::<VendorUrl>().ok().filter(VendorUrl::is_https);
            let refused = || FetchError::Redirected { url: ask.url.clone(), to: to.chars().take(200).collect() };
            let next = at.url.redirected(to).or_else(elsewhere).ok_or_else(refused)?;
            let is_own = next.origin() == self.base.origin();
            at.url = next;
            response = if is_own {
                self.ask_plain(&at).await?
            } else {
                self.send(&at, None, &|| Ok(Either::Left(Full::default()))).await?
            };
        }
        let refused = FetchError::Redirected { url: ask.url.clone(), to: at.url.to_string() };
        if response.status().is_redirection() { Err(refused.into()) } else { Ok(response) }
    }

    async fn send(
        &self,
        ask: &Ask,
        pass: Option<&str>,
        body: &impl Fn() -> io::Result<Sent>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let broken = |_| FetchError::Url(ask.url.to_string());
        let mut request = Request::builder().method(ask.method.clone());
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(pass) = pass {
            let mut value = HeaderValue::from_str(pass).map_err(|_| self.challenge("its token is no text"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = body().map_err(|source| RegistryError::File { path: "the bundle".into(), source })?;
        let request = request.body(body).map_err(broken)?;
        let late = |_| FetchError::Timeout { url: ask.url.clone(), limit: ask.wait };
        Ok(timeout(ask.wait, self.client.send(&ask.url, request)).await.map_err(late)??)
    }

    /// What lets a request in that a registry turned away.
    async fn let_in(
        &self,
        response: &Response<Incoming>,
        asked: &VendorUrl,
    ) -> Result<Zeroizing<String>, RegistryError> {
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
        let found = headers.filter_map(|value| challenge::read(value.to_str().ok()?)).next();
        match found.ok_or_else(|| self.challenge("it names neither tokens nor a password"))? {
            Challenge::Basic => match &*self.password {
                Some(password) => Ok(password.header()),
                None => Err(self.unauthorized()),
            },
            Challenge::Bearer { realm, service } => {
                let realm: VendorUrl = realm.parse().map_err(|_| self.challenge("its token service has no address"))?;
                // Where the registry itself is asked in the open, on this machine, its service may be there too.
                if !realm.is_https() && realm.origin() != asked.origin() {
                    return Err(self.challenge("its token service is not asked over TLS"));
                }
                self.token(&realm, service.as_deref()).await
            }
        }
    }

    async fn token(&self, realm: &VendorUrl, service: Option<&str>) -> Result<Zeroizing<String>, RegistryError> {
        let actions = if self.access == Access::Write { "pull,push" } else { "pull" };
        let scope = format!("repository:{}:{actions}", self.name.repository());
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut query = vec![("scope", encoded(&scope))];
        query.extend(service.map(|service| ("service", encoded(service))));
        let ask = Ask { method: Method::GET, url: realm.asking(&query), headers: Vec::new(), wait: HEAD_WAIT };
        let password = self.password.as_ref().as_ref().map(Password::header);
        let empty = || Ok(Either::Left(Full::default()));
        let response = self.send(&ask, password.as_deref().map(String::as_str), &empty).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.unauthorized()),
            _ => return Err(refused(&ask.url, response).await),
        }
        let body = Zeroizing::new(bounded(&ask.url, response, TOKEN_ANSWER_BYTES_MAX).await?.to_vec());
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| self.challenge("its token service answers without sense"))?;
        let token = answer.token.or(answer.access_token).map(|SecretText(token)| token);
        let token = token.filter(|token| (1..=TOKEN_BYTES_MAX).contains(&token.len()));
        let token = token.ok_or_else(|| self.challenge("its token service gives no token"))?;
        Ok(Zeroizing::new(format!("Bearer {}", *token)))
    }

    fn challenge(&self, fault: &'static str) -> RegistryError {
        RegistryError::Challenge { registry: self.name.registry().to_owned(), fault }
    }

    fn unauthorized(&self) -> RegistryError {
        let hint = match (&*self.password, self.access) {
            (Some(_), _) => "the password in Docker's config.json does not let in here: `docker login` anew",
            (None, Access::Anonymous) => "it serves nothing to everybody, and this machine has no password for it",
            (None, _) => "it wants a password: `docker login` it, or name a credential helper for it",
        };
        RegistryError::Unauthorized { registry: self.name.registry().to_owned(), hint }
    }
}

/// Reads a short answer whole.
pub(super) async fn bounded(
    url: &VendorUrl,
    response: Response<Incoming>,
    bytes_max: usize,
) -> Result<Bytes, RegistryError> {
    let mut body = response.into_body();
    let mut all = BytesMut::new();
    let read = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| FetchError::Broken { url: url.clone(), source })?;
            let Ok(data) = frame.into_data() else { continue };
            if all.len() + data.len() > bytes_max {
                return Err(FetchError::TooLarge { url: url.clone(), bound: bytes_max });
            }
            all.extend_from_slice(&data);
        }
        Ok(())
    };
    let late = |_| FetchError::Timeout { url: url.clone(), limit: HEAD_WAIT };
    timeout(HEAD_WAIT, read).await.map_err(late)??;
    Ok(all.freeze())
}

/// What an answer means that is none of those that were hoped for.
pub(super) async fn refused(url: &VendorUrl, response: Response<Incoming>) -> RegistryError {
    let status = response.status();
    if status == StatusCode::NOT_FOUND {
        return RegistryError::Missing { url: url.clone() };
    }
    let body = bounded(url, response, REFUSAL_BYTES_MAX).await.unwrap_or_default();
    let said: String = String::from_utf8_lossy(&body).chars().filter(|letter| !letter.is_control()).collect();
    let said: String = said.chars().take(REFUSAL_SHOWN).collect();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    RegistryError::Refused { url: url.clone(), status, said }
}

//! Taking from a registry: blobs by digest, what stands beside a bundle, and what a tag leads to.

use freehold_bundle::{BlobKind, BlobWriter, BundlePull, MissingBlob};
use freehold_primitives::Digest;
use http::{Method, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{
    client::{Ask, BLOB_WAIT, HEAD_WAIT, Registry, bounded, refused},
    error::RegistryError,
};
use crate::collateral::{FetchError, VendorUrl};

/// Types of the documents that are asked for.
pub(super) const DOCUMENT_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Largest document, in bytes.
pub(super) const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most times that a blob is gone on with after it broke off.
const RESUMES_MAX: usize = 3;
/// Most manifests that are read of what stands beside a bundle.
const BESIDE_MAX: usize = 256;

/// What a list of referrers says of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    digest: String,
    artifact_type: Option<String>,
}

#[derive(Deserialize)]
struct Referrers {
    #[serde(default)]
    manifests: Vec<Referrer>,
}

/// Takes all that is missing.
pub(crate) async fn pulled(mut pull: BundlePull, registry: &Registry) -> Result<BundlePull, RegistryError> {
    loop {
        let missing = pull.missing()?;
        if missing.is_empty() {
            return Ok(pull);
        }
        for wanted in missing {
            let mut writer = pull.writer(&wanted)?;
            let taking = registry.take(&wanted, &mut writer);
            let late = |_| FetchError::Timeout { url: registry.url(""), limit: BLOB_WAIT };
            timeout(BLOB_WAIT, taking).await.map_err(late)??;
            pull.keep(writer)?;
        }
    }
}

impl Registry {
    /// Takes one blob, and goes on where it broke off.
    async fn take(&self, wanted: &MissingBlob, writer: &mut BlobWriter) -> Result<(), RegistryError> {
        let content = self.url(&format!("blobs/sha256:{}", wanted.digest));
        // An index or manifest of an image inside a bundle is a blob there.
        let urls = match wanted.kind {
            BlobKind::Document => vec![self.url(&format!("manifests/sha256:{}", wanted.digest)), content],
            BlobKind::Content => vec![content],
        };
        let mut last = None;
        for url in &urls {
            match self.take_from(url, writer).await {
                // Registries older than the distribution project's third call what is a blob a broken manifest, and fail by it.
                Err(error @ (RegistryError::Missing { .. } | RegistryError::Refused { .. })) => last = Some(error),
                taken => return taken,
            }
        }
        Err(last.expect("at least one address was asked"))
    }

    async fn take_from(&self, url: &VendorUrl, writer: &mut BlobWriter) -> Result<(), RegistryError> {
        let mut broken = 0;
        loop {
            match self.stream(url, writer).await {
                Err(RegistryError::Fetch(FetchError::Broken { .. }))
                    if broken < RESUMES_MAX && writer.written() > 0 =>
                {
                    broken += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn stream(&self, url: &VendorUrl, writer: &mut BlobWriter) -> Result<(), RegistryError> {
        let mut headers = vec![(header::ACCEPT, format!("{DOCUMENT_TYPES}, */*"))];
        let have = writer.written();
        if have > 0 {
            headers.push((header::RANGE, format!("bytes={have}-")));
        }
        let response = self.ask_blob(&Ask { method: Method::GET, url: url.clone(), headers, wait: HEAD_WAIT }).await?;
        // Who does not know ranges sends all of it again.
        let mut skip = match response.status() {
            StatusCode::OK => usize::try_from(have).unwrap_or(usize::MAX),
            StatusCode::PARTIAL_CONTENT if have > 0 => 0,
            _ => return Err(refused(url, response).await),
        };
        let mut body = response.into_body();
        let late = |_| FetchError::Timeout { url: url.clone(), limit: HEAD_WAIT };
        while let Some(frame) = timeout(HEAD_WAIT, body.frame()).await.map_err(late)? {
            let frame = frame.map_err(|source| FetchError::Broken { url: url.clone(), source })?;
            let Ok(data) = frame.into_data() else { continue };
            let fresh = data.get(skip.min(data.len())..).unwrap_or_default();
            skip -= data.len() - fresh.len();
            writer.write(fresh)?;
        }
        Ok(())
    }

    /// The digest of what a tag leads to now.
    pub(super) async fn tagged(&self, tag: &str) -> Result<Digest, RegistryError> {
        let url = self.url(&format!("manifests/{tag}"));
        let headers = vec![(header::ACCEPT, DOCUMENT_TYPES.to_owned())];
        let response = self.ask_blob(&Ask { method: Method::GET, url: url.clone(), headers, wait: HEAD_WAIT }).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(&url, response).await);
        }
        let bytes = bounded(&url, response, DOCUMENT_BYTES_MAX).await?;
        Ok(Digest(Sha256::digest(&bytes).into()))
    }

    /// Manifests beside a bundle: by the referrers API, or by the tag that stands in for it (distribution specification 1.1).
    pub(super) async fn beside(&self, bundle: Digest) -> Result<Vec<Digest>, RegistryError> {
        let by_api = self.url(&format!("referrers/sha256:{bundle}"));
        let by_tag = self.url(&format!("manifests/sha256-{bundle}"));
        for url in [by_api, by_tag] {
            let headers = vec![(header::ACCEPT, DOCUMENT_TYPES.to_owned())];
            let ask = Ask { method: Method::GET, url: url.clone(), headers, wait: HEAD_WAIT };
            let response = self.ask_plain(&ask).await?;
            if response.status() != StatusCode::OK {
                continue;
            }
            let bytes = bounded(&url, response, DOCUMENT_BYTES_MAX).await?;
            let found = listed(&bytes);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

/// The manifests of a list that belong to a bundle. What is no list names nothing: a bundle stands without what is beside it.
pub(super) fn listed(bytes: &[u8]) -> Vec<Digest> {
    let list = serde_json::from_slice::<Referrers>(bytes).map(|list| list.manifests).unwrap_or_default();
    let ours = list.into_iter().take(BESIDE_MAX).filter(|referrer| {
        let found = referrer.artifact_type.as_deref().unwrap_or_default();
        freehold_bundle::BESIDE_TYPES.contains(&found)
    });
    ours.filter_map(|referrer| digest(&referrer.digest)).collect()
}

fn digest(text: &str) -> Option<Digest> {
    text.strip_prefix("sha256:")?.parse().ok()
}

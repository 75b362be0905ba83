//! Giving a bundle to a registry: its blobs, its manifest, and what stands beside it, each under its digest; and then the tag.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use freehold_bundle::{Bundle, BundleContents, BundleDocument};
use freehold_primitives::Digest;
use http::{Method, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Value, json};

use super::{
    client::{Ask, BLOB_WAIT, HEAD_WAIT, Registry, bounded, refused},
    error::RegistryError,
    pull::{DOCUMENT_BYTES_MAX, DOCUMENT_TYPES},
};
use crate::collateral::VendorUrl;

/// Bytes that are sent at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Type of an index.
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Header by which a registry says that it lists what has a subject.
const SUBJECT_HEADER: &str = "oci-subject";
/// Most entries of a list that stands in for the referrers API.
const REFERRERS_MAX: usize = 256;

/// A bundle that a registry has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedBundle {
    /// Blobs that it had not, and bytes of them.
    pub sent: (usize, u64),
    /// Blobs of the bundle in all.
    pub blobs: usize,
    /// Manifests beside the bundle: bill of materials, signatures, list of image blobs.
    pub beside: usize,
}

/// A file that is sent.
pub(super) struct FileBody {
    file: File,
    left: u64,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(self.left).unwrap_or(PIECE_BYTES))];
        Poll::Ready(Some(match self.file.read(&mut piece) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                piece.truncate(count);
                self.left -= u64::try_from(count).unwrap_or(u64::MAX);
                Ok(Frame::data(piece.into()))
            }
            Err(error) => Err(error),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Registry {
    /// Gives a bundle, whose layout is `folder`, to the repository, and lets `tag` lead to it.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn push_bundle(&self, bundle: &Bundle, folder: &Path, tag: &str) -> Result<PushedBundle, RegistryError> {
        let contents = bundle.contents()?;
        let mut sent = (0, 0u64);
        for (digest, bytes) in &contents.blobs {
            if self.has(digest).await? {
                continue;
            }
            self.upload(digest, *bytes, &folder.join("blobs/sha256").join(digest.to_string())).await?;
            sent = (sent.0 + 1, sent.1.saturating_add(*bytes));
        }
        self.put(&contents.bundle, &format!("sha256:{}", contents.bundle.digest)).await?;
        let mut are_listed = true;
        for document in &contents.beside {
            are_listed &= self.put(document, &format!("sha256:{}", document.digest)).await?;
        }
        if !are_listed {
            self.list_beside(&contents).await?;
        }
        self.put(&contents.bundle, tag).await?;
        Ok(PushedBundle { sent, blobs: contents.blobs.len(), beside: contents.beside.len() })
    }

    async fn has(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let url = self.url(&format!("blobs/sha256:{digest}"));
        let ask = Ask { method: Method::HEAD, url: url.clone(), headers: Vec::new(), wait: HEAD_WAIT };
        let response = self.ask_plain(&ask).await?;
        match response.status() {
            status if status.is_success() || status.is_redirection() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused(&url, response).await),
        }
    }

    pub(super) async fn upload(&self, digest: &Digest, bytes: u64, path: &Path) -> Result<(), RegistryError> {
        let begin = self.url("blobs/uploads/");
        let ask = Ask { method: Method::POST, url: begin.clone(), headers: Vec::new(), wait: HEAD_WAIT };
        let response = self.ask_plain(&ask).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refused(&begin, response).await);
        }
        let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        let elsewhere = || RegistryError::UploadElsewhere { url: begin.clone(), to: to.chars().take(200).collect() };
        let place = begin.redirected(to).ok_or_else(elsewhere)?;
        let url = place.asking(&[("digest", format!("sha256:{digest}"))]);
        let headers = vec![(header::CONTENT_TYPE, "application/octet-stream".to_owned())];
        let ask = Ask { method: Method::PUT, url: url.clone(), headers, wait: BLOB_WAIT };
        let body = || Ok(Either::Right(FileBody { file: File::open(path)?, left: bytes }));
        let response = self.ask(&ask, body).await?;
        match response.status() {
            StatusCode::CREATED => self.check_kept(&response, digest),
            _ => Err(refused(&url, response).await),
        }
    }

    /// Puts a manifest; whether the registry lists it by its subject.
    async fn put(&self, document: &BundleDocument, under: &str) -> Result<bool, RegistryError> {
        let response = self.put_bytes(&document.bytes, document.media_type, under).await?;
        self.check_kept(&response, &document.digest)?;
        Ok(response.headers().contains_key(SUBJECT_HEADER))
    }

    pub(super) async fn put_bytes(
        &self,
        bytes: &[u8],
        media_type: &str,
        under: &str,
    ) -> Result<http::Response<hyper::body::Incoming>, RegistryError> {
        let url = self.url(&format!("manifests/{under}"));
        let headers = vec![(header::CONTENT_TYPE, media_type.to_owned())];
        let ask = Ask { method: Method::PUT, url: url.clone(), headers, wait: HEAD_WAIT };
        let bytes = Bytes::copy_from_slice(bytes);
        let response = self.ask(&ask, || Ok(Either::Left(Full::new(bytes.clone())))).await?;
        if response.status() == StatusCode::CREATED { Ok(response) } else { Err(refused(&url, response).await) }
    }

    fn check_kept<B>(&self, response: &http::Response<B>, wanted: &Digest) -> Result<(), RegistryError> {
        let told = response.headers().get("docker-content-digest").and_then(|told| told.to_str().ok());
        let is_same = told.is_none_or(|told| told == format!("sha256:{wanted}"));
        if is_same { Ok(()) } else { Err(RegistryError::Changed { wanted: *wanted }) }
    }

    /// The list that stands in for the referrers API, with what others put there.
    async fn list_beside(&self, contents: &BundleContents) -> Result<(), RegistryError> {
        let tag = format!("sha256-{}", contents.bundle.digest);
        let url = self.url(&format!("manifests/{tag}"));
        let mut entries = self.listed(&url).await?;
        for document in &contents.beside {
            let digest = format!("sha256:{}", document.digest);
            if entries.len() < REFERRERS_MAX && !entries.iter().any(|entry| entry["digest"] == digest.as_str()) {
                entries.push(json!({
                    "mediaType": document.media_type, "digest": digest, "size": document.bytes.len(),
                    "artifactType": document.artifact_type,
                }));
            }
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries });
        self.put_bytes(index.to_string().as_bytes(), INDEX_TYPE, &tag).await.map(drop)
    }

    async fn listed(&self, url: &VendorUrl) -> Result<Vec<Value>, RegistryError> {
        let headers = vec![(header::ACCEPT, DOCUMENT_TYPES.to_owned())];
        let ask = Ask { method: Method::GET, url: url.clone(), headers, wait: HEAD_WAIT };
        let response = self.ask_plain(&ask).await?;
        if response.status() != StatusCode::OK {
            return Ok(Vec::new());
        }
        let bytes = bounded(url, response, DOCUMENT_BYTES_MAX).await?;
        let list: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(list["manifests"].as_array().cloned().unwrap_or_default().into_iter().take(REFERRERS_MAX).collect())
    }
}

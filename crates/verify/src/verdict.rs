//! The verdict (`spec/verdict.md`): what the walk found, said for people and in one JSON object.

use freehold_primitives::{AppId, Digest, Height, NetworkKey, TrustDomain, UnixSeconds};
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    link::{Link, LinkReport, LinkStatus},
    promise::{Promise, UpgradeShortfall},
};

/// The word that opens every verdict of this version.
pub const VERDICT_FORMAT: &str = "freehold.verdict/1";

/// Whether the registration still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidNow {
    /// It stands as of the newest header given, and that header is recent.
    Yes,
    /// It has ended as of the newest header given.
    No,
    /// The newest header given is too old to say, or the proof is refused.
    Unknown,
}

impl ValidNow {
    /// The word in a verdict.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that the app's owner or the chain denied, before or after the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taint {
    /// Height from which it counts.
    pub since_height: Height,
    /// `compromised`, `extracted_key`, `withdrawn_release` or `other`.
    pub reason: &'static str,
    /// What is denied: `platform:`, `family:`, `measurement:`, `instance:`, `generation:` or `tcb:`, and its bytes in hex.
    pub subject: String,
    /// Who denies: `app` (its owner) or `chain`.
    pub by: &'static str,
    /// Height from which it no longer counts, where it was lifted.
    pub lifted_height: Option<Height>,
}

/// The header as of which `valid_now` and `tainted` are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AsOfHeader {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time_unix_s: UnixSeconds,
}

/// The model that answered, by the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelName {
    /// Name.
    pub name: String,
    /// SHA-256 of the weights file.
    pub sha256: Digest,
}

/// What is claimed once every link holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Trust domain of the evidence.
    pub trust_domain: TrustDomain,
    /// Whether the registration was open over the span of the receipt.
    pub valid_then: bool,
    /// Whether it still stands.
    pub valid_now: ValidNow,
    /// Denials of what the instance stands on or stood on.
    pub tainted: Vec<Taint>,
    /// Whether the receipt is anchored.
    pub anchored: bool,
    /// The header that answers for `valid_now` and `tainted`.
    pub as_of: AsOfHeader,
    /// The app.
    pub app_id: AppId,
    /// The model.
    pub model: ModelName,
    /// Highest tier of the chain that the instance's evidence satisfied; 0 for none.
    pub tier: u8,
    /// What the app promises about its upgrades; `None` where the proof says nothing of it.
    pub promise: Option<Promise>,
    /// The receipt was made after this block (newest final header that it names).
    pub not_before: AsOfHeader,
    /// The receipt was made before this block (the one that anchors it).
    pub not_after: Option<AsOfHeader>,
}

/// Why a proof whose links all hold is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objection {
    /// The registration was not open over the span of the receipt.
    NotValidThen,
    /// Hardware was asked for, and the evidence is emulated.
    Emulated,
    /// `valid_now` was asked for, and is not `yes`.
    NotValidNow,
    /// The app does not keep to what is demanded of its upgrades, or the proof does not show it.
    Promise(UpgradeShortfall),
}

impl core::fmt::Display for Objection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotValidThen => "the instance's registration was not open over the time of the answer",
            Self::Emulated => "the evidence is emulated, and real hardware was asked for",
            Self::NotValidNow => "the registration is not known to stand now, which was asked for",
            Self::Promise(shortfall) => return shortfall.fmt(f),
        })
    }
}

/// The verdict on a proof. Only [`verify_bundle`](crate::verify_bundle) makes one.
#[derive(Debug, Clone)]
pub struct Verdict {
    network_key: NetworkKey,
    links: Vec<LinkReport>,
    claims: Option<Claims>,
    objections: Vec<Objection>,
}

impl Verdict {
    pub(crate) const fn new(
        network_key: NetworkKey,
        links: Vec<LinkReport>,
        claims: Option<Claims>,
        objections: Vec<Objection>,
    ) -> Self {
        Self { network_key, links, claims, objections }
    }

    /// Whether the proof holds: every link holds (redacted texts and a missing anchor aside), the registration was open
    /// over the answer, and whatever was asked for besides.
    pub const fn is_valid(&self) -> bool {
        self.claims.is_some() && self.objections.is_empty()
    }

    /// The key that was trusted.
    pub const fn network_key(&self) -> &NetworkKey {
        &self.network_key
    }

    /// What was found at each link, in order.
    pub fn links(&self) -> &[LinkReport] {
        &self.links
    }

    /// What was found at one link.
    ///
    /// # Panics
    /// Never: a verdict reports on every link.
    pub fn status(&self, link: Link) -> &LinkStatus {
        let report = self.links.iter().find(|report| report.link == link);
        &report.expect("a verdict reports on every link").status
    }

    /// What is claimed; `None` where a link failed, since then nothing is.
    pub const fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }

    /// Why a proof whose links all hold is refused.
    pub fn objections(&self) -> &[Objection] {
        &self.objections
    }

    /// The verdict as one line of JSON (`spec/verdict.md` §2).
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a verdict has text keys and no float")
    }
}

#[derive(Serialize)]
struct LinkLine {
    link: Link,
    status: &'static str,
    reason: String,
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let claims = self.claims.as_ref();
        let mut object = serializer.serialize_struct("Verdict", 14)?;
        object.serialize_field("format", VERDICT_FORMAT)?;
        object.serialize_field("verdict", if self.is_valid() { "valid" } else { "refused" })?;
        object.serialize_field("trust_domain", &claims.map(|claims| claims.trust_domain.as_str()))?;
        object.serialize_field("valid_then", &claims.is_some_and(|claims| claims.valid_then))?;
        object.serialize_field("valid_now", &claims.map_or(ValidNow::Unknown, |claims| claims.valid_now))?;
        object.serialize_field("tainted", claims.map_or(&[][..], |claims| &claims.tainted))?;
        object.serialize_field("anchored", &claims.is_some_and(|claims| claims.anchored))?;
        object.serialize_field("as_of", &claims.map(|claims| claims.as_of))?;
        object.serialize_field("network_key", &self.network_key)?;
        object.serialize_field("app_id", &claims.map(|claims| claims.app_id))?;
        object.serialize_field("model", &claims.map(|claims| &claims.model))?;
        object.serialize_field("tier", &claims.map(|claims| claims.tier))?;
        object.serialize_field("promise", &claims.and_then(|claims| claims.promise.as_ref()))?;
        let lines: Vec<LinkLine> = self
            .links
            .iter()
            .map(|report| LinkLine { link: report.link, status: report.status.as_str(), reason: report.reason() })
            .collect();
        object.serialize_field("links", &lines)?;
        object.end()
    }
}

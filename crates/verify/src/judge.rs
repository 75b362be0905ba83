//! From a file to a verdict: read, walk every link, then say what follows.

use freehold_primitives::{
    AppId, BlockMoment, Digest, NetworkKey, SuccessionRecord, UnixSeconds,
    entries::{DenyEntry, InstanceEntry},
};

use crate::{
    bundle::{AsOf, HeaderFileError, read_sections},
    light::{ChainTrust, NetworkKeys},
    link::{Link, LinkReport, LinkStatus},
    promise::{Promise, UpgradeDemand, UpgradeShortfall},
    refusal::LinkError,
    verdict::{AsOfHeader, Claims, ModelName, Objection, Taint, ValidNow, Verdict},
    walk::{Facts, proven_denied, proven_promise, walk},
};

/// Age above which a header no longer answers for now, where a caller does not choose: 24 hours.
pub const MAX_AGE_S_DEFAULT: u64 = 24 * 60 * 60;

/// How a proof is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// The network key: all that is trusted.
    pub network_key: NetworkKey,
    /// Records by which the network key named its successors, oldest first; empty where it never did.
    pub succession: &'a [SuccessionRecord],
    /// Which moment it is, by whoever asks.
    pub now_unix_s: UnixSeconds,
    /// Age in seconds above which a header no longer answers for now.
    pub max_age_s: u64,
    /// Text of a header file, newer than the proof.
    pub header: Option<&'a str>,
    /// Refuse emulated evidence.
    pub require_hardware: bool,
    /// Refuse where `valid_now` is not `yes`.
    pub require_now: bool,
    /// Refuse where the app is not shown to keep to this.
    pub demand: Option<&'a UpgradeDemand>,
}

impl VerifyOptions<'_> {
    /// Nothing asked for beyond validity at the time of the answer.
    pub const fn new(network_key: NetworkKey, now_unix_s: UnixSeconds) -> Self {
        Self {
            network_key,
            succession: &[],
            now_unix_s,
            max_age_s: MAX_AGE_S_DEFAULT,
            header: None,
            require_hardware: false,
            require_now: false,
            demand: None,
        }
    }
}

/// A step of the verification, for whoever measures it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The file was read and its documents decoded.
    Read,
    /// A link was walked.
    Link(Link),
    /// Claims were drawn.
    Claims,
}

/// Judges a proof. Whatever the text is, the answer is a verdict.
///
/// # Errors
/// [`HeaderFileError`] when a header file was given and does not count.
pub fn verify_bundle(text: &str, options: &VerifyOptions<'_>) -> Result<Verdict, HeaderFileError> {
    verify_bundle_with(text, options, &mut |_| ())
}

/// As [`verify_bundle`]; `done` hears of each step when it is done, so that a caller with a clock can measure.
///
/// # Errors
/// [`HeaderFileError`] when a header file was given and does not count.
pub fn verify_bundle_with(
    text: &str,
    options: &VerifyOptions<'_>,
    done: &mut dyn FnMut(Step),
) -> Result<Verdict, HeaderFileError> {
    let sections = match read_sections(text) {
        Ok(sections) => sections,
        Err(error) => {
            let failed = |link| LinkReport { link, status: LinkStatus::Failed(LinkError::Document(error.clone())) };
            let links = Link::ALL.into_iter().map(failed).collect();
            return Ok(Verdict::new(options.network_key, links, None, Vec::new()));
        }
    };
    let facts = Facts::new(&sections, (options.network_key, options.succession));
    done(Step::Read);
    let mut links = Vec::with_capacity(Link::ALL.len());
    for link in Link::ALL {
        links.push(LinkReport { link, status: walk(link, &facts) });
        done(Step::Link(link));
    }
    let claims =
        if links.iter().all(|report| report.status.is_acceptable()) { draw_claims(&facts, options)? } else { None };
    let objections = claims.as_ref().map(|claims| objections(claims, options)).unwrap_or_default();
    done(Step::Claims);
    Ok(Verdict::new(options.network_key, links, claims, objections))
}

/// Checks a header file by itself: what it says of the instance stands under a certificate of the network key.
///
/// # Errors
/// [`HeaderFileError`] when it does not count.
pub fn verify_header_file(
    text: &str,
    (trust, keys): (&ChainTrust, &NetworkKeys),
    instance: &Digest,
) -> Result<AsOfHeader, HeaderFileError> {
    Ok(header(&AsOf::from_text(text, (trust, keys), instance)?.moment))
}

fn objections(claims: &Claims, options: &VerifyOptions<'_>) -> Vec<Objection> {
    let emulated = claims.trust_domain == freehold_primitives::TrustDomain::Emulated;
    let shortfall = options.demand.filter(|demand| !demand.is_empty()).and_then(|demand| {
        let shown = claims.promise.as_ref().ok_or(UpgradeShortfall::Unproven);
        shown.and_then(|promise| promise.meets(demand, claims.not_before.time_unix_s)).err()
    });
    [
        (!claims.valid_then, Objection::NotValidThen),
        (options.require_hardware && emulated, Objection::Emulated),
        (options.require_now && claims.valid_now != ValidNow::Yes, Objection::NotValidNow),
    ]
    .into_iter()
    .filter_map(|(objects, objection)| objects.then_some(objection))
    .chain(shortfall.map(Objection::Promise))
    .collect()
}

/// What follows from links that all hold. `None` never happens then: every part was read by the link that needs it.
fn draw_claims(facts: &Facts<'_>, options: &VerifyOptions<'_>) -> Result<Option<Claims>, HeaderFileError> {
    let Some(proven) = Proven::new(facts) else { return Ok(None) };
    let trust =
        ChainTrust { network_key: options.network_key, chain_id: proven.chain_id, genesis_hash: proven.genesis_hash };
    let instance_id = proven.as_of.instance.instance_id;
    let keys = NetworkKeys::walk(&trust, options.succession).unwrap_or(NetworkKeys::one(options.network_key));
    let newer = options.header.map(|text| AsOf::from_text(text, (&trust, &keys), &instance_id)).transpose()?;
    let newer = newer.filter(|newer| newer.moment.height > proven.as_of.moment.height);
    let valid_then = proven.valid_then();
    let trust_domain = proven.as_of.instance.trust_domain;
    let as_of = newer.unwrap_or(proven.as_of);
    Ok(Some(Claims {
        trust_domain,
        valid_then,
        valid_now: valid_now(&as_of, options),
        tainted: as_of.denied.iter().flat_map(|entry| taints(entry, &as_of.instance)).collect(),
        tier: as_of.instance.tier,
        anchored: proven.anchor.is_some(),
        as_of: header(&as_of.moment),
        app_id: as_of.instance.app_id,
        model: proven.model,
        promise: proven.promise,
        not_before: header(&proven.not_before),
        not_after: proven.anchor.map(|anchor| anchor.at),
    }))
}

const fn header(moment: &BlockMoment) -> AsOfHeader {
    AsOfHeader { height: moment.height, time_unix_s: moment.time_unix_s }
}

struct ProvenAnchor {
    at: AsOfHeader,
    adopted: bool,
}

struct Proven {
    chain_id: u64,
    genesis_hash: Digest,
    not_before: BlockMoment,
    anchor: Option<ProvenAnchor>,
    as_of: AsOf,
    model: ModelName,
    promise: Option<Promise>,
}

impl Proven {
    fn new(facts: &Facts<'_>) -> Option<Self> {
        let (genesis, genesis_hash) = facts.genesis.as_ref().ok()?;
        let spoken = facts.spoken.as_ref()?;
        let entries = facts.entries.as_ref()?;
        let instance = entries.instance.as_ref().ok()?.clone();
        let state = facts.state_headers.as_ref().ok()?.first()?;
        let section = facts.sections.state_proof.as_ref().ok()?;
        let denied = proven_denied(state, &section.denied, &instance).ok()?;
        let anchor = entries.anchor.as_ref().ok()?.as_ref().map(|anchor| ProvenAnchor {
            at: AsOfHeader { height: anchor.height, time_unix_s: anchor.time_unix_s },
            adopted: anchor.anchored_by != instance.instance_id,
        });
        let app = entries.app.as_ref().ok()?.clone();
        let promise = section.promise.as_ref().map(|promise| proven_promise(state, promise, &app)).transpose().ok()?;
        Some(Self {
            chain_id: genesis.chain_id,
            genesis_hash: *genesis_hash,
            not_before: spoken.moment,
            anchor,
            as_of: AsOf { moment: state.moment(), instance, app, denied },
            model: ModelName { name: spoken.model_name.clone(), sha256: spoken.model_sha256 },
            promise,
        })
    }

    /// Whether the registration was open from the block that the receipt names to the block that anchors it. Where no
    /// anchor of the instance's own ends the span, the first block alone is judged (`spec/verdict.md` §3).
    fn valid_then(&self) -> bool {
        let (instance, app) = (&self.as_of.instance, &self.as_of.app);
        let start = header(&self.not_before);
        let end = self.anchor.as_ref().filter(|anchor| !anchor.adopted).map_or(start, |anchor| anchor.at);
        let open_until = |closed_at: Option<u64>| closed_at.is_none_or(|height| height > end.height);
        // A denial that was lifted before the answer, or came after it, taints and does not end the registration then.
        let denied = self.as_of.denied.iter().flat_map(|entry| &entry.denials).any(|denial| {
            denial.covers(instance.tcb_level.as_ref())
                && denial.since <= end.height
                && denial.lifted_at.is_none_or(|height| height > start.height)
        });
        !denied
            && instance.opened_at <= start.height
            && open_until(instance.closed_at)
            && end.time_unix_s <= instance.expires_at
            && end.time_unix_s <= instance.keyset_not_after
            && app.opened_at <= start.height
            && open_until(app.closed_at)
    }
}

fn valid_now(as_of: &AsOf, options: &VerifyOptions<'_>) -> ValidNow {
    if options.now_unix_s.saturating_sub(as_of.moment.time_unix_s) > options.max_age_s {
        return ValidNow::Unknown;
    }
    let ended = as_of.instance.closed_at.is_some()
        || as_of.app.closed_at.is_some()
        || as_of.moment.time_unix_s > as_of.instance.expires_at
        || as_of.moment.time_unix_s > as_of.instance.keyset_not_after
        || as_of.denied.iter().any(|entry| entry.stands(as_of.instance.tcb_level.as_ref()));
    if ended { ValidNow::No } else { ValidNow::Yes }
}

/// Every denial of an entry whose shadow the instance lies in: those too that were lifted, and of TCB levels those that
/// it had at an earlier time.
fn taints<'a>(entry: &'a DenyEntry, instance: &'a InstanceEntry) -> impl Iterator<Item = Taint> + 'a {
    let covering = entry.denials.iter().filter(|denial| denial.covers(instance.tcb_level_lowest.as_ref()));
    covering.map(|denial| {
        let level = denial.level.map(|level| level.to_subject()).unwrap_or_default();
        Taint {
            since_height: denial.since,
            reason: match denial.reason {
                1 => "compromised",
                2 => "extracted_key",
                3 => "withdrawn_release",
                _ => "other",
            },
            subject: format!("{}:{}{}", entry.subject_kind, hex::encode(&entry.subject.0), hex::encode(level)),
            by: if entry.app_id == AppId::CHAIN { "chain" } else { "app" },
            lifted_height: denial.lifted_at,
        }
    })
}

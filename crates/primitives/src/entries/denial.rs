//! Denials: what an app, or the chain itself, no longer trusts (`spec/entries.md`).
//!
//! One entry for each subject keeps every denial of it, lifted ones too: a proof at any later height tells the whole
//! story. Nothing here reads state.

use core::fmt;

use super::InstanceEntry;
use crate::{
    codec::{Blob, Canonical, CodecError, Reader},
    ids::{AppId, Height, PlatformFamily, UnixSeconds},
    measurement::Measurement,
    payload::TrustDomain,
    policy::SnpTcb,
};

/// Most denials that the entry of one subject holds.
pub const DENIALS_MAX: usize = 16;

canonical_enum! {
    /// What a deny entry names.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum DenySubject {
        /// A platform, as entries name it (32 bytes).
        Platform = 1,
        /// A platform family (6 bytes).
        Family = 2,
        /// A measurement: MRTD, SNP launch digest or PCR0 (48 bytes), or MRENCLAVE (32 bytes).
        Measurement = 3,
        /// An instance, by id (32 bytes).
        Instance = 4,
        /// A generation of processors or GPUs ([`generation`], 5 bytes).
        Generation = 5,
        /// A TCB level of a platform family and every lower one ([`tcb_family`], 8 bytes, and the level).
        TcbLevel = 6,
    }
}

impl DenySubject {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Platform, Self::Family, Self::Measurement, Self::Instance, Self::Generation, Self::TcbLevel];

    /// The word in verdicts and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Family => "family",
            Self::Measurement => "measurement",
            Self::Instance => "instance",
            Self::Generation => "generation",
            Self::TcbLevel => "tcb",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kind with this tag.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == tag)
    }
}

impl fmt::Display for DenySubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a platform is patched, as its vendor orders it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcbLevel {
    /// Intel: the TCB date of the level that collateral matched, in unix seconds.
    Dated(UnixSeconds),
    /// AMD SEV-SNP: the reported security versions, each compared by itself.
    Snp(SnpTcb),
}

impl TcbLevel {
    /// Whether this level is `limit` or lower. Levels of two vendors are not ordered.
    pub const fn is_at_most(&self, limit: &Self) -> bool {
        match (self, limit) {
            (Self::Dated(date), Self::Dated(limit)) => *date <= *limit,
            (Self::Snp(parts), Self::Snp(limit)) => limit.is_at_least(parts),
            _ => false,
        }
    }

    /// The lowest that both can have been: the earlier date, or the smaller version of each part.
    #[must_use]
    pub fn lowest(self, other: Self) -> Self {
        match (self, other) {
            (Self::Dated(one), Self::Dated(two)) => Self::Dated(one.min(two)),
            (Self::Snp(one), Self::Snp(two)) => Self::Snp(SnpTcb {
                fmc: one.fmc.min(two.fmc),
                bootloader: one.bootloader.min(two.bootloader),
                tee: one.tee.min(two.tee),
                snp: one.snp.min(two.snp),
                microcode: one.microcode.min(two.microcode),
            }),
            _ => self,
        }
    }

    /// The bytes in a subject: 8 (date) or 5 (FMC, bootloader, TEE, SNP, microcode).
    pub fn to_subject(&self) -> Vec<u8> {
        match self {
            Self::Dated(date) => date.to_be_bytes().to_vec(),
            Self::Snp(parts) => vec![parts.fmc, parts.bootloader, parts.tee, parts.snp, parts.microcode],
        }
    }

    fn from_subject(maker: TrustDomain, bytes: &[u8]) -> Option<Self> {
        match (maker, bytes) {
            (TrustDomain::Intel, bytes) => Some(Self::Dated(UnixSeconds::from_be_bytes(bytes.try_into().ok()?))),
            (TrustDomain::Amd, &[fmc, bootloader, tee, snp, microcode]) => {
                Some(Self::Snp(SnpTcb { fmc, bootloader, tee, snp, microcode }))
            }
            _ => None,
        }
    }
}

impl Canonical for TcbLevel {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Dated(date) => {
                out.push(1);
                date.write(out);
            }
            Self::Snp(parts) => {
                out.push(2);
                parts.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(reader)? {
            1 => Ok(Self::Dated(UnixSeconds::read(reader)?)),
            2 => Ok(Self::Snp(SnpTcb::read(reader)?)),
            other => Err(CodecError::Tag(other)),
        }
    }
}

/// Who makes the hardware of a CPU TEE, as the trust domain that it has on real hardware.
const fn maker(measurement: &Measurement) -> TrustDomain {
    match measurement {
        Measurement::Tdx(_) | Measurement::Sgx(_) => TrustDomain::Intel,
        Measurement::Snp(_) => TrustDomain::Amd,
        Measurement::Nitro(_) => TrustDomain::Aws,
    }
}

/// Subject bytes of a generation: trust domain, maker, and three bytes of the family. Of Intel's the FMSPC's first five
/// digits after its first, which are the processor's CPUID signature without its stepping (`806F` is Sapphire Rapids); of
/// AMD's the product, of NVIDIA's the architecture; zero of AWS's.
pub const fn generation(domain: TrustDomain, maker: TrustDomain, family: &PlatformFamily) -> [u8; 5] {
    let family = &family.0;
    let [high, middle, low] = match maker {
        TrustDomain::Intel => [family[0] & 0x0f, family[1], family[2]],
        TrustDomain::Amd | TrustDomain::Nvidia => [0, 0, family[0]],
        TrustDomain::Aws | TrustDomain::Emulated => [0, 0, 0],
    };
    [domain as u8, maker as u8, high, middle, low]
}

/// Subject bytes, before the level, of TCB levels: trust domain, maker, family.
pub fn tcb_family(domain: TrustDomain, maker: TrustDomain, family: &PlatformFamily) -> [u8; 8] {
    let mut bytes = [domain as u8, maker as u8, 0, 0, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(family.as_bytes());
    bytes
}

/// A subject as a caller names it: what its slot is made of, and the level where it names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSubject {
    kind: DenySubject,
    key: Vec<u8>,
    level: Option<TcbLevel>,
}

impl NamedSubject {
    /// Reads a subject; `None` where the bytes have not the form of the kind.
    pub fn read(kind: DenySubject, bytes: &[u8]) -> Option<Self> {
        let whole = |fits: bool| fits.then(|| Self { kind, key: bytes.to_vec(), level: None });
        match kind {
            DenySubject::Platform | DenySubject::Instance => whole(bytes.len() == 32),
            DenySubject::Family => whole(bytes.len() == 6),
            DenySubject::Measurement => whole(matches!(bytes.len(), 32 | 48)),
            DenySubject::Generation => whole(bytes.len() == 5 && domain_and_maker(bytes).is_some()),
            DenySubject::TcbLevel => {
                let (key, level) = bytes.split_at_checked(8)?;
                let (_, maker) = domain_and_maker(key)?;
                let level = TcbLevel::from_subject(maker, level)?;
                Some(Self { kind, key: key.to_vec(), level: Some(level) })
            }
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> DenySubject {
        self.kind
    }

    /// What its slot is made of: the subject without the level.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The level, of [`DenySubject::TcbLevel`].
    pub const fn level(&self) -> Option<&TcbLevel> {
        self.level.as_ref()
    }

    /// The family within the key of [`DenySubject::TcbLevel`].
    pub fn tcb_family(&self) -> Option<PlatformFamily> {
        let family = self.key.get(2..).filter(|_| self.kind == DenySubject::TcbLevel)?;
        Some(PlatformFamily(family.try_into().ok()?))
    }

    /// Whether an instance stands on it as of its newest evidence.
    pub fn names(&self, instance: &InstanceEntry) -> bool {
        self.is_of(instance) && within(self.level.as_ref(), instance.tcb_level.as_ref())
    }

    /// Whether an instance stood on it at some time: the lowest level that it had counts.
    pub fn shadows(&self, instance: &InstanceEntry) -> bool {
        self.is_of(instance) && within(self.level.as_ref(), instance.tcb_level_lowest.as_ref())
    }

    fn is_of(&self, instance: &InstanceEntry) -> bool {
        instance.deny_subjects().iter().any(|(kind, key)| *kind == self.kind && *key == self.key)
    }
}

/// A trust domain, and a maker that its evidence can be of.
fn domain_and_maker(bytes: &[u8]) -> Option<(TrustDomain, TrustDomain)> {
    let of = |byte: u8| TrustDomain::ALL.into_iter().find(|domain| *domain as u8 == byte);
    let (domain, maker) = (of(*bytes.first()?)?, of(*bytes.get(1)?)?);
    let fits = maker != TrustDomain::Emulated && (domain == maker || domain == TrustDomain::Emulated);
    fits.then_some((domain, maker))
}

/// Whether a level is within what a denial says; one without a level covers all.
fn within(denied: Option<&TcbLevel>, level: Option<&TcbLevel>) -> bool {
    denied.is_none_or(|limit| level.is_some_and(|level| level.is_at_most(limit)))
}

canonical_struct! {
    /// One denial of a subject, from a height on and, where it was lifted, to another.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Denial {
        /// The highest level that it covers; `None` but for [`DenySubject::TcbLevel`].
        pub level: Option<TcbLevel>,
        /// Reason, a short code: 1 compromised, 2 extracted key, 3 withdrawn release, 4 other.
        pub reason: u8,
        /// Height from which it counts.
        pub since: Height,
        /// Height from which it no longer counts; `None` while it stands. An app's own denial is never lifted.
        pub lifted_at: Option<Height>,
    }
}

impl Denial {
    /// Whether it covers an instance at this level.
    pub fn covers(&self, level: Option<&TcbLevel>) -> bool {
        within(self.level.as_ref(), level)
    }
}

canonical_struct! {
    /// A subject that an app, or the chain ([`AppId::CHAIN`]), denies or denied. An app's instances that match are closed in
    /// the same block; the chain closes none, and whoever asks whether an instance is live looks here.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DenyEntry {
        /// App that denies; [`AppId::CHAIN`] where the chain does.
        pub app_id: AppId,
        /// Kind of the subject.
        pub subject_kind: DenySubject,
        /// The subject's bytes, without a level.
        pub subject: Blob,
        /// Every denial of it, oldest first; at most [`DENIALS_MAX`].
        pub denials: Vec<Denial>,
    }
}

impl DenyEntry {
    /// Whether a denial stands that covers an instance at this level.
    pub fn stands(&self, level: Option<&TcbLevel>) -> bool {
        self.denials.iter().any(|denial| denial.lifted_at.is_none() && denial.covers(level))
    }
}

impl InstanceEntry {
    /// What a deny entry can name of an instance, in the order of proofs: platform, family, measurement, instance,
    /// generation, TCB family where the TEE has levels, then platform, family and generation of each GPU.
    pub fn deny_subjects(&self) -> Vec<(DenySubject, Vec<u8>)> {
        let (domain, maker) = (self.trust_domain, maker(&self.measurement));
        let mut subjects = vec![
            (DenySubject::Platform, self.platform.0.to_vec()),
            (DenySubject::Family, self.family.0.to_vec()),
            (DenySubject::Measurement, self.measurement.launched().to_vec()),
            (DenySubject::Instance, self.instance_id.0.to_vec()),
            (DenySubject::Generation, generation(domain, maker, &self.family).to_vec()),
        ];
        if self.tcb_level.is_some() {
            subjects.push((DenySubject::TcbLevel, tcb_family(domain, maker, &self.family).to_vec()));
        }
        // Emulated and real evidence do not mix in a bundle (`spec/evidence.md` §1).
        let emulated = domain == TrustDomain::Emulated;
        let domain = if emulated { TrustDomain::Emulated } else { TrustDomain::Nvidia };
        for gpu in &self.gpus {
            subjects.push((DenySubject::Platform, gpu.platform.0.to_vec()));
            subjects.push((DenySubject::Family, gpu.family.0.to_vec()));
            subjects.push((DenySubject::Generation, generation(domain, TrustDomain::Nvidia, &gpu.family).to_vec()));
        }
        subjects
    }

    /// Ids of the deny entries that can name this instance, in the order of proofs: its app's own, then the chain's.
    pub fn deny_entries(&self) -> Vec<(AppId, DenySubject, Vec<u8>)> {
        let of = |app: AppId| self.deny_subjects().into_iter().map(move |(kind, key)| (app, kind, key));
        of(self.app_id).chain(of(AppId::CHAIN)).collect()
    }
}

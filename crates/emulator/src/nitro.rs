//! An emulated AWS Nitro host: its chain of certificates and attestation documents in every condition.
//!
//! The root is valid from 2020 to 2070; everything below is dated as AWS dates it (20 days, 6 days, one day, three hours),
//! counted from the caller's time in whole days or hours, so that the same hour gives the same bytes.

use freehold_primitives::{Blob, Canonical as _, Digest, NitroMeasurement, Register, UnixSeconds, VERSION};
use sha2::{Digest as _, Sha384};

use crate::{
    AppImage,
    collateral::{COLLATERAL_VALID_S, DAY_S, SLACK_S},
    keys::derive_bytes,
    x509::{self, Key, List, P384Key, Subject},
};

/// Organisation of every emulated certificate of AWS's kind.
const ORGANIZATION: &str = "EMULATED - NOT AWS";
const HOUR_S: u64 = 3_600;
/// How long a leaf lives: three hours.
pub const NITRO_LEAF_VALID_S: u64 = 3 * HOUR_S;
/// Names and days of validity of the three certificates between root and leaf.
const INTERMEDIATES: [(&str, u64); 3] = [("regional", 20), ("zonal", 6), ("instance", 1)];

/// What is wrong with evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum NitroCondition {
    /// Nothing.
    #[default]
    Good,
    /// The enclave runs in debug mode: PCR0 to PCR2 are zero.
    Debug,
    /// The leaf ended an hour ago.
    LeafExpired,
    /// The leaf is of another enclave.
    ModuleForeign,
    /// The document is dated an hour ahead.
    TimestampAhead,
    /// The user data is not 64 bytes.
    UserDataShort,
    /// The leaf comes from another issuer than the last certificate of the bundle.
    IssuerForeign,
}

impl NitroCondition {
    /// Every condition.
    pub const ALL: &'static [Self] = &[
        Self::Good,
        Self::Debug,
        Self::LeafExpired,
        Self::ModuleForeign,
        Self::TimestampAhead,
        Self::UserDataShort,
        Self::IssuerForeign,
    ];
}

/// What is wrong with collateral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum NitroCollateralCondition {
    /// Nothing.
    #[default]
    Good,
    /// The regional certificate stands in the root's revocation list.
    RegionalRevoked,
    /// The revocation lists have expired.
    ListsExpired,
    /// No revocation lists.
    ListsMissing,
}

impl NitroCollateralCondition {
    /// Every condition.
    pub const ALL: &'static [Self] = &[Self::Good, Self::RegionalRevoked, Self::ListsExpired, Self::ListsMissing];
}

/// An enclave as its document shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NitroEnclave {
    /// The registers that policies name; the others are zero.
    pub measurement: NitroMeasurement,
}

impl NitroEnclave {
    /// An enclave whose guest executable has SHA-256 `guest` and that will start `app`.
    pub fn launch(guest: &Digest, app: &AppImage) -> Self {
        let hash = |domain: &str, value: &[u8]| {
            Register(Sha384::new().chain_update(domain.as_bytes()).chain_update(value).finalize().into())
        };
        Self {
            measurement: NitroMeasurement {
                pcr0: hash("freehold emulated pcr0\n", &[guest.as_ref(), app.digest().as_bytes()].concat()),
                pcr1: Some(hash("freehold emulated pcr1\n", guest.as_ref())),
                pcr2: Some(hash("freehold emulated pcr2\n", app.digest().as_bytes())),
                pcr3: Some(Register::ZERO),
                pcr4: Some(hash("freehold emulated pcr4\n", b"")),
                pcr8: Some(Register::ZERO),
            },
        }
    }
}

/// An emulated host.
pub struct NitroPlatform {
    instance: String,
    root_key: Key,
    intermediate_keys: [Key; 3],
    leaf_key: P384Key,
}

impl NitroPlatform {
    /// The first host of a seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self::nth(seed, 0)
    }

    /// Host `index` of a seed, in the same zone.
    pub fn nth(seed: &[u8; 32], index: u32) -> Self {
        let key = |label: &str| Key::P384(P384Key::derive(seed, label));
        let id = &derive_bytes(seed, &format!("nitro instance {index}"), 0)[..8];
        Self {
            instance: format!("i-{}", hex::encode(id)),
            root_key: key("nitro root"),
            intermediate_keys: [key("nitro regional"), key("nitro zonal"), key(&format!("nitro instance {index}"))],
            leaf_key: P384Key::derive(seed, &format!("nitro leaf {index}")),
        }
    }

    /// Name of the enclave.
    pub fn module_id(&self) -> String {
        format!("{}-enc0123456789abcdef", self.instance)
    }

    /// The root certificate, DER: valid from 2020 to 2070, whatever the time.
    pub fn root_certificate(&self) -> Vec<u8> {
        let name = name("root");
        let subject = Subject {
            serial: &[1],
            name: &name,
            public: self.root_key.public(),
            valid: x509::LONG,
            extensions: x509::issuer_extensions(None),
        };
        x509::certificate(&subject, &name, &self.root_key)
    }

    /// Collateral at `now_unix_s`: a canonical document (`spec/collateral.md`), the same bytes for a whole day.
    pub fn collateral(&self, now_unix_s: UnixSeconds, condition: NitroCollateralCondition) -> Vec<u8> {
        let mut out = vec![VERSION];
        let certificates: Vec<Blob> = (0..2).map(|index| Blob(self.intermediate(index, now_unix_s))).collect();
        certificates.write(&mut out);
        let mut issued_at = day(now_unix_s);
        if condition == NitroCollateralCondition::ListsExpired {
            issued_at = issued_at.saturating_sub(COLLATERAL_VALID_S + DAY_S);
        }
        let lists: Vec<Blob> = (0..2usize)
            .filter(|_| condition != NitroCollateralCondition::ListsMissing)
            .map(|index| {
                let serial = [serial(index)];
                let revoked = index == 0 && condition == NitroCollateralCondition::RegionalRevoked;
                let list =
                    List { issued_at, expires_at: issued_at + COLLATERAL_VALID_S, revoked: revoked.then_some(&serial) };
                let (issuer_name, issuer) = self.issuer(index);
                Blob(x509::revocation_list(&list, &issuer_name, issuer))
            })
            .collect();
        lists.write(&mut out);
        out
    }

    /// Evidence in canonical form at `now_unix_s`: a document over the enclave and 64 bytes of its choice.
    pub fn evidence(
        &self,
        enclave: &NitroEnclave,
        report_data: &[u8; 64],
        now_unix_s: UnixSeconds,
        condition: NitroCondition,
    ) -> Vec<u8> {
        let payload = self.payload(enclave, report_data, now_unix_s, condition);
        let mut signed = b"\x84\x6aSignature1\x44\xa1\x01\x38\x22\x40".to_vec();
        bytes(&mut signed, &payload);
        let mut out = vec![0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0];
        bytes(&mut out, &payload);
        bytes(&mut out, &self.leaf_key.sign(&signed));
        out
    }

    /// The document: an indefinite map, as AWS's hypervisor writes it.
    fn payload(
        &self,
        enclave: &NitroEnclave,
        report_data: &[u8; 64],
        now_unix_s: UnixSeconds,
        condition: NitroCondition,
    ) -> Vec<u8> {
        let mut out = vec![0xbf];
        text(&mut out, "module_id");
        text(&mut out, &self.module_id());
        text(&mut out, "digest");
        text(&mut out, "SHA384");
        text(&mut out, "timestamp");
        out.push(0x1b);
        let ahead = if condition == NitroCondition::TimestampAhead { HOUR_S } else { 0 };
        let hours_past = if condition == NitroCondition::LeafExpired { 4 * HOUR_S } else { 0 };
        out.extend(((now_unix_s + ahead).saturating_sub(hours_past) * 1000).to_be_bytes());
        text(&mut out, "pcrs");
        registers(&mut out, enclave, condition);
        text(&mut out, "certificate");
        bytes(&mut out, &self.leaf(now_unix_s, condition));
        text(&mut out, "cabundle");
        out.push(0x84);
        bytes(&mut out, &self.root_certificate());
        for index in 0..3 {
            bytes(&mut out, &self.intermediate(index, now_unix_s));
        }
        text(&mut out, "public_key");
        out.push(0xf6);
        text(&mut out, "user_data");
        let short = condition == NitroCondition::UserDataShort;
        bytes(&mut out, &report_data[..if short { 32 } else { 64 }]);
        text(&mut out, "nonce");
        out.push(0xf6);
        out.push(0xff);
        out
    }

    /// The certificate at this place below the root, valid from the last midnight.
    fn intermediate(&self, index: usize, now_unix_s: UnixSeconds) -> Vec<u8> {
        let (_, days) = INTERMEDIATES[index];
        let below = u8::try_from(INTERMEDIATES.len() - 1 - index).expect("three certificates");
        let from = day(now_unix_s);
        let subject = Subject {
            serial: &[serial(index)],
            name: &self.intermediate_name(index),
            public: self.intermediate_keys[index].public(),
            valid: (from, from + days * DAY_S + 2 * HOUR_S),
            extensions: x509::issuer_extensions(Some(below)),
        };
        let (issuer_name, issuer) = self.issuer(index);
        x509::certificate(&subject, &issuer_name, issuer)
    }

    fn intermediate_name(&self, index: usize) -> Vec<u8> {
        match INTERMEDIATES[index] {
            ("instance", _) => name(&self.instance),
            (other, _) => name(other),
        }
    }

    /// Name and key that issue the certificate at this place below the root.
    fn issuer(&self, index: usize) -> (Vec<u8>, &Key) {
        match index.checked_sub(1) {
            None => (name("root"), &self.root_key),
            Some(above) => (self.intermediate_name(above), &self.intermediate_keys[above]),
        }
    }

    fn leaf(&self, now_unix_s: UnixSeconds, condition: NitroCondition) -> Vec<u8> {
        let past = if condition == NitroCondition::LeafExpired { 4 * HOUR_S } else { 0 };
        let from = now_unix_s.saturating_sub(past) / HOUR_S * HOUR_S;
        let foreign = condition == NitroCondition::ModuleForeign;
        let module = if foreign { "i-00-enc00".to_owned() } else { self.module_id() };
        let issuer = if condition == NitroCondition::IssuerForeign { 1 } else { 3 };
        let (issuer_name, issuer) = self.issuer(issuer);
        let subject = Subject {
            serial: &[9],
            name: &name(&format!("{module}.emulated.aws")),
            public: self.leaf_key.public(),
            valid: (from, from + NITRO_LEAF_VALID_S),
            extensions: vec![],
        };
        x509::certificate(&subject, &issuer_name, issuer)
    }
}

fn registers(out: &mut Vec<u8>, enclave: &NitroEnclave, condition: NitroCondition) {
    let shown = &enclave.measurement;
    out.push(0xb0);
    for index in 0u8..16 {
        let value = match index {
            0..=2 if condition == NitroCondition::Debug => None,
            0 => Some(shown.pcr0),
            1 => shown.pcr1,
            2 => shown.pcr2,
            3 => shown.pcr3,
            4 => shown.pcr4,
            8 => shown.pcr8,
            _ => None,
        };
        out.push(index);
        bytes(out, value.unwrap_or(Register::ZERO).as_bytes());
    }
}

fn day(now_unix_s: UnixSeconds) -> UnixSeconds {
    now_unix_s.saturating_sub(SLACK_S) / DAY_S * DAY_S
}

fn serial(index: usize) -> u8 {
    2 + u8::try_from(index).expect("three certificates")
}

fn name(common_name: &str) -> Vec<u8> {
    x509::name(ORGANIZATION, &format!("{common_name}.nitro-enclaves"))
}

/// A byte string with its shortest head; documents are below 64 KiB.
fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    head(out, 0x40, value.len());
    out.extend(value);
}

fn text(out: &mut Vec<u8>, value: &str) {
    head(out, 0x60, value.len());
    out.extend(value.as_bytes());
}

fn head(out: &mut Vec<u8>, major: u8, length: usize) {
    let length = u16::try_from(length).expect("documents are below 64 KiB");
    match length.to_be_bytes() {
        [0, low] if low < 24 => out.push(major | low),
        [0, low] => out.extend([major | 24, low]),
        [high, low] => out.extend([major | 25, high, low]),
    }
}

//! Emulated AMD SEV-SNP machines: Milan, Genoa and Turin, report versions 2 to 5, VCEKs and VLEKs.
//!
//! The bytes are those of AMD 56860 and 57230 under development roots of their own, whose subjects say so. Certificates
//! have fixed, long validity; only the root's revocation list is dated. As on hardware, every endorsement certificate has
//! serial number 0 and a list revokes intermediates.

mod report;

use freehold_primitives::{
    Blob, Canonical as _, SnpMeasurement, SnpProduct, SnpSigningKey, SnpTcb, UnixSeconds, VERSION,
};

pub(crate) use self::report::REPORT_BYTES;
pub use self::report::SnpGuest;
use crate::{
    collateral::{COLLATERAL_VALID_S, DAY_S, SLACK_S},
    der::{tlv, unsigned},
    keys::derive_bytes,
    rsa_key::RsaKey,
    x509::{self, Key, List, P384Key, Subject},
};

/// Organisation of every emulated certificate of AMD's kind.
const ORGANIZATION: &str = "EMULATED - NOT AMD";
/// Id of the cloud that emulated VLEKs are given to.
pub const SNP_CLOUD: &str = "CN=emulated.cloud.invalid";
/// One year in the past of everything: when the endorsement of `EndorsementExpired` ended.
const EXPIRED: (UnixSeconds, UnixSeconds) = (1_577_836_800, 1_609_459_200);
/// Serial numbers: root, intermediate for VCEKs, intermediate for VLEKs.
const SERIALS: [u8; 3] = [0x10, 0x11, 0x12];

/// What is wrong with evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SnpCondition {
    /// Nothing.
    #[default]
    Good,
    /// The guest can be debugged.
    Debug,
    /// The guest may be migrated.
    Migratable,
    /// The report comes from VMPL 1.
    LowerPrivilege,
    /// All four TCB versions are the oldest there are.
    TcbOld,
    /// The guest was launched under the oldest TCB there is.
    LaunchTcbOld,
    /// More is reported than was committed.
    TcbOutOfOrder,
    /// Memory was not checked for aliases.
    AliasUnchecked,
    /// The certificate is of another chip.
    ChipForeign,
    /// The certificate is for another TCB.
    TcbForeign,
    /// The report's CPU is of another product.
    CpuForeign,
    /// The certificate has expired.
    EndorsementExpired,
    /// The platform withholds its key.
    Unsigned,
}

impl SnpCondition {
    /// Every condition.
    pub const ALL: &'static [Self] = &[
        Self::Good,
        Self::Debug,
        Self::Migratable,
        Self::LowerPrivilege,
        Self::TcbOld,
        Self::LaunchTcbOld,
        Self::TcbOutOfOrder,
        Self::AliasUnchecked,
        Self::ChipForeign,
        Self::TcbForeign,
        Self::CpuForeign,
        Self::EndorsementExpired,
        Self::Unsigned,
    ];
}

/// What is wrong with collateral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SnpCollateralCondition {
    /// Nothing.
    #[default]
    Good,
    /// The intermediate stands in the root's revocation list.
    IntermediateRevoked,
    /// The revocation list has expired.
    ListExpired,
    /// No revocation list.
    ListMissing,
}

impl SnpCollateralCondition {
    /// Every condition.
    pub const ALL: &'static [Self] = &[Self::Good, Self::IntermediateRevoked, Self::ListExpired, Self::ListMissing];
}

/// An emulated machine.
pub struct SnpPlatform {
    seed: [u8; 32],
    product: SnpProduct,
    chip_id: [u8; 64],
    index: u32,
    root_name: Vec<u8>,
    root_key: Key,
    intermediates: [Key; 2],
}

impl SnpPlatform {
    /// The first machine of a seed and product.
    pub fn new(seed: &[u8; 32], product: SnpProduct) -> Self {
        Self::nth(seed, product, 0)
    }

    /// Machine `index` of a seed and product: its own chip id and keys, under the same root.
    pub fn nth(seed: &[u8; 32], product: SnpProduct, index: u32) -> Self {
        let mut chip_id = [0; 64];
        let used = chip_id_bytes(product);
        for (counter, block) in (0u8..).zip(chip_id[..used].chunks_mut(32)) {
            let label = format!("snp chip {} {index}", product as u8);
            block.copy_from_slice(&derive_bytes(seed, &label, counter)[..block.len()]);
        }
        let rsa = |label: &str| Key::Rsa(Box::new(RsaKey::derive(seed, label)));
        Self {
            seed: *seed,
            product,
            chip_id,
            index,
            root_name: x509::name(ORGANIZATION, &format!("ARK-{product:?}")),
            root_key: rsa("snp ark"),
            intermediates: [rsa("snp ask"), rsa("snp asvk")],
        }
    }

    /// The product.
    pub const fn product(&self) -> SnpProduct {
        self.product
    }

    /// CHIP_ID.
    pub const fn chip_id(&self) -> &[u8; 64] {
        &self.chip_id
    }

    /// The root certificate (ARK), DER: valid from 2020 to 2070, whatever the time.
    pub fn root_certificate(&self) -> Vec<u8> {
        let subject = Subject {
            serial: &SERIALS[..1],
            name: &self.root_name,
            public: self.root_key.public(),
            valid: x509::LONG,
            extensions: x509::issuer_extensions(None),
        };
        x509::certificate(&subject, &self.root_name, &self.root_key)
    }

    /// Collateral at `now_unix_s`: a canonical document (`spec/collateral.md`), the same bytes for a whole day.
    pub fn collateral(
        &self,
        now_unix_s: UnixSeconds,
        signing_key: SnpSigningKey,
        condition: SnpCollateralCondition,
    ) -> Vec<u8> {
        let index = signing_key as usize;
        let name = self.intermediate_name(signing_key);
        let subject = Subject {
            serial: &SERIALS[index + 1..index + 2],
            name: &name,
            public: self.intermediates[index].public(),
            valid: x509::LONG,
            extensions: x509::issuer_extensions(Some(0)),
        };
        let intermediate = x509::certificate(&subject, &self.root_name, &self.root_key);
        let mut issued_at = now_unix_s.saturating_sub(SLACK_S) / DAY_S * DAY_S;
        if condition == SnpCollateralCondition::ListExpired {
            issued_at = issued_at.saturating_sub(COLLATERAL_VALID_S + DAY_S);
        }
        let revoked = condition == SnpCollateralCondition::IntermediateRevoked;
        let list =
            List { issued_at, expires_at: issued_at + COLLATERAL_VALID_S, revoked: revoked.then_some(subject.serial) };
        let list = (condition != SnpCollateralCondition::ListMissing)
            .then(|| Blob(x509::revocation_list(&list, &self.root_name, &self.root_key)));

        let mut out = vec![VERSION];
        self.product.write(&mut out);
        signing_key.write(&mut out);
        Blob(intermediate).write(&mut out);
        list.write(&mut out);
        out
    }

    /// Evidence in canonical form: a report over the guest and 64 bytes of its choice, and behind it the certificate of
    /// the key that signed it.
    pub fn evidence(
        &self,
        guest: &SnpGuest,
        report_data: &[u8; 64],
        signing_key: SnpSigningKey,
        condition: SnpCondition,
    ) -> Vec<u8> {
        let guest = guest.under(condition, self.product);
        let key = self.endorsement_key(signing_key, &guest.reported_tcb);
        let mut evidence = report::report(self, &guest, report_data, (signing_key, &key), condition);
        evidence.extend(self.endorsement(signing_key, &guest.reported_tcb, &key, condition));
        evidence
    }

    /// VCEK and VLEK are derived for a TCB version: another version, another key.
    fn endorsement_key(&self, signing_key: SnpSigningKey, tcb: &SnpTcb) -> P384Key {
        let version = tcb.to_canonical().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let product = self.product as u8;
        let label = match signing_key {
            SnpSigningKey::Vcek => format!("snp vcek {product} {} {version}", self.index),
            SnpSigningKey::Vlek => format!("snp vlek {product} {version}"),
        };
        P384Key::derive(&self.seed, &label)
    }

    fn intermediate_name(&self, signing_key: SnpSigningKey) -> Vec<u8> {
        let product = self.product;
        let common_name = match signing_key {
            SnpSigningKey::Vcek => format!("SEV-{product:?}"),
            SnpSigningKey::Vlek => format!("SEV-VLEK-{product:?}"),
        };
        x509::name(ORGANIZATION, &common_name)
    }

    /// The certificate of an endorsement key, DER (AMD 57230, tables 8 to 11).
    fn endorsement(&self, signing_key: SnpSigningKey, tcb: &SnpTcb, key: &P384Key, condition: SnpCondition) -> Vec<u8> {
        let amd = |tail: &[u32], value: &[u8]| x509::extension(&[&[1, 3, 6, 1, 4, 1, 3704, 1], tail].concat(), value);
        let mut tcb = *tcb;
        if condition == SnpCondition::TcbForeign {
            tcb.microcode ^= 1;
        }
        let mut extensions = vec![
            amd(&[1], &unsigned(&[u8::from(self.product == SnpProduct::Turin)])),
            amd(&[2], &tlv(0x16, format!("{:?}", self.product).as_bytes())),
        ];
        let mut parts = vec![(1, tcb.bootloader), (2, tcb.tee), (3, tcb.snp), (8, tcb.microcode)];
        match self.product {
            SnpProduct::Turin => parts.extend([(5, 0), (6, 0), (7, 0), (9, tcb.fmc)]),
            SnpProduct::Milan | SnpProduct::Genoa => parts.extend([(4, 0), (5, 0), (6, 0), (7, 0)]),
        }
        extensions.extend(parts.into_iter().map(|(part, version)| amd(&[3, part], &unsigned(&[version]))));
        let mut chip_id = self.chip_id[..chip_id_bytes(self.product)].to_vec();
        if condition == SnpCondition::ChipForeign {
            chip_id[0] ^= 1;
        }
        let common_name = match signing_key {
            SnpSigningKey::Vcek => {
                extensions.push(amd(&[4], &chip_id));
                "SEV-VCEK"
            }
            SnpSigningKey::Vlek => {
                extensions.push(amd(&[5], &tlv(0x16, SNP_CLOUD.as_bytes())));
                "SEV-VLEK"
            }
        };
        let subject = Subject {
            serial: &[0],
            name: &x509::name(ORGANIZATION, common_name),
            public: key.public(),
            valid: if condition == SnpCondition::EndorsementExpired { EXPIRED } else { x509::LONG },
            extensions,
        };
        let issuer = &self.intermediates[signing_key as usize];
        x509::certificate(&subject, &self.intermediate_name(signing_key), issuer)
    }
}

const fn chip_id_bytes(product: SnpProduct) -> usize {
    match product {
        SnpProduct::Milan | SnpProduct::Genoa => 64,
        SnpProduct::Turin => 8,
    }
}

/// The launch of a guest whose executable has SHA-256 `guest`, with the app in HOST_DATA: SNP has no runtime registers.
pub(crate) fn measurement(guest: &freehold_primitives::Digest, app: &crate::AppImage) -> SnpMeasurement {
    use sha2::{Digest as _, Sha256, Sha384};
    let measurement = Sha384::new().chain_update(b"freehold emulated snp launch\n").chain_update(guest).finalize();
    let host_data = Sha256::new().chain_update(b"freehold emulated host data\n").chain_update(app.digest()).finalize();
    SnpMeasurement {
        measurement: freehold_primitives::Register(measurement.into()),
        host_data: Some(freehold_primitives::Digest(host_data.into())),
    }
}

/// The launch of a VM that boots an image: the hashes that QEMU gives to firmware, and the bundle in HOST_DATA, as on hardware.
pub(crate) fn boot_measurement(boot: &crate::VmBoot, app: &crate::AppImage) -> SnpMeasurement {
    use sha2::{Digest as _, Sha384};
    let hashes = [boot.command_line, boot.initrd, boot.kernel];
    let start = Sha384::new().chain_update(b"freehold emulated vm snp launch\n");
    let measurement = hashes.iter().fold(start, |hasher, hash| hasher.chain_update(hash)).finalize();
    SnpMeasurement { measurement: freehold_primitives::Register(measurement.into()), host_data: Some(app.executable) }
}

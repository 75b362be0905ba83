//! A short smoke over every fuzz entry: seeds of each kind, changed by a fixed generator. Coverage-guided runs are made by
//! hand (`docs/attestation.md`).

use std::time::{Duration, Instant};

use freehold_emulator::{
    DEVELOPMENT_SEED, EmulatedGpu, GpuPlan, NitroCollateralCondition, NitroCondition, NitroEnclave, NitroPlatform,
    SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform,
};
use freehold_primitives::{Digest, GpuArchitecture, SnpProduct, SnpSigningKey};

use crate::{NOW, PLATFORM, REPORT_DATA, app, enclave, real::vector, td};

#[path = "../../fuzz/src/entries.rs"]
#[allow(unreachable_pub)]
mod entries;

/// For each of the eight entries.
const TIME: Duration = Duration::from_millis(350);
/// A machine that is slower than this tells nothing.
const CHANGES_MIN: u32 = 20;

const DSTACK_LOG: &str = r#"[{"imr":3,"event_type":134217729,"digest":"","event":"app-id","event_payload":"00"}]"#;

/// xorshift64: the same changes on every run.
struct Changes(u64);

impl Changes {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, 0),
            2 => bytes.extend([0, 1]),
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            4 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            _ => bytes.push(0),
        }
    }
}

/// Where an entry has no seed of its own, real files serve, if they are there.
fn seeds(entry: &str) -> Vec<Vec<u8>> {
    let snp = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa);
    let nitro = NitroPlatform::new(&DEVELOPMENT_SEED);
    let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, 0);
    let guest = Digest([1; 32]);
    let (mut seeds, files): (Vec<Vec<u8>>, &[&str]) = match entry {
        "quote" => (
            vec![PLATFORM.quote_v4(&td(), &REPORT_DATA), PLATFORM.quote_v3(&enclave(), &REPORT_DATA)],
            &["tdx/dcap-qvl/tdx_quote", "sgx/dcap-qvl/sgx_quote"],
        ),
        "collateral" => (
            vec![
                PLATFORM.collateral(NOW),
                snp.collateral(NOW, SnpSigningKey::Vcek, SnpCollateralCondition::Good),
                nitro.collateral(NOW, NitroCollateralCondition::Good),
                gpu.collateral(NOW),
            ],
            &[],
        ),
        "snp" => {
            let guest = SnpGuest::launch(&guest, &app());
            (vec![snp.evidence(&guest, &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good)], &[])
        }
        "nitro" => {
            let enclave = NitroEnclave::launch(&guest, &app());
            let evidence = nitro.evidence(&enclave, &REPORT_DATA, NOW, NitroCondition::Good);
            (vec![evidence], &["nitro/dstack-nitro_attestation.bin"])
        }
        "nvidia" => {
            let (mut raw, chain) = gpu.raw(&[1; 32], &GpuPlan::new(GpuArchitecture::Hopper));
            raw.extend(chain.as_bytes());
            (vec![raw, gpu.evidence(&[1; 32])], &[])
        }
        "rim" => (vec![b"<SoftwareIdentity/>".to_vec()], &["nvidia/nvtrust/Driver_RIM_test_no_gpu.swidtag"]),
        "eventlog_tcg" => (vec![vec![0; 32]], &["eventlog/dstack-ccel.bin"]),
        "eventlog_dstack" => (vec![DSTACK_LOG.into()], &["tdx/dstack/tdx-lite-attestation.json"]),
        other => panic!("{other} has no seeds"),
    };
    seeds.extend(files.iter().filter_map(|file| vector(file)));
    seeds
}

#[test]
fn no_change_of_a_seed_breaks_a_parser() {
    for (name, entry) in entries::ENTRIES {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| entry(seed));
        let (begun, mut changes, mut done) = (Instant::now(), Changes(0x9e37_79b9_7f4a_7c15), 0_u32);
        while begun.elapsed() < TIME {
            let mut bytes = seeds[changes.below(seeds.len())].clone();
            for _ in 0..=changes.below(4) {
                changes.change(&mut bytes);
            }
            entry(&bytes);
            done += 1;
        }
        assert!(done >= CHANGES_MIN, "{name}: {done} changes only");
    }
}

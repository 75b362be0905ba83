//! What the fuzz entries start from: emulated evidence of each kind, and real files where the vectors are there.
//!
//! Shared by the smoke of the ordinary tests and by the example that writes a corpus for the coverage-guided runs.

use std::{fs, path::Path};

use freehold_emulator::{
    AppImage, DEVELOPMENT_SEED, EmulatedGpu, EnclaveReport, GpuPlan, NitroCollateralCondition, NitroCondition,
    NitroEnclave, NitroPlatform, Platform, SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform, TdBody,
    TdReport,
};
use freehold_primitives::{Digest, GpuArchitecture, SnpProduct, SnpSigningKey};

/// Some time in November 2026.
const NOW: u64 = 1_795_000_000;
const REPORT_DATA: [u8; 64] = [0x5a; 64];
const GUEST: Digest = Digest([1; 32]);
/// Longest real file that serves as a seed; most entries' bounds are below it.
const SEED_BYTES_MAX: u64 = 256 * 1024;

const DSTACK_LOG: &str = r#"[{"imr":3,"event_type":134217729,"digest":"","event":"app-id","event_payload":"00"}]"#;

/// Folders of the vectors whose files serve an entry.
const FOLDERS: &[(&str, &[&str])] = &[
    ("quote", &["tdx", "sgx"]),
    ("collateral", &[]),
    ("snp", &["snp"]),
    ("nitro", &["nitro"]),
    ("nvidia", &["nvidia"]),
    ("rim", &["nvidia"]),
    ("eventlog_tcg", &["eventlog"]),
    ("eventlog_dstack", &["tdx/dstack"]),
    ("container", &["tdx", "sgx", "snp", "nitro", "nvidia", "eventlog"]),
];

/// The seeds of an entry; real ones from `vectors`, as far as it exists.
pub fn seeds(entry: &str, vectors: &Path) -> Vec<Vec<u8>> {
    let mut seeds = emulated(entry);
    let folders = FOLDERS.iter().find(|(name, _)| *name == entry).expect("every entry has its folders").1;
    for folder in folders {
        add_files(&vectors.join(folder), &mut seeds);
    }
    seeds
}

/// Adds the files of a folder and the folders in it, by name.
fn add_files(folder: &Path, seeds: &mut Vec<Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add_files(&path, seeds);
        } else if path.metadata().is_ok_and(|about| about.len() <= SEED_BYTES_MAX) {
            seeds.extend(fs::read(&path));
        }
    }
}

fn app() -> AppImage {
    AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: Some(Digest([3; 32])) }
}

fn emulated(entry: &str) -> Vec<Vec<u8>> {
    match entry {
        "quote" => quotes(),
        "collateral" => collateral(),
        "snp" => reports(),
        "nitro" => documents(),
        "nvidia" => gpus(),
        "rim" => rims(),
        "eventlog_tcg" => vec![vec![0; 32]],
        "eventlog_dstack" => vec![DSTACK_LOG.into()],
        "container" => [quotes(), collateral(), reports(), documents(), gpus(), vec![DSTACK_LOG.into()]].concat(),
        other => panic!("{other} has no seeds"),
    }
}

fn quotes() -> Vec<Vec<u8>> {
    let platform = Platform::new(&DEVELOPMENT_SEED);
    let td = TdReport::launch(&GUEST, &app());
    vec![
        platform.quote_v4(&td, &REPORT_DATA),
        platform.quote_v5(&td, TdBody::Td10, &REPORT_DATA),
        platform.quote_v5(&td, TdBody::Td15, &REPORT_DATA),
        platform.quote_v5(&td, TdBody::Td15Ex, &REPORT_DATA),
        platform.quote_v3(&EnclaveReport::launch(&GUEST, &app()), &REPORT_DATA),
    ]
}

fn collateral() -> Vec<Vec<u8>> {
    let snp = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa);
    vec![
        Platform::new(&DEVELOPMENT_SEED).collateral(NOW),
        snp.collateral(NOW, SnpSigningKey::Vcek, SnpCollateralCondition::Good),
        NitroPlatform::new(&DEVELOPMENT_SEED).collateral(NOW, NitroCollateralCondition::Good),
        EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, 0).collateral(NOW),
    ]
}

fn reports() -> Vec<Vec<u8>> {
    let snp = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa);
    let guest = SnpGuest::launch(&GUEST, &app());
    let evidence = |key| snp.evidence(&guest, &REPORT_DATA, key, SnpCondition::Good);
    vec![evidence(SnpSigningKey::Vcek), evidence(SnpSigningKey::Vlek)]
}

fn documents() -> Vec<Vec<u8>> {
    let enclave = NitroEnclave::launch(&GUEST, &app());
    vec![NitroPlatform::new(&DEVELOPMENT_SEED).evidence(&enclave, &REPORT_DATA, NOW, NitroCondition::Good)]
}

fn gpus() -> Vec<Vec<u8>> {
    let all = [GpuArchitecture::Hopper, GpuArchitecture::Blackwell].map(|architecture| {
        let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, architecture, 0);
        let (mut raw, chain) = gpu.raw(&[1; 32], &GpuPlan::new(architecture));
        raw.extend(chain.as_bytes());
        [raw, gpu.evidence(&[1; 32])]
    });
    all.concat()
}

fn rims() -> Vec<Vec<u8>> {
    let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, 0);
    vec![b"<SoftwareIdentity/>".to_vec(), gpu.driver_rim(&GpuPlan::new(GpuArchitecture::Hopper)).into_bytes()]
}

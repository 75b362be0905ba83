//! Bits and times in words.

use freehold_attestation::snp;

/// TD attributes (Intel TDX module ABI, `ATTRIBUTES`).
pub(super) const TD_ATTRIBUTES: &[(u32, &str)] = &[
    (0, "DEBUG"),
    (4, "HGS_PLUS_PROF"),
    (5, "PERF_PROF"),
    (6, "PMT_PROF"),
    (27, "LASS"),
    (28, "SEPT_VE_DISABLE"),
    (29, "MIGRATABLE"),
    (30, "PKS"),
    (31, "KL"),
    (62, "TPA"),
    (63, "PERFMON"),
];
/// Enclave attributes (Intel 325462, volume 3D, §35.7.1).
pub(super) const ENCLAVE_ATTRIBUTES: &[(u32, &str)] = &[
    (0, "INIT"),
    (1, "DEBUG"),
    (2, "MODE64BIT"),
    (4, "PROVISIONKEY"),
    (5, "EINITTOKENKEY"),
    (6, "CET"),
    (7, "KSS"),
    (10, "AEXNOTIFY"),
];
/// Extended features (XCR0 and IA32_XSS).
pub(super) const FEATURES: &[(u32, &str)] = &[
    (0, "X87"),
    (1, "SSE"),
    (2, "AVX"),
    (3, "BNDREGS"),
    (4, "BNDCSR"),
    (5, "OPMASK"),
    (6, "ZMM_Hi256"),
    (7, "Hi16_ZMM"),
    (8, "PT"),
    (9, "PKRU"),
    (11, "CET_U"),
    (12, "CET_S"),
    (14, "UINTR"),
    (15, "LBR"),
    (17, "TILECFG"),
    (18, "TILEDATA"),
];
/// Guest policy of SEV-SNP from bit 16 on.
pub(super) const GUEST_POLICY: &[(u32, &str)] = &[
    (snp::SNP_GUEST_SMT.trailing_zeros(), "SMT"),
    (snp::SNP_GUEST_MIGRATE_MA.trailing_zeros(), "MIGRATE_MA"),
    (snp::SNP_GUEST_DEBUG.trailing_zeros(), "DEBUG"),
    (snp::SNP_GUEST_SINGLE_SOCKET.trailing_zeros(), "SINGLE_SOCKET"),
    (snp::SNP_GUEST_CXL_ALLOW.trailing_zeros(), "CXL_ALLOW"),
    (snp::SNP_GUEST_MEM_AES_256_XTS.trailing_zeros(), "MEM_AES_256_XTS"),
    (snp::SNP_GUEST_RAPL_DIS.trailing_zeros(), "RAPL_DIS"),
    (snp::SNP_GUEST_CIPHERTEXT_HIDING.trailing_zeros(), "CIPHERTEXT_HIDING"),
    (snp::SNP_GUEST_PAGE_SWAP_DISABLE.trailing_zeros(), "PAGE_SWAP_DISABLE"),
];
/// Platform information of SEV-SNP.
pub(super) const PLATFORM_INFO: &[(u32, &str)] = &[
    (snp::SNP_PLATFORM_SMT.trailing_zeros(), "SMT_EN"),
    (snp::SNP_PLATFORM_TSME.trailing_zeros(), "TSME_EN"),
    (snp::SNP_PLATFORM_ECC.trailing_zeros(), "ECC_EN"),
    (snp::SNP_PLATFORM_RAPL_DIS.trailing_zeros(), "RAPL_DIS"),
    (snp::SNP_PLATFORM_CIPHERTEXT_HIDING.trailing_zeros(), "CIPHERTEXT_HIDING_EN"),
    (snp::SNP_PLATFORM_ALIAS_CHECK.trailing_zeros(), "ALIAS_CHECK_COMPLETE"),
    (snp::SNP_PLATFORM_TIO.trailing_zeros(), "TIO_EN"),
];

/// The bits that are set, by name; those without a name by number.
pub(super) fn set(bits: u64, names: &[(u32, &str)]) -> Vec<String> {
    (0..64)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(|bit| {
            let name = names.iter().find(|(known, _)| *known == bit);
            name.map_or_else(|| format!("bit {bit}"), |(_, name)| (*name).to_owned())
        })
        .collect()
}

/// Unix seconds as `YYYY-MM-DDTHH:MM:SSZ`.
pub(in crate::commands) fn date(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Days since 0000-03-01, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests;

//! Which vector kernels the quantised products use, and how a process is started so that the answer is known.
//!
//! The kernels read their switches from the environment once, on first use. The launcher of the process therefore sets
//! them ([`environment`]); the process itself only reads them back, and claims a profile only where they were set.

use serde::{Deserialize, Serialize};

/// Variable with which the kernels are held to AVX2.
const FORCE_AVX2: &str = "MISTRALRS_FORCE_AVX2";
/// Variable with which the kernels are raised to AVX-VNNI.
const FORCE_AVX_VNNI: &str = "MISTRALRS_FORCE_AVXVNNI";
/// Variables that bound the threads of the kernels.
const THREADS: [&str; 2] = ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"];
/// Variables that would change the arithmetic or the threads behind the receipt's back.
const CLEARED: [&str; 5] =
    ["CANDLE_DEQUANTIZE_ALL", "CANDLE_DEQUANTIZE_ALL_F16", "CANDLE_CPU_MASK", "CANDLE_CPU_AFFINITY", FORCE_AVX_VNNI];

/// Vector kernels of the quantised products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelTier {
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX-VNNI on 256-bit registers.
    AvxVnni,
    /// AVX2, found because the processor has nothing wider.
    Avx2,
    /// AVX2, forced: the tier of re-executable answers.
    Avx2Forced,
    /// No vector kernels, or another processor family.
    Portable,
}

impl KernelTier {
    /// The name that receipts carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512Vnni => "avx512vnni",
            Self::AvxVnni => "avxvnni",
            Self::Avx2 => "avx2",
            Self::Avx2Forced => "avx2-forced",
            Self::Portable => "portable",
        }
    }

    /// The tier of this process: its environment and its processor.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let set = |name: &str| std::env::var(name).as_deref() == Ok("1");
            let (avx2, vnni) = (has!("avx2"), set(FORCE_AVX_VNNI));
            if set(FORCE_AVX2) {
                return if avx2 && has!("fma") { Self::Avx2Forced } else { Self::Portable };
            }
            if !vnni && has!("avx512f") && has!("avx512vnni") {
                return Self::Avx512Vnni;
            }
            if avx2 && (vnni || has!("avxvnni")) {
                return Self::AvxVnni;
            }
            if avx2 && has!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// Which kernels a process is to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelChoice {
    /// AVX2 only: slower on new processors, the same bits on all.
    Reproducible,
    /// The widest that the processor has.
    Fastest,
}

/// Environment with which the inference process is to be spawned; `None` means that the variable is to be removed.
///
/// `threads` is at least 1.
pub fn environment(threads: usize, choice: KernelChoice) -> Vec<(&'static str, Option<String>)> {
    let mut variables: Vec<(&'static str, Option<String>)> = CLEARED.iter().map(|name| (*name, None)).collect();
    variables.extend(THREADS.iter().map(|name| (*name, Some(threads.max(1).to_string()))));
    variables.push((FORCE_AVX2, (choice == KernelChoice::Reproducible).then(|| "1".to_owned())));
    variables
}

/// Threads to use by default: all but one of the cores that this process may use, and at least one.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// Threads that the kernels of this process really have.
pub(crate) fn kernel_threads() -> u32 {
    u32::try_from(candle_core::utils::barrier_pool().n_workers() + 1).unwrap_or(u32::MAX)
}

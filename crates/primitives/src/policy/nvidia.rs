//! Policy for NVIDIA GPUs beside a CPU TEE.

canonical_struct! {
    /// What the GPUs beside a CPU TEE must show.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NvidiaPolicy {
        /// Fewest GPUs that the evidence must show.
        pub gpus_min: u8,
    }
}

impl NvidiaPolicy {
    /// Whether every list is within its bound.
    pub const fn is_bounded(&self) -> bool {
        true
    }
}

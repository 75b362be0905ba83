//! Vectors of state proofs, made by the engine: `spec/vectors/state-proof/`.

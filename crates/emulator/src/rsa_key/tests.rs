//! The written-down counters are what a search finds.

use crypto_primes::{Flavor, is_prime};

use super::{DEVELOPMENT_COUNTERS, RsaKey, candidate, search};
use crate::DEVELOPMENT_SEED;

#[test]
fn counters_of_the_development_seed_name_primes() {
    for (label, counter) in DEVELOPMENT_COUNTERS {
        assert!(is_prime(Flavor::Any, &candidate(&DEVELOPMENT_SEED, label, counter)), "{label}");
        // The end of the search; the whole of it is repeated for the shortest.
        assert_eq!(search(&DEVELOPMENT_SEED, label, counter.saturating_sub(40)), counter, "{label}");
    }
    assert_eq!(search(&DEVELOPMENT_SEED, "snp ask p", 0), 167);
}

#[test]
fn signatures_are_reproducible() {
    let key = RsaKey::derive(&DEVELOPMENT_SEED, "snp ark");
    assert_eq!(key.sign(b"same"), key.sign(b"same"));
    assert_ne!(key.sign(b"same"), key.sign(b"other"));
}

//! The certificates are the ones that their page names.

use sha2::{Digest as _, Sha256};

use super::vendor_roots;
use crate::rim::vendor_root;

#[test]
fn roots_are_the_ones_that_are_listed() {
    let page = include_str!("../../roots/README.md");
    let mut roots: Vec<Vec<u8>> = vendor_roots().into_iter().map(|root| root.certificate.0).collect();
    roots.push(vendor_root().to_vec());
    assert_eq!(page.matches(".der` |").count(), roots.len());
    for root in roots {
        let digest = hex::encode(Sha256::digest(&root));
        assert!(page.contains(&digest), "{digest} is not on the page");
    }
}

//! The certificates are the ones that their page names.

use sha2::{Digest as _, Sha256};

use super::vendor_roots;

#[test]
fn roots_are_the_ones_that_are_listed() {
    let page = include_str!("../../roots/README.md");
    let roots = vendor_roots();
    assert_eq!(page.matches(".der` |").count(), roots.len());
    for root in roots {
        let digest = hex::encode(Sha256::digest(&root.certificate.0));
        assert!(page.contains(&digest), "{digest} is not on the page");
    }
}

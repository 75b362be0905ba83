//! Names of instances, and what the nonce of a channel binds.

use freehold_primitives::{AppId, Digest};

use super::*;

fn app() -> AppId {
    AppId::new([7; 20])
}

#[test]
fn names_lead_to_app_and_instance() {
    let instance = Digest([0xab; 32]);
    assert_eq!(named_app(&instance_server_name(&app(), &instance)), Some((app(), Some([0xab; 8]))));
    assert_eq!(named_app(&app_server_name(&app())), Some((app(), None)));
    // Under any domain of the machine's, or none.
    assert_eq!(named_app(&format!("{}.apps.example.org", app())), Some((app(), None)));
    assert_eq!(named_app(&format!("abababababababab.{}", app())), Some((app(), Some([0xab; 8]))));
}

#[test]
fn other_names_lead_nowhere() {
    let app = app();
    for name in [
        String::new(),
        "example.org".to_owned(),
        format!("ababab.{app}"),
        format!("ABABABABABABABAB.{app}"),
        format!("abababababababab.x.{app}"),
        format!("www.{app}"),
        format!(".{app}"),
    ] {
        assert_eq!(named_app(&name), None, "{name}");
    }
}

#[test]
fn a_nonce_is_of_one_random_and_one_key() {
    let nonce = channel_nonce(&[1; 32], &Digest([2; 32]));
    assert_ne!(nonce, channel_nonce(&[2; 32], &Digest([2; 32])));
    assert_ne!(nonce, channel_nonce(&[1; 32], &Digest([1; 32])));
    // SHA-256 over the domain, a line feed, and both parts, by another program.
    assert_eq!(nonce.to_string(), "b5214adcfdcc6e767c558af6d915dd70dce77f45664412872e576917a31d557a");
}

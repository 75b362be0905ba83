//! Which source fits which trust domain.
#![allow(clippy::unwrap_used)]

use super::*;

fn path(json: &str) -> Result<EvidencePath, serde_json::Error> {
    serde_json::from_str(json)
}

#[test]
fn a_source_is_named_by_its_kind() {
    let socket = path(r#"{"socket":"/run/evidence.sock"}"#).unwrap();
    assert_eq!(socket, EvidencePath::Socket("/run/evidence.sock".into()));
    let configfs = path(r#"{"configfs":"/sys/kernel/config/tsm/report"}"#).unwrap();
    assert_eq!(configfs, EvidencePath::Configfs(crate::CONFIGFS_ROOT.into()));
    for wrong in [r#""/run/evidence.sock""#, r#"{"socket":"/a","configfs":"/b"}"#, r#"{"device":"/a"}"#, "{}"] {
        assert!(path(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_emulator_is_refused_where_hardware_is_asked_for() {
    use TrustDomain::{Amd, Aws, Emulated, Intel, Nvidia};
    let (socket, configfs) = (EvidencePath::Socket("/a".into()), EvidencePath::Configfs("/b".into()));
    for domain in [Intel, Amd, Aws, Nvidia] {
        let error = socket.check(domain).unwrap_err();
        assert!(matches!(error, ConfigError::EvidenceSource(found, "a socket") if found == domain), "{error}");
    }
    for domain in [Emulated, Aws, Nvidia] {
        assert!(matches!(configfs.check(domain), Err(ConfigError::EvidenceSource(_, "configfs"))));
    }
    assert!(socket.check(Emulated).is_ok() && configfs.check(Intel).is_ok() && configfs.check(Amd).is_ok());
}

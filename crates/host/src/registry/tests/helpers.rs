//! Credential helpers: programs of a test's own that answer, refuse, lie, talk without end, and hang.

use std::{os::unix::fs::PermissionsExt as _, time::Instant};

use super::*;

/// A folder of helpers, and a file that names them.
struct Ground(TempDir);

impl Ground {
    fn new(file: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("config.json"), file).unwrap();
        Self(dir)
    }

    /// A helper that is a shell's script.
    fn helper(&self, name: &str, script: &str) {
        let path = self.0.path().join(format!("docker-credential-{name}"));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn find(&self, registry: &str) -> Result<Option<String>, RegistryError> {
        // A folder that is no absolute one is never searched.
        let folders = format!(".:{}", self.0.path().display());
        let search = Search { folders: Some(folders.as_ref()), wait: std::time::Duration::from_millis(800) };
        let found = find_in(&self.0.path().join("config.json"), registry, search)?;
        Ok(found.map(|password| password.header().to_string()))
    }
}

/// alice:secret
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";

#[test]
fn a_helper_gives_the_password_of_the_registry_that_it_is_asked_for() {
    let ground = Ground::new(
        r#"{"credHelpers": {"h.example": "one", "docker.io": "one"}, "credsStore": "two",
            "auths": {"h.example": {"auth": "Ym9iOm90aGVy"}, "in.example": {"auth": "Ym9iOm90aGVy"}, "s.example": {}}}"#,
    );
    let answers = r#"read -r name; [ "$1" = get ] || exit 9; echo "$name" >> "$0.asked"
        echo '{"ServerURL": "x", "Username": "alice", "Secret": "secret"}'"#;
    ground.helper("one", answers);
    ground.helper("two", "cat > /dev/null; echo 'credentials not found in native keychain'; exit 1");
    assert_eq!(ground.find("h.example").unwrap().unwrap(), ALICE);
    assert_eq!(ground.find("docker.io").unwrap().unwrap(), ALICE);
    // In the file itself stands the password of a registry that has no helper of its own.
    assert_eq!(ground.find("in.example").unwrap().unwrap(), "Basic Ym9iOm90aGVy");
    assert_eq!(ground.find("s.example").unwrap(), None);
    assert_eq!(ground.find("other.example").unwrap(), None);
    let asked = fs::read_to_string(ground.0.path().join("docker-credential-one.asked")).unwrap();
    assert_eq!(asked, "h.example\nhttps://index.docker.io/v1/\n");
}

#[test]
fn helpers_that_fail_lie_talk_or_hang_are_refused_in_time() {
    for (script, fault) in [
        ("exit 3", "failed"),
        ("echo nonsense", "without sense"),
        (r#"echo '{"Username": "<token>", "Secret": "x"}'"#, "identity token"),
        (r#"echo '{"Username": "a:b", "Secret": "x"}'"#, "colon"),
        ("yes", "more than 64 KiB"),
        ("sleep 100", "no answer in time"),
        ("exec >&-; sleep 100", "no answer in time"),
    ] {
        let ground = Ground::new(r#"{"credsStore": "odd"}"#);
        ground.helper("odd", script);
        let begun = Instant::now();
        let error = ground.find("h.example").unwrap_err();
        assert!(error.code() == 142 && error.to_string().contains(fault), "{script}: {error}");
        assert!(begun.elapsed().as_secs() < 10, "{script}");
    }
}

#[test]
fn a_helper_is_found_by_a_plain_name_in_absolute_folders_alone() {
    let deep = "a".repeat(65);
    for name in ["", "../one", "one/two", "on e", "one\u{0}", deep.as_str()] {
        let ground = Ground::new(&json!({"credHelpers": {"h.example": name}}).to_string());
        ground.helper("one", "touch \"$0.ran\"");
        let error = ground.find("h.example").unwrap_err();
        assert!(error.code() == 142 && error.to_string().contains("no name"), "{name}: {error}");
        assert!(!ground.0.path().join("docker-credential-one.ran").exists());
    }
    let ground = Ground::new(r#"{"credHelpers": {"h.example": "gone"}}"#);
    assert!(ground.find("h.example").unwrap_err().to_string().contains("not installed"));
    // Without a helper for it, a registry is asked as a stranger.
    assert_eq!(ground.find("x.example").unwrap(), None);
}

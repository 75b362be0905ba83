//! Reading programs: this very test, and what is none.

use super::*;

#[test]
fn a_program_and_its_libraries_stand_where_the_loader_looks() {
    let file = std::env::current_exe().unwrap();
    let mut tree = Tree::new();
    with_libraries(&mut tree, &[Program { file: file.clone(), place: "bin/own".to_owned() }]).unwrap();
    let places: Vec<&String> = tree.nodes().keys().collect();
    for wanted in ["bin/own", "ld-linux-x86-64.so.2", "libc.so.6"] {
        assert!(places.iter().any(|place| place.ends_with(wanted)), "{wanted}: {places:?}");
    }
    let again = with_libraries(&mut tree, &[Program { file, place: "bin/own".to_owned() }]);
    assert_eq!(again.unwrap_err().code(), 20);
}

#[test]
fn what_is_no_program_is_refused_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, "#!/bin/sh\n").unwrap();
    let refused = with_libraries(&mut Tree::new(), &[Program { file, place: "x".to_owned() }]);
    assert_eq!(refused.unwrap_err().code(), 23);
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(needs(&own).unwrap().libraries.iter().any(|name| name == "libc.so.6"));
    // Headers with every byte at its end, and cut short.
    let head = &own[..4096];
    for at in 0..1024 {
        let mut changed = head.to_vec();
        changed[at] = 0xff;
        let _ = needs(&changed);
        let _ = needs(&head[..at]);
    }
}

/// What is left of a program runs as the whole one does.
#[test]
fn a_program_without_what_no_loader_reads_runs_as_before() {
    use std::os::unix::fs::PermissionsExt as _;
    let own = std::env::current_exe().unwrap();
    let whole = std::fs::read(&own).unwrap();
    let left = loaded(whole.clone());
    // Test binaries carry symbols.
    assert!(left.len() < whole.len() && loaded(left.clone()) == left);
    assert_eq!(needs(&left).unwrap(), needs(&whole).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("left");
    std::fs::write(&file, &left).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let list = |program: &std::path::Path| std::process::Command::new(program).arg("--list").output().unwrap().stdout;
    assert!(!list(&own).is_empty() && list(&file) == list(&own));
    // What is cut short is left as it is.
    assert_eq!(loaded(whole[..64].to_vec()), whole[..64]);
}

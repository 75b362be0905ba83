//! The program that PID 1 of a VM starts: without its words it says what it is, and prepares nothing.

use std::process::Command;

#[test]
fn without_its_words_it_says_what_it_needs_and_without_a_plan_that_there_is_none() {
    let program = || Command::new(env!("CARGO_BIN_EXE_freehold-containers"));
    let bare = program().output().expect("it starts");
    assert_eq!(bare.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bare.stderr).contains("usage: freehold-containers PLAN"));
    let words = ["/none", "/images", "/sockets", "/storage", "/models", "/gate", "/launcher", "/run"];
    let lost = program().args(words).output().expect("it starts");
    assert_eq!(lost.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&lost.stderr).contains("the plan cannot be read"));
}

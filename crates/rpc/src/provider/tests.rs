//! Commands as they are signed and read.

use super::*;

fn command(action: RentalAction) -> RentalCommand {
    RentalCommand {
        genesis_hash: Digest([1; 32]),
        provider: Account([2; 20]),
        rental: 7,
        sent_at_ms: 1_764_000_000_000,
        action,
    }
}

fn key() -> AccountKey {
    AccountKey::from_bytes(&[3; 32]).expect("a secret")
}

#[test]
fn a_command_is_its_signers_and_any_change_makes_it_anothers() {
    let asked = command(RentalAction::Deploy { bundle: Digest([4; 32]), source: None });
    let signed = asked.sign(&key());
    let text = serde_json::to_string(&signed).expect("JSON");
    let read: SignedCommand = serde_json::from_str(&text).expect("JSON");
    assert_eq!(read.open(), Ok((asked, key().account())));
    for (from, to) in [("\"rental\":7", "\"rental\":8"), ("000,\"action", "001,\"action"), ("0404", "0405")] {
        let changed = SignedCommand { command: read.command.replacen(from, to, 1), ..read.clone() };
        assert_ne!(changed.command, read.command, "{from}");
        assert_ne!(changed.open().map(|(_, signer)| signer), Ok(key().account()), "{from}");
    }
}

#[test]
fn what_is_no_command_is_refused() {
    let signed = command(RentalAction::Stop).sign(&key());
    let malformed = |command: String| SignedCommand { command, ..signed.clone() }.open();
    assert_eq!(malformed(String::new()), Err(CommandError::Malformed));
    assert_eq!(malformed(signed.command.replace("\"rental\"", "\"more\":1,\"rental\"")), Err(CommandError::Malformed));
    assert_eq!(malformed(format!("{}{}", signed.command, " ".repeat(COMMAND_BYTES_MAX))), Err(CommandError::Malformed));
    let unsigned = SignedCommand { signature: [0; 65], ..signed.clone() };
    assert_eq!(unsigned.open(), Err(CommandError::Signature));
}

#[test]
fn only_what_changes_something_is_held_against_replay() {
    assert!(RentalAction::Stop.changes() && RentalAction::Restart.changes() && RentalAction::Start.changes());
    assert!(!RentalAction::Report.changes() && !RentalAction::Logs { from: 0 }.changes());
}

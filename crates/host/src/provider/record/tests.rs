//! Who commands, and what is known after a kill.

use super::*;
use freehold_rpc::RefusalCode;

const NOW: u64 = 1_764_000_000_000;
const RENTER: Account = Account([5; 20]);

fn record() -> Record {
    Record::new(3, 1, AppId::new([2; 20]), RENTER)
}

fn command(sent_at_ms: u64, action: RentalAction) -> RentalCommand {
    RentalCommand { genesis_hash: Digest([1; 32]), provider: Account([2; 20]), rental: 3, sent_at_ms, action }
}

fn deploy() -> RentalAction {
    RentalAction::Deploy { bundle: Digest([9; 32]), source: None }
}

fn taken(record: &mut Record, command: &RentalCommand, signer: &Account, now_ms: u64) -> Option<RefusalCode> {
    let judged = record.judge(command, signer, now_ms).and_then(|()| record.take(command));
    judged.err().map(|refusal| refusal.code())
}

#[test]
fn only_the_renter_commands_and_each_command_once() {
    let mut rented = record();
    let first = command(NOW, deploy());
    assert_eq!(taken(&mut rented, &first, &Account([6; 20]), NOW), Some(RefusalCode::NotTheRenter));
    assert_eq!(rented, record());
    assert_eq!(taken(&mut rented, &first, &RENTER, NOW + 5), None);
    let after = rented.clone();
    assert_eq!(after.running().map(|order| order.bundle), Some(Digest([9; 32])));
    // The same again, an older one, and one from far away in time.
    assert_eq!(taken(&mut rented, &first, &RENTER, NOW + 6), Some(RefusalCode::Replayed));
    assert_eq!(taken(&mut rented, &command(NOW - 1, RentalAction::Stop), &RENTER, NOW), Some(RefusalCode::Replayed));
    let late = command(NOW + 1, RentalAction::Stop);
    assert_eq!(taken(&mut rented, &late, &RENTER, NOW + 2 + COMMAND_SKEW_MS), Some(RefusalCode::Stale));
    let early = command(NOW + COMMAND_SKEW_MS + 1, RentalAction::Stop);
    assert_eq!(taken(&mut rented, &early, &RENTER, NOW), Some(RefusalCode::Stale));
    assert_eq!(rented, after);
    // A look changes nothing and may come again.
    for _ in 0..2 {
        assert_eq!(taken(&mut rented, &command(NOW, RentalAction::Report), &RENTER, NOW), None);
    }
    assert_eq!(rented, after);
}

#[test]
fn stop_start_and_restart_are_new_revisions() {
    let mut rented = record();
    for (at, action) in [(1, RentalAction::Start), (1, RentalAction::Restart)] {
        assert_eq!(taken(&mut rented, &command(NOW + at, action), &RENTER, NOW), Some(RefusalCode::NoBundle));
    }
    for (at, action, runs) in [
        (2, deploy(), true),
        (3, RentalAction::Stop, false),
        (4, RentalAction::Start, true),
        (5, RentalAction::Restart, true),
    ] {
        let before = rented.revision;
        assert_eq!(taken(&mut rented, &command(NOW + at, action), &RENTER, NOW), None);
        assert_eq!((rented.running().is_some(), rented.revision), (runs, before + 1));
    }
    let long = RentalAction::Deploy { bundle: Digest([1; 32]), source: Some("x".repeat(2000)) };
    assert_eq!(taken(&mut rented, &command(NOW + 6, long), &RENTER, NOW), Some(RefusalCode::Source));
}

#[test]
fn what_was_written_is_recalled_and_damage_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(recall(dir.path()).unwrap(), Vec::new());
    let mut rented = record();
    taken(&mut rented, &command(NOW, deploy()), &RENTER, NOW);
    rented.write(&rental_folder(dir.path(), 3)).unwrap();
    // A folder without a file is one of a host that was killed at that moment.
    fs::create_dir_all(rental_folder(dir.path(), 4)).unwrap();
    assert_eq!(recall(dir.path()).unwrap(), vec![rented.clone()]);
    assert!(!rental_folder(dir.path(), 4).exists());
    rented.write(&rental_folder(dir.path(), 5)).unwrap();
    assert!(recall(dir.path()).is_err());
    fs::write(rental_folder(dir.path(), 5).join(FILE), "{").unwrap();
    assert!(recall(dir.path()).is_err());
}

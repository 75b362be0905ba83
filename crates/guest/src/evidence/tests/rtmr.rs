//! Extending a register through the kernel's file and, on older kernels, through the device.

use freehold_attestation::{AppEvent, DigestRule, app_event_digest, extended};
use freehold_primitives::Register;
use freehold_rpc::EventLogEntry;

use super::{fuse::Mounted, *};

fn no_reports() -> kernel::Maker {
    Box::new(|_| Err(rustix::io::Errno::IO))
}

fn event(name: &str) -> AppEvent {
    AppEvent { name: name.to_owned(), payload: vec![1], rule: DigestRule::Version1 }
}

#[test]
fn a_register_is_extended_and_read_back() {
    let Some(kernel) = Mounted::new(None, no_reports()) else { return };
    let register = Rtmr3::open(&kernel.path("measurements"), &kernel.path("device")).unwrap();
    assert_eq!(register.read().unwrap(), Register::ZERO);
    let first = extended(&Register::ZERO, &app_event_digest(&event("first")).unwrap().0);
    assert_eq!(register.extend_by(&event("first")).unwrap(), first);
    assert_eq!(register.extend(&Register([7; 48])).unwrap(), extended(&first, &[7; 48]));
    assert_eq!(register.read().unwrap(), extended(&first, &[7; 48]));
    assert!(matches!(register.extend_by(&event("a:b")), Err(RtmrError::Event(_))));
    assert!(kernel.state().commands.is_empty(), "the device is not needed");
}

#[test]
fn a_boot_is_measured_once() {
    let Some(kernel) = Mounted::new(None, no_reports()) else { return };
    let register = Rtmr3::open(&kernel.path("measurements"), &kernel.path("device")).unwrap();
    let event = |imr, digest: &str| EventLogEntry {
        imr,
        event_type: 0x0800_0001,
        digest: digest.to_owned(),
        event: "freehold-app".to_owned(),
        event_payload: String::new(),
    };
    let log = [event(3, &"07".repeat(48)), event(1, "of another register"), event(3, &"08".repeat(48))];
    let whole = extended(&extended(&Register::ZERO, &[7; 48]), &[8; 48]);
    assert_eq!(register.measure(&log).unwrap(), whole);
    // The successor of a guest finds it done.
    assert_eq!(register.measure(&log).unwrap(), whole);
    assert_eq!(register.read().unwrap(), whole);
    // Another log, or an event after the boot, is somebody else's.
    assert!(matches!(register.measure(&log[..1]), Err(RtmrError::Foreign { found }) if found == whole));
    assert!(matches!(register.measure(&[event(3, "07")]), Err(RtmrError::Digest(0))));
}

#[test]
fn somebody_else_extends_at_the_same_time() {
    let Some(kernel) = Mounted::new(None, no_reports()) else { return };
    let register = Rtmr3::open(&kernel.path("measurements"), &kernel.path("device")).unwrap();
    kernel.state().rtmr3_contended = true;
    let error = register.extend(&Register([7; 48])).unwrap_err();
    assert!(matches!(error, RtmrError::ReadBack { .. }), "{error}");
}

#[test]
fn an_older_kernel_takes_a_command() {
    let Some(kernel) = Mounted::new(None, no_reports()) else { return };
    let register = Rtmr3::open(&kernel.path("bare"), &kernel.path("device")).unwrap();
    // FUSE carries no input for this command (its number declares none), so the double knows the digest.
    assert_eq!(register.extend(&Register([5; 48])).unwrap(), extended(&Register::ZERO, &[5; 48]));
    let commands: Vec<u32> = kernel.state().commands.iter().map(|(command, _)| *command).collect();
    assert_eq!(commands, [0xc440_5401, 0x8031_5403, 0xc440_5401]);
    assert_eq!(kernel.state().commands[0].1, 1088);
    // An extension that did not happen, as when a kernel has no such command but says nothing.
    let error = register.extend(&Register([6; 48])).unwrap_err();
    assert!(matches!(error, RtmrError::ReadBack { .. }), "{error}");
}

#[test]
fn a_machine_without_registers_says_what_is_needed() {
    let dir = tempfile::TempDir::new().unwrap();
    let error = Rtmr3::open(dir.path(), &dir.path().join("tdx_guest")).err().unwrap();
    assert!(matches!(error, RtmrError::Unavailable), "{error}");
    assert!(error.to_string().contains("6.16"));
    // A register's file that is not one.
    std::fs::write(dir.path().join("rtmr3:sha384"), [0; 47]).unwrap();
    let register = Rtmr3::open(dir.path(), &dir.path().join("tdx_guest")).unwrap();
    assert!(matches!(register.read(), Err(RtmrError::Length(47))));
}

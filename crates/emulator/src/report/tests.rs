//! What a launch shows.

use super::*;
use crate::SnpGuest;

fn boot() -> VmBoot {
    VmBoot {
        rtmr1: vec![Register([1; 48]), Register([2; 48])],
        rtmr2: vec![Register([3; 48]), Register([4; 48])],
        kernel: Digest([5; 32]),
        initrd: Digest([6; 32]),
        command_line: Digest([7; 32]),
    }
}

#[test]
fn a_vm_shows_what_it_boots() {
    let app = AppImage { executable: Digest([8; 32]), arguments: Vec::new(), model: None };
    let whole = TdReport::boot(&boot(), &app).measurement();
    // Never that of a process, and each of its registers as its events give it.
    let process = TdReport::launch(&Digest([5; 32]), &app).measurement();
    assert!(whole.mrtd != process.mrtd && whole.rtmr1 != process.rtmr1 && whole.rtmr2 != process.rtmr2);
    assert_eq!((whole.rtmr0, whole.rtmr3), (process.rtmr0, process.rtmr3));
    let extended = |events: &[Register]| {
        events.iter().fold(Register::ZERO, |register, event| hash(register.as_bytes(), event.as_bytes()))
    };
    assert_eq!((whole.rtmr1, whole.rtmr2), (Some(extended(&boot().rtmr1)), Some(extended(&boot().rtmr2))));
    for change in 0..2 {
        let mut other = boot();
        [&mut other.rtmr1, &mut other.rtmr2][change][1] = Register([9; 48]);
        assert_ne!(TdReport::boot(&other, &app).measurement(), whole);
    }
    let snp = SnpGuest::boot(&boot(), &app);
    assert_eq!(snp.host_data, app.executable);
    for change in 0..3 {
        let mut other = boot();
        *[&mut other.kernel, &mut other.initrd, &mut other.command_line][change] = Digest([9; 32]);
        assert_ne!(SnpGuest::boot(&other, &app).measurement, snp.measurement);
    }
}

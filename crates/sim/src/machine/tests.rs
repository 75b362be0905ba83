//! Machines: a clock that is off, over one true time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use commonware_runtime::{Clock as _, Runner as _, deterministic};

use super::{Disk, Fsync, Link, Machine, Skew, Wires};

#[test]
fn skewed_clock_sleeps_the_true_time() {
    let settings = deterministic::Config::new().with_start_time(std::time::UNIX_EPOCH + Duration::from_secs(1_000));
    deterministic::Runner::new(settings).start(async |context: deterministic::Context| {
        use commonware_runtime::Supervisor as _;
        for ms in [-700, 0, 900] {
            let parts = (Disk::new(0, Fsync::Keeps), Wires::new(0, Link::default()));
            let machine = Machine::new(context.child("machine"), (0, Skew { ms }), parts.0, parts.1);
            let off = Duration::from_millis(ms.unsigned_abs());
            let shown = machine.current();
            let true_time = context.current();
            assert_eq!(if ms < 0 { shown + off } else { shown - off }, true_time);
            machine.sleep_until(shown + Duration::from_secs(1)).await;
            let taken = context.current().duration_since(true_time).unwrap();
            assert!(taken >= Duration::from_secs(1) && taken < Duration::from_millis(1_010));
        }
    });
}

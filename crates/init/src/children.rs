//! The processes of the VM: PID 1 is everybody's last parent, so it reaps whatever ends and remembers what it waits for.

use std::{collections::BTreeMap, io, thread, time::Duration};

use crate::sys;

/// Most looks for processes that have not ended yet, and the pause between two.
const LOOKS_MAX: u32 = 100;
const POLL: Duration = Duration::from_millis(20);

/// The processes that PID 1 waits for, by number: how each ended, once it has. A status is the exit code, or 128 and the
/// signal.
#[derive(Default)]
pub(crate) struct Children(BTreeMap<u32, Option<i32>>);

impl Children {
    /// Remembers a process.
    pub(crate) fn add(&mut self, process: u32) {
        self.0.insert(process, None);
    }

    /// Reaps whatever has ended.
    pub(crate) fn reap(&mut self) {
        while let Ok(Some((number, status))) = sys::reap(sys::Reap::Ended) {
            self.note(number, status);
        }
    }

    /// How a process ended, if it has; reaps whatever has.
    pub(crate) fn ended(&mut self, process: u32) -> Option<i32> {
        self.reap();
        self.0.get(&process).copied().flatten()
    }

    /// Waits until one of the processes has ended, and forgets it: which, and how.
    pub(crate) fn wait(&mut self) -> io::Result<(u32, i32)> {
        loop {
            let found = self.0.iter().find_map(|(process, status)| Some((*process, (*status)?)));
            if let Some((process, status)) = found {
                self.0.remove(&process);
                return Ok((process, status));
            }
            if let Some((number, status)) = sys::reap(sys::Reap::Wait)? {
                self.note(number, status);
            }
        }
    }

    fn note(&mut self, number: u32, status: i32) {
        if let Some(known) = self.0.get_mut(&number) {
            *known = Some(status);
        }
    }
}

/// Ends every process of the VM but this one, so that nothing uses a file system that is closed then.
pub(crate) fn end_all() {
    sys::kill_all();
    for _ in 0..LOOKS_MAX {
        match sys::reap(sys::Reap::Ended) {
            Ok(Some(_)) => {}
            Ok(None) => thread::sleep(POLL),
            // There is none left.
            Err(_) => return,
        }
    }
}

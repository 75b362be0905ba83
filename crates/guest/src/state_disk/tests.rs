//! Disks as files, and a thread in PID 1's place that writes down what it is asked: which disks are opened, which are made, and
//! which are left as they are.
#![allow(clippy::unwrap_used)]

use std::{fs, os::unix::net::UnixListener, thread};

use tempfile::TempDir;

use super::*;

const MIB: u64 = 24;

fn root(byte: u8) -> Root {
    Root { generation: byte.into(), secret: Zeroizing::new([byte; 32]) }
}

/// Held roots of these bytes, the newest first.
fn roots(bytes: &[u8]) -> Roots {
    Roots { newest: root(bytes[0]), previous: bytes.get(1).map(|byte| root(*byte)), previous_until: 0 }
}

/// A disk of 4 MiB, and what PID 1 was asked.
struct Bench {
    folder: TempDir,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Bench {
    fn new(answer: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("disk")).unwrap().set_len(4 << 20).unwrap();
        let listener = UnixListener::bind(folder.path().join("asked")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut ask = Vec::new();
                stream.read_to_end(&mut ask).unwrap();
                noted.lock().unwrap().push(ask);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { folder, asked }
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// A boot: what became of the disk under these roots.
    async fn boot(&self, held: &[u8]) -> (Arc<StateDisk>, Result<Option<PathBuf>, StateDiskError>) {
        let paths = StateDiskPaths {
            device: self.disk(),
            asked: self.folder.path().join("asked"),
            folder: self.folder.path().join("state"),
            mib: MIB,
        };
        let disk = Arc::new(StateDisk::new(Some(paths)));
        let opened = disk.open(&roots(held)).await;
        assert_eq!(disk.refusal(), opened.as_ref().err().map(ToString::to_string));
        (disk, opened)
    }

    /// The refusal's word; the disk is as it was, and PID 1 was told.
    async fn refused(&self, held: &[u8]) -> String {
        let before = fs::read(self.disk()).unwrap_or_default();
        let error = self.boot(held).await.1.unwrap_err().to_string();
        assert_eq!(fs::read(self.disk()).unwrap_or_default(), before);
        assert_eq!(self.last(), [&[REFUSED][..], error.as_bytes()].concat());
        error.split(':').next().unwrap().to_owned()
    }

    fn last(&self) -> Vec<u8> {
        self.asked.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// Changes a byte.
    fn change(&self, at: usize) {
        let mut bytes = fs::read(self.disk()).unwrap();
        bytes[at] ^= 1;
        fs::write(self.disk(), bytes).unwrap();
    }
}

#[tokio::test]
async fn a_new_disk_is_made_once_and_opened_ever_after_under_its_own_key() {
    let bench = Bench::new(DONE);
    let (disk, opened) = bench.boot(&[1]).await;
    assert_eq!(opened.unwrap(), Some(bench.folder.path().join("state")));
    let made = bench.last();
    assert_eq!((made[0], made.len()), (MAKE, 1 + 8 + KEY_BYTES));
    assert_eq!(made[1..9], MIB.to_be_bytes());
    // Once open, nobody is asked again.
    disk.open(&roots(&[1])).await.unwrap();
    assert_eq!(bench.asked.lock().unwrap().len(), 1);
    // The key is random, sealed, and the same at every boot.
    let bytes = fs::read(bench.disk()).unwrap();
    assert!(!bytes.windows(16).any(|piece| piece == &made[9..25]));
    bench.boot(&[1]).await.1.unwrap();
    assert_eq!(bench.last(), [&[OPEN][..], &made[1..]].concat());
    let other = Bench::new(DONE);
    other.boot(&[1]).await.1.unwrap();
    assert_ne!(other.last()[9..], made[9..]);
}

#[tokio::test]
async fn a_disk_follows_the_root_key_and_no_older_one_opens_it_then() {
    let bench = Bench::new(DONE);
    bench.boot(&[1]).await.1.unwrap();
    let key = bench.last()[9..].to_vec();
    // At boot, while the generation before is served, and while it runs.
    let (disk, opened) = bench.boot(&[2, 1]).await;
    opened.unwrap();
    disk.follow(&root(3)).unwrap();
    for gone in [&[1][..], &[2], &[2, 1]] {
        assert_eq!(bench.refused(gone).await, "disk_sealed");
    }
    bench.boot(&[3]).await.1.unwrap();
    assert_eq!(bench.last()[9..], key);
}

#[tokio::test]
async fn a_header_that_is_broken_at_one_place_is_read_at_the_other() {
    let bench = Bench::new(DONE);
    bench.boot(&[1]).await.1.unwrap();
    bench.change(PLACES[0] as usize + HEADER_BYTES - 1);
    bench.boot(&[1]).await.1.unwrap();
    // Opening wrote both anew.
    bench.change(PLACES[1] as usize);
    bench.boot(&[1]).await.1.unwrap();
    for place in PLACES {
        bench.change(place as usize + 40);
    }
    assert_eq!(bench.refused(&[1]).await, "disk_sealed");
}

#[tokio::test]
async fn disks_that_are_not_provably_new_are_left_as_they_are() {
    // Of another app.
    let bench = Bench::new(DONE);
    bench.boot(&[1]).await.1.unwrap();
    assert_eq!(bench.refused(&[9]).await, "disk_sealed");
    // Without a header, and a single byte somewhere.
    let bench = Bench::new(DONE);
    bench.change((4 << 20) - 1);
    assert_eq!(bench.refused(&[1]).await, "disk_unfinished");
    // No disk at all.
    let bench = Bench::new(DONE);
    fs::remove_file(bench.disk()).unwrap();
    assert_eq!(bench.refused(&[1]).await, "disk_missing");
    // PID 1 makes nothing: there is no header then, and it may be tried again.
    let bench = Bench::new("no room");
    assert_eq!(bench.refused(&[1]).await, "disk_failed");
    assert_eq!(bench.asked.lock().unwrap()[0][0], MAKE);
}

#[tokio::test]
async fn a_disk_of_the_app_that_does_not_open_is_damaged_and_left() {
    let bench = Bench::new(DONE);
    bench.boot(&[1]).await.1.unwrap();
    let other = Bench::new("disk_short");
    fs::copy(bench.disk(), other.disk()).unwrap();
    assert_eq!(other.refused(&[1]).await, "disk_damaged");
    assert_eq!(other.asked.lock().unwrap()[0][0], OPEN);
}

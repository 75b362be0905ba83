//! Seeds of executed payloads on a machine's disk: with them and the archive's payloads, a restarted validator executes
//! again exactly what it had executed. It stands for the node's block store, whose write precedes every vote.

use commonware_runtime::{Blob as _, Error, ReadOptions, Storage as _, WriteOptions};
use freehold_primitives::{G1Point, Height};

use crate::machine::{Blob, Machine};

const PARTITION: &str = "application";
const NAME: &[u8] = b"seeds";

/// The file, one seed for each height.
pub(crate) struct Seeds(Blob);

fn place(height: Height) -> u64 {
    height.saturating_sub(1) * G1Point::SIZE as u64
}

impl Seeds {
    /// Opens the file of a machine.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn open(machine: &Machine) -> Result<Self, Error> {
        machine.open(PARTITION, NAME).await.map(|(blob, _)| Self(blob))
    }

    /// The seed at a height, where it was kept.
    pub(crate) async fn get(&self, height: Height) -> Option<G1Point> {
        let bytes = self.0.read_at(place(height), G1Point::SIZE, ReadOptions::default()).await.ok()?;
        let bytes: [u8; G1Point::SIZE] = bytes.coalesce().as_ref().try_into().ok()?;
        // A height whose seed was not known leaves a hole of zeros.
        (bytes != [0; G1Point::SIZE]).then_some(G1Point(bytes))
    }

    /// Keeps a seed; it is on disk when this returns.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn put(&self, height: Height, seed: &G1Point) -> Result<(), Error> {
        self.0.write_at(place(height), seed.0.to_vec(), WriteOptions::SYNC).await
    }
}

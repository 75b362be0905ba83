//! What a host does about evidence of hardware before it pays for its registration: it says where the evidence differs from what was
//! computed of image and firmware, and has the vendor's collateral brought for the platform that the evidence names.
//!
//! Nothing of it is verified here. The chain does that, and refuses what differs; the host says where, since no measurement of an
//! image was compared with hardware by this project (`docs/vm.md`).

#[cfg(test)]
mod tests;

use freehold_attestation::UnverifiedEvidence;
use freehold_primitives::{EvidenceKind, Measurement, PlatformFamily, Register, TdxMeasurement, TrustDomain};
use tokio::sync::{Mutex, mpsc};

use crate::{
    collateral::{Bringer, SourceError},
    error::HostError,
    event::HostEvent,
};

/// What stands behind evidence of hardware.
pub(crate) struct Hardware {
    /// What the VM was computed to show.
    pub(crate) expected: Measurement,
    /// One question at a time.
    pub(crate) bringer: Mutex<Bringer>,
}

impl Hardware {
    /// Tells where evidence differs, and brings its collateral.
    ///
    /// # Errors
    /// [`HostError::Vendor`], and those of node and chain.
    pub(crate) async fn backs(
        &self,
        evidence: &[u8],
        stated: (EvidenceKind, TrustDomain, PlatformFamily),
        events: &mpsc::UnboundedSender<HostEvent>,
    ) -> Result<(), HostError> {
        let outline = UnverifiedEvidence::read(stated.0, evidence).map_err(SourceError::Refused)?;
        for difference in differences(&self.expected, outline.measurement()) {
            let _ = events.send(HostEvent::Trouble { message: difference });
        }
        let brought = self.bringer.lock().await.back(evidence, stated).await?;
        for tx_hash in brought {
            let _ = events.send(HostEvent::CollateralSubmitted { tx_hash });
        }
        Ok(())
    }
}

/// Where what is shown is not what was expected, a sentence for each register.
fn differences(expected: &Measurement, shown: &Measurement) -> Vec<String> {
    let pairs: Vec<(&str, Option<String>, Option<String>)> = match (expected, shown) {
        (Measurement::Tdx(expected), Measurement::Tdx(shown)) => {
            let both = registers(expected).into_iter().zip(registers(shown));
            both.map(|((name, expected), (_, shown))| (name, expected, shown)).collect()
        }
        (Measurement::Snp(expected), Measurement::Snp(shown)) => vec![
            ("the launch digest", Some(expected.measurement.to_string()), Some(shown.measurement.to_string())),
            (
                "HOST_DATA",
                expected.host_data.map(|digest| digest.to_string()),
                shown.host_data.map(|digest| digest.to_string()),
            ),
        ],
        _ => return vec!["the evidence is of another kind of TEE than the VM was started in".to_owned()],
    };
    let differs = |(name, expected, shown): (&str, Option<String>, Option<String>)| {
        let (expected, shown) = (expected?, shown?);
        (expected != shown).then(|| {
            format!("{name} is {shown}, and {expected} was computed of image, firmware and shape (docs/vm.md says what may differ)")
        })
    };
    pairs.into_iter().filter_map(differs).collect()
}

fn registers(measurement: &TdxMeasurement) -> [(&'static str, Option<String>); 5] {
    let text = |register: &Register| register.to_string();
    [
        ("MRTD", Some(text(&measurement.mrtd))),
        ("RTMR0", measurement.rtmr0.as_ref().map(text)),
        ("RTMR1", measurement.rtmr1.as_ref().map(text)),
        ("RTMR2", measurement.rtmr2.as_ref().map(text)),
        ("RTMR3", measurement.rtmr3.as_ref().map(text)),
    ]
}

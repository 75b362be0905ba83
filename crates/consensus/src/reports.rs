//! What the engine reports: every certificate is noted before it is passed on, finalizations also go to the
//! application.

use std::sync::Arc;

use commonware_actor::Feedback;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    Epochable as _, Reporter, Viewable as _,
    marshal::Update,
    simplex::{
        scheme::bls12381_threshold::vrf,
        types::{Activity, Finalization, Notarization, Proposal},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{
    Digested,
    bls12381::primitives::{group::G1, variant::MinSig},
    sha256,
};
use commonware_utils::acknowledgement::Exact;
use freehold_primitives::{Certificate, G1Point};
use tokio::sync::mpsc;
use tracing::warn;

use crate::{
    block::{Block, engine_digest, our_digest},
    check::{Scheme, our_point},
    rounds::Rounds,
};

/// Finalization certificates waiting for the application.
pub(crate) const CERTIFICATES_QUEUED_MAX: usize = 1_024;

type EngineActivity = Activity<Scheme, sha256::Digest>;

/// A finalization in our format; `None` if its signature does not decode, which a verified one does.
pub(crate) fn certificate_of(finalization: &Finalization<Scheme, sha256::Digest>) -> Option<Certificate> {
    let signature = finalization.certificate.get()?;
    let proposal = &finalization.proposal;
    Some(Certificate {
        term: proposal.epoch().get(),
        view: proposal.view().get(),
        parent_view: proposal.parent.get(),
        payload: our_digest(&proposal.payload),
        signature: our_point(&signature.vote_signature),
        seed: our_point(&signature.seed_signature),
    })
}

/// A certificate in the engine's form; `None` if its points do not decode, which those of a verified one do.
pub(crate) fn finalization_of(certificate: &Certificate) -> Option<Finalization<Scheme, sha256::Digest>> {
    let round = Round::new(Epoch::new(certificate.term), View::new(certificate.view));
    let parent = View::new(certificate.parent_view);
    let point = |point: &G1Point| G1::decode(Copying(&point.0)).ok();
    let signature = vrf::Signature::<MinSig> {
        vote_signature: point(&certificate.signature)?,
        seed_signature: point(&certificate.seed)?,
    };
    Some(Finalization {
        proposal: Proposal::new(round, parent, engine_digest(&certificate.payload)),
        certificate: vrf::Certificate { signature: signature.into() },
    })
}

/// Stands before the engine's own reporter.
#[derive(Clone)]
pub(crate) struct Observer<R> {
    pub(crate) inner: R,
    pub(crate) rounds: Arc<Rounds>,
    pub(crate) certificates: mpsc::Sender<Certificate>,
}

impl<R> Observer<R> {
    fn notarized(&self, notarization: &Notarization<Scheme, sha256::Digest>) {
        if let Some(signature) = notarization.certificate.get() {
            let (term, view) = (notarization.proposal.epoch().get(), notarization.proposal.view().get());
            self.rounds.note_seed(term, view, our_point(&signature.seed_signature));
        }
    }

    fn finalized(&self, finalization: &Finalization<Scheme, sha256::Digest>) {
        let Some(certificate) = certificate_of(finalization) else { return };
        self.rounds.note_certificate(&certificate);
        let (term, view) = (certificate.term, certificate.view);
        if self.certificates.try_send(certificate).is_err() {
            warn!(term, view, "application is behind, certificate is only in the archive");
        }
    }
}

impl<R: Reporter<Activity = EngineActivity>> Reporter for Observer<R> {
    type Activity = EngineActivity;

    fn report(&mut self, activity: EngineActivity) -> Feedback {
        match &activity {
            Activity::Notarization(notarization) | Activity::Certification(notarization) => {
                self.notarized(notarization);
            }
            Activity::Finalization(finalization) => self.finalized(finalization),
            _ => {}
        }
        self.inner.report(activity)
    }
}

/// Takes final blocks from the archive. The queue behind it is bounded by the archive, which hands out no more than
/// its count of pending acknowledgements.
#[derive(Clone)]
pub(crate) struct Inbox {
    pub(crate) blocks: mpsc::UnboundedSender<(Digested<Block>, Exact)>,
}

impl Reporter for Inbox {
    type Activity = Update<Block>;

    fn report(&mut self, update: Update<Block>) -> Feedback {
        match update {
            Update::Tip(..) => Feedback::Ok,
            Update::Block(block, acknowledgement) => match self.blocks.send((block, acknowledgement)) {
                Ok(()) => Feedback::Ok,
                Err(_) => Feedback::Closed,
            },
        }
    }
}

//! Hands final payloads to the application: once per height, in order, acknowledged after it returns.
//!
//! Invariant: within a run the heights delivered are consecutive. A crash before an acknowledgement is on disk makes
//! the archive deliver again, so nothing is lost.

use std::sync::Arc;

use commonware_consensus::{Heightable as _, types::Height as EngineHeight};
use commonware_cryptography::Digested;
use commonware_utils::{Acknowledgement as _, acknowledgement::Exact};
use freehold_primitives::{Certificate, G1Point, Payload};
use tokio::sync::mpsc;

use crate::{
    adapter::Archive,
    application::{Application, FinalizedPayload, SeenCertificate},
    block::Block,
    reports::{Inbox, certificate_of},
    resharing::{self, Final},
    rounds::Rounds,
    witness::Witness,
};

/// The task that delivers.
pub(crate) struct Delivery<A> {
    application: A,
    rounds: Arc<Rounds>,
    archive: Archive,
    witness: Arc<Witness>,
    resharing: Option<mpsc::Sender<Final>>,
    blocks: mpsc::UnboundedReceiver<(Digested<Block>, Exact)>,
}

impl<A: Application> Delivery<A> {
    /// A task and the inbox that feeds it.
    pub(crate) fn new(
        application: A,
        (rounds, witness): (Arc<Rounds>, Arc<Witness>),
        archive: Archive,
        resharing: Option<mpsc::Sender<Final>>,
    ) -> (Self, Inbox) {
        let (sender, blocks) = mpsc::unbounded_channel();
        (Self { application, rounds, archive, witness, resharing, blocks }, Inbox { blocks: sender })
    }

    /// Runs until the archive ends.
    pub(crate) async fn run(mut self) {
        let mut last = None;
        while let Some((block, acknowledgement)) = self.blocks.recv().await {
            let height = block.height().get();
            let seen = last.is_some_and(|last| height <= last);
            if height > 0 && !seen {
                assert!(last.is_none_or(|last| height == last + 1), "final payloads arrive without gaps");
                self.deliver(block.inner()).await;
            }
            last = last.max(Some(height));
            acknowledgement.acknowledge();
        }
    }

    async fn deliver(&self, block: &Block) {
        self.rounds.note_height(block.id(), block.head().height);
        if let Some(found) = self.witness.ended(block) {
            self.application.double_proposal(found);
        }
        let (seed, certificate) = self.evidence(block).await;
        let payload = Payload::clone(block.payload());
        let statements = self.application.statements(&payload);
        self.application.finalized(FinalizedPayload { payload, digest: block.id(), certificate, seed }).await;
        if let Some(resharing) = &self.resharing
            && !resharing::tell(resharing, block, statements).await
        {
            // Never acknowledge what is not durable; the validator is about to end.
            std::future::pending::<()>().await;
        }
    }

    /// Seed and certificate of a block's own round: from what was seen, else from the archive.
    async fn evidence(&self, block: &Block) -> (Option<G1Point>, Option<Certificate>) {
        let head = block.head();
        let record = self.rounds.record(head.term, head.view);
        let certificate = match record.certificate {
            Some(certificate) => Some(certificate),
            None => {
                let archived = self.archive.get_finalization(EngineHeight::new(head.height)).await;
                archived.as_ref().and_then(certificate_of)
            }
        };
        let certificate = certificate.filter(|certificate| certificate.payload == block.id());
        (record.seed.or(certificate.as_ref().map(|certificate| certificate.seed)), certificate)
    }
}

/// Hands certificates to the application as they are seen.
pub(crate) async fn deliver_certificates<A: Application>(
    application: A,
    rounds: Arc<Rounds>,
    mut queue: mpsc::Receiver<Certificate>,
) {
    while let Some(certificate) = queue.recv().await {
        let height = rounds.height(&certificate.payload);
        application.certificate(SeenCertificate { height, certificate }).await;
    }
}

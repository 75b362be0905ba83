//! Several nodes, asked one after the other: the one that answered last is asked first.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use freehold_rpc::{Endpoint, HttpLimits, NodeClient, VerifiedClient};
use tokio::time::timeout;

use super::error::LightError;

/// Longest time for a whole answer of one node, with the wait for a certificate, unless the user sets another.
pub const ATTEMPT_MAX_DEFAULT: Duration = Duration::from_secs(30);

/// Bounds of one exchange with a node: a whole block in hex is the longest answer.
pub(crate) const LIMITS: HttpLimits = HttpLimits {
    connect: Duration::from_secs(5),
    head: Duration::from_secs(15),
    pause: Duration::from_secs(10),
    body_bytes_max: 33 * 1024 * 1024,
};

/// The nodes.
#[derive(Debug)]
pub(crate) struct Upstreams {
    nodes: Vec<VerifiedClient>,
    first: AtomicUsize,
    attempt_max: Duration,
}

/// A client of one node with the bounds of a light client.
pub(crate) fn node(endpoint: &Endpoint) -> NodeClient {
    NodeClient::with_limits(endpoint.clone(), LIMITS)
}

impl Upstreams {
    /// Holds every node to what `model` is held to.
    pub(crate) fn new(endpoints: &[Endpoint], model: &VerifiedClient, attempt_max: Duration) -> Self {
        let nodes = endpoints.iter().map(|endpoint| model.of_node(node(endpoint))).collect();
        Self { nodes, first: AtomicUsize::new(0), attempt_max }
    }

    /// The nodes, the preferred one first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (usize, &VerifiedClient)> {
        let (count, first) = (self.nodes.len(), self.first.load(Ordering::Relaxed));
        (0..count).map(move |place| (first + place) % count).filter_map(|index| Some((index, self.nodes.get(index)?)))
    }

    async fn within<T>(&self, answer: impl Future<Output = Result<T, LightError>>) -> Result<T, LightError> {
        timeout(self.attempt_max, answer).await.unwrap_or(Err(LightError::Timeout(self.attempt_max)))
    }

    /// The first answer that holds. Where none does, the error of a node that lied, or else of the last one.
    pub(crate) async fn ask<T, F>(&self, ask: impl Fn(VerifiedClient) -> F) -> Result<T, LightError>
    where
        F: Future<Output = Result<T, LightError>>,
    {
        let mut worst = LightError::NoNodes;
        for (index, node) in self.in_order() {
            match self.within(ask(node.clone())).await {
                Ok(answer) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) if error.is_final() => return Err(error),
                Err(error) if matches!(worst, LightError::NoNodes) || error.is_lie() || !worst.is_lie() => {
                    worst = error;
                }
                Err(_) => {}
            }
        }
        Err(worst)
    }

    /// The first node that finds something. Nothing, where no node finds it and one at least answers well.
    pub(crate) async fn find<T, F>(&self, ask: impl Fn(VerifiedClient) -> F) -> Result<Option<T>, LightError>
    where
        F: Future<Output = Result<Option<T>, LightError>>,
    {
        let (mut worst, mut is_answered) = (LightError::NoNodes, false);
        for (_, node) in self.in_order() {
            match self.within(ask(node.clone())).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => is_answered = true,
                Err(error) if error.is_final() => return Err(error),
                Err(error) => worst = error,
            }
        }
        if is_answered { Ok(None) } else { Err(worst) }
    }
}

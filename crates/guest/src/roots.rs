//! The app's root keys that the guest holds: the newest generation, and the one before while it is served.
//!
//! Invariant: what the chain no longer serves is let go and wiped. Secrets are never printed.

use std::sync::{PoisonError, RwLock};

use freehold_primitives::{Generation, UnixSeconds};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::release::Generations;

/// The root key of one generation.
#[derive(Clone)]
pub(crate) struct Root {
    pub(crate) generation: Generation,
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// What is served of the root context.
#[derive(Clone)]
pub(crate) struct Roots {
    pub(crate) newest: Root,
    pub(crate) previous: Option<Root>,
    /// Until when the previous one is served.
    pub(crate) previous_until: UnixSeconds,
}

impl Roots {
    /// All of them, newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.newest).chain(&self.previous)
    }

    pub(crate) fn generations(&self) -> Generations {
        let previous = self.previous.as_ref().map(|root| root.generation);
        Generations { newest: self.newest.generation, previous, previous_until: self.previous_until }
    }
}

/// The roots that are held now, and a bell for whoever waits for others.
pub(crate) struct HeldRoots {
    roots: RwLock<Roots>,
    changes: watch::Sender<Generations>,
}

impl HeldRoots {
    pub(crate) fn new(roots: Roots) -> Self {
        Self { changes: watch::Sender::new(roots.generations()), roots: RwLock::new(roots) }
    }

    /// What is held now.
    pub(crate) fn generations(&self) -> watch::Receiver<Generations> {
        self.changes.subscribe()
    }

    /// The root of a generation, the newest where none is named; `None` where it is not held.
    pub(crate) fn root(&self, generation: Option<Generation>) -> Option<Root> {
        let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = generation.unwrap_or(roots.newest.generation);
        roots.all().find(|root| root.generation == wanted).cloned()
    }

    /// All that are held now.
    pub(crate) fn held(&self) -> Roots {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what is served from now on.
    pub(crate) fn replace(&self, roots: Roots) {
        let generations = roots.generations();
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = roots;
        self.changes.send_replace(generations);
    }

    /// Lets the previous generation go.
    pub(crate) fn retire_previous(&self) {
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        roots.previous = None;
        roots.previous_until = 0;
        let generations = roots.generations();
        drop(roots);
        self.changes.send_replace(generations);
    }
}

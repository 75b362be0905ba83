//! What is told of containers as it happens.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::logs::LogStream;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ContainerEvent {
    /// A container of a service was started.
    Started {
        /// The service.
        service: String,
        /// Process of the runtime that runs it.
        pid: u32,
    },
    /// A service's health changed.
    Health {
        /// The service.
        service: String,
        /// Whether its check succeeds.
        is_healthy: bool,
    },
    /// A container of a service ended.
    Exited {
        /// The service.
        service: String,
        /// Exit code; `None` after a signal.
        code: Option<i32>,
        /// The pause before it is started again; `None` if it is not.
        restart_in: Option<Duration>,
    },
    /// A service said something.
    Said {
        /// The service.
        service: String,
        /// Where.
        stream: LogStream,
        /// A line, or a piece of a long one.
        line: String,
    },
    /// A service said more than is passed on.
    Dropped {
        /// Lines that were dropped.
        lines: u64,
    },
    /// Something needs attention.
    Trouble {
        /// A sentence.
        message: String,
    },
}

/// Who is told.
#[derive(Clone)]
pub struct Teller(Arc<dyn Fn(ContainerEvent) + Send + Sync>);

impl Teller {
    /// Passes every event to a function, which must not block.
    pub fn new(tell: impl Fn(ContainerEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, event: ContainerEvent) {
        (self.0)(event);
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Teller")
    }
}

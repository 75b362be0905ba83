//! The queue before the engine: bounded, one generation at a time per worker thread.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc;

use crate::engine::{Engine, EngineError, Generation, Outcome, Step};

/// Generations that wait while the workers are busy; one more is refused with 429.
pub const QUEUE_MAX: usize = 16;

/// What a generation sends as it runs. A channel that closes without [`Piece::Done`] means that the engine broke.
pub(crate) enum Piece {
    /// A token was made; the text it released, perhaps none.
    Token(String),
    /// Text that was held back.
    Rest(String),
    /// The generation is over.
    Done(Result<Outcome, EngineError>),
}

struct Job {
    generation: Generation,
    pieces: mpsc::UnboundedSender<Piece>,
}

/// The queue's sending side.
#[derive(Clone)]
pub(crate) struct Queue {
    jobs: mpsc::Sender<Job>,
}

impl Queue {
    /// Starts `workers` threads; they end when the last clone of the queue is dropped.
    pub(crate) fn start(engine: &Arc<Engine>, workers: usize) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        for index in 0..workers.max(1) {
            let (engine, waiting) = (Arc::clone(engine), Arc::clone(&waiting));
            std::thread::Builder::new().name(format!("inference-{index}")).spawn(move || work(&engine, &waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Queues a generation; `None` where all places are taken. Dropping the receiver cancels it. The channel is as long
    /// as the answer, so that a slow reader never holds up the engine.
    pub(crate) fn submit(&self, generation: Generation) -> Option<mpsc::UnboundedReceiver<Piece>> {
        let (pieces, receiver) = mpsc::unbounded_channel();
        self.jobs.try_send(Job { generation, pieces }).ok().map(|()| receiver)
    }
}

fn work(engine: &Engine, waiting: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Job { generation, pieces }) = job else { return };
        if pieces.is_closed() {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.generate(generation, |step| {
                let gone = match step {
                    Step::Reading => pieces.is_closed(),
                    Step::Token(text) => pieces.send(Piece::Token(text.to_owned())).is_err(),
                    Step::Rest(text) => pieces.send(Piece::Rest(text.to_owned())).is_err(),
                };
                if gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        }));
        match result {
            Ok(result) => {
                if let Err(error) = &result {
                    tracing::warn!(%error, "a generation failed");
                }
                // The reader may be gone: then nobody wants the figures.
                let _ = pieces.send(Piece::Done(result));
            }
            Err(_) => tracing::error!("the engine broke on a request; the request was dropped"),
        }
    }
}

//! All integration tests of consensus in one program: each program compiles the engine anew.

mod common;
mod founding;
mod kill;
mod loopback;
mod masters;
mod membership;
mod proposals;
mod recovery;
mod resharing;
mod simulation;
mod stage;
mod succession;

//! A node from outside, but for what reads the whole process's log (`canary`). One binary, since each compiles the engine
//! again.

mod catch_up;
mod executors;
mod follower;
mod fuzz_smoke;
mod stop;

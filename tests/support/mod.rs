//! What the tests share: corpus files, a scripted wire with a virtual clock, scripted applications, and a log that does
//! not depend on how the bytes were cut.
//!
//! Read `tests/corpus/README.md` first: it describes the scripts and the log from a reader's side.

#![allow(dead_code, reason = "each test crate takes what it needs")]

pub mod app;
pub mod corpus;
pub mod cut;
pub mod diff;
pub mod log;
pub mod output;
pub mod print;
pub mod setup;
pub mod text;
pub mod wire;
pub mod world;

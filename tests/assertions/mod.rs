//! What must be true whatever a peer sends, an application does and a driver calls: one check for each fuzz target,
//! from the fuzzer's bytes to a panic. The targets in `fuzz/` look for inputs that violate it; `tests/fuzz_corpus.rs`
//! replays the inputs that were worth keeping. "P1" and its like name the promises of `SECURITY.md`.

#![allow(dead_code, reason = "each crate that has this takes its part")]

mod answers;
mod application;
mod input;
mod memory;
#[cfg(feature = "arbitrary")]
mod ops;
#[path = "../oracles/mod.rs"]
mod oracles;
mod response;
mod server;
mod setup;
mod streams;

/// Panics if one of a target's properties is violated.
pub(crate) type Check = fn(&[u8]);

/// The targets, by their names. `ops` needs the generators of the feature `arbitrary`.
pub(crate) const TARGETS: &[(&str, Check)] = &[
    ("alloc", memory::check),
    ("bytes", streams::bytes),
    ("chunked", streams::chunked),
    #[cfg(feature = "arbitrary")]
    ("ops", ops::check),
    ("response", response::check),
    ("smuggle", streams::smuggle),
    ("split", streams::split),
];

//! `Driver` and `Channel`: all interleavings of a few tasks (`ways`), what wakers may do (`wakers`), what is asked by
//! `poll` functions (`polling`), and many tasks on real runtimes (`runtimes`). Nothing here sleeps, and time is virtual
//! where there is any.
//!
//! `cargo test --test channel -- --nocapture` prints how many interleavings there are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "a test may fail"
)]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[path = "channel/polling.rs"]
mod polling;
#[path = "channel/runtimes.rs"]
mod runtimes;
#[path = "channel/schedule.rs"]
mod schedule;
#[path = "channel/wakers.rs"]
mod wakers;
#[path = "channel/ways.rs"]
mod ways;
#[path = "channel/world.rs"]
mod world;

/// Runs it on another thread, so that what waits for ever fails the test: nothing else reaches the bound.
fn bounded(run: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let thread = thread::spawn(move || {
        run();
        done.send(()).unwrap();
    });
    match is_done.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it waits for ever"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => thread.join().unwrap(),
    }
}

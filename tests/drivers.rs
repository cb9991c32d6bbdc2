//! One suite for all drivers of `examples/`, over real loopback sockets: each case is run with each driver.
//!
//! No case sleeps, but for four, about a silence, slowness, a stop and a thread that is held up, and none asserts how
//! long something took: it waits for an event, with a bound that only a hanging driver reaches. `SANSGI_FULL=1` makes
//! the transfers 100 MB and the connections 10,000.

// The drivers share files, as every example is a program of its own.
#![allow(clippy::duplicate_mod)]

#[path = "drivers/allocator.rs"]
mod allocator;
#[path = "drivers/cases.rs"]
mod cases;
#[path = "drivers/client.rs"]
mod client;
#[path = "drivers/files.rs"]
mod files;
#[path = "drivers/memory.rs"]
mod memory;
#[path = "drivers/process.rs"]
mod process;
#[path = "drivers/running.rs"]
mod running;
#[cfg(target_os = "linux")]
#[path = "drivers/stopped.rs"]
mod stopped;

#[allow(dead_code, reason = "its `main`")]
#[path = "../examples/asyncio_shaped.rs"]
mod asyncio_shaped;
#[allow(dead_code, reason = "its `main`")]
#[path = "../examples/completion.rs"]
mod completion;
#[allow(dead_code, reason = "its `main`")]
#[path = "../examples/embedded.rs"]
mod embedded;
#[allow(dead_code, reason = "its `main`")]
#[path = "../examples/mio.rs"]
mod mio;
#[allow(dead_code, reason = "its `main`")]
#[path = "../examples/serve.rs"]
mod serve;
#[allow(dead_code, reason = "its `main`")]
#[path = "../examples/simulated.rs"]
mod simulated;
#[allow(dead_code, reason = "its `main`")]
#[path = "../examples/smol.rs"]
mod smol;
#[allow(dead_code, reason = "its `main`")]
#[path = "../examples/tokio.rs"]
mod tokio;

/// The cases as tests of one driver. What it cannot do is named, with the reason beside its line; so is what tells
/// whether it can run here at all.
macro_rules! suite {
    ($driver:ident, lacks: [$($lack:ident),*] $(, needs: $needs:expr)?) => {
        mod $driver {
            #[allow(unused_imports, reason = "some lack nothing")]
            use crate::running::{Lack, Subject};

            fn subject() -> Subject {
                Subject {
                    name: stringify!($driver),
                    start: crate::running::start!($driver),
                    lacks: &[$(Lack::$lack),*],
                    missing: || {
                        $( if let Err(error) = $needs() { return Some(error.to_string()); } )?
                        None
                    },
                }
            }

            suite!(cases: keep_alive, http_1_0, pipelining, expectation, echo_while_it_arrives, sleeps);
            suite!(cases: piece_that_no_socket_takes_at_once, client_resets_while_it_is_written_to);
            suite!(cases: response_of_a_thread, applications_that_go_on);
            suite!(cases: early_response_is_read, early_response_keeps_alive);
            suite!(cases: client_closes, client_half_closes, client_resets, client_resets_behind_a_full_buffer);
            suite!(cases: half_close, torn_request, malformed);
            suite!(cases: idle_deadline, head_deadline, body_deadline, write_deadline);
            suite!(cases: client_that_reads_slowly, deadline_while_the_thread_is_held_up);
            suite!(cases: shutdown_under_load, shutdown_completes_what_is_in_flight, shutdown_deadline);
            suite!(cases: shutdown_behind_a_response_of_a_thread);
            suite!(cases: websocket, websocket_with_the_first_frame, websocket_of_few_words, shutdown_beside_a_websocket);
            suite!(cases: crash, late_crash, late_crash_of_an_unframed_response);
            suite!(files: file, file_that_is_too_short, file_that_is_truncated, file_that_is_gone);
            #[cfg(target_os = "linux")]
            suite!(files: file_that_cannot_be_sent);
            #[cfg(target_os = "linux")]
            suite!(stopped: stopped_for_too_long);

            #[test]
            fn flat_memory() {
                subject().run(crate::memory::is_flat);
            }
        }
    };
    ($module:ident: $($case:ident),*) => {
        $(
            #[test]
            fn $case() {
                subject().run(crate::$module::$case);
            }
        )*
    };
}

mod with {
    // The standard library cannot see a hang-up without reading.
    suite!(serve, lacks: [HangUp]);
    suite!(tokio, lacks: []);
    suite!(mio, lacks: []);
    suite!(embedded, lacks: [HangUp]);
    // Asyncio's loop has no event for it either, but to readers and writers.
    suite!(asyncio_shaped, lacks: [HangUp]);
    // What it has submitted is a read or a write; there is none behind a full buffer.
    suite!(completion, lacks: [HangUp], needs: crate::completion::runtime);
    // Its sockets tell of a reset only those who wait to read or to write.
    suite!(smol, lacks: [HangUp]);
}

/// A driver in a process of its own.
#[test]
#[ignore = "started by the cases that need one"]
fn server_process() {
    process::serve(|name| match name {
        "serve" => Some(running::start!(serve)),
        "completion" => Some(running::start!(completion)),
        "asyncio_shaped" => Some(running::start!(asyncio_shaped)),
        "embedded" => Some(running::start!(embedded)),
        "tokio" => Some(running::start!(tokio)),
        "mio" => Some(running::start!(mio)),
        "smol" => Some(running::start!(smol)),
        _ => None,
    });
}

/// "the same seed gives the same transcript", and in each of them all that is begun comes to its end.
#[test]
fn simulated_runs_are_reproducible() {
    let mut different = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let transcript = simulated::run(seed);
        assert_eq!(transcript, simulated::run(seed), "seed {seed}");
        for peer in ["a", "b"] {
            let count = |what: &str| {
                let what = format!(" {peer}: {what}");
                transcript.lines().filter(|line| line.contains(&what)).count()
            };
            assert_eq!(count("start "), count("disconnect "), "seed {seed}:\n{transcript}");
            assert_eq!(count("closed") + count("switched"), 1, "seed {seed}:\n{transcript}");
        }
        different.insert(transcript);
    }
    assert_eq!(different.len(), 200);
}

//! Runs the tokio driver behind proxies and in front of clients, and writes down what was seen: `peers/run`.

#[allow(dead_code, reason = "some cases have nothing to do with a proxy")]
#[path = "../../tests/drivers/cases.rs"]
mod cases;
#[path = "../../tests/drivers/client.rs"]
mod client;
mod clients;
#[path = "../../tests/drivers/files.rs"]
mod files;
mod hyper_client;
mod proxy;
mod relay;
#[path = "../../tests/drivers/running.rs"]
mod running;
mod suite;
mod table;
mod through;
#[allow(dead_code, reason = "its `main`")]
#[path = "../../examples/tokio.rs"]
mod tokio;

use std::collections::HashMap;
use std::panic;
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::{env, fs};

use table::{Outcome, Table};

static PANICS: Mutex<Option<HashMap<ThreadId, String>>> = Mutex::new(None);

/// Words on the command line choose: peers and cases whose names contain one of them. Then no file is written.
fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        panics.get_or_insert_default().insert(thread::current().id(), info.to_string().replace('\n', " "));
    }));
    let words: Vec<String> = env::args().skip(1).collect();
    let is_chosen = |peer: &str, case: &str| {
        words.is_empty() || words.iter().any(|word| format!("{peer}.{case}").contains(word.as_str()))
    };
    let mut tables = vec![suite::run(is_chosen)];
    tables.extend(clients::run(is_chosen));
    let text = tables.iter().map(Table::markdown).collect::<Vec<_>>().join("\n");
    println!("\n{text}");
    if words.is_empty()
        && let Err(error) = fs::write("RESULTS.md", format!("{}\n{text}", heading()))
    {
        eprintln!("RESULTS.md: {error}");
        return ExitCode::FAILURE;
    }
    let failures: usize = tables.iter().map(Table::failures).sum();
    println!("{failures} failed");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn heading() -> String {
    let mut versions: Vec<String> = proxy::FRONTS.iter().filter_map(proxy::Front::version).collect();
    versions.sort();
    versions.dedup();
    versions.extend(clients::versions());
    let date = clients::first_line(Command::new("date").args(["-u", "+%F"])).unwrap_or_default();
    format!("# Results\n\nWritten by `peers/run` on {date}, with\n\n- {}\n", versions.join("\n- "))
}

/// A case on a thread of its own, named, so that a panic is a line of the table and not the end. It answers why it
/// cannot be run, if so.
fn outcome(peer: &str, case: &str, run: impl FnOnce() -> Option<String> + Send + 'static) -> Outcome {
    let begun = std::time::Instant::now();
    let thread = thread::Builder::new().name(format!("{peer}.{case}")).spawn(run).expect("a thread");
    let id = thread.thread().id();
    let outcome = match thread.join() {
        Ok(None) => Outcome::Ok,
        Ok(Some(reason)) => Outcome::Skipped(reason),
        Err(_) => {
            let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
            Outcome::Failed(panics.get_or_insert_default().remove(&id).unwrap_or_default())
        }
    };
    println!("{peer} · {case}: {outcome:?} {:.1} s", begun.elapsed().as_secs_f32());
    outcome
}

//! Compares what sansgi, httparse, hyper and h11 take damaged requests for, and puts each disagreement into a class.
//!
//! `PYTHON=python3 cargo run --release -- 200000 > RESULTS.md`, in this folder, compares as many streams and writes a
//! table of the classes, with how many streams fell into each and the shortest of them. The same number gives the same
//! table. A disagreement that has no name in `classes.rs` is an error.

mod classes;
mod peers;
mod streams;

use std::collections::BTreeMap;
use std::process::ExitCode;

use classes::Class;

const PREFACE: &str = "
# Disagreements on damaged requests

Written by the program in this folder; `cargo run --release -- 200000` writes it again. Requests as they should be are
changed in one to three places, as an attacker would, and another request follows. Each server gets the whole stream
at once, answers 200 to what it takes and says what it took: methods, targets as sent, contents, and whether it then
waits, has closed or has refused. httparse is no server: of it only the first head is compared. A stream counts where
what was taken differs, or where the one refuses and the other does not; both refusing counts as agreement, whatever
they say.

`here` is sansgi. *taken, the next refused* took what the other refused, and refused what follows.
";

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let streams: Vec<Vec<u8>> = (0..count).map(streams::stream).collect();
    let ours: Vec<_> = streams.iter().map(|stream| peers::sansgi(stream)).collect();
    println!("{}\n\n{count} streams.\n", PREFACE.trim());
    let mut has_unnamed = false;
    let mut compare = |peer: &str, version: &str, theirs: Vec<peers::Verdict>| {
        let mut found: BTreeMap<Class, (usize, &[u8])> = BTreeMap::new();
        for ((ours, theirs), stream) in ours.iter().zip(&theirs).zip(&streams) {
            if let Some(class) = classes::of(peer, ours, theirs, stream) {
                let (times, shortest) = found.entry(class).or_insert((0, stream));
                *times += 1;
                if stream.len() < shortest.len() {
                    *shortest = stream;
                }
            }
        }
        has_unnamed |= found.keys().any(Class::is_unnamed);
        let all: usize = found.values().map(|(times, _)| times).sum();
        println!(
            "## {peer} {version}: {all} disagreements\n\n| here | there | class | streams | the shortest |\n|---|---|---|---:|---|"
        );
        for (class, (times, shortest)) in found {
            let text = shortest.escape_ascii().to_string().replace('|', "\\|");
            println!(
                "| {} | {} | {} | {times} | `{}` |",
                class.here,
                class.there,
                class.name,
                text.replace('`', "\\x60")
            );
        }
        println!();
    };
    compare("httparse", "1.10.1", streams.iter().map(|stream| peers::httparse(stream)).collect());
    compare("hyper", "1.12.0", streams.iter().map(|stream| peers::hyper(stream)).collect());
    match peers::h11(&streams) {
        Some((version, theirs)) => compare("h11", &version, theirs),
        None => println!("## h11: not compared, no Python here has it\n"),
    }
    if has_unnamed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

//! Replays the cases of `tests/corpus/*.md`, each of them whole, byte by byte, at every single cut and at random ones:
//! the log must be the same every time. `tests/corpus/README.md` describes the format.
//!
//! `SANSGI_BLESS=1` writes the logs that were found into the files. Read them before they are committed: what is right
//! is not what happens to come out. `SANSGI_CASE=text` runs only the cases whose name has that text in it.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test that panics has found something, and nobody depends on it"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use support::corpus::{Case, parse};
use support::cut::{self, Cut};
use support::diff;
use support::text::{escape, parse_bytes};
use support::world::{Run, replay};

struct File {
    path: PathBuf,
    text: String,
    cases: Vec<Case>,
}

impl File {
    /// Where a case is and what it is called.
    fn label(&self, case: &Case) -> String {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{file}:{}: {}", case.line, case.name)
    }
}

fn files() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = std::fs::read_dir(&folder).expect("the corpus is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "md") && !path.ends_with("README.md"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let cases = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            File { path, text, cases }
        })
        .collect()
}

/// Plays a case; a panic is an error like a broken law.
fn play(case: &Case, cut: &Cut) -> Result<Run, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| replay(case, cut)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// What is wrong with a case, for people; `None` if nothing is.
fn check(case: &Case) -> Option<String> {
    let no_log = String::new();
    let expected = case.log.as_ref().unwrap_or(&no_log);
    // What was found instead, by the first cut that gave it, and how many more did.
    let mut wrong: BTreeMap<Result<String, String>, (String, usize)> = BTreeMap::new();
    let mut longest: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for cut in cut::all(&case.wire) {
        let mut run = play(case, &cut);
        if let Ok(Run { received, .. }) = &run {
            // "what they were given is a prefix of the body", however much of it.
            let mut differs = false;
            for (&id, body) in received {
                let other = longest.entry(id).or_default();
                let common = other.len().min(body.len());
                differs |= other[..common] != body[..common];
                if body.len() > other.len() {
                    other.clone_from(body);
                }
            }
            if differs {
                run = Err("a body differs from what it was under another cut".to_owned());
            }
        }
        let found = run.map(|run| run.log);
        if found.as_ref() != Ok(expected) {
            wrong.entry(found).or_insert_with(|| (cut.to_string(), 0)).1 += 1;
        }
    }
    if wrong.is_empty() {
        return None;
    }
    let mut text = String::new();
    for (found, (cut, count)) in wrong {
        let _ = writeln!(text, "  {cut}, and {} others:", count - 1);
        match found {
            Ok(found) => text.push_str(&diff::lines(expected, &found)),
            Err(error) => {
                let _ = writeln!(text, "    {error}");
            }
        }
    }
    Some(text)
}

#[test]
fn every_case_is_the_same_at_every_cut() {
    let wanted = std::env::var("SANSGI_CASE").unwrap_or_default();
    let mut files = files();
    if std::env::var_os("SANSGI_BLESS").is_some_and(|bless| bless == "1") {
        bless(&files, &wanted);
        files = self::files();
    }
    let cases: Vec<(String, &Case)> = files
        .iter()
        .flat_map(|file| file.cases.iter().map(|case| (file.label(case), case)))
        .filter(|(name, _)| name.contains(&wanted))
        .collect();
    // Two halves at a time: this is the longest of the tests.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let failures: BTreeMap<usize, String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let cases = &cases;
                scope.spawn(move || {
                    let share = cases.iter().enumerate().skip(worker).step_by(threads);
                    let failed = share.filter_map(|(at, (name, case))| Some((at, format!("{name}\n{}", check(case)?))));
                    failed.collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("panics are caught")).collect()
    });
    let report: Vec<String> = failures.into_values().collect();
    assert!(report.is_empty(), "{} of {} cases fail:\n\n{}", report.len(), cases.len(), report.join("\n"));
}

/// Writes what the whole input gives into the log blocks.
fn bless(files: &[File], wanted: &str) {
    for file in files {
        let mut lines: Vec<String> = file.text.lines().map(str::to_owned).collect();
        for case in file.cases.iter().rev().filter(|case| file.label(case).contains(wanted)) {
            let log = match play(case, &Cut::whole()) {
                Ok(run) => run.log,
                Err(error) => format!("{error}\n"),
            };
            let mut block: Vec<String> = log.lines().map(str::to_owned).collect();
            if case.log.is_none() {
                block.splice(0..0, [String::new(), "```log".to_owned()]);
                block.push("```".to_owned());
            }
            lines.splice(case.log_lines.clone(), block);
        }
        let text = lines.join("\n") + "\n";
        if text != file.text {
            std::fs::write(&file.path, text).expect("a writable file");
        }
    }
}

#[test]
fn the_corpus_covers_every_row_and_every_question() {
    let files = files();
    let names: Vec<&str> = files.iter().flat_map(|file| &file.cases).map(|case| case.name.as_str()).collect();
    let mut missing: Vec<String> = Vec::new();
    for (what, last) in [("row", 60), ("question", 16)] {
        for number in 1..=last {
            let label = format!("{what} {number}:");
            if !names.iter().any(|name| name.starts_with(&label)) {
                missing.push(label);
            }
        }
    }
    assert!(missing.is_empty(), "no case is named after {missing:?}");
    assert!(names.len() >= 150, "only {} cases", names.len());
}

#[test]
fn case_names_are_unique() {
    let files = files();
    let mut names: Vec<&str> = files.iter().flat_map(|file| &file.cases).map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    let doubles: Vec<&str> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(doubles.is_empty(), "{doubles:?}");
}

#[test]
fn what_the_notation_writes_it_reads() {
    let all: Vec<u8> = (0..=255).collect();
    for bytes in [&all[..], b"{\"a\" * 3}", b"{{\"", "é\u{7f}".as_bytes(), &[b'"'; 100], &b"ab\r\n".repeat(50)] {
        assert_eq!(parse_bytes(&escape(bytes)).as_deref(), Ok(bytes), "{}", escape(bytes));
    }
    assert_eq!(escape(&[b'a'; 47]).len(), 47);
    assert_eq!(escape(&[b'a'; 48]), "{\"a\" * 48}");
}

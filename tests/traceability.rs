//! `tests/traceability.md` says which test holds each requirement of the RFCs and each class of attacks. Here it is
//! held to that: what it names exists, nothing is left out, and it does not shrink.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test that panics has found something, and nobody depends on it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The sections of the RFCs, and how many sentences of each have a MUST, SHOULD or RECOMMENDED in capitals.
const SENTENCES: [(&str, &[(&str, usize)]); 2] = [
    (
        "RFC 9112",
        &[
            ("2.2", 9),
            ("2.3", 2),
            ("3", 3),
            ("3.2", 6),
            ("3.2.1", 2),
            ("3.2.2", 6),
            ("3.2.3", 1),
            ("3.2.4", 2),
            ("4", 2),
            ("5.1", 2),
            ("5.2", 4),
            ("6.1", 11),
            ("6.2", 1),
            ("6.3", 13),
            ("7.1", 3),
            ("7.1.1", 1),
            ("7.1.2", 2),
            ("7.2", 1),
            ("7.3", 4),
            ("7.4", 2),
            ("8", 1),
            ("9.2", 2),
            ("9.3", 6),
            ("9.3.2", 5),
            ("9.5", 5),
            ("9.6", 8),
            ("9.7", 1),
            ("9.8", 5),
            ("10.1", 1),
        ],
    ),
    (
        "RFC 9110",
        &[
            ("2.2", 2),
            ("2.3", 2),
            ("2.4", 1),
            ("4.1", 1),
            ("4.2.1", 2),
            ("4.2.2", 3),
            ("4.2.4", 2),
            ("5.1", 2),
            ("5.3", 3),
            ("5.4", 1),
            ("5.5", 4),
            ("5.6.1.1", 1),
            ("5.6.1.2", 2),
            ("5.6.3", 4),
            ("5.6.4", 3),
            ("5.6.7", 4),
            ("6", 1),
            ("6.2", 5),
            ("6.5.1", 3),
            ("6.5.2", 1),
            ("6.6.1", 4),
            ("6.6.2", 1),
            ("7.1", 1),
            ("7.2", 2),
            ("7.4", 2),
            ("7.6", 2),
            ("7.6.1", 4),
            ("7.8", 8),
            ("8.6", 10),
            ("9.1", 3),
            ("9.2.1", 2),
            ("9.2.2", 3),
            ("9.3.1", 2),
            ("9.3.2", 4),
            ("9.3.6", 6),
            ("9.3.8", 4),
            ("10.1.1", 10),
            ("10.1.4", 1),
            ("15", 2),
            ("15.2", 3),
            ("15.2.2", 1),
            ("15.3.6", 1),
            ("15.4.5", 3),
            ("15.5", 2),
            ("15.5.22", 1),
            ("15.6", 2),
            ("15.6.6", 1),
        ],
    ),
];

/// Of these the table says that a server is bound.
const BINDING: [(&str, usize); 2] = [("RFC 9112", 54), ("RFC 9110", 82)];

const ATTACKS: usize = 60;

/// A row of a table, with the heading that it stands under.
struct Row {
    heading: String,
    line: usize,
    cells: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder whose names end so, those of the folders in it included, but for what was built there.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            if !path.ends_with("target") {
                found.extend(files(&path, end));
            }
        } else if path.extension().is_some_and(|extension| extension == end) {
            found.push(path);
        }
    }
    found
}

/// The rows of the tables under the headings that `wanted` wants; a table's first two lines are no rows.
fn rows(wanted: impl Fn(&str) -> bool) -> Vec<Row> {
    let text = read(&folder().join("traceability.md"));
    let (mut rows, mut heading, mut in_table) = (Vec::new(), String::new(), 0);
    for (number, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut heading);
        }
        let cells = line.strip_prefix("| ").and_then(|rest| rest.strip_suffix(" |"));
        in_table = if line.starts_with('|') { in_table + 1 } else { 0 };
        if let (Some(cells), 3..) = (cells, in_table) {
            let cells = cells.split(" | ").map(str::to_owned).collect();
            rows.push(Row { heading: heading.clone(), line: number + 1, cells });
        }
    }
    rows.retain(|row| wanted(&row.heading));
    rows
}

/// What stands in backticks, each with the text before it and the text behind it.
fn names(cell: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let parts: Vec<&str> = cell.split('`').collect();
    assert!(parts.len() % 2 == 1, "a backtick is missing: {cell}");
    (1..parts.len()).step_by(2).map(move |at| (parts[at - 1], parts[at], parts[at + 1]))
}

/// The names of the corpus' cases.
fn cases() -> BTreeSet<String> {
    let mut cases = BTreeSet::new();
    for path in files(&folder().join("corpus"), "md") {
        let text = read(&path);
        if !path.ends_with("README.md") {
            cases.extend(text.lines().filter_map(|line| line.strip_prefix("## ")).map(|name| name.trim().to_owned()));
        }
    }
    cases
}

/// The test functions, as `file::function`.
fn functions() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for path in files(&folder(), "rs") {
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut is_test = false;
        for line in read(&path).lines().map(str::trim) {
            match line.strip_prefix("fn ").and_then(|rest| rest.split('(').next()) {
                Some(name) if is_test => {
                    functions.insert(format!("{file}::{name}"));
                    is_test = false;
                }
                Some(_) => is_test = false,
                None => is_test |= line == "#[test]",
            }
        }
    }
    functions
}

fn is_binding(heading: &str) -> bool {
    heading.ends_with(": a server is bound")
}

#[test]
fn what_is_named_exists() {
    let (cases, functions) = (cases(), functions());
    let mut missing = Vec::new();
    for row in rows(|heading| is_binding(heading) || heading == "Classes of attacks") {
        for (before, name, behind) in names(row.cells.last().expect("a row has cells")) {
            let exists = if before.ends_with("fuzz ") {
                folder().join(format!("../fuzz/fuzz_targets/{name}.rs")).exists()
            } else if let Some(start) = name.strip_suffix('*') {
                let digits: String = behind.trim_start().chars().take_while(char::is_ascii_digit).collect();
                let least: usize = digits.parse().unwrap_or(usize::MAX);
                least > 0 && cases.iter().filter(|case| case.starts_with(start)).count() >= least
            } else {
                functions.contains(name) || cases.contains(name)
            };
            if !exists {
                missing.push(format!("line {}: {name}", row.line));
            }
        }
    }
    assert!(missing.is_empty(), "neither a test nor a case, or fewer than it says:\n{}", missing.join("\n"));
}

#[test]
fn each_requirement_has_a_test_or_a_reason() {
    for row in rows(is_binding) {
        let [section, level, asked, held] = &row.cells[..] else { panic!("line {}: four cells", row.line) };
        assert!(["MUST", "SHOULD", "RECOMMENDED"].iter().any(|word| level.contains(word)), "{section}: {level}");
        assert!(!asked.trim().is_empty(), "{section} asks something");
        let reason = held.strip_prefix("n/a").unwrap_or_default();
        assert!(names(held).next().is_some() || reason.len() > 10, "{section} has neither a test nor a reason");
    }
    for row in rows(|heading| heading.ends_with(": others are bound")) {
        let [reason, sections] = &row.cells[..] else { panic!("line {}: two cells", row.line) };
        assert!(reason.len() > 10 && !sections.is_empty(), "line {}", row.line);
    }
}

#[test]
fn no_sentence_of_the_rfcs_is_left_out() {
    for (rfc, sections) in SENTENCES {
        let all: BTreeSet<String> = sections
            .iter()
            .flat_map(|&(section, count)| (1..=count).map(move |number| format!("{section}-{number}")))
            .collect();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut binding = 0;
        for row in rows(|heading| heading.starts_with(rfc)) {
            let listed = if is_binding(&row.heading) {
                binding += 1;
                &row.cells[0]
            } else {
                &row.cells[1]
            };
            for sentence in listed.split_whitespace() {
                *seen.entry(sentence.to_owned()).or_default() += 1;
            }
        }
        let twice: Vec<_> = seen.iter().filter(|&(_, &times)| times > 1).collect();
        assert!(twice.is_empty(), "{rfc}: more than once: {twice:?}");
        let seen: BTreeSet<String> = seen.into_keys().collect();
        let (left_out, unknown): (Vec<_>, Vec<_>) = (all.difference(&seen).collect(), seen.difference(&all).collect());
        assert!(left_out.is_empty() && unknown.is_empty(), "{rfc}: left out {left_out:?}, unknown {unknown:?}");
        assert!(BINDING.contains(&(rfc, binding)), "{rfc}: {binding} bind a server, not as many as before");
    }
}

#[test]
fn no_class_of_attacks_is_left_out() {
    let rows = rows(|heading| heading == "Classes of attacks");
    assert_eq!(rows.len(), ATTACKS);
    for (number, row) in (1..).zip(&rows) {
        let [label, class, held] = &row.cells[..] else { panic!("line {}: three cells", row.line) };
        assert_eq!((label.parse(), class.is_empty()), (Ok(number), false), "line {}", row.line);
        let own = format!("row {number}: *");
        assert!(names(held).any(|(_, name, _)| name == own), "row {number} has cases of its own");
    }
}

/// `SECURITY.md` names the proof of each of its twenty promises.
#[test]
fn each_promise_has_a_proof_that_exists() {
    let text = read(&folder().join("../SECURITY.md"));
    let promises: Vec<&str> = text.lines().filter(|line| line.starts_with("| P")).collect();
    assert_eq!(promises.len(), 20);
    for (number, promise) in (1..).zip(promises) {
        let cells: Vec<&str> = promise.trim_matches('|').split(" | ").collect();
        let [label, _, proof] = cells[..] else { panic!("three cells: {promise}") };
        assert_eq!(label.trim(), format!("P{number}"));
        let mut proofs = 0;
        let mut is_fuzz = false;
        for (before, name, _) in names(proof) {
            // `bytes`, `ops`: of a list behind the word all are targets.
            is_fuzz = before.ends_with("fuzz ") || is_fuzz && before == ", ";
            let exists = match name {
                _ if is_fuzz => folder().join(format!("../fuzz/fuzz_targets/{name}.rs")).exists(),
                _ if Path::new(name).extension().is_some_and(|end| end == "rs") => folder().join(name).exists(),
                _ if name.starts_with("tests/") || name.starts_with(".ci") => folder().join("..").join(name).exists(),
                _ => continue,
            };
            assert!(exists, "P{number}: {name}");
            proofs += 1;
        }
        assert!(proofs > 0, "P{number} has a proof");
    }
}

//! The inputs that fuzzing found worth keeping, replayed: the property of each target holds for each of its inputs.
//! `ops` takes part where the feature `arbitrary` is on.

// A test says so by a panic, and its arithmetic is checked in debug builds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)]

mod assertions;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use assertions::{Check, TARGETS};

fn inputs(target: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

fn replay(target: &str, check: Check) -> Vec<String> {
    let inputs = inputs(target);
    assert!(inputs.len() >= 20, "{target}: {} inputs show little", inputs.len());
    let mut failed = Vec::new();
    for path in inputs {
        let data = fs::read(&path).unwrap();
        if catch_unwind(|| check(&data)).is_err() {
            failed.push(format!("{}: \"{}\"", path.display(), data.escape_ascii()));
        }
    }
    failed
}

#[test]
fn each_input_keeps_its_property() {
    let failed: Vec<String> = TARGETS.iter().flat_map(|&(target, check)| replay(target, check)).collect();
    assert!(failed.is_empty(), "{} inputs fail:\n{}", failed.len(), failed.join("\n"));
}

/// An input that is cut short, or empty, means something too.
#[test]
fn any_prefix_of_an_input_is_one() {
    for (target, check) in TARGETS {
        for path in inputs(target).into_iter().step_by(16) {
            let data = fs::read(path).unwrap();
            for end in 0..data.len().min(64) {
                check(&data[..end]);
            }
        }
    }
}

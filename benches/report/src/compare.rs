//! The recorded figures, and whether one has moved.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::measure;

const PROGRAM: &str = "sansgi-read";
const WORKLOADS: [&str; 3] = ["get-min", "get-browser", "post-1k"];

/// A change of more than this share is told.
const TOLERANCE: f64 = 0.05;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("instructions.txt")
}

/// Measures and writes the figures down.
pub(crate) fn record() -> Result<(), String> {
    let mut text = format!(
        "# Instructions of one request through `handle_read`, as callgrind counts them, with {}.\n\
         # `benches/compare` tells when one has moved by more than 5 %, `benches/compare --record` writes this file.\n",
        measure::version("rustc")?
    );
    for workload in WORKLOADS {
        let _ = writeln!(text, "{workload} {:.0}", measure::instructions(PROGRAM, workload)?);
    }
    print!("{text}");
    std::fs::write(file(), text).map_err(|error| error.to_string())
}

/// Measures, and fails if a figure has moved, to the better or the worse.
pub(crate) fn compare() -> Result<(), String> {
    let text = std::fs::read_to_string(file()).map_err(|error| format!("{}: {error}", file().display()))?;
    let rustc = measure::version("rustc")?;
    if !text.contains(&rustc) {
        println!("the figures were recorded with another compiler than {rustc}, which moves them by itself");
    }
    measure::ask(PROGRAM, &["check"])?;
    let mut moved = Vec::new();
    for workload in WORKLOADS {
        let line = text.lines().find_map(|line| line.strip_prefix(workload)?.strip_prefix(' '));
        let recorded = line.and_then(|figure| figure.trim().parse::<f64>().ok());
        let recorded = recorded.ok_or_else(|| format!("no figure of {workload} was recorded"))?;
        let now = measure::instructions(PROGRAM, workload)?;
        let change = now / recorded - 1.0;
        println!("{workload:12} {recorded:>8.0} → {now:>8.0}  {:+.1} %", change * 100.0);
        if change.abs() > TOLERANCE {
            moved.push(workload);
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    let rule = "if that is meant, record it: benches/compare --record";
    Err(format!("moved by more than {:.0} %: {}; {rule}", TOLERANCE * 100.0, moved.join(", ")))
}

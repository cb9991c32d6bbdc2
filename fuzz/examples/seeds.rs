//! Makes seeds of the cases in `tests/corpus/`: what each case's wire sends, behind the bytes that choose
//! circumstances.
//!
//! `cargo run --example seeds [directory]`, here in `fuzz/`; the directory is `corpus` if none is given.

// The cases' parser is a test: it says so by a panic, and may do more than it is used for here.
#![allow(clippy::pedantic, dead_code)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Longer inputs are those of the limits, where mutations change little and cost much.
const LONGEST: usize = 600;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let into = env::args_os().nth(1).map_or_else(|| root.join("corpus"), PathBuf::from);
    let files = fs::read_dir(root.join("../tests/corpus"))?;
    let mut paths = files.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("README.md"));
    paths.sort();
    let mut count = 0;
    for path in paths {
        let topic = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for case in support::corpus::parse(&fs::read_to_string(&path)?).map_err(io::Error::other)? {
            let stream = &case.wire.input;
            if stream.is_empty() || stream.len() > LONGEST {
                continue;
            }
            let name = format!("{topic}-{}", case.line);
            // Circumstances of all kinds, the same at each run.
            let [plan, way, other, ..] = (count as u32).wrapping_mul(0x9e37_79b1).to_be_bytes();
            write(&into, "bytes", &name, &[0, plan, way, other], stream)?;
            write(&into, "split", &name, &[0, plan, way, other], stream)?;
            write(&into, "smuggle", &name, &[0], stream)?;
            let body = stream.windows(4).position(|end| end == b"\r\n\r\n").map(|at| &stream[at + 4..]);
            if let Some(body) = body.filter(|body| body.windows(2).any(|end| end == b"\r\n")) {
                write(&into, "chunked", &name, &[0], body)?;
            }
            count += 1;
        }
    }
    println!("seeds of {count} cases in {}", into.display());
    Ok(())
}

fn write(into: &Path, target: &str, name: &str, choices: &[u8], stream: &[u8]) -> io::Result<()> {
    let directory = into.join(target);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(name), [choices, stream].concat())
}

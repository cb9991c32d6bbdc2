//! Runs the measured programs under callgrind and writes down what they cost: `benches/run` and `benches/compare`.

mod compare;
mod measure;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["table"] => table::write(),
        ["compare"] => compare::compare(),
        ["compare", "--record"] => compare::record(),
        _ => Err("table | compare [--record]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

use std::process::ExitCode;

use sansgi_bench::{FromDriver, Sansgi};

fn main() -> ExitCode {
    harness::main::<Sansgi<FromDriver>>()
}

use std::process::ExitCode;

use sansgi_bench::{Copied, Sansgi};

fn main() -> ExitCode {
    harness::main::<Sansgi<Copied>>()
}

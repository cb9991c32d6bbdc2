use std::process::ExitCode;

use sansgi_bench::{Lent, Sansgi};

fn main() -> ExitCode {
    harness::main::<Sansgi<Lent>>()
}

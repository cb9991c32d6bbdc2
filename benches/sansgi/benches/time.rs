//! Time for each workload, as a hint while the crate is changed. What is judged is instructions: `benches/run`.

use divan::{Bencher, black_box};
use harness::{NAMES, Server, Workload};
use sansgi_bench::{Copied, FromDriver, Reading, Sansgi};

fn main() {
    divan::main();
}

#[divan::bench(args = NAMES)]
fn handle_read(bencher: Bencher, name: &str) {
    measure::<FromDriver>(bencher, name);
}

#[divan::bench(args = NAMES)]
fn handle_bytes(bencher: Bencher, name: &str) {
    measure::<Copied>(bencher, name);
}

fn measure<R: Reading>(bencher: Bencher, name: &str) {
    let workload = Workload::named(name).expect("one of them");
    let mut server = Sansgi::<R>::accept(workload.task);
    bencher.counter(divan::counter::ItemsCount::new(workload.requests)).bench_local(|| {
        for bytes in &workload.arrivals {
            server.arrive(black_box(bytes));
        }
    });
}

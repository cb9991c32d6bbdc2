//! `httparse` alone: heads are parsed and nothing is answered. No server can do with less.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::process::ExitCode;

use harness::{Server, Task, Wire};
use httparse::{Request, Status};

const NO_BODIES: &str = "it reads no bodies";
const FROM_THE_START: &str = "it has no state, so it would parse all from the start for every piece";

struct Httparse(Wire);

impl Server for Httparse {
    const CANNOT: &'static [(&'static str, &'static str)] = &[
        ("post-1k", NO_BODIES),
        ("post-chunked-64k", NO_BODIES),
        ("stream-1m", "it writes no responses"),
        ("drip", FROM_THE_START),
        ("drip-16k", FROM_THE_START),
        ("growth-1k", FROM_THE_START),
        ("growth-4k", FROM_THE_START),
        ("growth-16k", FROM_THE_START),
        ("line-8k", FROM_THE_START),
    ];
    const ANSWERS: bool = false;
    fn accept(_: Task) -> Self {
        Self(Wire::default())
    }

    fn arrive(&mut self, mut bytes: &'static [u8]) {
        while !bytes.is_empty() {
            let mut fields = [const { MaybeUninit::uninit() }; 100];
            let mut request = Request::new(&mut []);
            let Ok(Status::Complete(length)) = request.parse_with_uninit_headers(bytes, &mut fields) else {
                panic!("a whole head, and nothing behind it");
            };
            black_box(&request);
            bytes = &bytes[length..];
        }
    }

    fn size(&self) -> usize {
        0
    }

    fn with_wire<R>(&mut self, look: impl FnOnce(&mut Wire) -> R) -> R {
        look(&mut self.0)
    }

    fn hang_up(self) -> impl Sized {
        self.0
    }
}

fn main() -> ExitCode {
    harness::main::<Httparse>()
}

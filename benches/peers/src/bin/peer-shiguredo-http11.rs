//! `shiguredo_http11`: its decoder, fed as its documentation says for bytes that are there, and its encoder.

use std::hint::black_box;
use std::process::ExitCode;

use harness::{BODY, CONTENT_TYPE, PAGE, PAGE_FIELDS, PART, PARTS, Server, Task, Wire};
use shiguredo_http11::{BodyKind, BodyProgress, RequestDecoder, Response, StatusCode, encode_chunk};

const READ_BYTES: usize = 16 * 1024;

struct Shiguredo {
    decoder: RequestDecoder,
    is_in_body: bool,
    task: Task,
    /// What is to be echoed.
    body: Vec<u8>,
    wire: Wire,
}

impl Server for Shiguredo {
    fn accept(task: Task) -> Self {
        Self { decoder: RequestDecoder::new(), is_in_body: false, task, body: Vec::new(), wire: Wire::default() }
    }

    fn arrive(&mut self, bytes: &'static [u8]) {
        for read in bytes.chunks(READ_BYTES) {
            self.decoder.feed(read).expect("there is room");
            while self.step() {}
        }
    }

    fn size(&self) -> usize {
        size_of_val(&self.decoder)
    }

    fn with_wire<R>(&mut self, look: impl FnOnce(&mut Wire) -> R) -> R {
        look(&mut self.wire)
    }

    fn hang_up(self) -> impl Sized {
        drop(self.decoder);
        (self.body, self.wire)
    }
}

impl Shiguredo {
    /// False when more bytes must come.
    fn step(&mut self) -> bool {
        if !self.is_in_body {
            let Some((head, kind)) = self.decoder.decode_headers().expect("a request that is right") else {
                return false;
            };
            black_box((head.method(), head.uri()));
            self.is_in_body = match kind {
                BodyKind::None => false,
                BodyKind::ContentLength(_) | BodyKind::Chunked => true,
                kind => panic!("{kind:?}"),
            };
            if !self.is_in_body {
                self.respond();
            }
            return true;
        }
        let progress = match self.decoder.peek_body() {
            Some(part) => {
                let length = part.len();
                self.wire.received(part);
                if self.task == Task::Echo {
                    self.body.extend_from_slice(part);
                }
                // Whether that was all is told by the next call.
                match self.decoder.consume_body(length).expect("a body that is right") {
                    BodyProgress::NeedData => BodyProgress::Advanced,
                    progress => progress,
                }
            }
            None => self.decoder.progress().expect("a body that is right"),
        };
        match progress {
            BodyProgress::Complete { .. } => {
                self.is_in_body = false;
                self.respond();
                true
            }
            BodyProgress::Advanced => true,
            BodyProgress::NeedData => false,
        }
    }

    fn respond(&mut self) {
        let head = |status| Response::with_status(black_box(status));
        let typed =
            || head(StatusCode::OK).header("content-type", black_box(CONTENT_TYPE)).expect("a field that is right");
        let encoded = match self.task {
            Task::Answer => typed().body(black_box(BODY)).encode(),
            Task::Page => {
                let fields = black_box(PAGE_FIELDS).into_iter();
                let head = fields.fold(head(StatusCode::OK), |head, (name, value)| {
                    head.header(name, value).expect("a field that is right")
                });
                head.body(black_box(PAGE)).encode()
            }
            Task::Echo => typed().body(std::mem::take(&mut self.body)).encode(),
            Task::NoContent => head(StatusCode::NO_CONTENT).encode(),
            Task::Stream => {
                typed().header("transfer-encoding", "chunked").expect("a field that is right").encode_headers()
            }
        };
        self.wire.write(&encoded.expect("a response that is right"));
        if self.task == Task::Stream {
            for _ in 0..PARTS {
                self.wire.write(&encode_chunk(black_box(PART)));
            }
            self.wire.write(&encode_chunk(&[]));
        }
    }
}

fn main() -> ExitCode {
    harness::main::<Shiguredo>()
}

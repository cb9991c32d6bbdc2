//! `ureq-proto`'s server side. It owns no buffers: the driver holds what came until it is a whole head, and what is to
//! be written.

use std::hint::black_box;
use std::process::ExitCode;

use harness::{BODY, CONTENT_TYPE, PAGE, PAGE_FIELDS, PART, PARTS, Server, Task, Wire};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use ureq_proto::server::state::{ProvideResponse, RecvBody, RecvRequest};
use ureq_proto::server::{RecvRequestResult, Reply, SendResponseResult};

const READ_BYTES: usize = 16 * 1024;
const HIGH_WATER: usize = 64 * 1024;

enum Step {
    /// Between requests there is nothing; the state is made when bytes come.
    Idle,
    Head(Reply<RecvRequest>),
    Body(Reply<RecvBody>),
    Respond(Reply<ProvideResponse>),
}

struct UreqProto {
    step: Step,
    task: Task,
    input: Vec<u8>,
    /// Where a body is decoded to.
    decoded: Vec<u8>,
    /// What is to be echoed.
    body: Vec<u8>,
    out: Output,
    wire: Wire,
}

/// A buffer to write into, and how much of it is written.
struct Output {
    buffer: Vec<u8>,
    length: usize,
}

impl Output {
    fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.length..]
    }

    fn flush(&mut self, wire: &mut Wire) {
        if self.length > 0 {
            wire.write(&self.buffer[..self.length]);
            self.length = 0;
        }
    }
}

impl Server for UreqProto {
    fn accept(task: Task) -> Self {
        Self {
            step: Step::Idle,
            task,
            input: Vec::new(),
            decoded: vec![0; READ_BYTES],
            body: Vec::new(),
            out: Output { buffer: vec![0; 2 * HIGH_WATER], length: 0 },
            wire: Wire::default(),
        }
    }

    fn arrive(&mut self, bytes: &'static [u8]) {
        for read in bytes.chunks(READ_BYTES) {
            self.input.extend_from_slice(read);
            let used = self.turn();
            self.input.drain(..used);
        }
    }

    fn size(&self) -> usize {
        size_of_val(&self.step)
    }

    fn with_wire<R>(&mut self, look: impl FnOnce(&mut Wire) -> R) -> R {
        look(&mut self.wire)
    }

    fn hang_up(self) -> impl Sized {
        drop(self.step);
        (self.input, self.decoded, self.body, self.out.buffer, self.wire)
    }
}

impl UreqProto {
    /// How much of the input was used.
    fn turn(&mut self) -> usize {
        let mut used = 0;
        loop {
            let input = &self.input[used..];
            self.step = match std::mem::replace(&mut self.step, Step::Idle) {
                Step::Idle if input.is_empty() => break,
                Step::Idle => Step::Head(Reply::new().expect("it cannot fail")),
                Step::Head(mut reply) => {
                    let (head, request) = reply.try_request(input).expect("a request that is right");
                    let Some(request) = request else {
                        self.step = Step::Head(reply);
                        break;
                    };
                    black_box((request.method().as_str(), request.uri().path()));
                    used += head;
                    match reply.proceed().expect("the head is whole") {
                        RecvRequestResult::RecvBody(reply) => Step::Body(reply),
                        RecvRequestResult::ProvideResponse(reply) => Step::Respond(reply),
                        RecvRequestResult::Send100(_) => panic!("nobody asked for it"),
                    }
                }
                Step::Body(mut reply) => {
                    let (read, decoded) = reply.read(input, &mut self.decoded).expect("a body that is right");
                    used += read;
                    let part = &self.decoded[..decoded];
                    self.wire.received(part);
                    if self.task == Task::Echo {
                        self.body.extend_from_slice(part);
                    }
                    if reply.is_ended() {
                        Step::Respond(reply.proceed().expect("the body has ended"))
                    } else if read == 0 && decoded == 0 {
                        self.step = Step::Body(reply);
                        break;
                    } else {
                        Step::Body(reply)
                    }
                }
                Step::Respond(reply) => {
                    self.respond(reply);
                    Step::Idle
                }
            };
        }
        self.out.flush(&mut self.wire);
        used
    }

    fn respond(&mut self, reply: Reply<ProvideResponse>) {
        let text = || HeaderValue::from_static(black_box(CONTENT_TYPE));
        let head = Response::builder();
        let head = match self.task {
            Task::Answer => {
                let length = HeaderValue::from_static(black_box("13"));
                head.status(black_box(StatusCode::OK))
                    .header(header::CONTENT_TYPE, text())
                    .header(header::CONTENT_LENGTH, length)
            }
            Task::Page => {
                let length = HeaderValue::from_static(black_box("700"));
                let head = head.status(black_box(StatusCode::OK)).header(header::CONTENT_LENGTH, length);
                black_box(PAGE_FIELDS).into_iter().fold(head, |head, (name, value)| {
                    head.header(HeaderName::from_static(name), HeaderValue::from_static(value))
                })
            }
            Task::Echo => {
                let length = HeaderValue::from_static(black_box("1024"));
                head.status(black_box(StatusCode::OK))
                    .header(header::CONTENT_TYPE, text())
                    .header(header::CONTENT_LENGTH, length)
            }
            Task::NoContent => head.status(black_box(StatusCode::NO_CONTENT)),
            Task::Stream => head
                .status(black_box(StatusCode::OK))
                .header(header::CONTENT_TYPE, text())
                .header(header::TRANSFER_ENCODING, HeaderValue::from_static(black_box("chunked"))),
        };
        let head = head.body(()).expect("a head that is right");
        let mut reply = reply.provide(head).expect("a response that is right");
        self.out.length += reply.write(self.out.room()).expect("there is room");
        let reply = match reply.proceed() {
            SendResponseResult::Cleanup(reply) => reply,
            SendResponseResult::SendBody(mut reply) => {
                let (part, times): (&[u8], usize) = match self.task {
                    Task::Answer => (black_box(BODY), 1),
                    Task::Page => (black_box(PAGE), 1),
                    Task::Echo => (&self.body, 1),
                    Task::NoContent => (&[], 0),
                    Task::Stream => (black_box(PART), PARTS),
                };
                for _ in 0..times {
                    if self.out.length >= HIGH_WATER {
                        self.out.flush(&mut self.wire);
                    }
                    let (read, written) = reply.write(part, self.out.room()).expect("a body that is right");
                    assert_eq!(read, part.len());
                    self.out.length += written;
                }
                self.out.length += reply.write(&[], self.out.room()).expect("there is room").1;
                reply.proceed()
            }
        };
        assert!(!reply.must_close_connection());
        self.body.clear();
    }
}

fn main() -> ExitCode {
    harness::main::<UreqProto>()
}

//! `http-net`: bytes are read into the connection's buffer, heads are written from borrowed fields, which is the
//! cheapest way that it has. One output buffer serves all responses.

use std::hint::black_box;
use std::process::ExitCode;

use harness::{BODY, CONTENT_TYPE, PAGE, PAGE_FIELDS, PART, PARTS, Server, Task, Wire};
use http_net::{BodyPlan, OutgoingBody, ResponseHeadRef, ServerConn, ServerEvent};

/// The output is written when it holds as much.
const HIGH_WATER: usize = 64 * 1024;

const OF_BODY: &[(&str, &[u8])] = &[("content-type", CONTENT_TYPE.as_bytes())];

struct HttpNet {
    conn: ServerConn,
    task: Task,
    /// What is to be echoed: a part of a body lives only until the next event.
    body: Vec<u8>,
    out: Vec<u8>,
    wire: Wire,
}

impl Server for HttpNet {
    fn accept(task: Task) -> Self {
        Self { conn: ServerConn::new(), task, body: Vec::new(), out: Vec::new(), wire: Wire::default() }
    }

    fn arrive(&mut self, mut bytes: &'static [u8]) {
        while !bytes.is_empty() {
            let room = self.conn.read_buf();
            let (read, rest) = bytes.split_at(room.len().min(bytes.len()));
            room[..read.len()].copy_from_slice(read);
            self.conn.commit(read.len());
            bytes = rest;
            self.turn();
        }
    }

    fn size(&self) -> usize {
        size_of_val(&self.conn)
    }

    fn with_wire<R>(&mut self, look: impl FnOnce(&mut Wire) -> R) -> R {
        look(&mut self.wire)
    }

    fn hang_up(self) -> impl Sized {
        drop(self.conn);
        (self.body, self.out, self.wire)
    }
}

impl HttpNet {
    fn turn(&mut self) {
        loop {
            match self.conn.poll().expect("a request that is right") {
                ServerEvent::Request(request) => {
                    black_box((request.method(), request.path()));
                }
                ServerEvent::Body(part) => {
                    self.wire.received(part);
                    if self.task == Task::Echo {
                        self.body.extend_from_slice(part);
                    }
                }
                ServerEvent::RequestEnd => self.respond(),
                ServerEvent::NeedInput => break,
                event => panic!("{event:?}"),
            }
        }
        self.flush();
    }

    fn respond(&mut self) {
        let typed = black_box(OF_BODY);
        match self.task {
            Task::Answer => {
                let body = black_box(BODY);
                let plan = self.start(200, typed, OutgoingBody::Full(body.len() as u64));
                assert_eq!(plan, BodyPlan::Raw);
                self.out.extend_from_slice(body);
            }
            Task::Page => {
                let body = black_box(PAGE);
                let fields = black_box(&PAGE_FIELDS).map(|(name, value)| (name, value.as_bytes()));
                let plan = self.start(200, &fields, OutgoingBody::Full(body.len() as u64));
                assert_eq!(plan, BodyPlan::Raw);
                self.out.extend_from_slice(body);
            }
            Task::Echo => {
                let plan = self.start(200, typed, OutgoingBody::Full(self.body.len() as u64));
                assert_eq!(plan, BodyPlan::Raw);
                self.out.extend_from_slice(&self.body);
                self.body.clear();
            }
            Task::NoContent => {
                let plan = self.start(204, &[], OutgoingBody::Empty);
                assert_eq!(plan, BodyPlan::None);
            }
            Task::Stream => {
                let plan = self.start(200, typed, OutgoingBody::Chunked);
                assert_eq!(plan, BodyPlan::Stream);
                for _ in 0..PARTS {
                    if self.out.len() >= HIGH_WATER {
                        self.flush();
                    }
                    self.conn.send_body(black_box(PART), &mut self.out).expect("a body was announced");
                }
                self.conn.end_body(&mut self.out).expect("a body was announced");
            }
        }
    }

    fn start(&mut self, status: u16, fields: &[(&str, &[u8])], body: OutgoingBody) -> BodyPlan {
        let head = ResponseHeadRef::new(black_box(status), fields, body);
        self.conn.write_head(&head, None, &mut self.out).expect("a response is owed")
    }

    fn flush(&mut self) {
        if !self.out.is_empty() {
            self.wire.write(&self.out);
            self.out.clear();
        }
    }
}

fn main() -> ExitCode {
    harness::main::<HttpNet>()
}

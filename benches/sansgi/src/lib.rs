//! A driver of `sansgi` on a transport of memory, and the applications of the workloads.

use std::hint::black_box;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use harness::{Server, Task, Wire};
use sansgi::{Action, Config, Connection, Exchange, ExchangeId, Instant, ReceiveEvent, SendEvent};

/// What one read takes at most: as much as [`Connection::read_buffer`] has room for by default.
const READ_BYTES: usize = 16 * 1024;

/// How bytes get from the transport into the connection.
pub trait Reading: Default {
    fn read(&mut self, from: &[u8], conn: &mut Connection);
}

/// `handle_read`, from a buffer of the driver's that serves many connections and is used again.
#[derive(Debug, Default)]
pub struct FromDriver(BytesMut);

impl Reading for FromDriver {
    fn read(&mut self, from: &[u8], conn: &mut Connection) {
        // In time, so that a head which is under way does not move to other memory: mostly nobody holds any of it.
        if self.0.capacity() < 2 * READ_BYTES && !self.0.try_reclaim(4 * READ_BYTES) && self.0.capacity() < READ_BYTES {
            self.0.reserve(4 * READ_BYTES);
        }
        self.0.extend_from_slice(from);
        conn.handle_read(self.0.split());
    }
}

/// `handle_bytes`: the connection copies them.
#[derive(Debug, Default)]
pub struct Copied;

impl Reading for Copied {
    fn read(&mut self, from: &[u8], conn: &mut Connection) {
        conn.handle_bytes(from);
    }
}

/// `handle_read`, from the buffer that the connection lends.
#[derive(Debug, Default)]
pub struct Lent;

impl Reading for Lent {
    fn read(&mut self, from: &[u8], conn: &mut Connection) {
        let mut buffer = conn.read_buffer();
        buffer.extend_from_slice(from);
        conn.handle_read(buffer);
    }
}

/// One connection with its driver.
#[derive(Debug)]
pub struct Sansgi<R> {
    conn: Connection,
    config: Arc<Config>,
    reading: R,
    app: App,
    wire: Wire,
}

impl<R: Reading> Server for Sansgi<R> {
    fn accept(task: Task) -> Self {
        let config = Arc::new(Config::default());
        let conn = Connection::new(Arc::clone(&config));
        let app = App { task, exchange: None, step: Step::Receive, may_go_on: false };
        Self { conn, config, reading: R::default(), app, wire: Wire::default() }
    }

    fn arrive(&mut self, bytes: &'static [u8]) {
        for read in bytes.chunks(READ_BYTES) {
            self.reading.read(read, &mut self.conn);
            self.app.may_go_on = true;
            self.turn();
        }
    }

    fn size(&self) -> usize {
        size_of_val(&self.conn)
    }

    fn with_wire<T>(&mut self, look: impl FnOnce(&mut Wire) -> T) -> T {
        look(&mut self.wire)
    }

    fn hang_up(self) -> impl Sized {
        drop(self.conn);
        (self.config, self.reading, self.app, self.wire)
    }
}

impl<R> Sansgi<R> {
    /// Does all that can be done until something is to be read. The clock stands still: what a clock costs is not the
    /// connection's, and no deadline is met.
    fn turn(&mut self) {
        loop {
            match self.conn.next_action(Instant::ZERO) {
                Action::Start(id, request) => {
                    black_box((request.method(), request.raw_path()));
                    self.app.start(id);
                    self.app.go_on(&mut self.conn, &mut self.wire);
                }
                Action::Disconnect(_) => {}
                Action::Wait(wait) => {
                    if self.app.may_go_on && self.app.exchange.is_some() {
                        self.app.go_on(&mut self.conn, &mut self.wire);
                    } else if wait.write {
                        let mut written = 0;
                        for chunk in self.conn.outgoing() {
                            self.wire.write(chunk);
                            written += chunk.len();
                        }
                        self.conn.handle_written(written);
                        self.app.may_go_on = true;
                    } else {
                        assert!(wait.read, "there is nothing to wait for");
                        return;
                    }
                }
                action => panic!("{action:?}"),
            }
        }
    }
}

/// An application at work.
#[derive(Debug)]
struct App {
    task: Task,
    exchange: Option<ExchangeId>,
    step: Step,
    /// Something happened since it last had to wait.
    may_go_on: bool,
}

#[derive(Debug)]
enum Step {
    Receive,
    /// As many parts were sent.
    Stream(usize),
    /// The body goes back as it comes.
    Echo,
}

type Headers = &'static [(&'static [u8], &'static [u8])];
const OF_BODY: Headers = &[(b"content-type", harness::CONTENT_TYPE.as_bytes()), (b"content-length", b"13")];
const OF_ECHO: Headers = &[(b"content-type", harness::CONTENT_TYPE.as_bytes()), (b"content-length", b"1024")];
const OF_STREAM: Headers = &[(b"content-type", harness::CONTENT_TYPE.as_bytes())];

impl App {
    fn start(&mut self, id: ExchangeId) {
        self.exchange = Some(id);
        self.step = Step::Receive;
    }

    /// Goes on until it has to wait, or has answered.
    fn go_on(&mut self, conn: &mut Connection, wire: &mut Wire) {
        self.may_go_on = false;
        let Some(id) = self.exchange else { return };
        let mut exchange = conn.exchange(id);
        if self.run(&mut exchange, wire).is_ready() {
            assert!(matches!(exchange.receive(), Poll::Ready(ReceiveEvent::Disconnect)));
            self.exchange = None;
        }
    }

    fn run(&mut self, exchange: &mut Exchange<'_>, wire: &mut Wire) -> Poll<()> {
        loop {
            match self.step {
                Step::Receive | Step::Echo => {
                    let (body, more_body) = match exchange.receive() {
                        Poll::Ready(ReceiveEvent::Request { body, more_body }) => (body, more_body),
                        Poll::Ready(ReceiveEvent::Disconnect) => panic!("the client is still there"),
                        Poll::Pending => return Poll::Pending,
                    };
                    wire.received(&body);
                    match self.task {
                        Task::Echo => {
                            if matches!(self.step, Step::Receive) {
                                start(exchange, 200, OF_ECHO);
                                self.step = Step::Echo;
                            }
                            send(exchange, body, more_body);
                            if !more_body {
                                return Poll::Ready(());
                            }
                        }
                        _ if more_body => {}
                        Task::Answer => {
                            start(exchange, 200, OF_BODY);
                            send(exchange, Bytes::from_static(black_box(harness::BODY)), false);
                            return Poll::Ready(());
                        }
                        Task::Page => {
                            start(exchange, 200, &harness::PAGE_HEADERS);
                            send(exchange, Bytes::from_static(black_box(harness::PAGE)), false);
                            return Poll::Ready(());
                        }
                        Task::NoContent => {
                            start(exchange, 204, &[]);
                            send(exchange, Bytes::new(), false);
                            return Poll::Ready(());
                        }
                        Task::Stream => {
                            start(exchange, 200, OF_STREAM);
                            self.step = Step::Stream(0);
                        }
                    }
                }
                Step::Stream(sent) => match exchange.ready() {
                    Poll::Ready(Ok(())) => {
                        let more_body = sent + 1 < harness::PARTS;
                        send(exchange, Bytes::from_static(black_box(harness::PART)), more_body);
                        if !more_body {
                            return Poll::Ready(());
                        }
                        self.step = Step::Stream(sent + 1);
                    }
                    Poll::Ready(Err(error)) => panic!("{error}"),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }
}

fn start(exchange: &mut Exchange<'_>, status: u16, headers: Headers) {
    // Unknown to the compiler, so that it cannot do beforehand what is to be done for every response.
    let (status, headers) = black_box((status, headers));
    exchange.send(SendEvent::ResponseStart { status, headers, trailers: false }).expect("a response is owed");
}

fn send(exchange: &mut Exchange<'_>, body: Bytes, more_body: bool) {
    exchange.send(SendEvent::ResponseBody { body, more_body }).expect("a response was begun");
}

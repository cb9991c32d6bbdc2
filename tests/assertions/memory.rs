//! P3: "whatever the peer sends, a connection holds at most a bound computed by one public function of the config".

use std::task::Poll;
use std::time::Duration;

use sansgi::bytes::Bytes;
use sansgi::{Action, Connection, ExchangeId, Instant, ReceiveEvent, SendEvent, Wait};

use super::input::Input;
use super::setup::Setup;

#[path = "../support/heap.rs"]
mod heap;

/// What a thread keeps at most for all its connections.
const MOST_OF_A_THREAD: isize = 40 * 1024;

/// Beside what the thread keeps for all its connections.
fn held() -> isize {
    heap::held().cast_signed() - sansgi::spare_bytes().cast_signed()
}

/// What the peer sends many times.
const PIECES: [&[u8]; 20] = [
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"P / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
    b"P / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n",
    b"1\r\nx\r\n",
    b"1;a=b\r\nx\r\n",
    b"20\r\n01234567890123456789012345678901\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b"a: b\r\n",
    b"x-forwarded-for: b\r\n",
    b"\r\n",
    b"\r",
    b"x",
    b"01234567890123456789012345678901234567890123456789",
    b"GET / HTTP/1.1\r\nhost: a\r\n",
    b"GET /",
    b";",
    b"400\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
];

/// As much as a peer sends at most: beyond the small limits, and often beyond the usual ones.
const MOST_BYTES: usize = 40_000;

/// What an application does with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Receives,
    /// And keeps what it got.
    Collects,
    Echoes,
    AnswersAtOnce,
    /// As much as it may.
    Floods,
    Sleeps,
}

#[allow(clippy::struct_excessive_bools, reason = "independent facts of what was sent")]
struct Watch {
    conn: Connection,
    setup: &'static Setup,
    bound: isize,
    before: isize,
    habit: Habit,
    is_blocked: bool,
    wait: Wait,
    now: Instant,
    open: Option<ExchangeId>,
    has_started: bool,
    body_ended: bool,
    /// How often it has sent something.
    sends: u32,
    is_over: bool,
    /// To be echoed as soon as there is room.
    part: Option<(Bytes, bool)>,
    parts: Vec<Bytes>,
    delivered: isize,
}

/// A stream of a few pieces, each of them sent often, to an application and past a peer that may not read.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input(data);
    let setup = Setup::of(input.byte());
    let habit = input.choose(&[
        Habit::Receives,
        Habit::Collects,
        Habit::Echoes,
        Habit::AnswersAtOnce,
        Habit::Floods,
        Habit::Sleeps,
    ]);
    let is_blocked = input.is_set();
    let read_size = [1, 7, 100, usize::MAX][input.below(4)];
    let mut stream = Vec::with_capacity(MOST_BYTES);
    while !input.is_empty() {
        let piece = PIECES.get(usize::from(input.byte())).copied().unwrap_or_else(|| input.bytes());
        let times = [1, 2, 9, 30, 100, 300, 1000, usize::MAX][input.below(8)];
        let room = (MOST_BYTES - stream.len()) / piece.len().max(1);
        for _ in 0..times.min(room) {
            stream.extend_from_slice(piece);
        }
    }
    // Where it is read slowly, or where less goes beyond all limits, less is enough.
    let most_reads = if setup.read_buffer_bytes > 1024 { 400 } else { 40 };
    stream.truncate(most_reads * read_size.clamp(5, 100));

    let bound = setup.config.memory_bound().cast_signed();
    let mut watch = Watch {
        conn: Connection::new(setup.config.clone()),
        setup,
        bound,
        before: 0,
        habit,
        is_blocked,
        wait: Wait::default(),
        now: Instant::ZERO,
        open: None,
        has_started: false,
        body_ended: false,
        sends: 0,
        is_over: false,
        part: None,
        parts: Vec::with_capacity(if habit == Habit::Collects { 1000 } else { 0 }),
        delivered: 0,
    };
    watch.before = held();
    heap::take_peak();
    watch.run(&stream, read_size);
}

impl Watch {
    fn run(&mut self, mut stream: &[u8], read_size: usize) {
        self.settle();
        while self.wait.read && !stream.is_empty() && !self.is_over {
            let most = self.setup.read_buffer_bytes.min(stream.len());
            let (piece, rest) = stream.split_at(read_size.min(most));
            stream = rest;
            if read_size == 100 {
                // A kernel has the buffer while other things happen.
                let mut buffer = self.conn.read_buffer();
                buffer.extend_from_slice(piece);
                self.check_held();
                self.conn.handle_read(buffer);
            } else {
                self.conn.handle_bytes(piece);
            }
            self.settle();
        }
        self.conn.handle_eof();
        self.settle();
        for _ in 0..4 {
            let Some(deadline) = self.wait.deadline else { break };
            self.now = deadline;
            self.settle();
        }
    }

    fn settle(&mut self) {
        loop {
            self.check_held();
            match self.conn.next_action(self.now) {
                Action::Start(id, _) => {
                    self.open = Some(id);
                    self.has_started = false;
                    self.body_ended = false;
                }
                Action::Disconnect(_) => {
                    self.open = None;
                    self.part = None;
                    // The application is done with it.
                    self.parts.clear();
                    self.delivered = 0;
                }
                Action::Shutdown => {}
                Action::Switch { .. } | Action::Close { .. } => {
                    self.is_over = true;
                    self.wait = Wait::default();
                    return;
                }
                Action::Wait(wait) => {
                    self.wait = wait;
                    let has_written = wait.write && !self.is_blocked;
                    if has_written {
                        let first = self.conn.outgoing().next().map_or(0, <[u8]>::len);
                        self.conn.handle_written(first);
                    }
                    if !self.goes_on() && !has_written {
                        self.check_held();
                        self.check_idle();
                        return;
                    }
                }
                other => panic!("no application here asks for this: {other:?}"),
            }
        }
    }

    /// Lets the application do one thing, if it can.
    fn goes_on(&mut self) -> bool {
        let Some(id) = self.open else { return false };
        let mut exchange = self.conn.exchange(id);
        let start = SendEvent::ResponseStart { status: 404, headers: &[], trailers: false };
        match self.habit {
            Habit::Sleeps => return false,
            Habit::AnswersAtOnce => {
                exchange.send(start).unwrap();
                exchange.send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
                return true;
            }
            Habit::Floods => {
                if !self.has_started {
                    self.has_started = true;
                    return exchange.send(start).is_ok();
                }
                // Small, so that it is copied: the queue's memory is the connection's own.
                let body = Bytes::from_static(&[b'f'; 64]);
                self.sends += 1;
                let more_body = !self.sends.is_multiple_of(100);
                return matches!(exchange.ready(), Poll::Ready(Ok(())))
                    && exchange.send(SendEvent::ResponseBody { body, more_body }).is_ok();
            }
            Habit::Receives | Habit::Collects | Habit::Echoes => {}
        }
        if let Some((body, more_body)) = self.part.take() {
            if exchange.ready().is_pending() {
                self.part = Some((body, more_body));
                return false;
            }
            return exchange.send(SendEvent::ResponseBody { body, more_body }).is_ok();
        }
        if self.body_ended {
            return false;
        }
        match exchange.receive() {
            Poll::Ready(ReceiveEvent::Request { body, more_body }) => {
                self.body_ended = !more_body;
                self.delivered += body.len().cast_signed();
                if self.habit == Habit::Collects {
                    if self.parts.len() < self.parts.capacity() {
                        self.parts.push(body);
                    }
                } else if self.habit == Habit::Echoes {
                    self.part = Some((body, more_body));
                }
                if !self.has_started && (self.habit == Habit::Echoes || !more_body) {
                    self.has_started = true;
                    exchange.send(start).unwrap();
                }
                if self.habit != Habit::Echoes && !more_body {
                    exchange.send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
                }
                true
            }
            Poll::Ready(ReceiveEvent::Disconnect) => {
                exchange.end();
                false
            }
            Poll::Pending => false,
        }
    }

    fn check_held(&self) {
        let held = held() - self.before;
        let peak = heap::take_peak().cast_signed() - self.before;
        // "What delivered parts pin is at most 4 × the bytes delivered plus the bound."
        let pinned = match self.habit {
            Habit::Collects => 4 * self.delivered,
            // What is queued beyond the mark is the application's own: one part.
            Habit::Echoes => self.setup.read_buffer_bytes.cast_signed() * 4,
            Habit::Floods => 128,
            Habit::Receives | Habit::AnswersAtOnce | Habit::Sleeps => 0,
        };
        assert!(held <= self.bound + pinned, "P3: holds {held}, more than {} and {pinned}", self.bound);
        assert!(
            peak <= self.bound + pinned + MOST_OF_A_THREAD,
            "P3: held {peak}, more than {} and {pinned}",
            self.bound
        );
    }

    /// "An idle connection holds less than 1 KiB."
    fn check_idle(&self) {
        let idle = Some(Instant::ZERO + Duration::from_secs(75));
        if self.wait.read && self.open.is_none() && self.wait.deadline == idle {
            let held = held() - self.before;
            assert!(held < 1024, "P3: an idle connection holds {held} bytes");
        }
    }
}

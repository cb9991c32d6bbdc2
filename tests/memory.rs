//! What a connection holds while its peer is hostile (P3 in `SECURITY.md`): never more than `Config::memory_bound`, if
//! the driver reads only while it is told to, and at most the read buffer at a time.
//!
//! What a test's driver allocates itself counts too, so it allocates nothing that lasts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use sansgi::{Action, Config, Connection, ExchangeId, Instant, Limits, ReceiveEvent, SendEvent, Wait};

#[path = "support/heap.rs"]
mod heap;

/// What a thread keeps at most for all its connections.
const MOST_OF_A_THREAD: usize = 40 * 1024;

/// Bytes that are held, beside what the thread keeps for all its connections.
fn held() -> usize {
    heap::held().saturating_sub(sansgi::spare_bytes())
}

/// More than it was `before`, at most, since this was last asked. What the thread may have kept at that moment is left
/// out, but not of what is held now.
fn take_peak(before: usize) -> usize {
    let peak = heap::take_peak().saturating_sub(before).saturating_sub(MOST_OF_A_THREAD);
    peak.max(held().saturating_sub(before))
}

/// So often in a release build; a twentieth of it else.
const fn times(count: usize) -> usize {
    if cfg!(debug_assertions) { count / 20 } else { count }
}

/// What a peer sends, without end or not: a part that comes once, then one that is repeated.
#[derive(Clone, Copy)]
struct Input<'a> {
    first: &'a [u8],
    repeated: &'a [u8],
    repetitions: usize,
    /// Of one read; 0: as much as there is room for.
    read: usize,
    at: usize,
}

impl<'a> Input<'a> {
    const fn new(first: &'a [u8], repeated: &'a [u8], repetitions: usize) -> Self {
        Self { first, repeated, repetitions, read: 0, at: 0 }
    }

    const fn in_reads_of(self, read: usize) -> Self {
        Self { read, ..self }
    }

    /// The next read.
    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let most = if self.read == 0 { buffer.len() } else { self.read.min(buffer.len()) };
        let mut filled = 0;
        while filled < most {
            let Some(here) = self.here() else { break };
            let count = here.len().min(most - filled);
            buffer[filled..filled + count].copy_from_slice(&here[..count]);
            self.at += count;
            filled += count;
        }
        filled
    }

    fn here(&self) -> Option<&'a [u8]> {
        let Some(behind) = self.at.checked_sub(self.first.len()) else { return Some(&self.first[self.at..]) };
        if self.repeated.is_empty() || behind / self.repeated.len() >= self.repetitions {
            return None;
        }
        Some(&self.repeated[behind % self.repeated.len()..])
    }
}

/// What an application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    /// Nothing, ever.
    Stuck,
    /// Answers without a look at the body.
    Early,
    /// Receives all, then answers.
    Receiving,
    /// Sends back what it receives, as soon as there is room.
    Echo,
}

/// How bytes go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Copied,
    /// By `read_buffer` and `handle_read`.
    Lent,
}

/// What a peer does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Reads,
    /// Nothing: what is written stays where it is.
    Blocks,
}

const WAYS: [Way; 2] = [Way::Copied, Way::Lent];
const APPLICATIONS: [Application; 4] =
    [Application::Stuck, Application::Early, Application::Receiving, Application::Echo];

struct Driver<'a> {
    conn: Connection,
    input: Input<'a>,
    way: Way,
    peer: Peer,
    application: Application,
    exchange: Option<ExchangeId>,
    has_started: bool,
}

impl<'a> Driver<'a> {
    fn new(config: &Arc<Config>, input: Input<'a>, way: Way, peer: Peer, application: Application) -> Self {
        let conn = Connection::new(Arc::clone(config));
        Self { conn, input, way, peer, application, exchange: None, has_started: false }
    }

    /// Until nothing moves any more.
    fn run(&mut self, read_buffer: &mut [u8], mut after_each_step: impl FnMut()) {
        loop {
            let moved = self.step(read_buffer);
            after_each_step();
            if !moved {
                return;
            }
        }
    }

    fn step(&mut self, read_buffer: &mut [u8]) -> bool {
        let wait = match self.conn.next_action(Instant::ZERO) {
            Action::Start(id, _request) => {
                self.exchange = Some(id);
                self.has_started = false;
                return true;
            }
            Action::Disconnect(_) => {
                self.exchange = None;
                return true;
            }
            Action::Shutdown => return true,
            Action::Close { .. } => return false,
            Action::Wait(wait) => wait,
            other => panic!("{other:?}"),
        };
        if let Some(id) = self.exchange
            && self.apply(id)
        {
            return true;
        }
        if wait.write && self.peer == Peer::Reads {
            self.conn.handle_written(usize::MAX);
            return true;
        }
        // "Ask for it when there is something to read, so that a connection that waits holds none."
        wait.read && self.input.here().is_some() && self.read(read_buffer)
    }

    /// Whether the application has done something.
    fn apply(&mut self, id: ExchangeId) -> bool {
        let mut exchange = self.conn.exchange(id);
        let head = SendEvent::ResponseStart { status: 200, headers: &[], trailers: false };
        match self.application {
            Application::Stuck => false,
            Application::Early => {
                exchange.send(head).unwrap();
                exchange.send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
                true
            }
            Application::Receiving => match exchange.receive() {
                Poll::Ready(ReceiveEvent::Request { more_body: false, .. }) => {
                    exchange.send(head).unwrap();
                    exchange.send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
                    true
                }
                Poll::Ready(ReceiveEvent::Request { .. }) => true,
                Poll::Ready(ReceiveEvent::Disconnect) | Poll::Pending => false,
            },
            Application::Echo => {
                if exchange.ready().is_pending() {
                    return false;
                }
                let Poll::Ready(ReceiveEvent::Request { body, more_body }) = exchange.receive() else { return false };
                if !self.has_started {
                    self.has_started = true;
                    exchange.send(head).unwrap();
                }
                exchange.send(SendEvent::ResponseBody { body, more_body }).unwrap();
                true
            }
        }
    }

    fn read(&mut self, read_buffer: &mut [u8]) -> bool {
        match self.way {
            Way::Copied => {
                let count = self.input.fill(read_buffer);
                self.conn.handle_bytes(&read_buffer[..count]);
            }
            Way::Lent => {
                let mut buffer = self.conn.read_buffer();
                let room = buffer.capacity().min(read_buffer.len());
                buffer.resize(room, 0);
                let count = self.input.fill(&mut buffer);
                buffer.truncate(count);
                self.conn.handle_read(buffer);
            }
        }
        true
    }
}

fn configs() -> [(&'static str, Arc<Config>); 4] {
    let build = |limits| Arc::new(Config::builder().limits(limits).build().unwrap());
    let small = Limits::default()
        .max_head_bytes(1024)
        .max_target_bytes(512)
        .max_fields(16)
        .max_trailer_bytes(256)
        .max_chunk_extension_bytes(64)
        .drain_budget_bytes(128)
        .read_buffer_bytes(128)
        .high_water_bytes(256);
    let reading = Limits::default().max_head_bytes(2048).max_trailer_bytes(512).read_buffer_bytes(256 * 1024);
    let receiving = Limits::default().max_head_bytes(1 << 20).max_fields(10_000).read_buffer_bytes(512);
    [
        ("default", build(Limits::default())),
        ("small", build(small)),
        ("large reads", build(reading)),
        ("large heads", build(receiving)),
    ]
}

/// Of a config, which does not say.
fn read_buffer_bytes(name: &str) -> usize {
    match name {
        "default" => 16 * 1024,
        "small" => 128,
        "large reads" => 256 * 1024,
        "large heads" => 512,
        _ => unreachable!("{name}"),
    }
}

fn stays_within_the_bound(what: &str, input: Input<'_>) {
    stay_within_the_bound(what, input, &APPLICATIONS);
}

/// No request comes to its application.
fn stays_within_the_bound_unasked(what: &str, input: Input<'_>) {
    stay_within_the_bound(what, input, &[Application::Stuck]);
}

fn stay_within_the_bound(what: &str, input: Input<'_>, applications: &[Application]) {
    let mut most = 0;
    for (name, config) in configs() {
        let bound = config.memory_bound();
        let mut read_buffer = vec![0; read_buffer_bytes(name)];
        for way in WAYS {
            for peer in [Peer::Reads, Peer::Blocks] {
                for &application in applications {
                    let before = held();
                    take_peak(before);
                    let mut driver = Driver::new(&config, input, way, peer, application);
                    driver.run(&mut read_buffer, || {
                        let held = take_peak(before);
                        most = most.max(held * 100 / bound);
                        assert!(
                            held <= bound,
                            "{what}, {name}, {way:?}, {peer:?}, {application:?}: {held} bytes, not {bound}"
                        );
                    });
                }
            }
        }
    }
    println!("{what}: at most {most} % of the bound");
}

/// A head of so many bytes, with so many fields besides Host.
fn head(method: &str, length: usize, fields: usize, last: &str) -> Vec<u8> {
    let mut head = format!("{method} / HTTP/1.1\r\nhost: a\r\n{last}").into_bytes();
    let room = length - head.len() - 2;
    for index in 0..fields {
        let line = room / fields + usize::from(index < room % fields);
        head.extend_from_slice(b"X");
        head.resize(head.len() + (line - 4) / 2, b'N');
        head.extend_from_slice(b":");
        head.resize(head.len() + line - 4 - (line - 4) / 2, b'v');
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    assert_eq!(head.len(), length);
    head
}

const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
/// A field line of 75 bytes.
const LINE: &[u8] = b"a: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// As much as is sent of what has no end.
const ENDLESS: usize = times(3 << 20);

#[test]
fn the_largest_heads() {
    for (length, fields) in [(1024, 1), (1024, 15), (2048, 99), (32 * 1024, 1), (32 * 1024, 99), (1 << 20, 9_999)] {
        let head = head("GET", length, fields, "");
        let what = format!("heads of {length} bytes and {fields} fields");
        stays_within_the_bound(&what, Input::new(b"", &head, 2));
        stays_within_the_bound(&format!("{what}, in reads of 61"), Input::new(b"", &head, 1).in_reads_of(61));
    }
}

#[test]
fn the_largest_heads_in_drips() {
    let head = head("POST", 8 * 1024, 90, "content-length: 3\r\n");
    stays_within_the_bound("a dripped head", Input::new(&head, b"abc", 1).in_reads_of(1));
}

#[test]
fn a_long_target() {
    let target = b"/abc".repeat(2 * 1024);
    let mut head = b"GET ".to_vec();
    head.extend_from_slice(&target);
    head.extend_from_slice(b" HTTP/1.1\r\nhost: a\r\n\r\n");
    stays_within_the_bound("long targets", Input::new(b"", &head, 20));
}

#[test]
fn heads_without_end() {
    let start = b"GET / HTTP/1.1\r\nhost: a\r\n";
    stays_within_the_bound_unasked("a method without end", Input::new(b"", b"G", ENDLESS));
    stays_within_the_bound_unasked("a target without end", Input::new(b"GET /", b"a", ENDLESS));
    stays_within_the_bound_unasked("a name without end", Input::new(start, b"a", ENDLESS));
    stays_within_the_bound_unasked("a value without end", Input::new(b"GET / HTTP/1.1\r\na:", b"a", ENDLESS));
    stays_within_the_bound_unasked("fields without end", Input::new(start, b"a:\r\n", ENDLESS / 4));
    stays_within_the_bound_unasked(
        "longer fields without end",
        Input::new(start, b"cookie: 0123456789\r\n", ENDLESS / 20),
    );
    stays_within_the_bound_unasked("blank lines without end", Input::new(b"", b"\r\n", ENDLESS / 2));
}

#[test]
fn tiny_chunks() {
    let count = times(1_000_000);
    stays_within_the_bound("chunks of one byte", Input::new(CHUNKED, b"1\r\nx\r\n", count / 4));
    stays_within_the_bound(
        "chunks of one byte, in drips",
        Input::new(CHUNKED, b"1\r\nx\r\n", count / 50).in_reads_of(1),
    );
    stays_within_the_bound(
        "chunks of one byte, one a read",
        Input::new(CHUNKED, b"1\r\nx\r\n", count / 20).in_reads_of(6),
    );
    let extended = b"1;a=\"0123456789012345678901234567890123456789\"\r\nx\r\n";
    stays_within_the_bound("chunks with extensions", Input::new(CHUNKED, extended, count / 20));
}

/// The whole number, once: the least room and the most turns.
#[test]
fn a_million_chunks_of_one_byte() {
    let count = times(1_000_000);
    for (name, config) in configs() {
        let bound = config.memory_bound();
        let mut read_buffer = vec![0; read_buffer_bytes(name)];
        let before = held();
        take_peak(before);
        let input = Input::new(CHUNKED, b"1\r\nx\r\n", count);
        let mut driver = Driver::new(&config, input, Way::Lent, Peer::Reads, Application::Receiving);
        driver.run(&mut read_buffer, || assert!(take_peak(before) <= bound));
    }
}

#[test]
fn extensions_and_trailers_without_end() {
    let trailers = [CHUNKED, b"0\r\n"].concat();
    stays_within_the_bound("an extension without end", Input::new(&[CHUNKED, b"1;a="].concat(), b"a", ENDLESS));
    stays_within_the_bound("zeros without end", Input::new(CHUNKED, b"0", ENDLESS));
    stays_within_the_bound("trailers without end", Input::new(&trailers, b"a:\r\n", ENDLESS / 4));
    stays_within_the_bound("a trailer without end", Input::new(&trailers, b"a", ENDLESS));
    let section = [trailers.as_slice(), &b"a: 0123456789\r\n".repeat(8), b"\r\n"].concat();
    stays_within_the_bound("requests with trailers", Input::new(b"", &section, times(500)));
    let longest = [trailers.as_slice(), &LINE.repeat(99), b"\r\n"].concat();
    stays_within_the_bound("requests with long trailers, in drips", Input::new(b"", &longest, 3).in_reads_of(1));
}

#[test]
fn bodies_without_end() {
    let declared = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999999\r\n\r\n";
    stays_within_the_bound("a declared body", Input::new(declared, b"0123456789", ENDLESS / 10));
    stays_within_the_bound(
        "a declared body in drips",
        Input::new(declared, b"0123456789", ENDLESS / 500).in_reads_of(3),
    );
    let chunked = [CHUNKED, b"fffffffffffffff\r\n"].concat();
    stays_within_the_bound("a chunk", Input::new(&chunked, b"0123456789", ENDLESS / 10));
    let waited_for = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9999999999999\r\n\r\n";
    stays_within_the_bound("a body that was to be waited for", Input::new(waited_for, b"0123456789", ENDLESS / 10));
}

#[test]
fn pipelined_requests() {
    let count = times(100_000);
    stays_within_the_bound("GETs", Input::new(b"", GET, count / 4));
    stays_within_the_bound("GETs in drips", Input::new(b"", GET, count / 100).in_reads_of(1));
    stays_within_the_bound(
        "small POSTs",
        Input::new(b"", &[CHUNKED, b"1\r\nx\r\n0\r\nx: y\r\n\r\n"].concat(), count / 10),
    );
    stays_within_the_bound(
        "behind an upgrade",
        Input::new(
            b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: w\r\n\r\n",
            b"websocket frames",
            count,
        ),
    );
    stays_within_the_bound("behind the last request", Input::new(b"GET / HTTP/1.0\r\n\r\n", GET, count));
    stays_within_the_bound("behind a fault", Input::new(b"GET\r\n", GET, count));
}

/// As many short names, all in the trailers and all named by `connection`: the most that is looked up, and in the least
/// bytes.
#[test]
fn trailers_that_connection_names() {
    let letters = || b"abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~".iter().map(|&letter| char::from(letter));
    let names = letters().flat_map(|first| letters().map(move |second| format!("{first}{second}")));
    let names: Vec<_> = names.filter(|name| name != "te").collect();
    for count in [100, 513, 1025, 2049, names.len()] {
        let names = &names[..count];
        let fixed = "PUT / HTTP/1.1\r\nhost:\r\ntransfer-encoding:chunked\r\nconnection:";
        let first = format!("{fixed}{}\r\n\r\n", names.join(","));
        let section: String = names.iter().flat_map(|name| [name, ":\r\n"]).chain(["\r\n"]).collect();
        let limits = Limits::default()
            .max_head_bytes(first.len())
            .max_trailer_bytes(section.len())
            .max_fields(count)
            .read_buffer_bytes(64)
            .high_water_bytes(64);
        let config = Arc::new(Config::builder().limits(limits).build().unwrap());
        let request = [first.as_bytes(), b"0\r\n", section.as_bytes()].concat();
        let mut read_buffer = [0; 64];
        for way in WAYS {
            let before = held();
            take_peak(before);
            let input = Input::new(&request, b"", 0);
            let mut driver = Driver::new(&config, input, way, Peer::Reads, Application::Receiving);
            driver.run(&mut read_buffer, || {
                let (held, bound) = (take_peak(before), config.memory_bound());
                assert!(held <= bound, "{count} trailers, {way:?}: {held} bytes, not {bound}");
            });
            assert_eq!(driver.conn.fault(), None);
        }
    }
}

/// Where heads, trailers and reads may be equally long, most is held at once: a head in a buffer that it pins, and what
/// is behind it in one that grows.
#[test]
fn sections_as_long_as_the_read_buffer() {
    const SIZE: usize = 8 * 1024;
    let limits = Limits::default().max_head_bytes(SIZE).max_trailer_bytes(SIZE).read_buffer_bytes(SIZE);
    let config = Arc::new(Config::builder().limits(limits.high_water_bytes(1)).build().unwrap());
    let mut read_buffer = [0; SIZE];
    let chunked = head("POST", SIZE, 98, "transfer-encoding: chunked\r\n");
    let mut trailers = b"0\r\n".to_vec();
    for _ in 0..99 {
        trailers.extend_from_slice(&[b'x'; 78]);
        trailers.extend_from_slice(b":v\r\n");
    }
    trailers.extend_from_slice(b"\r\n");
    let mut most = 0;
    for content in (0..5).map(|quarter| quarter * SIZE / 4 + 1) {
        let chunk = [format!("{content:x}\r\n").as_bytes(), &vec![b'x'; content], b"\r\n"].concat();
        let request = [&chunked[..], &chunk, &trailers].concat();
        for read in [SIZE, SIZE - 1, SIZE - 1000, SIZE / 2 + 1] {
            for way in WAYS {
                for application in APPLICATIONS {
                    let before = held();
                    take_peak(before);
                    let input = Input::new(b"", &request, 3).in_reads_of(read);
                    let mut driver = Driver::new(&config, input, way, Peer::Reads, application);
                    driver.run(&mut read_buffer, || {
                        let (held, bound) = (take_peak(before), config.memory_bound());
                        most = most.max(held * 100 / bound);
                        assert!(
                            held <= bound,
                            "{content}, {read}, {way:?}, {application:?}: {held} bytes, not {bound}"
                        );
                    });
                    assert_eq!(driver.conn.fault(), None);
                }
            }
        }
    }
    println!("sections as long as the read buffer: at most {most} % of the bound");
}

/// A client that reads slowly: there is always something unwritten, and what is written is let go all the same.
#[test]
fn a_response_that_is_never_all_written() {
    let (small, large) = (Bytes::from_static(&[b'x'; 1000]), Bytes::from_static(&[b'x'; 1024]));
    for (name, config) in configs() {
        let bound = config.memory_bound();
        for (what, parts) in [
            ("of small parts", vec![small.clone()]),
            ("of a byte each", vec![small.slice(..1)]),
            ("that begins with a large part", vec![large.clone(), small.clone()]),
            ("of parts of all sizes", vec![small.slice(..1), large.clone(), small.clone()]),
        ] {
            for left in [1, 200] {
                let before = held();
                take_peak(before);
                let mut conn = Connection::new(Arc::clone(&config));
                conn.handle_bytes(GET);
                let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { panic!("a request") };
                let start = SendEvent::ResponseStart { status: 200, headers: &[], trailers: false };
                conn.exchange(id).send(start).unwrap();
                for index in 0..times(200_000) {
                    // The last kind goes on without end.
                    let body = parts[index.min(parts.len() - 1)].clone();
                    if conn.exchange(id).ready().is_ready() {
                        conn.exchange(id).send(SendEvent::ResponseBody { body, more_body: true }).unwrap();
                    }
                    let unwritten: usize = conn.outgoing().map(<[u8]>::len).sum();
                    conn.handle_written(unwritten.saturating_sub(left));
                    let held = take_peak(before);
                    assert!(held <= bound, "{what}, {name}, {left} left: {held} bytes after {index}, not {bound}");
                }
            }
        }
    }
}

/// The memory of one response serves the next, once: also where an interim response goes before a head that is held.
#[test]
fn a_long_response_behind_another() {
    let limits = Limits::default().max_head_bytes(200).max_trailer_bytes(2).max_fields(4).read_buffer_bytes(64);
    let config = Arc::new(Config::builder().limits(limits.high_water_bytes(100_000)).build().unwrap());
    let waiting = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    let before = held();
    take_peak(before);
    let mut conn = Connection::new(Arc::clone(&config));
    for request in [GET, waiting, waiting] {
        conn.handle_bytes(request);
        let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { panic!("a request") };
        let mut exchange = conn.exchange(id);
        exchange.send(SendEvent::ResponseStart { status: 200, headers: &[], trailers: false }).unwrap();
        let _ = exchange.receive(); // a 100 Continue, where one is due
        while exchange.ready().is_ready() {
            let body = Bytes::from_static(&[b'x'; 1000]);
            exchange.send(SendEvent::ResponseBody { body, more_body: true }).unwrap();
        }
        exchange.send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
        conn.handle_bytes(if request == GET { b"" } else { b"012345678" });
        conn.handle_written(usize::MAX);
        assert_eq!(conn.next_action(Instant::ZERO), Action::Disconnect(id));
        let (held, bound) = (take_peak(before), config.memory_bound());
        assert!(held <= bound, "behind request {id}: {held} bytes, not {bound}");
    }
}

/// What is written of the text before a large part is not kept while the text behind it grows, and that grows no
/// further than it must.
#[test]
fn a_large_part_between_many_small_ones() {
    static PART: [u8; 1024] = [b'x'; 1024];
    let small = Limits::default().max_head_bytes(200).max_trailer_bytes(2).max_fields(4).read_buffer_bytes(64);
    for (limits, high_water) in [(small, 5_000), (small, 1 << 16), (small, 1 << 17), (Limits::default(), 1 << 20)] {
        let config = Arc::new(Config::builder().limits(limits.high_water_bytes(high_water)).build().unwrap());
        for (size, left, is_before) in [
            (100, 0, false),
            (100, 1, false),
            (500, 0, false),
            (500, 1, false),
            (1000, 1, false),
            (100, 1, true),
            (500, 1, true),
            (500, 2000, true),
        ] {
            let before = held();
            take_peak(before);
            let mut conn = Connection::new(Arc::clone(&config));
            conn.handle_bytes(GET);
            let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { panic!("a request") };
            let mut exchange = conn.exchange(id);
            exchange.send(SendEvent::ResponseStart { status: 200, headers: &[], trailers: false }).unwrap();
            for _ in 0..4 {
                let mut exchange = conn.exchange(id);
                while exchange.ready().is_ready() {
                    let body = Bytes::from_static(&PART).slice(..size);
                    exchange.send(SendEvent::ResponseBody { body, more_body: true }).unwrap();
                }
                // The application's own, beyond the mark: the last of the small parts, with its lines.
                let (held, bound) = (take_peak(before), config.memory_bound() + 2 * (size + 16));
                assert!(held <= bound, "{high_water} and {size}: {held} bytes, not {bound}");
                let unwritten: usize = conn.outgoing().map(<[u8]>::len).sum();
                let large = SendEvent::ResponseBody { body: Bytes::from_static(&PART), more_body: true };
                // All of the text before it but a little is written once it is there, or was before.
                if is_before {
                    conn.exchange(id).send(large).unwrap();
                    conn.handle_written(unwritten - left);
                } else {
                    conn.handle_written(unwritten - left);
                    conn.exchange(id).send(large).unwrap();
                }
            }
        }
    }
}

/// Each response has them, so each is as long as they are.
#[test]
fn long_default_headers() {
    let requests = [GET.repeat(20), b"?".to_vec()].concat();
    let mut read_buffer = [0; 64];
    for (length, high_water) in [(0, 1), (500, 1), (5000, 1), (5000, 4000), (50_000, 1), (50_000, 60_000)] {
        let limits = Limits::default().max_head_bytes(64).max_trailer_bytes(64).max_fields(1).read_buffer_bytes(64);
        let builder = Config::builder().limits(limits.high_water_bytes(high_water));
        let config = Arc::new(builder.default_header("x", vec![b'v'; length]).build().unwrap());
        for way in WAYS {
            for peer in [Peer::Reads, Peer::Blocks] {
                let before = held();
                take_peak(before);
                let input = Input::new(&requests, b"", 0);
                let mut driver = Driver::new(&config, input, way, peer, Application::Early);
                driver.run(&mut read_buffer, || {
                    let (held, bound) = (take_peak(before), config.memory_bound());
                    assert!(
                        held <= bound,
                        "{length} bytes, {high_water}, {way:?}, {peer:?}: {held} bytes, not {bound}"
                    );
                });
            }
        }
    }
}

/// A part may be a slice of what was read, or of more.
#[test]
fn what_delivered_parts_pin() {
    let count = times(200_000);
    let declared = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999999\r\n\r\n";
    let inputs = [
        ("chunks of one byte", Input::new(CHUNKED, b"1\r\nx\r\n", count)),
        ("chunks of one byte, one a read", Input::new(CHUNKED, b"1\r\nx\r\n", count).in_reads_of(6)),
        ("chunks of one byte, in drips", Input::new(CHUNKED, b"1\r\nx\r\n", count / 6).in_reads_of(1)),
        ("a body in drips", Input::new(declared, b"x", count).in_reads_of(1)),
        ("a body in reads of 700", Input::new(declared, b"x", count * 10).in_reads_of(700)),
        ("a body in the largest reads", Input::new(declared, b"x", count * 20)),
        ("chunks with long lines", Input::new(CHUNKED, b"1;a=\"01234567890123456789\"\r\nx\r\n", count / 20)),
        ("small chunks between large ones", Input::new(CHUNKED, b"1\r\nx\r\n200\r\n0123456789abcdef", 1)),
    ];
    for (what, input) in inputs {
        for (name, config) in configs() {
            for way in WAYS {
                pins_little(&format!("{what}, {name}, {way:?}"), &config, read_buffer_bytes(name), input, way);
            }
        }
    }
}

fn pins_little(what: &str, config: &Arc<Config>, read_buffer_bytes: usize, input: Input<'_>, way: Way) {
    let mut read_buffer = vec![0; read_buffer_bytes];
    // Their handles are the application's own.
    let mut parts: Vec<Bytes> = Vec::with_capacity(times(5_000_000));
    let before = held();
    take_peak(before);
    let mut driver = Driver::new(config, input, way, Peer::Reads, Application::Stuck);
    let mut delivered = 0;
    loop {
        if let Some(id) = driver.exchange {
            while let Poll::Ready(ReceiveEvent::Request { body, .. }) = driver.conn.exchange(id).receive() {
                delivered += body.len();
                assert!(parts.len() < parts.capacity());
                parts.push(body);
            }
        }
        let moved = driver.step(&mut read_buffer);
        let held = take_peak(before);
        let most = config.memory_bound() + 4 * delivered;
        assert!(held <= most, "{what}: {held} bytes, not {most}, of {delivered} delivered in {} parts", parts.len());
        if !moved {
            break;
        }
    }
}

/// A buffer that was lent and got lost is no memory for what comes next; what is cut from it would pin all of it.
#[test]
fn a_lost_buffer_is_pinned_by_nothing() {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999999\r\n\r\n");
    let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { panic!("a request") };
    let (mut parts, mut delivered) = (Vec::with_capacity(100), 0);
    let before = held();
    for _ in 0..100 {
        drop(conn.read_buffer());
        conn.handle_bytes(&[b'x'; 300]);
        let Poll::Ready(ReceiveEvent::Request { body, .. }) = conn.exchange(id).receive() else { panic!("a body") };
        delivered += body.len();
        parts.push(body);
    }
    let held = held() - before;
    assert!(held <= 2 * 16 * 1024 + 4 * delivered, "{held} bytes, of {delivered} delivered");
}

/// The exchange that starts next, if there is one.
fn started(conn: &mut Connection) -> Option<ExchangeId> {
    loop {
        match conn.next_action(Instant::ZERO) {
            Action::Start(id, _) => return Some(id),
            Action::Disconnect(_) => {}
            action => {
                assert!(matches!(action, Action::Wait(Wait { read: true, .. })), "{action:?}");
                return None;
            }
        }
    }
}

/// By the buffer that the connection lends.
fn read(conn: &mut Connection, bytes: &[u8]) {
    let mut buffer = conn.read_buffer();
    buffer.extend_from_slice(bytes);
    conn.handle_read(buffer);
}

/// Begins a response.
fn start(conn: &mut Connection, id: ExchangeId, headers: &[(&[u8], &[u8])]) {
    conn.exchange(id).send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).unwrap();
}

fn answer(conn: &mut Connection, id: ExchangeId) {
    let mut exchange = conn.exchange(id);
    exchange.send(SendEvent::ResponseStart { status: 204, headers: &[], trailers: false }).unwrap();
    exchange.send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
    conn.handle_written(usize::MAX);
}

/// A completion-based driver has a buffer out while what is held before it goes: it comes back with more memory than it
/// shows.
#[test]
fn a_late_buffer_is_not_pinned_by_little() {
    late_buffers_are_not_pinned_by_little(false);
    late_buffers_are_not_pinned_by_little(true);
}

fn late_buffers_are_not_pinned_by_little(another_comes_first: bool) {
    let mut conn = Connection::new(Config::default());
    let put = [&b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n"[..], &[b'x'; 100]].concat();
    let mut parts = Vec::with_capacity(50);
    let before = held();
    for _ in 0..50 {
        conn.handle_bytes(GET);
        let mut current = started(&mut conn);
        let mut buffer = conn.read_buffer();
        for _ in 0..600 {
            buffer.extend_from_slice(GET);
        }
        conn.handle_read(buffer);
        let mut late = conn.read_buffer();
        assert!((put.len()..200).contains(&late.capacity()), "a small rest of a large buffer");
        while let Some(id) = current {
            answer(&mut conn, id);
            current = started(&mut conn);
        }
        if another_comes_first {
            read(&mut conn, GET);
            let id = started(&mut conn).unwrap();
            answer(&mut conn, id);
            assert_eq!(started(&mut conn), None);
        }
        late.extend_from_slice(&put);
        conn.handle_read(late);
        let id = started(&mut conn).unwrap();
        let Poll::Ready(ReceiveEvent::Request { body, .. }) = conn.exchange(id).receive() else { panic!("a body") };
        parts.push(body);
        answer(&mut conn, id);
        assert_eq!(started(&mut conn), None);
    }
    let (held, delivered) = (held() - before, 50 * 100);
    assert!(held <= 2 * 16 * 1024 + 4 * delivered, "{held} bytes, of {delivered} delivered");
}

/// Buffers of the driver's own are copied behind what is held, whose memory grows: that counts, too.
#[test]
fn memory_that_has_grown_is_not_pinned_by_little() {
    // The head behind which the first read ends is long, and a body of a little more than a quarter of a read follows
    // it.
    let long = [&b"GET / HTTP/1.1\r\nhost: a\r\nx: "[..], &[b'y'; 8_000], b"\r\n\r\n"].concat();
    let put = [&b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4400\r\n\r\n"[..], &[b'x'; 4_400]].concat();
    let mut requests = [&GET.repeat(600)[..], &long, &put].concat();
    while requests.len() + GET.len() <= 32 * 1024 {
        requests.extend_from_slice(GET);
    }
    let mut conn = Connection::new(Config::default());
    let mut parts = Vec::with_capacity(100);
    let (before, mut delivered) = (held(), 0);
    for _ in 0..50 {
        for read in requests.chunks(16 * 1024) {
            let mut buffer = BytesMut::with_capacity(16 * 1024);
            buffer.extend_from_slice(read);
            conn.handle_read(buffer);
            while let Some(id) = started(&mut conn) {
                while let Poll::Ready(ReceiveEvent::Request { body, more_body }) = conn.exchange(id).receive() {
                    if !body.is_empty() {
                        delivered += body.len();
                        parts.push(body);
                    }
                    if !more_body {
                        break;
                    }
                }
                answer(&mut conn, id);
            }
        }
    }
    let held = held() - before;
    assert!(held <= 4 * 16 * 1024 + 4 * delivered, "{held} bytes, of {delivered} delivered");
}

type Read = fn(&mut Connection, &[u8]);

/// What a request was read into is not held for as long as its response takes.
#[test]
fn a_response_that_lasts_holds_no_read_buffer() {
    let large = &[b'x'; 16 * 1024][..];
    let chunked_end = &b"\r\n1\r\ny\r\n0\r\nx: y\r\n\r\n"[..];
    let requests: [(&str, Vec<&[u8]>); 5] = [
        ("no body", vec![GET]),
        ("a length", vec![b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n", b"x", b"y"]),
        ("a long body", vec![b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 16385\r\n\r\n", large, b"y"]),
        ("chunks", vec![CHUNKED, b"4000\r\n", large, b"\r\n1\r\n", b"y", b"\r\n0\r\n\r\n"]),
        ("trailers", vec![CHUNKED, b"4000\r\n", large, chunked_end]),
    ];
    let own: Read = |conn, bytes| {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        buffer.extend_from_slice(bytes);
        conn.handle_read(buffer);
    };
    let ways: [(&str, Read); 3] = [("copied", Connection::handle_bytes), ("lent", read), ("the driver's", own)];
    for (what, pieces) in &requests {
        for at_once in [true, false] {
            let whole = [pieces.concat()];
            let reads: Vec<&[u8]> = if at_once { whole[0].chunks(16 * 1024).collect() } else { pieces.clone() };
            for (way, read) in ways {
                let mut conn = Connection::new(Config::default());
                let (before, mut id, mut ended) = (held(), None, false);
                for bytes in &reads {
                    read(&mut conn, bytes);
                    id = id.or_else(|| started(&mut conn));
                    while !ended
                        && let Some(id) = id
                        && let Poll::Ready(ReceiveEvent::Request { more_body, .. }) = conn.exchange(id).receive()
                    {
                        ended = !more_body;
                    }
                }
                assert!(ended, "{what}: the whole body was received");
                start(&mut conn, id.unwrap(), &[]);
                let part = SendEvent::ResponseBody { body: Bytes::from_static(b"x"), more_body: true };
                conn.exchange(id.unwrap()).send(part).unwrap();
                conn.handle_written(usize::MAX);
                let held = held() - before;
                assert!(held < 1024, "{held} bytes behind {what}, {way}, at once: {at_once}");
            }
        }
    }
}

/// A body that nobody asked for, and is drained, leaves no more.
#[test]
fn a_response_behind_a_drained_body_holds_no_read_buffer() {
    let mut conn = Connection::new(Config::default());
    let before = held();
    read(&mut conn, b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n");
    let id = started(&mut conn).unwrap();
    start(&mut conn, id, &[(b"content-length", b"9999")]);
    conn.exchange(id).send(SendEvent::ResponsePart { token: 1, len: 9999, more_body: false }).unwrap();
    read(&mut conn, &[b'x'; 100]);
    assert_eq!(conn.next_action(Instant::ZERO), Action::Disconnect(id));
    conn.handle_written(conn.outgoing().map(<[u8]>::len).sum());
    assert!(matches!(conn.next_action(Instant::ZERO), Action::Transfer { .. }));
    let held = held() - before;
    assert!(held < 1024, "{held} bytes");
}

/// What comes to a connection that lingers is thrown away, with its memory.
#[test]
fn a_connection_that_reads_nothing_more_holds_no_read_buffer() {
    let mut conn = Connection::new(Config::default());
    let before = held();
    read(&mut conn, b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx");
    let id = started(&mut conn).unwrap();
    assert!(conn.exchange(id).receive().is_ready() && conn.exchange(id).receive().is_pending());
    assert!(matches!(conn.next_action(Instant::ZERO), Action::Wait(_)));
    let late = Instant::from_nanos(100_000_000_000);
    for expected in [Action::Disconnect(id), Action::Shutdown] {
        assert_eq!(conn.next_action(late), expected);
        conn.handle_written(usize::MAX);
    }
    assert!(matches!(conn.next_action(late), Action::Wait(Wait { read: true, .. })), "it lingers");
    let held = held() - before;
    assert!(held < 1024, "{held} bytes");
}

/// What is queued of an echo may be parts of larger buffers.
#[test]
fn an_echo_to_a_peer_that_reads_nothing() {
    const MARK: usize = 1 << 20;
    let config = Arc::new(Config::builder().limits(Limits::default().high_water_bytes(MARK)).build().unwrap());
    for length in [4096, 5000, 16 * 1024] {
        let mut conn = Connection::new(Arc::clone(&config));
        let before = held();
        read(&mut conn, b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999\r\n\r\n");
        let id = started(&mut conn).unwrap();
        start(&mut conn, id, &[]);
        while conn.exchange(id).ready().is_ready() {
            read(&mut conn, &[b'x'; 16 * 1024][..length]);
            let Poll::Ready(ReceiveEvent::Request { body, .. }) = conn.exchange(id).receive() else { panic!("a body") };
            conn.exchange(id).send(SendEvent::ResponseBody { body, more_body: true }).unwrap();
        }
        let held = held() - before;
        assert!(held <= config.memory_bound(), "{held} bytes, not {}, of {length} each", config.memory_bound());
    }
}

/// Behind what was written in one go a response may go on for long.
#[test]
fn what_was_queued_and_is_written_leaves_little() {
    let text = SendEvent::ResponseBody { body: Bytes::from_static(&[b'x'; 500]), more_body: true };
    for part in [SendEvent::ResponsePart { token: 1, len: 1, more_body: true }, text] {
        let mut conn = Connection::new(Config::default());
        let before = held();
        conn.handle_bytes(GET);
        let id = started(&mut conn).unwrap();
        start(&mut conn, id, &[]);
        while conn.exchange(id).ready().is_ready() {
            conn.exchange(id).send(part.clone()).unwrap();
        }
        conn.handle_written(usize::MAX);
        let held = held() - before;
        assert!(held <= 20 * 1024, "{held} bytes behind all of it");
    }
}

/// A stream that always has one more part queued than is written.
#[test]
fn large_parts_of_which_one_is_always_queued() {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(GET);
    let id = started(&mut conn).unwrap();
    start(&mut conn, id, &[(b"content-length", b"9999999999")]);
    let send = |conn: &mut Connection| {
        let body = Bytes::from_static(&[b'x'; 2048]);
        conn.exchange(id).send(SendEvent::ResponseBody { body, more_body: true }).unwrap();
    };
    (0..2).for_each(|_| send(&mut conn));
    let before = held();
    for _ in 0..10_000 {
        send(&mut conn);
        conn.handle_written(2048);
    }
    let held = held() - before;
    assert!(held < 1024, "{held} bytes more");
}

/// A kernel that keeps the end of what is written nearly to it keeps no more than that.
#[test]
fn a_chunk_that_is_taken_late_pins_little() {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(GET);
    let id = started(&mut conn).unwrap();
    start(&mut conn, id, &[]);
    while conn.exchange(id).ready().is_ready() {
        let body = Bytes::from_static(&[b'x'; 1000]);
        conn.exchange(id).send(SendEvent::ResponseBody { body, more_body: true }).unwrap();
    }
    conn.handle_written(conn.outgoing().map(<[u8]>::len).sum::<usize>() - 2000);
    let chunk = conn.take_outgoing().unwrap();
    assert_eq!(chunk.len(), 2000);
    drop(conn);
    let before = held();
    drop(chunk);
    let held = before - held();
    assert!(held < 4096, "{held} bytes for 2,000");
}

/// What it is that was read into may be part of a larger buffer: of such a one nothing is kept.
#[test]
fn an_idle_connection_holds_no_buffer_of_its_driver() {
    for length in [193, 300, 400, 401] {
        let request = head("GET", length, 1, "");
        let mut conn = Connection::new(Config::default());
        let before = held();
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        buffer.extend_from_slice(&request);
        conn.handle_read(buffer.split());
        drop(buffer);
        let id = started(&mut conn).unwrap();
        answer(&mut conn, id);
        assert_eq!(started(&mut conn), None);
        let held = held() - before;
        assert!(held <= 700, "{held} bytes behind a head of {length}");
    }
}

/// "An idle connection gives its buffers back by itself": here nobody calls anything but what tells that it is idle.
#[test]
fn an_idle_connection_holds_700_bytes_at_most() {
    const IDLE: Instant = Instant::from_nanos(75_000_000_000);
    let mut read_buffer = vec![0; 16 * 1024];
    let config = Arc::new(Config::default());
    let mut kept = Vec::with_capacity(1000);
    let big = b"0123456789".repeat(6_000);
    let trailers = LINE.repeat(99);
    let half_a_buffer =
        [b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n", &LINE.repeat(3)[..], b"\r\nb"].concat();
    let requests = [
        ("no request", Vec::new()),
        ("a small request", GET.to_vec()),
        ("the largest head", head("GET", 32 * 1024, 99, "")),
        ("a head of one long line", head("GET", 32 * 1024, 1, "")),
        ("a large body", [&b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n"[..], &big].concat()),
        ("a chunk", [CHUNKED, b"ea60\r\n", &big, b"\r\n0\r\n\r\n"].concat()),
        ("a head that leaves room in its buffer", half_a_buffer),
        ("trailers", [CHUNKED, b"0\r\n", &trailers, b"\r\n"].concat()),
        ("trailers that are dropped", [CHUNKED, b"0\r\n", &b"x-forwarded-for: b\r\n".repeat(99), b"\r\n"].concat()),
        ("many requests", GET.repeat(2_000)),
        ("a blank line", [GET, b"\r\n"].concat()),
        ("a blank line behind the largest head", [&head("GET", 32 * 1024, 99, "")[..], b"\r\n"].concat()),
        ("half a blank line", [GET, b"\r"].concat()),
    ];
    let without_connections = heap::held();
    for (what, request) in &requests {
        for read in [0, 1, 1000] {
            for way in WAYS {
                for application in [Application::Early, Application::Receiving, Application::Echo] {
                    let input = Input::new(request, b"", 0).in_reads_of(read);
                    let before = held();
                    let mut driver = Driver::new(&config, input, way, Peer::Reads, application);
                    driver.run(&mut read_buffer, || {});
                    let held = held() - before;
                    let how = format!("behind {what}, in reads of {read}, {way:?}, {application:?}");
                    let idle = Wait { read: true, write: false, deadline: Some(IDLE) };
                    assert_eq!(driver.conn.next_action(Instant::ZERO), Action::Wait(idle), "{how}");
                    // Beside the connection itself, which is a field of the driver's.
                    assert!(held <= 700, "{held} bytes {how}");
                    drop((driver, how));
                    kept.push(heap::held() - without_connections);
                }
            }
        }
    }
    // And its thread holds little more for all of them.
    let (most, least) = (kept.iter().max().unwrap(), if cfg!(feature = "std") { 16 * 1024 } else { 0 });
    assert!((least..=MOST_OF_A_THREAD).contains(most), "{most} bytes are kept");
}

/// The memory of a head that is a part of its buffer serves the next head behind it. It is not kept, as it is larger than
/// it shows.
#[test]
fn what_a_thread_keeps_is_as_large_as_it_shows() {
    let before = heap::held();
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(&[&head("GET", 600, 1, "")[..], GET].concat());
    for _ in 0..2 {
        let id = started(&mut conn).unwrap();
        answer(&mut conn, id);
    }
    assert_eq!(started(&mut conn), None);
    drop(conn);
    let kept = heap::held() - before;
    assert!(kept <= sansgi::spare_bytes() + 64, "{kept} bytes, which show {}", sansgi::spare_bytes());
}

/// What the last request left counts, and what its response left: the one leaves less to the other.
#[test]
fn an_idle_connection_holds_700_bytes_at_most_behind_any_response() {
    let value = [b'v'; 300];
    for fields in [1, 4, 8, 14, 20, 40] {
        let request = head("GET", 60 + 24 * fields, fields, "");
        for (length, parts) in [(0, 1), (60, 1), (150, 1), (300, 1), (0, 3), (150, 5), (60, 9)] {
            let mut conn = Connection::new(Config::default());
            let before = held();
            for _ in 0..3 {
                read(&mut conn, &request);
                let id = started(&mut conn).unwrap();
                start(&mut conn, id, &[(b"x-tag", &value[..length])]);
                for part in 1..=parts {
                    let body = Bytes::from_static(&[b'x'; 2048]);
                    conn.exchange(id).send(SendEvent::ResponseBody { body, more_body: part < parts }).unwrap();
                }
                conn.handle_written(usize::MAX);
                assert_eq!(started(&mut conn), None);
                let held = held() - before;
                assert!(held <= 700, "{held} bytes behind {fields} fields and {parts} parts, {length}");
            }
        }
    }
}

#[test]
fn a_million_keep_alive_cycles_do_not_grow() {
    let mut read_buffer = vec![0; 16 * 1024];
    let config = Arc::new(Config::default());
    let cycle = [GET, CHUNKED, b"3\r\nabc\r\n0\r\nx: y\r\n\r\n"].concat();
    for (way, read, count) in [(Way::Lent, 0, 1_000_000), (Way::Copied, 0, 100_000), (Way::Lent, 100, 100_000)] {
        let before = held();
        let input = Input::new(b"", &cycle, 1).in_reads_of(read);
        let mut driver = Driver::new(&config, input, way, Peer::Reads, Application::Receiving);
        let mut run = |count: usize| {
            take_peak(before);
            for _ in 0..count {
                // The same bytes again.
                driver.input.at = 0;
                driver.run(&mut read_buffer, || {});
                assert!(driver.exchange.is_none() && driver.conn.close_reason().is_none());
            }
            (held() - before, take_peak(before))
        };
        let after_ten = (run(10), run(10)).1;
        assert_eq!(run(times(count)), after_ten, "bytes held, and at most, {way:?}, in reads of {read}");
        println!("{way:?}, in reads of {read}: {after_ten:?}");
    }
}

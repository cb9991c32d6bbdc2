//! However a stream is cut into reads, the same comes of it (P1 in `SECURITY.md`): each of the inputs at every one and
//! at every two places, and short ones behind a fixed beginning in all 2ⁿ⁻¹ ways. And what it costs does not depend on
//! the cuts either (P13): by the connection's own count of the bytes that it has looked at.
//!
//! Compared are the requests, their bodies with adjacent parts put together, trailers, outcomes, faults, all actions in
//! their order, the responses as the validator reads them, what is left over for another protocol, and which deadline
//! runs.
//!
//! What is here at once goes a shorter way in places; with each byte at each place it comes to the same as the long
//! way.
//!
//! `cargo test` cuts long inputs at a part of the pairs of places, at most 11 bytes in all ways, and puts in some bytes
//! of each kind; `SANSGI_EXHAUST=full cargo test --release --test cuts` cuts at every pair, 16 bytes, and puts in all
//! 256. The cases of `tests/corpus/` are cut at pairs of places too: what must come out is in their logs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail"
)]

mod oracles;
#[path = "cuts/run.rs"]
mod run;
mod support;

use std::sync::Arc;

use sansgi::{Action, Config, Connection, Headers, Instant, Limits};

use run::{APPLICATIONS, Application, Run};
use support::corpus::{self, Case};
use support::cut::Cut;
use support::world::replay;

const NOW: Instant = Instant::ZERO;

fn is_full() -> bool {
    std::env::var_os("SANSGI_EXHAUST").is_some_and(|value| value == "full")
}

fn usual() -> Arc<Config> {
    Arc::new(Config::builder().connect(true).build().unwrap())
}

/// Limits within the reach of 300 bytes.
fn narrow() -> Arc<Config> {
    let limits = Limits::default()
        .max_head_bytes(100)
        .max_target_bytes(12)
        .max_method_bytes(8)
        .max_fields(4)
        .max_chunk_line_bytes(8)
        .max_chunk_extension_bytes(6)
        .max_trailer_bytes(20)
        .max_body_bytes(Some(16))
        .drain_budget_bytes(5)
        .max_requests(Some(3));
    Arc::new(Config::builder().limits(limits).connect(true).build().unwrap())
}

macro_rules! post {
    ($fields:literal) => {
        concat!("POST / HTTP/1.1\r\nhost: a\r\n", $fields, "\r\n")
    };
}

macro_rules! get {
    () => {
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    };
}

const INPUTS: [&str; 34] = [
    concat!(get!(), get!(), "\r\n", get!()),
    concat!(
        "HEAD /a?b HTTP/1.1\r\nHost: a\r\nX-A:  b \r\nx-a: c\r\n\r\n",
        "DELETE /%20 HTTP/1.1\r\nhost: b:80\r\n\r\n"
    ),
    concat!("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", get!()),
    concat!(post!("content-length: 5\r\n"), "hello", get!()),
    concat!(post!("content-length: 12\r\n"), "hello, world", "\r\n", post!("content-length: 1\r\n"), "x", get!()),
    concat!(post!("transfer-encoding: chunked\r\n"), "5\r\nhello\r\n", "1\r\n,\r\n", "0\r\n\r\n", get!()),
    concat!(
        post!("te: trailers\r\ntransfer-encoding: Chunked\r\n"),
        "3;a=b;c=\"d\\\"e\"\r\nabc\r\n",
        "000\r\nX-Sum: 7\r\ny: z\r\n\r\n",
        get!()
    ),
    concat!(post!("expect: 100-continue\r\ncontent-length: 3\r\n"), "abc", get!()),
    concat!(post!("expect: 100-continue\r\ntransfer-encoding: chunked\r\n"), "2\r\nab\r\n0\r\n\r\n", get!()),
    concat!(post!("content-length: 0\r\n"), get!()),
    concat!(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: w\r\n\r\n",
        "\u{1}\u{2} frames, not a request\r\n\r\n"
    ),
    concat!("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: w\r\n\r\n", get!()),
    concat!("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", "tunnel", get!()),
    concat!(post!("connection: close\r\ncontent-length: 3\r\n"), "abc", get!()),
    concat!("GET http://b/c?d HTTP/1.1\r\nhost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"),
    // Torn.
    concat!(get!(), "GET / HTTP/1.1\r\nhost: a\r\nx: "),
    concat!(post!("content-length: 9\r\n"), "hello"),
    concat!(post!("transfer-encoding: chunked\r\n"), "5\r\nhello\r\n0\r\nx: y\r\n"),
    concat!(get!(), post!("transfer-encoding: chunked\r\n"), "5\r\nhel"),
    // Faults.
    concat!(get!(), "GET / HTTP/1.1\nhost: a\r\n\r\n", get!()),
    concat!(get!(), "\r\n\r\n", get!()),
    "GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nx: y\n z\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}abc",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET /\u{e9} HTTP/1.1\r\nhost: a\r\n\r\n",
    concat!(post!("content-length: 3\r\ntransfer-encoding: chunked\r\n"), "0\r\n\r\n"),
    concat!(post!("expect: a miracle\r\ncontent-length: 3\r\n"), "abc"),
    concat!(post!("transfer-encoding: chunked\r\n"), "5\r\nhello\r\n", "g\r\n", get!()),
    concat!(post!("transfer-encoding: chunked\r\n"), "5\r\nhelloX\r\n", "0\r\n\r\n", get!()),
    concat!(post!("transfer-encoding: chunked\r\n"), "2;a\nb\r\nhi\r\n", "0\r\n\r\n"),
    concat!(post!("transfer-encoding: chunked\r\n"), "2\r\nhi\r\n", "0\r\nx: y\r\ncontent-length: 3\r\n\r\n", get!()),
    concat!(post!("transfer-encoding: chunked\r\n"), "2\r\nhi\r\n", "0\r\nx: y\nz: a\r\n\r\n", get!()),
    concat!(post!("transfer-encoding: chunked\r\n"), "2\r\nhi\r\n", "ffffffffffffffff\r\n", "x"),
];

/// For [`narrow`].
const NARROW_INPUTS: [&str; 14] = [
    concat!(get!(), get!(), get!(), get!()),
    "VERYLONGMETHOD / HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /0123456789abcdef HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\n1: b\r\n2: b\r\n3: b\r\n4: b\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nx: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n",
    concat!(post!("content-length: 17\r\n"), "01234567890123456"),
    concat!(post!("content-length: 6\r\n"), "012345", get!()),
    concat!(post!("content-length: 5\r\n"), "01234", get!()),
    concat!(post!("transfer-encoding: chunked\r\n"), "5\r\n01234\r\n", "0\r\n\r\n", get!()),
    concat!(post!("transfer-encoding: chunked\r\n"), "5\r\n01234\r\n", "1\r\nx\r\n", "0\r\n\r\n", get!()),
    concat!(post!("transfer-encoding: chunked\r\n"), "9\r\n012345678\r\n", "8\r\n01234567\r\n", "0\r\n\r\n"),
    concat!(post!("transfer-encoding: chunked\r\n"), "1;a=bcdefg\r\nx\r\n", "0\r\n\r\n"),
    concat!(post!("transfer-encoding: chunked\r\n"), "1;abc\r\nx\r\n", "1;abc\r\nx\r\n", "1;abc\r\nx\r\n", "0\r\n\r\n"),
    concat!(post!("transfer-encoding: chunked\r\n"), "1\r\nx\r\n", "0\r\nx: y\r\na: 0123456789\r\n\r\n"),
];

/// A beginning that is fed whole, and what is fed in all ways.
const TAILS: [(&str, &str); 15] = [
    ("", "GET / HTTP/1.1\r\n"),
    ("GET / HTTP/1.1", "\r\nhost: a\r\n\r\nGE"),
    ("GET / HTTP/1.1\r\nhost: a\r", "\n\r\n\r\nGET / HTTP"),
    ("GET / HTTP/1.1\r\nhost: a\r\n", "\r\n\r\n\r\nGET / HTT"),
    ("GET / HTTP/1.1\r\nhost: a\r\nx:", " \ty \t\r\nz:\n\r\n\r\n"),
    (post!("content-length: 4\r\n"), "abcd\r\nGET / HTTP"),
    (post!("expect: 100-continue\r\ncontent-length: 4\r\n"), "abcd\r\nGET / HTTP"),
    (post!("transfer-encoding: chunked\r\n"), "2\r\nab\r\n0\r\n\r\nG"),
    (post!("transfer-encoding: chunked\r\n"), "1;a=\"\\\"\"\r\nx\r\n"),
    (post!("transfer-encoding: chunked\r\n"), "1\r\nx\r\n1\r\ny\rz\n"),
    (post!("transfer-encoding: chunked\r\n"), "01 ; a\t=b\r\nx\r\n0"),
    (concat!(post!("transfer-encoding: chunked\r\n"), "2\r\nab\r\n0"), "\r\nx: y\r\nz:\r\n\r\n"),
    (concat!(post!("transfer-encoding: chunked\r\n"), "0\r\n"), "a: b\r\nte\n\r\n\r\n\r"),
    ("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: w\r\n\r", "\nGET / HTTP/1.1\r"),
    (concat!(post!("content-length: 3\r\n"), "ab"), "c\r\n\r\nGET / HTTP"),
];

struct Cuts<'a> {
    config: Arc<Config>,
    input: &'a [u8],
    application: Application,
    closes: bool,
    whole: Run,
    count: usize,
}

impl<'a> Cuts<'a> {
    fn new(config: &Arc<Config>, input: &'a [u8], application: Application, closes: bool) -> Self {
        let config = Arc::clone(config);
        let mut whole = Run::new(&config, application);
        whole.feed(input);
        whole.finish(closes);
        // P7, of the whole; the others say the same.
        let written = whole.output.escape_ascii().to_string();
        let verdict = whole.decode();
        assert!(verdict.is_ok(), "{verdict:?} in {written:?} for {:?}", input.escape_ascii().to_string());
        Self { config, input, application, closes, whole, count: 0 }
    }

    fn judge(&mut self, mut run: Run, from: usize, cuts: &[usize]) {
        run.feed(&self.input[from..]);
        run.finish(self.closes);
        self.count += 1;
        if let Some(difference) = run.difference(&self.whole) {
            let input = self.input.escape_ascii();
            let how = if self.closes { ", then closed" } else { "" };
            panic!("\"{input}\" cut at {cuts:?}{how}, {:?}:\n{difference}", self.application);
        }
    }

    /// At every place, and at every second place in steps of `step` behind it.
    fn at_one_and_two(&mut self, step: usize) {
        for first in 1..self.input.len() {
            let mut begun = Run::new(&self.config, self.application);
            begun.feed(&self.input[..first]);
            self.judge(begun.clone(), first, &[first]);
            for second in (first + 1..self.input.len()).step_by(step) {
                let mut run = begun.clone();
                run.feed(&self.input[first..second]);
                self.judge(run, second, &[first, second]);
            }
        }
    }

    fn in_single_bytes(&mut self) {
        let mut run = Run::new(&self.config, self.application);
        for byte in self.input {
            run.feed(std::slice::from_ref(byte));
        }
        self.judge(run, self.input.len(), &[]);
    }

    /// Of what is behind `from`.
    fn in_all_ways(&mut self, from: usize) {
        let mut run = Run::new(&self.config, self.application);
        run.feed(&self.input[..from]);
        self.in_all_ways_behind(&run, &mut vec![from]);
    }

    fn in_all_ways_behind(&mut self, run: &Run, cuts: &mut Vec<usize>) {
        let from = cuts[cuts.len() - 1];
        self.judge(run.clone(), from, cuts);
        for next in from + 1..self.input.len() {
            let mut run = run.clone();
            run.feed(&self.input[from..next]);
            cuts.push(next);
            self.in_all_ways_behind(&run, cuts);
            cuts.pop();
        }
    }
}

fn cut_all(config: &Arc<Config>, inputs: &[&str]) -> usize {
    let mut count = 0;
    for input in inputs {
        assert!(input.len() <= 300);
        // Coprime with all that repeats in the inputs.
        let step = if is_full() || input.len() < 40 { 1 } else { 23 };
        for application in APPLICATIONS {
            for closes in [false, true] {
                let mut cuts = Cuts::new(config, input.as_bytes(), application, closes);
                cuts.in_single_bytes();
                cuts.at_one_and_two(step);
                count += cuts.count;
            }
        }
    }
    count
}

#[test]
fn one_and_two_cuts_change_nothing() {
    println!("{} streams", cut_all(&usual(), &INPUTS));
}

#[test]
fn one_and_two_cuts_change_nothing_at_limits() {
    println!("{} streams", cut_all(&narrow(), &NARROW_INPUTS));
}

#[test]
fn all_partitions_of_a_tail_change_nothing() {
    let most = if is_full() { 16 } else { 11 };
    let mut count = 0;
    for (beginning, tail) in TAILS {
        assert!(tail.len() <= 16, "{tail:?}");
        let input = [beginning.as_bytes(), &tail.as_bytes()[..tail.len().min(most)]].concat();
        for application in APPLICATIONS {
            for closes in [false, true] {
                let mut cuts = Cuts::new(&usual(), &input, application, closes);
                cuts.in_all_ways(beginning.len());
                count += cuts.count;
            }
        }
    }
    println!("{count} streams");
}

/// What is right and here at once goes a shorter way than what comes byte by byte: a request line, a head, a chunk's
/// line. The inputs have all of that.
const SHORT_WAYS: [&str; 5] = [
    get!(),
    "POST /a?b HTTP/1.1\r\nHost: a\r\nX:\r\nContent-Length: 2\r\n\r\nhi",
    "GET http://b/ HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    concat!(post!("transfer-encoding: chunked\r\n"), "2\r\nhi\r\n", "0\r\n\r\n"),
    concat!(post!("transfer-encoding: chunked\r\n"), "0a\r\n0123456789\r\n", "0\r\nx: y\r\n\r\n"),
];

/// Of each class that a rule tells from others, and both sides of its edges.
const BYTES: &[u8] = b"\0\t\n\r\x1f !\"#%*,-./059:;<=>?@AFGHZ\\_`afghz{~\x7f\x80\xa0\xff";

#[test]
fn the_short_ways_are_the_long_way() {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let bytes = if is_full() { &all } else { BYTES };
    let mut count = 0;
    for input in SHORT_WAYS {
        for at in 0..input.len() {
            let (before, behind) = input.as_bytes().split_at(at);
            let without = [before, &behind[1..]].concat();
            let instead = bytes.iter().map(|&byte| [before, &[byte], &behind[1..]].concat());
            let inserted = bytes.iter().map(|&byte| [before, &[byte], behind].concat());
            for input in instead.chain(inserted).chain([without]) {
                let mut cuts = Cuts::new(&usual(), &input, Application::Receiving, false);
                cuts.in_single_bytes();
                count += cuts.count;
            }
        }
    }
    println!("{count} inputs");
}

/// As large as the limits allow, or longer than any buffer: where work that is done again at each read would show.
fn long_inputs() -> Vec<(&'static str, Vec<u8>)> {
    let chunked = post!("transfer-encoding: chunked\r\n").as_bytes();
    let fields = format!("cookie: {}\r\n", "0123456789".repeat(30)).repeat(98);
    let head = [b"GET / HTTP/1.1\r\nhost: a\r\n", fields.as_bytes(), b"\r\n"].concat();
    let line = [&b"GET / HTTP/1.1\r\nhost: a\r\nx: "[..], &b"v".repeat(32_000), b"\r\n\r\n"].concat();
    let target = [b"GET /", &[b'a'; 8_000][..], b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat();
    let many_fields = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x:\r\n".repeat(20));
    let length = [post!("content-length: 30000\r\n").as_bytes(), &b"x".repeat(30_000)].concat();
    let small_chunks = [chunked, &b"1\r\nx\r\n".repeat(5_000), b"0\r\n\r\n"].concat();
    let extension = format!("1;a=\"{}\"\r\nx\r\n", "b".repeat(240)).repeat(60);
    let extensions = [chunked, extension.as_bytes(), b"0\r\n\r\n"].concat();
    let trailer = format!("x: {}\r\n", "y".repeat(70)).repeat(98);
    let trailers = [chunked, b"0\r\n", trailer.as_bytes(), b"\r\n"].concat();
    vec![
        ("a head of many fields", head),
        ("a head of one long field", line),
        ("a long target", target),
        ("a body by length", length),
        ("small chunks", small_chunks),
        ("long extensions", extensions),
        ("trailers", trailers),
        ("pipelined requests", get!().repeat(1_000).into_bytes()),
        ("pipelined requests in absolute-form", "GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1_000).into_bytes()),
        ("pipelined requests of many fields", many_fields.repeat(200).into_bytes()),
        ("a torn head", [&b"GET / HTTP/1.1\r\nhost: a\r\nx: "[..], &b"v".repeat(30_000)].concat()),
    ]
}

/// P13: "bytes examined ≤ 4·len(b) + 64·events + constant, whatever the cuts".
#[test]
fn work_is_linear_whatever_the_cuts() {
    for (what, input) in long_inputs() {
        let length = u64::try_from(input.len()).unwrap();
        // Content is handed on as it is.
        let least = if what == "a body by length" { 50 } else { length / 2 };
        let mut most = 0;
        for size in [1, 2, 7, 100, 1_000, usize::MAX] {
            for application in APPLICATIONS {
                let mut run = Run::new(&usual(), application);
                let mut events = 0;
                for piece in input.chunks(size) {
                    run.feed(piece);
                    events += 1;
                }
                run.finish(true);
                let examined = run.conn.bytes_examined();
                assert!(
                    examined <= 4 * length + 64 * events + 512,
                    "{what}, {length} bytes in {events} reads, {application:?}: {examined} bytes examined"
                );
                assert!(examined >= least, "{what}, in reads of {size}, {application:?}: only {examined} were counted");
                most = most.max(examined * 100 / length);
            }
        }
        println!("{what}: at most {most} % of {length} bytes");
    }
}

/// The count is worth nothing if it leaves work out: what was looked at and is unfinished is in it, once, and content
/// that is handed on unread is not.
#[test]
fn what_is_unfinished_is_counted_and_content_is_not() {
    let long = "0123456789".repeat(100);
    let head = format!(" HTTP/1.1\r\nhost: a\r\nx: {long}");
    let all = 900..3_000;
    let nearly_none = 0..100;
    let steps = [
        (format!("POST /{long}"), &all),
        ("a".to_owned(), &nearly_none),
        (head, &all),
        ("a".to_owned(), &nearly_none),
        ("\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n".to_owned(), &all),
        (long.clone(), &nearly_none),
        ("\r\n3e8\r\n".to_owned(), &nearly_none),
        (long.clone(), &nearly_none),
        (format!("\r\n0\r\nx: {long}"), &all),
        ("a".to_owned(), &nearly_none),
    ];
    let mut conn = Connection::new(Config::default());
    assert_eq!(conn.bytes_examined(), 0);
    let mut exchange = None;
    for (bytes, expected) in steps {
        let before = conn.bytes_examined();
        conn.handle_bytes(bytes.as_bytes());
        if let Action::Start(id, _) = conn.next_action(NOW) {
            exchange = Some(id);
        }
        if let Some(id) = exchange {
            while conn.exchange(id).receive().is_ready() {}
            assert!(matches!(conn.next_action(NOW), Action::Wait(_)));
        }
        let count = conn.bytes_examined() - before;
        assert!(expected.contains(&count), "{count} for {bytes:?}");
    }
    assert!(exchange.is_some());

    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(post!("content-length: 1000000\r\n").as_bytes());
    let Action::Start(id, _) = conn.next_action(NOW) else { panic!("a whole head is there") };
    let before = conn.bytes_examined();
    conn.handle_bytes(&b"x".repeat(10_000));
    while conn.exchange(id).receive().is_ready() {}
    assert_eq!(conn.bytes_examined(), before);
}

/// Which trailers `connection` names is found by one look at its options, not by one for each trailer.
#[test]
fn a_long_list_of_options_is_looked_at_once_for_all_trailers() {
    let options = "content-typo,".repeat(2_000);
    let fields = format!("transfer-encoding: chunked\r\nconnection: {options}\r\n");
    let trailers = (0..100).map(|number| format!("content-{number:04}: x\r\n")).collect::<Vec<_>>().concat();
    let bytes = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n0\r\n{trailers}\r\n");
    let mut conn = Connection::new(usual());
    conn.handle_bytes(bytes.as_bytes());
    let Action::Start(id, _) = conn.next_action(NOW) else { panic!("a whole head is there") };
    let before = conn.bytes_examined();
    assert!(conn.exchange(id).receive().is_ready());
    assert_eq!(conn.exchange(id).trailers().map(Headers::len), Some(100));
    let examined = conn.bytes_examined() - before;
    let (most, least) = (options.len() + 3 * trailers.len(), options.len() / 2);
    assert!((least..most).contains(&usize::try_from(examined).unwrap()), "{examined} bytes, of {}", bytes.len());
}

/// Nearly all heads come at once, and have a target in origin-form. They are looked at once, whatever is behind them;
/// all others are looked at in vain first, and for their end as well.
#[test]
fn a_head_that_comes_at_once_is_looked_at_once() {
    let longest_line = format!("{} /{} HTTP/1.1\r\nhost: a\r\n\r\n", "M".repeat(32), "t".repeat(8 * 1024 - 1));
    let short = [get!(), post!("x: y\r\ncontent-length: 9\r\n"), "OPTIONS /b?c HTTP/1.0\r\n\r\n"];
    for head in short.into_iter().chain([longest_line.as_str()]) {
        for behind in ["", "GET", "\r\n"] {
            let bytes = [head, behind].concat();
            let mut conn = Connection::new(usual());
            conn.handle_bytes(bytes.as_bytes());
            assert!(matches!(conn.next_action(NOW), Action::Start(..)), "{head:?}");
            assert_eq!(conn.bytes_examined(), u64::try_from(head.len()).unwrap(), "{head:?}");
        }
        let (first, rest) = head.as_bytes().split_at(head.len() - 1);
        let mut conn = Connection::new(usual());
        conn.handle_bytes(first);
        assert!(matches!(conn.next_action(NOW), Action::Wait(_)), "{head:?}");
        conn.handle_bytes(rest);
        assert!(matches!(conn.next_action(NOW), Action::Start(..)), "{head:?}");
        assert_eq!(conn.bytes_examined(), u64::try_from(3 * head.len() - 1).unwrap(), "{head:?}");
    }
}

/// The cases whose input is short enough, with where they are.
fn corpus_cases() -> Vec<(String, Case)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|end| end != "md") || name == "README.md" {
            continue;
        }
        for case in corpus::parse(&std::fs::read_to_string(&path).unwrap()).unwrap() {
            if (3..=300).contains(&case.wire.input.len()) {
                cases.push((format!("{name}:{}: {}", case.line, case.name), case));
            }
        }
    }
    cases.sort_by(|(one, _), (other, _)| one.cmp(other));
    cases
}

/// A case at every pair of places, or at some of them; how many.
fn cut_at_pairs(name: &str, case: &Case) -> usize {
    let length = case.wire.input.len();
    let (mut number, mut count) = (0, 0);
    for first in 1..length {
        for second in first + 1..length {
            number += 1;
            // Coprime with all that repeats, and about four of each case.
            if !is_full() && number % ((length * length / 8) | 1) != 1 {
                continue;
            }
            let cut = Cut::new(format!("cut at {first} and {second}"), vec![first, second], number);
            let found = replay(case, &cut).map(|run| run.log);
            assert_eq!(found.as_ref().ok(), case.log.as_ref(), "{name}, {cut}: {found:?}");
            count += 1;
        }
    }
    count
}

#[test]
fn two_cuts_change_nothing_in_the_corpus() {
    let cases = corpus_cases();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let count: usize = std::thread::scope(|scope| {
        let work = |worker: usize| {
            let share = cases.iter().skip(worker).step_by(threads);
            share.map(|(name, case)| cut_at_pairs(name, case)).sum::<usize>()
        };
        let workers: Vec<_> = (0..threads).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    println!("{count} pairs of places in {} cases", cases.len());
    assert!(cases.len() > 500 && count > 2_000, "{count} pairs of places in {} cases", cases.len());
}

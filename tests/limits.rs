//! Every limit at limit − 1, limit and limit + 1: at which byte of the stream the verdict falls, whatever the cuts, and
//! that the error says which limit it was and how much it allows.

mod common_wire;

use std::task::Poll;

use bytes::{Bytes, BytesMut};
use common_wire::{
    ask, head, last, output, part, receive_all, respond, says_close, start, text, wait, with_limits, write,
};
use sansgi::{
    Action, CloseReason, Config, ConfigError, Connection, ExchangeId, Instant, Limit, Limits, ProtocolError, SendEvent,
};

const NOW: Instant = Instant::ZERO;
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// A server whose application takes whatever there is, and answers nothing.
struct Server {
    conn: Connection,
    id: Option<ExchangeId>,
    content: Vec<u8>,
    ended: bool,
}

impl Server {
    fn new(limits: Limits) -> Self {
        Self { conn: with_limits(limits), id: None, content: Vec::new(), ended: false }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.conn.handle_bytes(bytes);
        for answer in ask(&mut self.conn, NOW) {
            if let Action::Start(id, _) = answer {
                self.id = Some(id);
            }
        }
        if let Some(id) = self.id {
            let (content, ended) = receive_all(&mut self.conn, id);
            self.content.extend(content);
            self.ended |= ended;
        }
        ask(&mut self.conn, NOW);
    }
}

/// All cuts of a short stream; of a long one those around `edge`, and a few elsewhere.
fn cuts(stream: &[u8], edge: usize) -> Vec<usize> {
    let length = stream.len();
    let is_worth_it = |&cut: &usize| length <= 300 || cut.abs_diff(edge) <= 8 || cut == length / 3 || cut + 2 >= length;
    (0..=length).filter(is_worth_it).collect()
}

/// A stream in its bytes; far from the edge of a long one in somewhat larger reads, which saves seconds.
fn reads(stream: &[u8], edge: usize) -> Vec<&[u8]> {
    if stream.len() <= 2_000 {
        return stream.chunks(1).collect();
    }
    let (from, to) = (edge.saturating_sub(100), (edge + 100).min(stream.len()));
    stream[..from].chunks(61).chain(stream[from..to].chunks(1)).chain(stream[to..].chunks(61)).collect()
}

/// The request is taken to its end.
fn passes(name: &str, limits: Limits, stream: &[u8], edge: usize) {
    let mut slow = Server::new(limits);
    for read in reads(stream, edge) {
        assert!(!slow.ended, "{name}: the end comes with the last byte");
        slow.feed(read);
    }
    assert_eq!((slow.conn.fault(), slow.ended), (None, true), "{name}: byte by byte, {}", text(stream));
    for cut in cuts(stream, edge) {
        let mut server = Server::new(limits);
        server.feed(&stream[..cut]);
        server.feed(&stream[cut..]);
        assert_eq!((server.conn.fault(), server.ended), (None, true), "{name}: cut at {cut}");
        assert_eq!(server.content, slow.content, "{name}: cut at {cut}");
    }
}

/// The request is refused at the byte `verdict` of the stream, not at the one before and not later.
fn refused(name: &str, limits: Limits, stream: &[u8], verdict: usize, fault: ProtocolError, status: u16) {
    assert!(verdict < stream.len(), "{name}: the verdict lies in the stream");
    let expected = |fed: usize| if fed > verdict { Some(fault) } else { None };
    assert_eq!(fault.status(), status, "{name}");

    let mut slow = Server::new(limits);
    let mut fed = 0;
    for read in reads(stream, verdict) {
        slow.feed(read);
        fed += read.len();
        assert_eq!(slow.conn.fault(), expected(fed), "{name}: {fed} bytes of {}", text(stream));
    }
    let answer = output(&slow.conn);
    assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{name}: {}", text(&answer));
    assert!(says_close(&answer), "{name}: {}", text(&answer));
    assert_eq!(slow.conn.close_reason(), Some(CloseReason::Fault(fault)), "{name}");

    for cut in cuts(stream, verdict) {
        let mut server = Server::new(limits);
        server.feed(&stream[..cut]);
        assert_eq!(server.conn.fault(), expected(cut), "{name}: {cut} bytes fed of {}", text(stream));
        server.feed(&stream[cut..]);
        assert_eq!(server.conn.fault(), Some(fault), "{name}: cut at {cut}");
        assert_eq!(text(&output(&server.conn)), text(&answer), "{name}: cut at {cut}");
        assert_eq!(server.content, slow.content, "{name}: content before the fault, cut at {cut}");
    }
}

/// A limit, and streams that differ in how much they have of what it limits.
struct Edge {
    name: &'static str,
    limits: Limits,
    /// So much passes.
    limit: usize,
    stream: fn(usize) -> Vec<u8>,
    /// Where the first byte too many is, in a stream that has too much.
    verdict: fn(&[u8], usize) -> usize,
    which: Limit,
    /// How much the error says.
    max: u64,
    status: u16,
}

fn check(edges: &[Edge]) {
    for Edge { name, limits, limit, stream, verdict, which, max, status } in edges {
        let too_much = stream(limit + 1);
        let edge = verdict(&too_much, *limit);
        for size in [limit - 1, *limit] {
            passes(name, *limits, &stream(size), edge);
        }
        let fault = ProtocolError::LimitExceeded { limit: *which, max: *max };
        for size in [limit + 1, limit + 2, limit + 40] {
            let stream = stream(size);
            refused(name, *limits, &stream, verdict(&stream, *limit), fault, *status);
        }
        assert!(fault.to_string().contains(&format!(" {max} ")), "{name}: {fault}");
    }
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn fill(count: usize) -> Vec<u8> {
    vec![b'a'; count]
}

/// A head of this size.
fn sized_head(size: usize) -> Vec<u8> {
    join(&[b"GET / HTTP/1.1\r\nhost: a\r\nx: ", &fill(size - 32), b"\r\n\r\n"])
}

fn sized_target(size: usize) -> Vec<u8> {
    join(&[b"GET /", &fill(size - 1), b" HTTP/1.1\r\nhost: a\r\n\r\n"])
}

fn sized_method(size: usize) -> Vec<u8> {
    join(&[&fill(size), b" / HTTP/1.1\r\nhost: a\r\n\r\n"])
}

fn fields(count: usize) -> Vec<u8> {
    join(&[b"GET / HTTP/1.1\r\nhost: a\r\n", &b"b: c\r\n".repeat(count - 1), b"\r\n"])
}

fn last_byte(stream: &[u8], _: usize) -> usize {
    stream.len() - 1
}

#[test]
fn a_head_is_refused_at_the_first_byte_too_many() {
    let limits = Limits::default();
    check(&[
        Edge {
            name: "head",
            limits: limits.max_head_bytes(64),
            limit: 64,
            stream: sized_head,
            verdict: |_, limit| limit,
            which: Limit::HeadBytes,
            max: 64,
            status: 431,
        },
        Edge {
            name: "head behind a blank line, which counts",
            limits: limits.max_head_bytes(64),
            limit: 64,
            stream: |size| join(&[b"\r\n", &sized_head(size - 2)]),
            verdict: |_, limit| limit,
            which: Limit::HeadBytes,
            max: 64,
            status: 431,
        },
        Edge {
            name: "head within its request line",
            limits: limits.max_head_bytes(40),
            limit: 40,
            stream: |size| join(&[b"GET /", &fill(size - 18), b" HTTP/1.0\r\n\r\n"]),
            verdict: |_, limit| limit,
            which: Limit::HeadBytes,
            max: 40,
            status: 431,
        },
        Edge {
            name: "head, default",
            limits,
            limit: 32 * 1024,
            stream: sized_head,
            verdict: |_, limit| limit,
            which: Limit::HeadBytes,
            max: 32 * 1024,
            status: 431,
        },
    ]);
}

#[test]
fn a_target_is_refused_at_the_first_byte_too_many() {
    let limits = Limits::default();
    check(&[
        Edge {
            name: "target",
            limits: limits.max_target_bytes(16),
            limit: 16,
            stream: sized_target,
            verdict: |_, limit| 4 + limit,
            which: Limit::TargetBytes,
            max: 16,
            status: 414,
        },
        Edge {
            name: "target in absolute-form, query and all",
            limits: limits.max_target_bytes(24),
            limit: 24,
            stream: |size| join(&[b"GET http://a/?", &fill(size - 10), b" HTTP/1.1\r\nhost: a\r\n\r\n"]),
            verdict: |_, limit| 4 + limit,
            which: Limit::TargetBytes,
            max: 24,
            status: 414,
        },
        Edge {
            name: "target, default",
            limits,
            limit: 8 * 1024,
            stream: sized_target,
            verdict: |_, limit| 4 + limit,
            which: Limit::TargetBytes,
            max: 8 * 1024,
            status: 414,
        },
    ]);
}

#[test]
fn a_method_is_refused_at_the_first_byte_too_many() {
    let limits = Limits::default();
    let edge = Edge {
        name: "method",
        limits: limits.max_method_bytes(7),
        limit: 7,
        stream: sized_method,
        verdict: |_, limit| limit,
        which: Limit::MethodBytes,
        max: 7,
        status: 501,
    };
    let behind_blank_line = Edge {
        name: "method behind a blank line, which does not count",
        stream: |size| join(&[b"\r\n", &sized_method(size)]),
        verdict: |_, limit| 2 + limit,
        ..edge
    };
    let default = Edge { name: "method, default", limits, limit: 32, max: 32, ..edge };
    check(&[edge, behind_blank_line, default]);
}

#[test]
fn fields_are_counted_at_the_end_of_the_head() {
    let limits = Limits::default();
    let edge = Edge {
        name: "fields",
        limits: limits.max_fields(5),
        limit: 5,
        stream: fields,
        verdict: last_byte,
        which: Limit::Fields,
        max: 5,
        status: 431,
    };
    let default = Edge { name: "fields, default", limits, limit: 100, max: 100, ..edge };
    check(&[edge, default]);
}

#[test]
fn a_chunk_line_is_refused_at_the_first_byte_too_many() {
    let limits = Limits::default();
    let edge = Edge {
        name: "line of a chunk",
        limits: limits.max_chunk_line_bytes(16),
        limit: 16,
        stream: |size| join(&[CHUNKED, b"1;", &fill(size - 2), b"\r\nx\r\n0\r\n\r\n"]),
        verdict: |_, limit| CHUNKED.len() + limit,
        which: Limit::ChunkLineBytes,
        max: 16,
        status: 400,
    };
    let later = Edge {
        name: "line of a later chunk",
        stream: |size| join(&[CHUNKED, b"2;ab=c\r\nxy\r\n1;", &fill(size - 2), b"\r\nx\r\n0\r\n\r\n"]),
        verdict: |_, limit| CHUNKED.len() + 12 + limit,
        ..edge
    };
    let of_last = Edge {
        name: "line of the last chunk",
        stream: |size| join(&[CHUNKED, b"0;", &fill(size - 2), b"\r\n\r\n"]),
        ..edge
    };
    let digits = Edge {
        name: "line of digits only",
        limits: limits.max_chunk_line_bytes(3),
        limit: 3,
        stream: |size| join(&[CHUNKED, &vec![b'0'; size - 1], b"1\r\nx\r\n0\r\n\r\n"]),
        max: 3,
        ..edge
    };
    let default = Edge { name: "line of a chunk, default", limits, limit: 256, max: 256, ..edge };
    check(&[edge, later, of_last, digits, default]);
}

#[test]
fn chunk_extensions_are_refused_at_the_first_byte_beyond_the_content() {
    // "extension bytes of a message at most 16 KiB plus the body bytes decoded so far"
    let limits = Limits::default().max_chunk_line_bytes(1 << 20);
    let edge = Edge {
        name: "extension before any content",
        limits: limits.max_chunk_extension_bytes(10),
        limit: 10,
        stream: |size| join(&[CHUNKED, b"1;", &fill(size - 1), b"\r\nx\r\n0\r\n\r\n"]),
        verdict: |_, limit| CHUNKED.len() + 1 + limit,
        which: Limit::ChunkExtensionBytes,
        max: 10,
        status: 400,
    };
    let behind_content = Edge {
        name: "extension behind two bytes of content",
        limit: 12,
        stream: |size| join(&[CHUNKED, b"2\r\nxy\r\n1;", &fill(size - 1), b"\r\nx\r\n0\r\n\r\n"]),
        verdict: |_, limit| CHUNKED.len() + 8 + limit,
        ..edge
    };
    let of_last = Edge {
        name: "extension of the last chunk",
        limit: 12,
        stream: |size| join(&[CHUNKED, b"2\r\nxy\r\n0;", &fill(size - 1), b"\r\n\r\n"]),
        verdict: |_, limit| CHUNKED.len() + 8 + limit,
        ..edge
    };
    let spread = Edge {
        name: "extensions of two chunks together",
        limit: 11,
        stream: |size| join(&[CHUNKED, b"1;abc\r\nx\r\n1;", &fill(size - 5), b"\r\nx\r\n0\r\n\r\n"]),
        verdict: |_, limit| CHUNKED.len() + 11 + limit - 4,
        ..edge
    };
    let white = Edge {
        name: "white space before the semicolon is of the extension",
        stream: |size| join(&[CHUNKED, b"1 \t;", &fill(size - 3), b"\r\nx\r\n0\r\n\r\n"]),
        ..edge
    };
    let default = Edge { name: "extension, default", limits, limit: 16 * 1024, max: 16 * 1024, ..edge };
    check(&[edge, behind_content, of_last, spread, white, default]);

    let nothing_beyond = limits.max_chunk_extension_bytes(0);
    let as_much_as_content = join(&[CHUNKED, b"2\r\nxy\r\n1;a\r\nx\r\n0\r\n\r\n"]);
    passes("extension of as many bytes as came", nothing_beyond, &as_much_as_content, CHUNKED.len());
}

#[test]
fn a_trailer_section_is_refused_at_the_first_byte_too_many() {
    let limits = Limits::default();
    let edge = Edge {
        name: "trailers",
        limits: limits.max_trailer_bytes(32),
        limit: 32,
        stream: |size| join(&[CHUNKED, b"1\r\nx\r\n0\r\nx: ", &fill(size - 7), b"\r\n\r\n"]),
        verdict: |_, limit| CHUNKED.len() + 9 + limit,
        which: Limit::TrailerBytes,
        max: 32,
        status: 431,
    };
    let default = Edge { name: "trailers, default", limits, limit: 8 * 1024, max: 8 * 1024, ..edge };
    check(&[edge, default]);

    let only_the_empty_line = join(&[CHUNKED, b"0\r\n\r\n"]);
    passes("no trailers", limits.max_trailer_bytes(2), &only_the_empty_line, CHUNKED.len());
}

#[test]
fn trailer_fields_are_counted_at_the_end_of_the_section() {
    let limits = Limits::default();
    let edge = Edge {
        name: "trailer fields",
        limits: limits.max_fields(3),
        limit: 3,
        stream: |count| join(&[CHUNKED, b"0\r\n", &b"x: y\r\n".repeat(count), b"\r\n"]),
        verdict: last_byte,
        which: Limit::TrailerFields,
        max: 3,
        status: 431,
    };
    let dropped = Edge {
        name: "trailer fields that are dropped count",
        stream: |count| join(&[CHUNKED, b"0\r\n", &b"cookie: y\r\n".repeat(count), b"\r\n"]),
        ..edge
    };
    let default = Edge { name: "trailer fields, default", limits, limit: 100, max: 100, ..edge };
    check(&[edge, dropped, default]);
}

#[test]
fn a_body_is_refused_where_its_length_is_declared() {
    fn line_end(stream: &[u8], at: usize) -> usize {
        at + stream[at..].iter().position(|&byte| byte == b'\n').unwrap()
    }
    let limits = Limits::default().max_body_bytes(Some(10));
    let edge = Edge {
        name: "body by length, at the end of the head",
        limits,
        limit: 10,
        stream: |size| {
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
            join(&[head.as_bytes(), &fill(size)])
        },
        verdict: |stream, _| stream.iter().rposition(|&byte| byte == b'\n').unwrap(),
        which: Limit::BodyBytes,
        max: 10,
        status: 413,
    };
    let one_chunk = Edge {
        name: "body of one chunk, at the end of its line",
        stream: |size| join(&[CHUNKED, format!("{size:x};abcdefgh\r\n").as_bytes(), &fill(size), b"\r\n0\r\n\r\n"]),
        verdict: |stream, _| line_end(stream, CHUNKED.len()),
        ..edge
    };
    let two_chunks = Edge {
        name: "body of two chunks, at the end of the second's line",
        stream: |size| {
            let second = format!("{:x}\r\n", size - 4);
            join(&[CHUNKED, b"4\r\nabcd\r\n", second.as_bytes(), &fill(size - 4), b"\r\n0\r\n\r\n"])
        },
        verdict: |stream, _| line_end(stream, CHUNKED.len() + 9),
        ..edge
    };
    let small_chunks = Edge {
        name: "body of chunks of one byte, at the end of a line",
        stream: |size| join(&[CHUNKED, &b"1\r\nx\r\n".repeat(size), b"0\r\n\r\n"]),
        verdict: |_, limit| CHUNKED.len() + 6 * limit + 2,
        ..edge
    };
    check(&[edge, one_chunk, two_chunks, small_chunks]);

    let none = Limits::default().max_body_bytes(Some(0));
    passes("no body", none, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 0);
    passes("no body, chunked", none, &join(&[CHUNKED, b"0\r\n\r\n"]), 0);
}

/// The head, or the head and the line of a chunk, of a body that nobody could send, and what becomes of it.
struct Huge {
    limits: Limits,
    stream: Vec<u8>,
    refused: Option<(usize, ProtocolError, u16)>,
}

#[test]
fn lengths_up_to_63_bits_are_lengths() {
    let length = |digits: &str| format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {digits}\r\n\r\n").into_bytes();
    let chunk = |rest: &str| join(&[CHUNKED, rest.as_bytes()]);
    let too_long = |max| ProtocolError::LimitExceeded { limit: Limit::BodyBytes, max };
    let most = i64::MAX.unsigned_abs();
    let off = Limits::default();
    let ten = off.max_body_bytes(Some(10));
    let at_end = |digits: &str| length(digits).len() - 1;
    let in_line = |offset: usize| CHUNKED.len() + offset;
    let rows = [
        Huge { limits: off, stream: length("9223372036854775807"), refused: None },
        Huge { limits: off.max_body_bytes(Some(u64::MAX)), stream: length("9223372036854775807"), refused: None },
        Huge {
            limits: off,
            stream: length("9223372036854775808"),
            refused: Some((at_end("9223372036854775808"), too_long(most), 413)),
        },
        Huge {
            limits: off.max_body_bytes(Some(u64::MAX)),
            stream: length("9999999999999999999"),
            refused: Some((at_end("9999999999999999999"), too_long(most), 413)),
        },
        // "1*19DIGIT"
        Huge {
            limits: off,
            stream: length("00000000000000000001"),
            refused: Some((at_end("00000000000000000001"), ProtocolError::ContentLength, 400)),
        },
        Huge { limits: off, stream: chunk("7FFFFFFFFFFFFFFF\r\n"), refused: None },
        Huge { limits: off, stream: chunk("0000000000000001\r\n"), refused: None },
        // The sixteenth digit is "the first byte that cannot continue" the line.
        Huge {
            limits: off,
            stream: chunk("8000000000000000\r\n"),
            refused: Some((in_line(15), ProtocolError::ChunkLine, 400)),
        },
        Huge {
            limits: ten,
            stream: chunk("FFFFFFFFFFFFFFFF\r\n"),
            refused: Some((in_line(15), ProtocolError::ChunkLine, 400)),
        },
        Huge {
            limits: off,
            stream: chunk("00000000000000001\r\n"),
            refused: Some((in_line(16), ProtocolError::ChunkLine, 400)),
        },
        Huge { limits: ten, stream: chunk("7FFFFFFFFFFFFFFF\r\n"), refused: Some((in_line(17), too_long(10), 413)) },
        Huge {
            limits: off,
            stream: chunk("1\r\nx\r\n7FFFFFFFFFFFFFFF\r\n"),
            refused: Some((in_line(23), too_long(most), 413)),
        },
    ];
    for Huge { limits, stream, refused: expected } in rows {
        let name = text(&stream);
        if let Some((verdict, fault, status)) = expected {
            refused(&name, limits, &stream, verdict, fault, status);
        } else {
            let mut server = Server::new(limits);
            server.feed(&stream);
            assert_eq!((server.conn.fault(), server.id.is_some()), (None, true), "{name}");
        }
    }
}

/// Two verdicts that could fall, at or before the same byte, and the one that does: "The earliest point wins, at one
/// point the limit".
struct Tie {
    name: &'static str,
    limits: Limits,
    stream: Vec<u8>,
    verdict: usize,
    fault: ProtocolError,
}

fn tie(name: &'static str, limits: Limits, stream: &[u8], verdict: usize, fault: ProtocolError) -> Tie {
    let stream = join(&[stream, b" behind it nothing is looked at\n\r\n\r\n"]);
    Tie { name, limits, stream, verdict, fault }
}

fn check_ties(ties: &[Tie]) {
    for Tie { name, limits, stream, verdict, fault } in ties {
        let status = match fault {
            ProtocolError::LimitExceeded { limit: Limit::TargetBytes, .. } => 414,
            ProtocolError::LimitExceeded { limit: Limit::ChunkLineBytes, .. } => 400,
            ProtocolError::LimitExceeded { limit: Limit::MethodBytes, .. } | ProtocolError::ConnectDisabled => 501,
            ProtocolError::LimitExceeded { .. } => 431,
            ProtocolError::VersionNotSupported => 505,
            _ => 400,
        };
        refused(name, *limits, stream, *verdict, *fault, status);
    }
}

const fn exceeded(limit: Limit, max: u64) -> ProtocolError {
    ProtocolError::LimitExceeded { limit, max }
}

#[test]
fn the_earliest_verdict_on_a_request_line_wins_and_at_one_byte_the_limit() {
    let off = Limits::default();
    let long_method = |odd: &[u8]| join(&[&fill(32), odd, b" / HTTP/1.1\r\n"]);
    let target = off.max_target_bytes(4);
    check_ties(&[
        tie(
            "a head too long by the end of a request line that is refused",
            off.max_head_bytes(15),
            b"GET / HTTP/2.0\r\n",
            15,
            exceeded(Limit::HeadBytes, 15),
        ),
        tie(
            "a request line that is refused by the last byte that the head may have",
            off.max_head_bytes(16),
            b"GET / HTTP/2.0\r\nhost: a\r\n\r\n",
            15,
            ProtocolError::VersionNotSupported,
        ),
        tie(
            "a target too long by a byte that no target may have",
            target,
            b"GET /abc\x01 HTTP/1.1\r\n",
            8,
            exceeded(Limit::TargetBytes, 4),
        ),
        tie(
            "a bare LF behind a target of full length",
            target,
            b"GET /abc\n HTTP/1.1\r\n",
            8,
            ProtocolError::BareLineFeed,
        ),
        tie("a line that ends behind a target of full length", target, b"GET /abc\r\n", 9, ProtocolError::RequestLine),
        tie(
            "a target too long for a CONNECT that is not enabled",
            target,
            b"CONNECT abcde:80 HTTP/1.1\r\n",
            12,
            exceeded(Limit::TargetBytes, 4),
        ),
        tie(
            "a CONNECT that is not enabled, its target in order",
            off.max_target_bytes(8),
            b"CONNECT abcde:80 HTTP/1.1\r\n",
            26,
            ProtocolError::ConnectDisabled,
        ),
        tie("a 33rd byte of a method that is no token character", off, &long_method(b"("), 32, ProtocolError::Method),
        tie(
            "a method too long with an earlier byte that is no token character",
            off,
            &join(&[b"GET(", &fill(40), b" / HTTP/1.1\r\n"]),
            32,
            ProtocolError::Method,
        ),
        tie("a method of 33 token characters", off, &long_method(b"a("), 32, exceeded(Limit::MethodBytes, 32)),
        tie(
            "a bare LF within the length of a method",
            off.max_method_bytes(3),
            b"GE\n / HTTP/1.1\r\n",
            2,
            ProtocolError::BareLineFeed,
        ),
    ]);
}

#[test]
fn the_earliest_verdict_on_fields_wins_and_at_one_byte_the_limit() {
    let off = Limits::default();
    let two = off.max_fields(2);
    let bare: &[u8] = b"GET / HTTP/1.1\r\nab\n";
    let malformed: &[u8] = b"GET / HTTP/1.1\r\nno\r\n\r\n";
    check_ties(&[
        tie(
            "a bare LF that is the first byte too many",
            off.max_head_bytes(18),
            bare,
            18,
            exceeded(Limit::HeadBytes, 18),
        ),
        tie("a bare LF that is the last byte allowed", off.max_head_bytes(19), bare, 18, ProtocolError::BareLineFeed),
        tie(
            "a malformed head whose end is the first byte too many",
            off.max_head_bytes(21),
            malformed,
            21,
            exceeded(Limit::HeadBytes, 21),
        ),
        tie(
            "a malformed head whose end is the last byte allowed",
            off.max_head_bytes(22),
            malformed,
            21,
            ProtocolError::Field,
        ),
        tie(
            "too many fields, one of them malformed",
            two,
            b"GET / HTTP/1.1\r\nhost: a\r\nb c\r\nd: e\r\n\r\n",
            37,
            exceeded(Limit::Fields, 2),
        ),
        tie(
            "a malformed field among as many as there may be",
            two,
            b"GET / HTTP/1.1\r\nhost: a\r\nb c\r\n\r\n",
            31,
            ProtocolError::Field,
        ),
    ]);
}

#[test]
fn the_earliest_verdict_on_chunks_wins_and_at_one_byte_the_limit() {
    let off = Limits::default();
    let line = off.max_chunk_line_bytes(4);
    let chunked = |rest: &[u8]| join(&[CHUNKED, rest]);
    let at = |offset: usize| CHUNKED.len() + offset;
    check_ties(&[
        tie(
            "a chunk line too long by a byte that it may not have",
            line,
            &chunked(b"1;ab\0\r\n"),
            at(4),
            exceeded(Limit::ChunkLineBytes, 4),
        ),
        tie(
            "a byte that a chunk line may not have, the last of the line's limit",
            line,
            &chunked(b"1;a\0\r\n"),
            at(3),
            ProtocolError::ChunkLine,
        ),
        tie(
            "a seventeenth digit that is the first byte too many",
            off.max_chunk_line_bytes(16),
            &chunked(b"00000000000000000\r\n"),
            at(16),
            exceeded(Limit::ChunkLineBytes, 16),
        ),
        tie(
            "a chunk too large whose line is too long before",
            line.max_body_bytes(Some(1)),
            &chunked(b"2;abc\r\n"),
            at(4),
            exceeded(Limit::ChunkLineBytes, 4),
        ),
        tie(
            "a bare LF that is a trailer section's first byte too many",
            off.max_trailer_bytes(4),
            &chunked(b"0\r\na: b\n"),
            at(7),
            exceeded(Limit::TrailerBytes, 4),
        ),
        tie(
            "a bare LF that is a trailer section's last byte allowed",
            off.max_trailer_bytes(5),
            &chunked(b"0\r\na: b\n"),
            at(7),
            ProtocolError::BareLineFeed,
        ),
        tie(
            "too many trailers, one of them malformed and one refused",
            off.max_fields(2),
            &chunked(b"0\r\na b\r\nhost: c\r\nd: e\r\n\r\n"),
            at(24),
            exceeded(Limit::TrailerFields, 2),
        ),
    ]);
}

#[test]
fn limits_without_bound_bound_nothing() {
    let limits = Limits::default()
        .max_head_bytes(usize::MAX)
        .max_target_bytes(usize::MAX)
        .max_method_bytes(usize::MAX)
        .max_fields(usize::MAX)
        .max_chunk_line_bytes(usize::MAX)
        .max_chunk_extension_bytes(u64::MAX)
        .max_trailer_bytes(usize::MAX)
        .max_body_bytes(None)
        .drain_budget_bytes(u64::MAX)
        .read_buffer_bytes(usize::MAX)
        .high_water_bytes(usize::MAX)
        .max_requests(None);
    let mut conn = with_limits(limits);
    // Room for as much is not to be had; for what a read gives it is.
    assert!((1 << 20..=32 << 20).contains(&conn.read_buffer().capacity()));
    for _ in 0..3 {
        let id = start(&mut conn, NOW, &join(&[&b"m".repeat(300), b" /", &fill(10_000), &CHUNKED[6..]]));
        conn.handle_bytes(&join(&[b"1;", &fill(20_000), b"\r\nx\r\n0\r\n", &b"x: y\r\n".repeat(2_000), b"\r\n"]));
        assert_eq!(receive_all(&mut conn, id), (b"x".to_vec(), true));
        assert_eq!(conn.exchange(id).trailers().map(sansgi::Headers::len), Some(2_000));
        respond(&mut conn, id);
        write(&mut conn);
        ask(&mut conn, NOW);
    }
    assert_eq!(conn.fault(), None);
}

/// What becomes of a connection whose application answers before its request is whole.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// The next request is served.
    Kept,
    /// The head says so, and nothing more is awaited.
    ClosedAtOnce,
    /// At this byte of the rest; the head could not know.
    ClosedAt(usize),
}

struct Early {
    name: &'static str,
    budget: u64,
    framing: &'static str,
    /// Delivered to the application before it answers.
    delivered: &'static [u8],
    rest: &'static [u8],
    fate: Fate,
}

impl Early {
    fn begin(&self) -> (Connection, ExchangeId) {
        let mut conn = with_limits(Limits::default().drain_budget_bytes(self.budget));
        let id = start(&mut conn, NOW, format!("POST / HTTP/1.1\r\nhost: a\r\n{}\r\n\r\n", self.framing).as_bytes());
        conn.handle_bytes(self.delivered);
        receive_all(&mut conn, id);
        ask(&mut conn, NOW);
        (conn, id)
    }

    /// The response is written, and the sending half shut down, or the next request is served.
    fn is_kept(&self, conn: &mut Connection) -> bool {
        let answers = ask(conn, NOW);
        if answers.contains(&Action::Shutdown) || conn.close_reason().is_some() {
            assert_eq!(conn.close_reason(), Some(CloseReason::EarlyResponse), "{}", self.name);
            return false;
        }
        true
    }

    fn serves_next(&self, conn: &mut Connection) {
        conn.handle_bytes(GET);
        let answers = ask(conn, NOW);
        assert!(answers.iter().any(|answer| matches!(answer, Action::Start(..))), "{}: {answers:?}", self.name);
    }
}

#[test]
fn an_early_response_keeps_the_connection_within_the_drain_budget() {
    let row = |name, framing, delivered, rest, fate| Early { name, budget: 8, framing, delivered, rest, fate };
    let chunked = "transfer-encoding: chunked";
    let rows = [
        row("length, one byte less", "content-length: 7", b"", b"1234567", Fate::Kept),
        row("length, exactly", "content-length: 8", b"", b"12345678", Fate::Kept),
        row("length, one byte more", "content-length: 9", b"", b"123456789", Fate::ClosedAtOnce),
        row(
            "a length is compared whole, whatever was delivered",
            "content-length: 9",
            b"12345678",
            b"9",
            Fate::ClosedAtOnce,
        ),
        row("a length within the budget, in part delivered", "content-length: 8", b"1234", b"5678", Fate::Kept),
        row("delivered to the end: not early", "content-length: 9", b"123456789", b"", Fate::Kept),
        row("chunked, one byte less", chunked, b"", b"7\r\n1234567\r\n0\r\n\r\n", Fate::Kept),
        row("chunked, exactly", chunked, b"", b"8\r\n12345678\r\n0\r\n\r\n", Fate::Kept),
        row("chunked, one byte more", chunked, b"", b"9\r\n123456789\r\n0\r\n\r\n", Fate::ClosedAt(11)),
        row("a chunk that is declared longer", chunked, b"", b"fff\r\n123456789abc", Fate::ClosedAt(13)),
        row("chunks, exactly", chunked, b"", b"4\r\n1234\r\n4;a=b\r\n1234\r\n0\r\nx: y\r\n\r\n", Fate::Kept),
        row("chunks, one byte more", chunked, b"", b"4\r\n1234\r\n5\r\n12345\r\n0\r\n\r\n", Fate::ClosedAt(16)),
        row(
            "chunks, what was delivered does not count",
            chunked,
            b"5\r\n12345\r\n",
            b"8\r\n12345678\r\n0\r\n\r\n",
            Fate::Kept,
        ),
        row("a chunk in part delivered, exactly", chunked, b"a\r\n12", b"34567890\r\n0\r\n\r\n", Fate::Kept),
        row(
            "a chunk in part delivered, one byte more",
            chunked,
            b"b\r\n12",
            b"345678901\r\n0\r\n\r\n",
            Fate::ClosedAt(8),
        ),
        row("chunked, all but its end delivered", chunked, b"3\r\nabc\r\n", b"0\r\n\r\n", Fate::Kept),
        Early { budget: 0, ..row("no budget, by length", "content-length: 1", b"", b"x", Fate::ClosedAtOnce) },
        Early { budget: 0, ..row("no budget, chunked", chunked, b"", b"1\r\nx\r\n0\r\n\r\n", Fate::ClosedAt(3)) },
        Early { budget: 0, ..row("no budget, nothing left", chunked, b"1\r\nx\r\n", b"0\r\n\r\n", Fate::Kept) },
    ];
    for early in rows {
        let (name, rest) = (early.name, early.rest);

        // The rest comes byte by byte, when the response is written.
        let (mut conn, id) = early.begin();
        respond(&mut conn, id);
        let head = write(&mut conn);
        assert_eq!(says_close(&head), early.fate == Fate::ClosedAtOnce, "{name}: {}", text(&head));
        let closed_at = if early.is_kept(&mut conn) {
            let at = (0..rest.len()).find(|&index| {
                conn.handle_bytes(&rest[index..=index]);
                !early.is_kept(&mut conn)
            });
            at.map(Fate::ClosedAt)
        } else {
            Some(Fate::ClosedAtOnce)
        };
        assert_eq!(closed_at.as_ref().unwrap_or(&Fate::Kept), &early.fate, "{name}");
        assert_eq!(output(&conn), b"", "{name}: a second answer");
        if closed_at.is_none() {
            early.serves_next(&mut conn);
        }

        // The rest, cut anywhere, is there before the response.
        for cut in 0..=rest.len() {
            let (mut conn, id) = early.begin();
            conn.handle_bytes(&rest[..cut]);
            respond(&mut conn, id);
            assert_eq!(text(&write(&mut conn)), text(&head), "{name}: the head depends on what is buffered");
            conn.handle_bytes(&rest[cut..]);
            assert_eq!(early.is_kept(&mut conn), early.fate == Fate::Kept, "{name}: cut at {cut}");
            if early.fate == Fate::Kept {
                early.serves_next(&mut conn);
            }
        }

        // Where the head is out before, it cannot say so.
        let (mut conn, id) = early.begin();
        conn.exchange(id).send(self::head(200, &[(b"content-length", b"1")])).unwrap();
        conn.exchange(id).send(part(b"")).unwrap();
        conn.exchange(id).send(last(b"x")).unwrap();
        assert!(!says_close(&write(&mut conn)), "{name}");
        conn.handle_bytes(rest);
        assert_eq!(early.is_kept(&mut conn), early.fate == Fate::Kept, "{name}: the head was out");
    }
}

#[test]
fn each_request_has_a_drain_budget_of_its_own() {
    let mut conn = with_limits(Limits::default().drain_budget_bytes(8));
    for _ in 0..3 {
        let id = start(&mut conn, NOW, CHUNKED);
        respond(&mut conn, id);
        write(&mut conn);
        conn.handle_bytes(b"8\r\n12345678\r\n0\r\n\r\n");
        ask(&mut conn, NOW);
        assert_eq!(conn.close_reason(), None);
    }
}

#[test]
fn the_default_drain_budget_is_64_kib() {
    for (length, is_kept) in [(65_535, true), (65_536, true), (65_537, false)] {
        let mut conn = Connection::new(Config::default());
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        let id = start(&mut conn, NOW, head.as_bytes());
        respond(&mut conn, id);
        assert_eq!(says_close(&output(&conn)), !is_kept, "{length}");
    }
}

/// How the bytes are given.
const WAYS: [fn(&mut Connection, &[u8]); 3] = [
    Connection::handle_bytes,
    |conn, bytes| bytes.chunks(1).for_each(|byte| conn.handle_bytes(byte)),
    |conn, bytes| {
        let mut buffer = conn.read_buffer();
        buffer.extend_from_slice(bytes);
        conn.handle_read(buffer);
    },
];

#[test]
fn one_read_buffer_is_read_ahead_and_no_more() {
    const SIZE: usize = 32;
    let upload: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n";
    for (request, what) in [(GET, "pipelined requests"), (upload, "a body that nobody asked for")] {
        for give in WAYS {
            for count in [0, SIZE - 1, SIZE, SIZE + 1] {
                let mut conn = with_limits(Limits::default().read_buffer_bytes(SIZE));
                start(&mut conn, NOW, request);
                give(&mut conn, &fill(count));
                assert_eq!(wait(&mut conn, NOW).read, count < SIZE, "{count} bytes of {what}");
                let room = conn.read_buffer().capacity();
                assert!(room >= SIZE.saturating_sub(count).max(1), "{room} bytes of room behind {count} of {what}");
            }
        }
    }

    // There is room again once the body was delivered; and where somebody waits for it, always.
    let mut conn = with_limits(Limits::default().read_buffer_bytes(SIZE));
    let id = start(&mut conn, NOW, upload);
    conn.handle_bytes(&fill(SIZE));
    assert!(!wait(&mut conn, NOW).read);
    assert_eq!(receive_all(&mut conn, id), (fill(SIZE), false));
    assert!(wait(&mut conn, NOW).read);

    // The read behind the end of a body is the same one.
    conn.handle_bytes(&fill(1000 - SIZE));
    assert!(receive_all(&mut conn, id).1);
    conn.handle_bytes(&GET[..SIZE - 6]);
    assert!(wait(&mut conn, NOW).read);
    conn.handle_bytes(&[b'x'; 6]);
    assert!(!wait(&mut conn, NOW).read);
}

#[test]
fn a_head_is_read_to_its_limit_whatever_the_read_buffer() {
    let mut conn = with_limits(Limits::default().read_buffer_bytes(1));
    for byte in GET[..GET.len() - 1].chunks(1) {
        assert!(wait(&mut conn, NOW).read);
        conn.handle_bytes(byte);
    }
    let id = start(&mut conn, NOW, b"\n");
    assert!(wait(&mut conn, NOW).read);
    conn.handle_bytes(b"G");
    assert!(!wait(&mut conn, NOW).read);
    respond(&mut conn, id);
    write(&mut conn);
    assert!(matches!(ask(&mut conn, NOW).last(), Some(Action::Wait(wait)) if wait.read));
}

#[test]
fn foreign_buffers_count_as_any_other() {
    let mut conn = with_limits(Limits::default().read_buffer_bytes(32));
    start(&mut conn, NOW, GET);
    conn.handle_read(BytesMut::from(&fill(31)[..]));
    assert!(wait(&mut conn, NOW).read);
    conn.handle_read(BytesMut::from(&fill(1)[..]));
    assert!(!wait(&mut conn, NOW).read);
}

/// Something that an application queues.
type Queue = fn(&mut Connection, ExchangeId);

const QUEUES: [(&str, Queue); 3] = [
    ("one part", |conn, id| {
        conn.exchange(id).send(head(200, &[(b"content-length", b"100")])).unwrap();
        conn.exchange(id).send(part(&[b'x'; 40])).unwrap();
    }),
    ("many chunks", |conn, id| {
        conn.exchange(id).send(head(200, &[])).unwrap();
        for _ in 0..20 {
            conn.exchange(id).send(part(b"xyz")).unwrap();
        }
    }),
    ("an interim response", |conn, id| {
        let hint = SendEvent::Informational { status: 103, headers: &[(b"link", b"</a>")] };
        conn.exchange(id).send(hint).unwrap();
    }),
];

#[test]
fn an_application_is_ready_below_the_high_water_mark() {
    for (name, queue) in QUEUES {
        let mut conn = with_limits(Limits::default());
        let id = start(&mut conn, NOW, GET);
        queue(&mut conn, id);
        let unwritten = output(&conn).len();
        for (mark, is_ready) in [(unwritten + 1, true), (unwritten, false), (unwritten - 1, false)] {
            let mut conn = with_limits(Limits::default().high_water_bytes(mark));
            let id = start(&mut conn, NOW, GET);
            queue(&mut conn, id);
            let expected = if is_ready { Poll::Ready(Ok(())) } else { Poll::Pending };
            assert_eq!(conn.exchange(id).ready(), expected, "{name}: {unwritten} bytes, mark at {mark}");

            // A chunk in the hands of the kernel is unwritten until it is reported.
            while conn.take_outgoing().is_some() {}
            assert_eq!(conn.exchange(id).ready(), expected, "{name}: {unwritten} bytes taken, mark at {mark}");
            if !is_ready {
                conn.handle_written(unwritten - mark);
                assert_eq!(conn.exchange(id).ready(), Poll::Pending, "{name}: at the mark");
                conn.handle_written(1);
            }
            assert_eq!(conn.exchange(id).ready(), Poll::Ready(Ok(())), "{name}: below the mark");
        }
    }
}

#[test]
fn bytes_that_the_driver_moves_count_towards_the_high_water_mark() {
    let start_headers: &[common_wire::Pair<'_>] = &[(b"content-length", b"1000")];
    let mut conn = with_limits(Limits::default());
    let id = start(&mut conn, NOW, GET);
    conn.exchange(id).send(head(200, start_headers)).unwrap();
    conn.exchange(id).send(part(b"")).unwrap();
    let head_bytes = output(&conn).len();
    for (len, is_ready) in [(99, true), (100, false), (101, false)] {
        let mut conn = with_limits(Limits::default().high_water_bytes(head_bytes + 100));
        let id = start(&mut conn, NOW, GET);
        conn.exchange(id).send(head(200, start_headers)).unwrap();
        conn.exchange(id).send(SendEvent::ResponsePart { token: 7, len, more_body: true }).unwrap();
        let expected = if is_ready { Poll::Ready(Ok(())) } else { Poll::Pending };
        assert_eq!(conn.exchange(id).ready(), expected, "{len} bytes to move");
        conn.handle_written(head_bytes + 2);
        assert_eq!(conn.exchange(id).ready(), Poll::Ready(Ok(())), "{len} bytes to move, less two");
    }
}

/// Also where parts are longer in all than can be counted: what is unwritten is never told as less than it is.
#[test]
fn parts_beyond_counting_are_unwritten_to_their_end() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, b"GET / HTTP/1.0\r\n\r\n");
    let mut exchange = conn.exchange(id);
    exchange.send(head(200, &[])).unwrap();
    for token in 0..2 {
        exchange.send(SendEvent::ResponsePart { token, len: u64::MAX, more_body: true }).unwrap();
    }
    let head_bytes = output(&conn).len();
    conn.handle_written(head_bytes);
    let mut left = 2 * u128::from(u64::MAX);
    let rest = 64 * 1024 - 1;
    for written in [5, u64::MAX, u64::MAX - 5 - rest - 1, 1] {
        assert_eq!(conn.exchange(id).ready(), Poll::Pending, "{left} bytes to move");
        let shown = format!("unwritten_bytes: {},", left.min(u64::MAX.into()));
        assert!(format!("{conn:?}").contains(&shown), "{shown} {conn:?}");
        conn.handle_written(usize::try_from(written).unwrap());
        left -= u128::from(written);
    }
    assert_eq!(left, rest.into());
    assert_eq!(conn.exchange(id).ready(), Poll::Ready(Ok(())), "{left} bytes to move");
    assert_eq!(conn.exchange(id).end(), sansgi::Outcome::Failed);
    conn.handle_written(usize::MAX);
    assert_eq!(ask(&mut conn, NOW).last(), Some(&Action::Close { reset: true }));

    // Bytes before a part are counted with it, those in flight too.
    for is_taken in [false, true] {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, b"GET / HTTP/1.0\r\n\r\n");
        conn.exchange(id).send(head(200, &[])).unwrap();
        let part = SendEvent::ResponsePart { token: 0, len: u64::MAX - 10, more_body: true };
        conn.exchange(id).send(part).unwrap();
        assert!(!is_taken || conn.take_outgoing().is_some_and(|taken| taken.len() == head_bytes));
        conn.handle_written(head_bytes - 5);
        assert!(format!("{conn:?}").contains(&format!("unwritten_bytes: {},", u64::MAX - 5)), "{conn:?}");
    }
}

#[test]
fn a_held_head_is_not_unwritten() {
    let mut conn = with_limits(Limits::default().high_water_bytes(1));
    let id = start(&mut conn, NOW, GET);
    conn.exchange(id).send(head(200, &[])).unwrap();
    assert_eq!(conn.exchange(id).ready(), Poll::Ready(Ok(())));
    conn.exchange(id).send(part(b"")).unwrap();
    assert_eq!(conn.exchange(id).ready(), Poll::Pending);
}

#[test]
fn no_request_starts_at_the_high_water_mark() {
    let mut conn = with_limits(Limits::default());
    let id = start(&mut conn, NOW, GET);
    respond(&mut conn, id);
    let unwritten = output(&conn).len();
    for (mark, starts) in [(unwritten + 1, true), (unwritten, false), (unwritten - 1, false)] {
        for was_buffered in [true, false] {
            let mut conn = with_limits(Limits::default().high_water_bytes(mark));
            let id = start(&mut conn, NOW, GET);
            if was_buffered {
                conn.handle_bytes(GET);
            }
            respond(&mut conn, id);
            // The exchange itself is over: its application has nothing to wait for.
            assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
            if !was_buffered {
                conn.handle_bytes(GET);
            }
            let has_started = |conn: &mut Connection| matches!(conn.next_action(NOW), Action::Start(..));
            assert_eq!(has_started(&mut conn), starts, "{unwritten} bytes, mark at {mark}");
            if !starts {
                conn.handle_written(unwritten - mark);
                assert!(!has_started(&mut conn), "at the mark");
                conn.handle_written(1);
                assert!(has_started(&mut conn), "below the mark");
            }
        }
    }
}

#[test]
fn above_the_high_water_mark_one_buffer_is_read_and_no_more() {
    let mut conn = with_limits(Limits::default().high_water_bytes(1).read_buffer_bytes(32));
    let id = start(&mut conn, NOW, GET);
    respond(&mut conn, id);
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    for (count, reads) in [(0, true), (31, true), (1, false)] {
        conn.handle_bytes(&fill(count));
        assert_eq!(wait(&mut conn, NOW).read, reads);
    }
}

#[test]
fn the_last_request_allowed_is_answered_with_close() {
    for most in 1..4_u64 {
        let mut conn = with_limits(Limits::default().max_requests(Some(most)));
        conn.handle_bytes(&GET.repeat(5));
        for number in 1..=most {
            let answer = conn.next_action(NOW);
            let Action::Start(id, _) = answer else { panic!("request {number} of {most}: {answer:?}") };
            assert_eq!(id.as_u64(), number);
            respond(&mut conn, id);
            let response = write(&mut conn);
            assert_eq!(says_close(&response), number == most, "request {number} of {most}: {}", text(&response));
            assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
        }
        assert_eq!(conn.close_reason(), Some(CloseReason::LastRequest));
        let answers = ask(&mut conn, NOW);
        assert_eq!(answers[0], Action::Shutdown, "pipelined requests are not served: {answers:?}");
        assert_eq!(output(&conn), b"");
    }
}

#[test]
fn a_part_longer_than_any_mark_is_taken() {
    let mut conn = with_limits(Limits::default().high_water_bytes(1));
    let id = start(&mut conn, NOW, GET);
    let huge = i64::MAX.to_string();
    conn.exchange(id).send(head(200, &[(b"content-length", huge.as_bytes())])).unwrap();
    conn.exchange(id).send(SendEvent::ResponseBody { body: Bytes::from(fill(1 << 20)), more_body: true }).unwrap();
    assert_eq!(conn.exchange(id).ready(), Poll::Pending);
    let len = i64::MAX.unsigned_abs() - (1 << 20);
    conn.exchange(id).send(SendEvent::ResponsePart { token: 1, len, more_body: false }).unwrap();
    assert_eq!(conn.exchange(id).outcome(), Some(sansgi::Outcome::Complete));
}

#[test]
fn a_config_that_cannot_be_is_refused() {
    let zeros = [Limits::default().read_buffer_bytes(0), Limits::default().high_water_bytes(0)];
    for limits in zeros {
        assert_eq!(Config::builder().limits(limits).build().err(), Some(ConfigError::Zero), "{limits:?}");
    }
    let least = Limits::default().read_buffer_bytes(1).high_water_bytes(1);
    assert!(Config::builder().limits(least).build().is_ok());

    let headers: &[(&str, &str, bool)] = &[
        ("server", "a", true),
        ("server", "", true),
        ("x", "a b\tc", true),
        ("", "a", false),
        ("ser ver", "a", false),
        ("server:", "a", false),
        ("server", " a", false),
        ("server", "a\t", false),
        ("server", "a\r\nx: y", false),
        ("server", "a\0", false),
        ("Connection", "close", false),
        ("content-length", "0", false),
        ("TRANSFER-ENCODING", "chunked", false),
        ("date", "a", false),
        ("Upgrade", "a", false),
        ("Keep-Alive", "timeout=5", false),
        ("dates", "a", true),
    ];
    for &(name, value, may_be) in headers {
        let built = Config::builder().default_header("via", "b").default_header(name, value).build();
        let refused = (!may_be).then_some(ConfigError::DefaultHeader);
        assert_eq!(built.err(), refused, "{name:?}: {value:?}");
    }
}

/// "After an `Expect` that got no 100 with its body not delivered to the end" the connection closes, however much of
/// the body had come when it was asked for: that depends on the cuts.
#[test]
fn an_expectation_without_a_100_closes_whatever_was_delivered() {
    for come in 0..3 {
        let mut conn = with_limits(Limits::default());
        let id =
            start(&mut conn, NOW, b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
        conn.exchange(id).send(head(200, &[])).unwrap();
        // The head is out, so there is no 100 any more.
        conn.exchange(id).send(part(b"")).unwrap();
        conn.handle_bytes(&b"abc"[..come]);
        let _ = conn.exchange(id).receive();
        conn.exchange(id).send(last(b"h")).unwrap();
        assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
        write(&mut conn);
        assert_eq!(conn.next_action(NOW), Action::Shutdown, "{come} bytes had come");
        assert_eq!(conn.close_reason(), Some(CloseReason::EarlyResponse));
    }
}

/// A trailer section that is whole is judged for whoever waits for it, as any other fault of a body is: also where the
/// application has given up.
#[test]
fn a_bad_trailer_is_found_for_a_receive_that_waits() {
    let mut conn = with_limits(Limits::default());
    let id = start(&mut conn, NOW, CHUNKED);
    assert_eq!(conn.exchange(id).receive(), Poll::Pending);
    conn.handle_bytes(b"0\r\nno field\r\n\r\n");
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    assert_eq!(conn.fault(), Some(ProtocolError::Trailer));
}

//! What `httparse` says to the shapes that decide how it may be used, and what we say. A patch release of it may change
//! its half of any row; then this suite tells which rule leans on it.

mod common_wire;

use std::collections::BTreeSet;

use common_wire::{ask, output, receive_all, text};
use httparse::{EMPTY_HEADER, Error, Status};
use sansgi::{Action, Config, Connection, Instant, ProtocolError, Request};

const NOW: Instant = Instant::ZERO;
const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// What `httparse` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// Complete, all of it.
    Accepts,
    /// Complete, and so much of it is used.
    AcceptsFirst(usize),
    /// Partial.
    Waits,
    Refuses,
}

use Says::{Accepts, AcceptsFirst, Refuses, Waits};

/// What we say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ours {
    Accepted,
    Refused(u16),
}

use Ours::{Accepted, Refused};

impl Says {
    fn of<T>(result: Result<Status<T>, impl Sized>, length: usize, used: impl FnOnce(T) -> usize) -> Self {
        match result {
            Ok(Status::Complete(value)) => {
                let used = used(value);
                if used == length { Accepts } else { AcceptsFirst(used) }
            }
            Ok(Status::Partial) => Waits,
            Err(_) => Refuses,
        }
    }

    fn to_head(bytes: &[u8]) -> Self {
        let mut table = [EMPTY_HEADER; 16];
        Self::of(httparse::Request::new(&mut table).parse(bytes), bytes.len(), |used| used)
    }

    fn to_trailers(bytes: &[u8]) -> Self {
        let mut table = [EMPTY_HEADER; 16];
        Self::of(httparse::parse_headers(bytes, &mut table), bytes.len(), |(used, _)| used)
    }

    fn to_chunk_line(bytes: &[u8]) -> Self {
        Self::of(httparse::parse_chunk_size(bytes), bytes.len(), |(used, _)| used)
    }
}

/// "Its verdicts are monotone in the prefix": a verdict that fell stands, however much follows.
fn is_monotone(bytes: &[u8], say: fn(&[u8]) -> Says) -> bool {
    let verdicts = (0..=bytes.len()).map(|length| match say(&bytes[..length]) {
        Accepts => AcceptsFirst(length),
        other => other,
    });
    let fallen: Vec<_> = verdicts.skip_while(|verdict| *verdict == Waits).collect();
    fallen.iter().all(|verdict| Some(verdict) == fallen.first())
}

/// The request that starts, or the answer that is given instead, to bytes that come at once and one by one.
fn ask_us(config: &Config, bytes: &[u8]) -> Result<Option<Request>, ProtocolError> {
    let reads: [Vec<&[u8]>; 2] = [vec![bytes], bytes.chunks(1).collect()];
    let [whole, slow] = reads.map(|reads| {
        let mut conn = Connection::new(config.clone());
        let mut started = None;
        for read in reads {
            conn.handle_bytes(read);
            for answer in ask(&mut conn, NOW) {
                if let Action::Start(id, request) = answer {
                    started = Some((id, request));
                }
            }
            if let Some((id, _)) = started {
                receive_all(&mut conn, id);
            }
        }
        let answer = output(&conn);
        match conn.fault() {
            Some(fault) => {
                let status_line = format!("HTTP/1.1 {} ", fault.status());
                assert!(answer.starts_with(status_line.as_bytes()), "{}: {}", text(bytes), text(&answer));
                Err(fault)
            }
            None => Ok(started.map(|(_, request)| request)),
        }
    });
    assert_eq!(whole, slow, "{}", text(bytes));
    whole
}

#[track_caller]
fn ours(config: &Config, bytes: &[u8], expected: Ours) {
    match (ask_us(config, bytes), expected) {
        (Ok(Some(_)), Accepted) => {}
        (Err(fault), Refused(status)) if fault.status() == status => {}
        (got, _) => panic!("{}: expected {expected:?}, got {got:?}", text(bytes)),
    }
}

/// A shape of a head, and what is said to it.
type Row<'a> = (&'a str, &'a [u8], Says, Ours);

fn check_heads(rows: &[Row<'_>]) {
    for &(name, bytes, says, expected) in rows {
        assert_eq!(Says::to_head(bytes), says, "{name}: httparse, {}", text(bytes));
        assert!(is_monotone(bytes, Says::to_head), "{name}: {}", text(bytes));
        ours(&Config::default(), bytes, expected);
    }
}

/// A head with this in place of its target.
fn with_target(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat()
}

/// A head with this in place of its version.
fn with_version(version: &str) -> Vec<u8> {
    format!("GET / {version}\r\nhost: a\r\n\r\n").into_bytes()
}

#[test]
fn httparse_accepts_bare_line_feeds_and_we_do_not() {
    check_heads(&[
        ("A1", b"GET / HTTP/1.1\nhost: a\r\n\r\n", Accepts, Refused(400)),
        ("A2", b"GET / HTTP/1.1\r\nhost: a\nx: b\r\n\r\n", Accepts, Refused(400)),
        ("A3", b"GET / HTTP/1.1\r\nhost: a\r\n\n", Accepts, Refused(400)),
        ("A4", b"GET / HTTP/1.1\r\nX: \n\nGET /evil HTTP/1.1", AcceptsFirst(21), Refused(400)),
        ("A5", b"\n\n\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", Accepts, Refused(400)),
        ("all of them", b"GET / HTTP/1.1\nhost: a\n\n", Accepts, Refused(400)),
    ]);
}

#[test]
fn httparse_skips_any_number_of_blank_lines_and_we_skip_one() {
    for (count, expected) in [(0, Accepted), (1, Accepted), (2, Refused(400)), (3, Refused(400)), (1000, Refused(400))]
    {
        let bytes = [&b"\r\n".repeat(count), &with_target(b"/")[..]].concat();
        check_heads(&[("A5", &bytes, Accepts, expected)]);
    }
}

#[test]
fn httparse_accepts_methods_of_any_length_and_we_those_of_32_bytes() {
    for (length, expected) in [(1, Accepted), (32, Accepted), (33, Refused(501)), (10_000, Refused(501))] {
        let bytes = [&b"a".repeat(length), &b" / HTTP/1.1\r\nhost: a\r\n\r\n"[..]].concat();
        assert_eq!(Says::to_head(&bytes), Accepts, "A6: {length}");
        ours(&Config::default(), &bytes, expected);
    }
}

#[test]
fn both_pass_a_method_on_as_it_came() {
    for method in ["get", "GeT", "GET", "!#$%&'*+-.^_`|~09aZ"] {
        let bytes = format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes();
        let mut table = [EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut table);
        assert_eq!(parsed.parse(&bytes), Ok(Status::Complete(bytes.len())), "A7");
        assert_eq!(parsed.method, Some(method), "A7");
        let request = ask_us(&Config::default(), &bytes).ok().flatten();
        assert_eq!(request.as_ref().map(Request::method), Some(method), "A7");
    }
}

#[test]
fn httparse_knows_no_special_method_and_we_do() {
    let connect: &[u8] = b"CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n";
    check_heads(&[
        ("A8", b"PRI * HTTP/1.1\r\nhost: a\r\n\r\n", Accepts, Refused(400)),
        ("A8", b"PRI / HTTP/1.0\r\nhost: a\r\n\r\n", Accepts, Refused(400)),
        ("A8", connect, Accepts, Refused(501)),
        ("A8", b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", Accepts, Refused(501)),
    ]);
    let enabled = Config::builder().connect(true).build().unwrap();
    ours(&enabled, connect, Refused(400));
    ours(&enabled, b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", Accepted);
}

#[test]
fn httparse_accepts_fragments_and_we_do_not() {
    for target in [&b"/#frag"[..], b"/a#b?c", b"/?a#b", b"/#"] {
        check_heads(&[("A9", &with_target(target), Accepts, Refused(400))]);
    }
}

#[test]
fn httparse_accepts_more_bytes_in_a_target_than_we_do() {
    let said_to = |target: &[u8]| Says::to_head(&with_target(target));
    assert_eq!(said_to("/\u{e9}".as_bytes()), Accepts, "A10");
    assert_eq!(said_to("/?\u{e9}".as_bytes()), Accepts, "A10");
    ours(&Config::default(), &with_target("/\u{e9}".as_bytes()), Refused(400));
    ours(&Config::default(), &with_target("/?\u{e9}".as_bytes()), Refused(400));
    for byte in *b"\"<>\\^{}|`" {
        // "what clients really send accepted: in a query all other visible ASCII, in a path all but `<`, `>`, `\`, a
        // backtick"
        let in_path = if b"<>\\`".contains(&byte) { Refused(400) } else { Accepted };
        check_heads(&[
            ("A10, path", &with_target(&[b'/', byte]), Accepts, in_path),
            ("A10, query", &with_target(&[b'/', b'?', byte]), Accepts, Accepted),
        ]);
    }
}

#[test]
fn both_leave_escapes_as_they_are() {
    for target in [&b"/%zz"[..], b"/%00", b"/%0d%0a", b"/%", b"/%4", b"/%41"] {
        let bytes = with_target(target);
        check_heads(&[("A11", &bytes, Accepts, Accepted)]);
        let request = ask_us(&Config::default(), &bytes).ok().flatten();
        assert_eq!(request.as_ref().map(Request::raw_path), Some(target), "A11: {}", text(target));
    }
}

#[test]
fn httparse_knows_no_forms_of_a_target_and_we_do() {
    for target in ["a", "?x", "!", "@h", "h:80", "*", "*x", "javascript:x"] {
        check_heads(&[("A12", &with_target(target.as_bytes()), Accepts, Refused(400))]);
    }
    for target in ["https://u:p@h:99999999/", "http://u@h/", "http://h:99999/", "http:///", "http://", "ftp://h/"] {
        check_heads(&[("A13", &with_target(target.as_bytes()), Accepts, Refused(400))]);
    }
    check_heads(&[
        ("A12", b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", Accepts, Accepted),
        ("A13", &with_target(b"https://h:99/"), Accepts, Accepted),
    ]);
    let request = ask_us(&Config::default(), &with_target(b"https://h:99/")).ok().flatten();
    let host = request.as_ref().and_then(|request| request.headers().get("host"));
    assert_eq!(host, Some(&b"h:99"[..]), "A13: the authority replaces Host");
}

#[test]
fn an_underscore_is_no_hyphen() {
    let bytes = b"POST / HTTP/1.1\r\nhost: a\r\nContent_Length: 1\r\n\r\n";
    check_heads(&[("A14", bytes, Accepts, Accepted)]);
    let request = ask_us(&Config::default(), bytes).ok().flatten().unwrap();
    assert_eq!((request.content_length(), request.has_body()), (None, false));
    let names: Vec<_> = request.headers().iter().map(|field| field.name().to_owned()).collect();
    assert_eq!(names, ["host", "content_length"]);
}

#[test]
fn httparse_reads_no_meaning_into_fields_and_we_do() {
    for fields in [
        "host: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n",
        "host: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n",
        "host: a\r\nContent-Length: +0x1_0\r\n",
        "",
        "host: a\r\nhost: a\r\n",
        "Host: a@b/c d\r\n",
    ] {
        check_heads(&[("A15", format!("POST / HTTP/1.1\r\n{fields}\r\n").as_bytes(), Accepts, Refused(400))]);
    }
}

#[test]
fn httparse_bounds_the_number_of_fields_and_nothing_else() {
    let long = [b"GET / HTTP/1.1\r\nhost: a\r\nx: ", &b"y".repeat(1 << 20)[..], b"\r\n\r\n"].concat();
    assert_eq!(Says::to_head(&long), Accepts, "A16");
    let many = [b"GET / HTTP/1.1\r\nhost: a\r\n", &b"a: b\r\n".repeat(100)[..], b"\r\n"].concat();
    let mut table = [EMPTY_HEADER; 100];
    assert_eq!(httparse::Request::new(&mut table).parse(&many), Err(Error::TooManyHeaders), "A16");
    for bytes in [long, many] {
        let mut conn = Connection::new(Config::default());
        conn.handle_bytes(&bytes);
        ask(&mut conn, NOW);
        assert_eq!(conn.fault().map(ProtocolError::status), Some(431), "A16");
    }
}

#[test]
fn names_and_values_are_parts_of_what_is_parsed() {
    // Where they are is what we keep of them, also of empty ones.
    let bytes = b"host: a\r\nempty:\r\nblank: \t \r\n\r\n";
    let mut table = [EMPTY_HEADER; 3];
    let (_, fields) = httparse::parse_headers(bytes, &mut table).unwrap().unwrap();
    for part in fields.iter().flat_map(|field| [field.name.as_bytes(), field.value]) {
        let (all, part) = (bytes.as_ptr_range(), part.as_ptr_range());
        assert!(all.start <= part.start && part.end <= all.end);
    }
    let request = ask_us(&Config::default(), &[b"GET / HTTP/1.1\r\n", &bytes[..]].concat()).ok().flatten().unwrap();
    let values: Vec<_> = request.headers().iter().map(|field| field.value()).collect();
    assert_eq!(values, [&b"a"[..], b"", b""]);
}

#[test]
fn httparse_accepts_trailers_that_we_do_not() {
    let rows: [Row<'_>; 8] = [
        ("A17", b"X: y\n\n", Accepts, Refused(400)),
        ("A17", b"X: y\r\n\n", Accepts, Refused(400)),
        ("A17", b"\n", Accepts, Refused(400)),
        ("A17", b"Content-Length: 5\r\n\r\n", Accepts, Refused(400)),
        ("plain", b"X: y\r\n\r\n", Accepts, Accepted),
        ("none", b"\r\n", Accepts, Accepted),
        ("bare CR", b"\r\rX\r\n\r\n", Refuses, Refused(400)),
        ("white space before the colon", b"X : y\r\n\r\n", Refuses, Refused(400)),
    ];
    for (name, bytes, says, expected) in rows {
        assert_eq!(Says::to_trailers(bytes), says, "{name}: httparse, {}", text(bytes));
        assert!(is_monotone(bytes, Says::to_trailers), "{name}: {}", text(bytes));
        ours(&Config::default(), &[CHUNKED, b"1\r\nx\r\n0\r\n", bytes].concat(), expected);
    }
}

/// A line of a chunk, and what is said to it; `httparse` also says its size.
type ChunkRow<'a> = (&'a str, &'a [u8], Says, Option<u64>, Ours);

fn check_chunk_lines(rows: &[ChunkRow<'_>]) {
    for &(name, bytes, says, size, expected) in rows {
        assert_eq!(Says::to_chunk_line(bytes), says, "{name}: httparse, {}", text(bytes));
        if let Ok(Status::Complete((_, parsed))) = httparse::parse_chunk_size(bytes) {
            assert_eq!(Some(parsed), size, "{name}: httparse, {}", text(bytes));
        }
        assert!(is_monotone(bytes, Says::to_chunk_line), "{name}: {}", text(bytes));
        ours(&Config::default(), &[CHUNKED, bytes].concat(), expected);
    }
}

#[test]
fn httparse_accepts_chunk_lines_that_we_do_not() {
    check_chunk_lines(&[
        ("B1", b"\r\n", Accepts, Some(0), Refused(400)),
        ("B1", b" \r\n", Accepts, Some(0), Refused(400)),
        ("B1", b";\r\n", Accepts, Some(0), Refused(400)),
        ("B1", b"; \r\n", Accepts, Some(0), Refused(400)),
        ("B1", b";a=b\r\n", Accepts, Some(0), Refused(400)),
        ("B2", b"5 \r\n", Accepts, Some(5), Refused(400)),
        ("B2", b"5\t\r\n", Accepts, Some(5), Refused(400)),
        ("B3", b"5;\nXX\r\n", Accepts, Some(5), Refused(400)),
        ("B3", b"2;a\nxx\r\n", Accepts, Some(2), Refused(400)),
        ("B4", b"5;\n", Waits, None, Refused(400)),
        ("B5", b"5;\0\r\n", Accepts, Some(5), Refused(400)),
        ("B5", b"5;\x01\r\n", Accepts, Some(5), Refused(400)),
        ("B5", b"5;\xff\r\n", Accepts, Some(5), Refused(400)),
        ("B5", b"5;(){}\r\n", Accepts, Some(5), Refused(400)),
        ("B5", b"5;;\r\n", Accepts, Some(5), Refused(400)),
        ("B5", b"5;=b\r\n", Accepts, Some(5), Refused(400)),
        ("B5", b"5;a=\"b\r\n", Accepts, Some(5), Refused(400)),
        ("B7", b"FFFFFFFFFFFFFFFF\r\n", Accepts, Some(u64::MAX), Refused(400)),
        ("B7", b"8000000000000000\r\n", Accepts, Some(1 << 63), Refused(400)),
    ]);
    let endless = [&b"5;"[..], &b"a".repeat(1_000_000), b"\r\n"].concat();
    assert_eq!(httparse::parse_chunk_size(&endless), Ok(Status::Complete((endless.len(), 5))), "B6");
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(&[CHUNKED, &endless].concat());
    let Action::Start(id, _) = conn.next_action(NOW) else { panic!("a head is there") };
    receive_all(&mut conn, id);
    assert_eq!(conn.fault().map(ProtocolError::status), Some(400), "B6");
}

#[test]
fn both_accept_the_chunk_lines_of_the_grammar() {
    check_chunk_lines(&[
        ("B8", b"0000000000000005\r\n", Accepts, Some(5), Accepted),
        ("B8", b"0000000000000000\r\n", Accepts, Some(0), Accepted),
        ("largest", b"7fffffffffffffff\r\n", Accepts, Some(i64::MAX.unsigned_abs()), Accepted),
        ("digits in both cases", b"aB\r\n", Accepts, Some(0xab), Accepted),
        ("extension", b"5;a\r\n", Accepts, Some(5), Accepted),
        ("extension with a value", b"5;a=b\r\n", Accepts, Some(5), Accepted),
        ("extension with a quoted value", b"5;a=\"b \\\" \t\xff\"\r\n", Accepts, Some(5), Accepted),
        ("bad white space", b"5 ;\ta = b ; c\r\n", Accepts, Some(5), Accepted),
    ]);
}

#[test]
fn both_refuse_these_chunk_lines() {
    check_chunk_lines(&[
        ("B8", b"00000000000000005\r\n", Refuses, None, Refused(400)),
        ("prefix", b"0x5\r\n", Refuses, None, Refused(400)),
        ("plus", b"+5\r\n", Refuses, None, Refused(400)),
        ("minus", b"-5\r\n", Refuses, None, Refused(400)),
        ("underscore", b"5_0\r\n", Refuses, None, Refused(400)),
        ("no digit", b"5h\r\n", Refuses, None, Refused(400)),
        ("space before", b" 5\r\n", Refuses, None, Refused(400)),
        ("tab before", b"\t5\r\n", Refuses, None, Refused(400)),
        ("bare CR", b"5\rX\r\n", Refuses, None, Refused(400)),
        ("bare CR behind an extension", b"5;a\rX\r\n", Refuses, None, Refused(400)),
        ("bare LF behind the digits", b"5\n", Refuses, None, Refused(400)),
    ]);
}

#[test]
fn both_refuse_these_heads() {
    // httparse says so at the byte, we say so at the end of the head, where all faults of its fields are said.
    let lines: [(&str, &[u8]); 28] = [
        ("bare CR behind the version", b"GET / HTTP/1.1\rhost: a\r\n\r\n"),
        ("bare CR in a value", b"GET / HTTP/1.1\r\nhost: a\r\nx: b\rc\r\n\r\n"),
        ("bare CR in a name", b"GET / HTTP/1.1\r\nhost: a\r\nx\ry: b\r\n\r\n"),
        ("bare CR in a target", b"GET /\r HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("CR CR LF behind a value", b"GET / HTTP/1.1\r\nhost: a\r\r\n\r\n"),
        ("CR CR LF behind the version", b"GET / HTTP/1.1\r\r\nhost: a\r\n\r\n"),
        ("CR CR LF at the end", b"GET / HTTP/1.1\r\nhost: a\r\n\r\r\n\r\n"),
        ("CRLF CR X at the end", b"GET / HTTP/1.1\r\nhost: a\r\n\rX\r\n\r\n"),
        ("a folded line with SP", b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n"),
        ("a folded line with HTAB", b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\tz\r\n\r\n"),
        ("white space before the first field", b"GET / HTTP/1.1\r\n host: a\r\n\r\n"),
        ("SP before the colon", b"GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
        ("HTAB before the colon", b"GET / HTTP/1.1\r\nhost\t: a\r\n\r\n"),
        ("an empty name", b"GET / HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n"),
        ("a line without colon", b"GET / HTTP/1.1\r\nhost: a\r\nb\r\n\r\n"),
        ("a control character in a name", b"GET / HTTP/1.1\r\nhost: a\r\nx\x01: b\r\n\r\n"),
        ("DEL in a name", b"GET / HTTP/1.1\r\nhost: a\r\nx\x7f: b\r\n\r\n"),
        ("8 bits in a name", b"GET / HTTP/1.1\r\nhost: a\r\nx\xe9: b\r\n\r\n"),
        ("NUL in a value", b"GET / HTTP/1.1\r\nhost: a\r\nx: b\0c\r\n\r\n"),
        ("a control character in a value", b"GET / HTTP/1.1\r\nhost: a\r\nx: b\x0bc\r\n\r\n"),
        ("DEL in a value", b"GET / HTTP/1.1\r\nhost: a\r\nx: b\x7fc\r\n\r\n"),
        ("a request of HTTP/0.9", b"GET /\r\n"),
        ("a method that is no token", b"G(T / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("a method that begins with no token", b"(GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("invalid UTF-8 in a target", b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("a control character in a target", b"GET /\x01 HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("SP in a target", b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("HTAB in a target", b"GET /a\tb HTTP/1.1\r\nhost: a\r\n\r\n"),
    ];
    check_heads(&lines.map(|(name, bytes)| (name, bytes, Refuses, Refused(400))));

    for delimiter in ["  ", "\t", "\x0b", "\n", "\x0c", "\r"] {
        let behind_method = format!("GET{delimiter}/ HTTP/1.1\r\nhost: a\r\n\r\n");
        let behind_target = format!("GET /{delimiter}HTTP/1.1\r\nhost: a\r\n\r\n");
        check_heads(&[
            ("behind the method", behind_method.as_bytes(), Refuses, Refused(400)),
            ("behind the target", behind_target.as_bytes(), Refuses, Refused(400)),
        ]);
    }
    for version in ["HTTP/1.10", "HTTP/01.1", "HTTP/1,1", "HTTP/1.1 ", "HTTP/1.1\t", "HTTP/1.1 x"] {
        check_heads(&[(version, &with_version(version), Refuses, Refused(400))]);
    }
}

#[test]
fn httparse_has_one_error_for_other_versions_and_for_garbage() {
    let others = ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.7"].map(|version| (version, Refused(505)));
    let garbage = ["HTTX/1.1", "http/1.1", "HTTP/1_1", "HTTP/x.1", "ICAP/1.0"].map(|version| (version, Refused(400)));
    for (version, expected) in others.into_iter().chain(garbage) {
        let bytes = with_version(version);
        let mut table = [EMPTY_HEADER; 16];
        assert_eq!(httparse::Request::new(&mut table).parse(&bytes), Err(Error::Version), "{version}");
        check_heads(&[(version, &bytes, Refuses, expected)]);
    }
}

#[test]
fn no_byte_of_a_name_or_a_value_is_judged_in_two_ways() {
    for byte in 0..=u8::MAX {
        let in_name = [b"GET / HTTP/1.1\r\nhost: a\r\nx", &[byte][..], b"y: z\r\n\r\n"].concat();
        let in_value = [b"GET / HTTP/1.1\r\nhost: a\r\nx: y", &[byte][..], b"z\r\n\r\n"].concat();
        for bytes in [in_name, in_value] {
            // The line feed is what the scan before it is for.
            let is_accepted = Says::to_head(&bytes) == Accepts && byte != b'\n';
            ours(&Config::default(), &bytes, if is_accepted { Accepted } else { Refused(400) });
        }
    }
}

#[test]
fn httparse_leaves_odd_white_space_in_a_value_and_so_do_we() {
    // OWS is SP and HTAB; nothing else is stripped.
    let bytes = b"GET / HTTP/1.1\r\nhost: a\r\nx: \t\xa0y\xc2\x85 \t\r\n\r\n";
    let mut table = [EMPTY_HEADER; 16];
    let mut parsed = httparse::Request::new(&mut table);
    assert_eq!(parsed.parse(bytes), Ok(Status::Complete(bytes.len())));
    let theirs = parsed.headers.iter().find(|header| header.name == "x").map(|header| header.value);
    assert_eq!(theirs, Some(&b"\xa0y\xc2\x85"[..]));
    let request = ask_us(&Config::default(), bytes).ok().flatten().unwrap();
    assert_eq!(request.headers().get("x"), theirs);
}

#[test]
fn every_row_of_the_rules_is_here() {
    let source = include_str!("httparse_facts.rs");
    let rows = (1..=17).map(|row| format!("A{row}")).chain((1..=8).map(|row| format!("B{row}")));
    let is_here = |row: &String| ['"', ',', ':'].iter().any(|end| source.contains(&format!("\"{row}{end}")));
    let missing: BTreeSet<_> = rows.filter(|row| !is_here(row)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

//! The oracles against the examples of the RFCs, and against hand-written streams: an oracle that is wrong makes every
//! test wrong that trusts it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "a test may fail"
)]

mod oracles;

use oracles::client::{self, Coding, Message};
use oracles::grammar::{Field, authority};
use oracles::recogniser::{Limits, Request, Stop, Stream, recognise};
use oracles::validator::{Asked, End, Framing, Output, validate};

fn read(bytes: &[u8]) -> Stream {
    recognise(bytes, &Limits::DEFAULT)
}

/// The one request that these bytes are.
#[track_caller]
fn read_one(bytes: &[u8]) -> Request {
    let mut stream = read(bytes);
    assert_eq!(stream.requests.len(), 1, "{:?}", stream.stop);
    let request = stream.requests.remove(0);
    assert_eq!(request.end, Some(bytes.len()), "{:?}", stream.stop);
    request
}

/// The verdict of a stream that is refused.
#[track_caller]
fn refusal(bytes: &[u8], limits: &Limits) -> (u16, usize) {
    match recognise(bytes, limits).stop {
        Stop::Refused { status, at } => (status, at),
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

#[test]
fn the_recogniser_reads_the_forms_of_a_target() {
    // RFC 9112 §3.2.1
    let origin = read_one(b"GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
    assert_eq!((&origin.method[..], &origin.target[..]), (&b"GET"[..], &b"/where?q=now"[..]));
    assert_eq!((&origin.raw_path[..], &origin.query[..]), (&b"/where"[..], &b"q=now"[..]));
    assert_eq!((&origin.authority[..], origin.minor), (&b"www.example.org"[..], 1));
    assert_eq!(origin.fields, fields(&[("Host", "www.example.org")]));

    // RFC 9112 §3.2.2
    let absolute = read_one(b"GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(absolute.raw_path, b"/pub/WWW/TheProject.html");
    assert_eq!(absolute.authority, b"www.example.org");
    assert_eq!(absolute.fields, fields(&[("Host", "www.example.org")]));
    let without_host = read_one(b"GET HTTPS://a:/?x HTTP/1.0\r\nb: c\r\n\r\n");
    assert_eq!(without_host.fields, fields(&[("host", "a:"), ("b", "c")]));
    assert_eq!((&without_host.raw_path[..], &without_host.query[..]), (&b"/"[..], &b"x"[..]));

    // RFC 9112 §3.2.3
    let connect = b"CONNECT www.example.com:80 HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
    let limits = Limits { connect: true, ..Limits::DEFAULT };
    let stream = recognise(connect, &limits);
    assert_eq!(stream.requests[0].authority, b"www.example.com:80");
    assert_eq!(stream.requests[0].raw_path, b"");
    // What follows a CONNECT that is refused was perhaps meant for the tunnel.
    assert_eq!(stream.stop, Stop::Finished { at: connect.len() });
    assert_eq!(refusal(connect, &Limits::DEFAULT), (501, 37));
    for target in ["/", "http://a:1/", "a", "a:", "a:x", "a:65536", ":1", "u@a:1", "[::1]"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\n");
        assert_eq!(refusal(request.as_bytes(), &limits), (400, request.len()), "{target}");
    }

    // RFC 9112 §3.2.4
    let asterisk = read_one(b"OPTIONS * HTTP/1.1\r\nHost: www.example.org:8001\r\n\r\n");
    assert_eq!((&asterisk.raw_path[..], &asterisk.authority[..]), (&b"*"[..], &b"www.example.org:8001"[..]));
    let for_the_server = read_one(b"OPTIONS http://www.example.org:8001 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(for_the_server.raw_path, b"*");
    assert_eq!(for_the_server.authority, b"www.example.org:8001");
    assert_eq!(read_one(b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").raw_path, b"/");
    assert_eq!(read_one(b"OPTIONS http://a?b HTTP/1.1\r\nHost: a\r\n\r\n").raw_path, b"/");
}

#[test]
fn the_recogniser_refuses_targets_that_are_none() {
    let targets: [&[u8]; 24] = [
        b"*",
        b"*x",
        b"a",
        b"?x",
        b"!",
        b"@h",
        b"h:80",
        b"javascript:x",
        b"/#a",
        b"/a#b?c",
        b"/?#",
        b"/<",
        b"/>",
        b"/\\",
        b"/`",
        "/é".as_bytes(),
        b"/?\xff",
        b"/\x7f",
        b"/\t",
        b"http:/a",
        b"http:///",
        b"http://:80/",
        b"https://u:p@h/",
        b"ftp://a/",
    ];
    for target in targets {
        let request = [b"GET ", target, b" HTTP/1.1\r\n"].concat();
        assert_eq!(refusal(&request, &Limits::DEFAULT), (400, request.len()), "{}", target.escape_ascii());
    }
    for target in ["//a", "/%zz%", "/\"{}|^[]", "/?<>\\`\"{}|^?/", "/;:@!$&'()*+,=~-._"] {
        let request = format!("GET {target} HTTP/1.0\r\n\r\n");
        assert_eq!(read_one(request.as_bytes()).target, target.as_bytes());
    }
}

#[test]
fn hosts_follow_the_grammar() {
    let right = [
        "a",
        "a:",
        "a:0",
        "a:65535",
        "a:00080",
        "www.Example.org:8001",
        "a_b~!$&'()*+,;=",
        "%6f",
        "192.0.2.1:80",
        "999.1",
        // RFC 3986 §1.1.2, RFC 4291 §2.2
        "[2001:db8::7]",
        "[ABCD:EF01:2345:6789:ABCD:EF01:2345:6789]",
        "[::FFFF:129.144.52.38]:80",
        "[0:0:0:0:0:0:13.1.68.3]",
        "[::]",
        "[::1]",
        "[1::]",
        "[1:2:3:4:5:6:7::]",
        "[::2:3:4:5:6:7:8]",
        "[v1.a:b]",
        "[Vf0.~]",
    ];
    for host in right {
        assert!(authority(host.as_bytes()).is_some(), "{host}");
    }
    let wrong = [
        "",
        ":80",
        "a:65536",
        "a:000080",
        "a:+1",
        "a:b",
        "a:1:2",
        "a b",
        "u@a",
        "a/b",
        "%6",
        "%g0",
        "é",
        "[",
        "[]",
        "[::1",
        "[::1]x",
        "[::1]80",
        "a[::1]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1:2:3:4:5:6:7:8::]",
        "[1::2::3]",
        "[:::]",
        "[:1::]",
        "[1::2:]",
        "[12345::]",
        "[g::]",
        "[::1.2.3]",
        "[::1.2.3.256]",
        "[::01.2.3.4]",
        "[1.2.3.4::]",
        "[::1.2.3.4:5]",
        "[2:3:4:5:6:7:8:1.2.3.4]",
        "[fe80::1%25en1]",
        "[v.a]",
        "[v1]",
        "[v1.]",
        "[vg.a]",
        "[v1.%41]",
    ];
    for host in wrong {
        assert_eq!(authority(host.as_bytes()), None, "{host}");
    }
}

#[test]
fn the_recogniser_refuses_a_request_line_where_the_rules_say() {
    // Behind each, the status and the bytes that it takes to know.
    let lines: [(&[u8], u16, usize); 26] = [
        // "The first byte of a request line … that is neither a token character nor CR, at that byte."
        (b"\x16\x03\x01", 400, 1),
        (b" GET", 400, 1),
        (b"\n", 400, 1),
        (b"\r\n\n", 400, 3),
        (b"\r\n GET", 400, 3),
        // "A CR there that no LF follows, at the byte behind it."
        (b"\rG", 400, 2),
        (b"\r\r", 400, 2),
        // "A second one 400."
        (b"\r\n\r\n", 400, 4),
        (b"\r\n\rG", 400, 4),
        // "A bare LF at that byte."
        (b"GET / HTTP/1.1\nHost: a", 400, 15),
        (b"G\n", 400, 2),
        // "Three parts, each parted by one SP, else 400."
        (b"GET /\r\n", 400, 7),
        (b"GET  / HTTP/1.1\r\n", 400, 17),
        (b"GET  HTTP/3.0\r\n", 400, 15),
        (b"GET / HTTP/1.1 \r\n", 400, 17),
        (b"GET\t/\tHTTP/1.1\r\n", 400, 16),
        // "Then version, …"
        (b"GET / HTTP/1.2\r\n", 505, 16),
        (b"G(T # HTTP/2.0\r\n", 505, 16),
        (b"GET / HTTP/1.10\r\n", 400, 17),
        (b"GET / http/1.1\r\n", 400, 16),
        (b"GET / HTTP/1.1\r\r\n", 400, 17),
        // "… method, CONNECT's 501 before its target is looked at, target."
        (b"G(T / HTTP/1.1\r\n", 400, 16),
        (b"PRI / HTTP/1.1\r\n", 400, 16),
        (b"PRI * HTTP/2.0\r\n", 505, 16),
        (b"CONNECT # HTTP/1.1\r\n", 501, 20),
        (b"GET # HTTP/1.1\r\n", 400, 16),
    ];
    for (line, status, at) in lines {
        assert_eq!(refusal(line, &Limits::DEFAULT), (status, at), "{}", line.escape_ascii());
        assert_eq!(read(&line[..at - 1]).requests, [], "{}", line.escape_ascii());
        assert!(matches!(read(&line[..at - 1]).stop, Stop::Incomplete { .. }), "{}", line.escape_ascii());
    }
}

#[test]
fn the_recogniser_counts() {
    let limits = Limits { method_bytes: 3, target_bytes: 4, head_bytes: 40, fields: 2, ..Limits::DEFAULT };
    let cases: [(&[u8], u16, usize); 10] = [
        (b"GETT", 501, 4),
        (b"G(TT", 400, 4),
        (b"GET\r", 400, 4),
        (b"GET /2345", 414, 9),
        (b"GET /234\rx", 414, 10),
        (b"GET / HTTP/1.1\r\nHost: a\r\na: 567890123456\r\n", 431, 41),
        (b"GET / HTTP/1.1\r\nHost: a\r\na: 567890123456\n", 431, 41),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\na: 7890123456\r\n", 431, 41),
        // "Number of field lines, well-formed or not (431)".
        (b"GET / HTTP/1.1\r\nHost: a\r\nb:\r\nc:\r\n\r\n", 431, 35),
        (b"GET / HTTP/1.1\r\n?\r\n?\r\n?\r\n\r\n", 431, 27),
    ];
    for (bytes, status, at) in cases {
        assert_eq!(refusal(bytes, &limits), (status, at), "{}", bytes.escape_ascii());
    }
    // "The limit itself passes."
    for bytes in
        [&b"GET /234 HTTP/1.0\r\na: 45678901234567\r\n\r\n"[..], b"\r\nG / HTTP/1.0\r\na:\r\nb: 3456789012345\r\n\r\n"]
    {
        assert_eq!((bytes.len(), recognise(bytes, &limits).requests.len()), (40, 1), "{}", bytes.escape_ascii());
    }
    // At one byte the head's limit and the target's.
    let limits = Limits { head_bytes: 8, ..limits };
    assert_eq!(refusal(b"GET /2345", &limits), (414, 9));
}

#[test]
fn the_recogniser_reads_fields() {
    let request = read_one(b"GET / HTTP/1.1\r\nHost:\r\nA: \t b\tc \t\r\na:\xff\"\r\n!#$%&'*+-.^_`|~:x: y\r\n\r\n");
    let values: Vec<&[u8]> = request.fields.iter().map(|(_, value)| &value[..]).collect();
    assert_eq!(values, [&b""[..], b"b\tc", b"\xff\"", b"x: y"]);
    assert_eq!(request.fields[1].0, b"A");
    for line in [
        &b": a"[..],
        b"a",
        b"a : b",
        b" a: b",
        b"\ta: b",
        b"a\xff: b",
        b"a: b\rc",
        b"a: \x00",
        b"a: b\x7f",
        b"\ra: b",
        b"a: b\r",
    ] {
        let head = [b"GET / HTTP/1.0\r\n", line, b"\r\n\r\n"].concat();
        assert_eq!(refusal(&head, &Limits::DEFAULT), (400, head.len()), "{}", line.escape_ascii());
    }
    // RFC 9112 §5.2: a folded line; §2.2: a bare LF, at that byte.
    assert_eq!(refusal(b"GET / HTTP/1.0\r\na: b\r\n c\r\n\r\n", &Limits::DEFAULT), (400, 28));
    assert_eq!(refusal(b"GET / HTTP/1.0\r\na: b\nc: d\r\n\r\n", &Limits::DEFAULT), (400, 21));
    assert_eq!(refusal(b"GET / HTTP/1.0\r\na: b\r\n\n", &Limits::DEFAULT), (400, 23));
}

#[test]
fn the_recogniser_judges_fields_in_order() {
    let refused = |version: &str, lines: &str| {
        let head = format!("P / HTTP/{version}\r\n{lines}\r\n");
        let (status, at) = refusal(head.as_bytes(), &Limits { body_bytes: 9, ..Limits::DEFAULT });
        assert_eq!(at, head.len(), "{lines}");
        status
    };
    let cases = [
        ("1.1", "", 400),
        ("1.1", "host: a\r\nHost: a\r\n", 400),
        ("1.0", "host:\r\nHost:\r\n", 400),
        ("1.0", "host: a b\r\n", 400),
        ("1.1", "host: a\r\nconnection: a b\r\n", 400),
        ("1.1", "host: a\r\nconnection: close\r\nconnection: ,;\r\n", 400),
        ("1.1", "host: a\r\ncontent-length:\r\n", 400),
        ("1.1", "host: a\r\ncontent-length: +1\r\n", 400),
        ("1.1", "host: a\r\ncontent-length: 1, 1\r\n", 400),
        ("1.1", "host: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n", 400),
        ("1.1", "host: a\r\ncontent-length: 00000000000000000001\r\n", 400),
        ("1.1", "host: a\r\ncontent-length: 10\r\n", 413),
        ("1.1", "host: a\r\ncontent-length: 9999999999999999999\r\n", 413),
        ("1.1", "host: a\r\ntransfer-encoding:\r\n", 400),
        ("1.1", "host: a\r\ntransfer-encoding: gzip\r\n", 400),
        ("1.1", "host: a\r\ntransfer-encoding: ,chunked\r\n", 400),
        ("1.1", "host: a\r\ntransfer-encoding: chunked,\r\n", 400),
        ("1.1", "host: a\r\ntransfer-encoding: chunked, chunked\r\n", 400),
        ("1.1", "host: a\r\ntransfer-encoding: gzip;q=1, chunked\r\n", 400),
        ("1.1", "host: a\r\ntransfer-encoding: \u{b}chunked\r\n", 400),
        ("1.1", "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 400),
        ("1.1", "host: a\r\ntransfer-encoding: gzip, chunked\r\n", 501),
        ("1.1", "host: a\r\ntransfer-encoding: gzip, chunked\r\nexpect: x\r\n", 501),
        ("1.1", "host: a\r\ntransfer-encoding: gzip, chunked\r\ncontent-length: 10\r\n", 400),
        ("1.0", "transfer-encoding: chunked\r\n", 400),
        ("1.0", "transfer-encoding: gzip, chunked\r\n", 400),
        ("1.1", "host: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n", 400),
        ("1.1", "host: a\r\ncontent-length: 10\r\nexpect: x\r\n", 413),
        ("1.1", "host: a\r\ncontent-length: 1\r\nexpect: x\r\n", 417),
        ("1.1", "host: a\r\ncontent-length: 1\r\nexpect:\r\n", 417),
        ("1.1", "host: a\r\ncontent-length: 1\r\nexpect: 100-continue, 100-continue\r\n", 417),
        ("1.1", "host: a\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\nexpect: 100-continue\r\n", 417),
        ("1.1", "host: a b\r\ncontent-length: 10\r\nexpect: x\r\n", 400),
    ];
    for (version, lines, status) in cases {
        assert_eq!(refused(version, lines), status, "{lines}");
    }
}

#[test]
fn the_recogniser_knows_what_a_request_asks_of_the_connection() {
    let ask = |version: &str, lines: &str| {
        let head = format!("P / HTTP/{version}\r\nhost: a\r\n{lines}\r\n");
        read(head.as_bytes()).requests.remove(0)
    };
    assert!(ask("1.1", "").is_persistent);
    assert!(!ask("1.1", "connection: ,CLOSE\r\n").is_persistent);
    assert!(!ask("1.1", "connection: keep-alive\r\nconnection: x, close\r\n").is_persistent);
    assert!(!ask("1.0", "").is_persistent);
    assert!(ask("1.0", "connection: Keep-Alive\r\n").is_persistent);
    assert!(!ask("1.0", "connection: keep-alive, close\r\n").is_persistent);

    assert!(ask("1.1", "expect: 100-Continue\r\ncontent-length: 1\r\n").expects_continue);
    assert!(!ask("1.1", "expect: x\r\ncontent-length: 0\r\n").expects_continue);
    assert!(!ask("1.1", "expect: x\r\n").expects_continue);
    assert!(!ask("1.0", "expect: x\r\ncontent-length: 1\r\n").expects_continue);

    assert!(ask("1.1", "te: gzip, Trailers\r\n").takes_trailers);
    assert!(!ask("1.1", "te: trailers;q=1\r\n").takes_trailers);

    // RFC 9110 §7.8
    let offer = "connection: upgrade\r\nupgrade: H2C, websocket\r\nupgrade: IRC/6.9\r\n";
    assert_eq!(ask("1.1", offer).upgrades, [&b"websocket"[..], b"IRC/6.9"]);
    assert_eq!(ask("1.0", offer).upgrades, [b""; 0]);
    assert_eq!(ask("1.1", "upgrade: websocket\r\n").upgrades, [b""; 0]);
    assert_eq!(ask("1.1", &format!("{offer}content-length: 0\r\n")).upgrades.len(), 2);
    assert_eq!(ask("1.1", &format!("{offer}content-length: 1\r\n")).upgrades, [b""; 0]);
}

#[test]
fn the_recogniser_reads_bodies_and_what_follows() {
    let request = read_one(b"P / HTTP/1.1\r\nhost: a\r\ncontent-length: 003\r\n\r\n\r\n\0");
    assert_eq!((&request.body[..], request.content_length, request.has_body), (&b"\r\n\0"[..], Some(3), true));
    let request = read_one(b"P / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((request.content_length, request.has_body), (Some(0), false));
    let limits = Limits { body_bytes: 3, ..Limits::DEFAULT };
    let of_three = recognise(b"P / HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc", &limits);
    assert_eq!(of_three.requests[0].body, b"abc");

    let one = b"P / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n4\r\nWiki\r\n5;a=b\r\npedia\r\n00\r\n\r\n";
    let request = read_one(one);
    assert_eq!((&request.body[..], request.content_length, request.has_body), (&b"Wikipedia"[..], None, true));

    let stream = read(&[&one[..], b"\r\nG / HTTP/1.0\r\n\r\nGET"].concat());
    assert_eq!(stream.requests.len(), 2);
    assert_eq!((stream.requests[1].head_end, stream.requests[1].end), (one.len() + 18, Some(one.len() + 18)));
    assert_eq!(stream.stop, Stop::Finished { at: one.len() + 18 });

    assert_eq!(read(b"").stop, Stop::Incomplete { inside: false });
    assert_eq!(read(b"\r\n").stop, Stop::Incomplete { inside: false });
    assert_eq!(read(b"\r\nG").stop, Stop::Incomplete { inside: true });
    assert_eq!(read(&one[..one.len() - 1]).stop, Stop::Incomplete { inside: true });
    assert_eq!(read(&one[..one.len() - 1]).requests[0].end, None);
    assert_eq!(read(one).stop, Stop::Incomplete { inside: false });
}

const POST: &[u8] = b"P / HTTP/1.1\r\nhost: a\r\nconnection: x-mine\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn the_recogniser_refuses_a_chunk_at_the_byte_that_is_wrong() {
    let cases: [(&[u8], usize); 38] = [
        (b"\r\n", 1),
        (b"x", 1),
        (b" 1", 1),
        (b"+1", 1),
        (b"0x1", 2),
        (b"1_", 2),
        (b"1 \r\n", 3),
        (b"1\t\r\n", 3),
        (b"1\n", 2),
        (b"1\rx", 3),
        (b"11111111111111111", 17),
        (b"00000000000000001", 17),
        (b"8000000000000000", 16),
        (b"8000000000000001", 16),
        (b"FFFFFFFFFFFFFFFF", 16),
        (b"1;\r\n", 3),
        (b"1;\n", 3),
        (b"1; \n", 4),
        (b"1;;", 3),
        (b"1;=", 3),
        (b"1;a=\r\n", 5),
        (b"1;a=;", 5),
        (b"1;a \r", 5),
        (b"1;a b", 5),
        (b"1;a==", 5),
        (b"1;a=b \r", 7),
        (b"1;a=b=", 6),
        (b"1;a=\"\r", 6),
        (b"1;a=\"\n", 6),
        (b"1;a=\"\0", 6),
        (b"1;a=\"\x7f", 6),
        (b"1;a=\"\\\r", 7),
        (b"1;a=\"b\"c", 8),
        (b"1;a=\"b\" \r", 9),
        (b"1;\xff", 3),
        (b"1\r\nxy", 5),
        (b"1\r\nx\ry", 6),
        (b"1\r\nx\n", 5),
    ];
    for (chunk, at) in cases {
        let bytes = [POST, chunk].concat();
        assert_eq!(refusal(&bytes, &Limits::DEFAULT), (400, POST.len() + at), "{}", chunk.escape_ascii());
    }
    let right: [&[u8]; 9] = [
        b"000000000000000a\r\n",
        b"A\r\n",
        b"a;b\r\n",
        b"a;b;c=d;e=\"\"\r\n",
        b"a ; b \t= \tc ;d\r\n",
        b"a;b=\"\xff\t \\\"\\\\\\a\\\x80\\\t\\ ;\"\r\n",
        b"7fffffffffffffff\r\n",
        b"a;!#$%&'*+-.^_`|~=!#$%&'*+-.^_`|~\r\n",
        b"a;b=\"()<>@,;:[]?={}\" ;c\r\n",
    ];
    for chunk in right {
        let stream = read(&[POST, chunk, b"0123456789"].concat());
        assert_eq!(stream.requests[0].body, b"0123456789", "{}", chunk.escape_ascii());
    }
}

#[test]
fn the_recogniser_counts_chunks() {
    let limits = Limits {
        chunk_line_bytes: 6,
        chunk_extension_bytes: 5,
        body_bytes: 3,
        trailer_bytes: 12,
        fields: 4,
        ..Limits::DEFAULT
    };
    let cases: [(&[u8], u16, usize); 10] = [
        (b"1;2345\r\nx\r\n1;23", 400, 14),
        (b"000001x", 400, 7),
        (b"1;a=\"b\"\r\n", 400, 7),
        (b"1;2345", 0, 0),
        (b"4\r\n", 413, 3),
        (b"2\r\nxx\r\n2;a\r\n", 413, 12),
        (b"7fffffffffffffff", 400, 7),
        // "From behind the last chunk's line to the final CRLF, included."
        (b"0\r\na: b\r\nc:d\r\n\r\n", 431, 16),
        (b"0\r\na:\r\nb:\r\nc:\r\n\r\n", 431, 16),
        (b"0\r\na: b\r\nc: \n\r\n", 400, 13),
    ];
    for (chunks, status, at) in cases {
        let bytes = [POST, chunks].concat();
        let stop = recognise(&bytes, &limits).stop;
        let expected = match status {
            0 => Stop::Incomplete { inside: true },
            _ => Stop::Refused { status, at: POST.len() + at },
        };
        assert_eq!(stop, expected, "{}", chunks.escape_ascii());
    }
    // Two chunks of one byte, so their extensions may have six: the five, and the byte decoded before the second.
    let passes = [POST, b"1;2\r\nx\r\n1;aaa\r\nx\r\n0\r\na:b\r\nc:d\r\n\r\n"].concat();
    assert_eq!(recognise(&passes, &limits).stop, Stop::Incomplete { inside: false });
    // Without a limit a body is up to 2⁶³−1.
    let too_much = [POST, b"1\r\nx\r\n7fffffffffffffff\r\n"].concat();
    assert_eq!(refusal(&too_much, &Limits::DEFAULT), (413, too_much.len()));
    let fields = Limits { fields: 3, ..Limits::DEFAULT };
    let too_many = [POST, b"0\r\na:\r\nte:\r\ncookie:\r\n?\r\n\r\n"].concat();
    assert_eq!(refusal(&too_many, &fields), (431, too_many.len()));
}

/// Sizes at which it refuses by default, from the documentation and not from the crate.
#[test]
fn the_recogniser_has_the_documented_limits() {
    let limits = Limits::DEFAULT;
    let long = |count: usize| vec![b'a'; count];
    let head = |size: usize| [b"GET / HTTP/1.1\r\nhost: a\r\nx: ", &long(size - 32)[..], b"\r\n\r\n"].concat();
    let target = |size: usize| [b"GET /", &long(size - 1)[..], b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat();
    let trailers = |size: usize| [POST, b"0\r\nx: ", &long(size - 7)[..], b"\r\n\r\n"].concat();
    let extensions = |lines: usize, more: usize| {
        let line = [b"1;", &long(253)[..], b"\r\nx\r\n"].concat();
        [POST, &line.repeat(lines), b"1;", &long(more), b"\r\nx\r\n0\r\n\r\n"].concat()
    };
    for (passes, fails, status) in [
        (head(32_768), head(32_769), 431),
        (target(8_192), target(8_193), 414),
        (trailers(8_192), trailers(8_193), 431),
        // 64 lines with 254 bytes of it, after which 16,384 and 64 that were decoded are allowed.
        (extensions(64, 191), extensions(64, 192), 400),
    ] {
        assert_eq!(recognise(&passes, &limits).stop, Stop::Incomplete { inside: false }, "{status}");
        assert_eq!(refusal(&fails, &limits).0, status);
    }
}

#[test]
fn the_recogniser_keeps_drops_and_refuses_trailers() {
    let sent = b"0\r\nX-Sum: 7\r\nX-Mine: 1\r\nTE: x\r\nX-Forwarded-For: y\r\nX-Forwarded: z\r\nSet-Cookie: a\r\n\r\n";
    let request = read_one(&[POST, sent].concat());
    assert_eq!(request.trailers, fields(&[("X-Sum", "7"), ("X-Forwarded", "z")]));
    for line in ["Content-Length: 5", "host: a", "x y: z", " a: b", "a: b\r\n c: d"] {
        let bytes = [POST, b"0\r\n", line.as_bytes(), b"\r\n\r\n"].concat();
        assert_eq!(refusal(&bytes, &Limits::DEFAULT), (400, bytes.len()), "{line}");
    }
    // "A refused name stays refused though `Connection` lists it; a `Connection` in trailers lists nothing."
    let listed =
        b"P / HTTP/1.1\r\nhost: a\r\nconnection: host\r\ntransfer-encoding: chunked\r\n\r\n0\r\nhost: a\r\n\r\n";
    assert_eq!(refusal(listed, &Limits::DEFAULT), (400, listed.len()));
    let request = read_one(&[POST, b"0\r\nconnection: x-a\r\nx-a: b\r\n\r\n"].concat());
    assert_eq!(request.trailers, fields(&[("x-a", "b")]));
    assert_eq!(refusal(&[POST, b"0\r\n\n"].concat(), &Limits::DEFAULT), (400, POST.len() + 4));
}

/// A request that lets the server do what it can.
fn get() -> Asked {
    Asked {
        method: b"GET".to_vec(),
        minor: 1,
        expects_continue: true,
        takes_trailers: true,
        upgrades: vec![b"websocket".to_vec()],
    }
}

fn of(method: &str) -> Asked {
    Asked { method: method.into(), ..get() }
}

fn old() -> Asked {
    Asked { minor: 0, ..get() }
}

#[track_caller]
fn decode(asked: &[Asked], output: &[u8], end: End) -> Output {
    validate(asked, output, end).unwrap_or_else(|fault| panic!("{}: {fault:?}", output.escape_ascii()))
}

#[test]
fn the_validator_reads_responses() {
    // RFC 9112 §2.1, RFC 9110 §3.9
    let example = b"HTTP/1.1 200 OK\r\n\
        Date: Mon, 27 Jul 2009 12:28:53 GMT\r\n\
        Server: Apache\r\n\
        Last-Modified: Wed, 22 Jul 2009 19:15:56 GMT\r\n\
        ETag: \"34aa387-d-1568eb00\"\r\n\
        Accept-Ranges: bytes\r\n\
        Content-Length: 51\r\n\
        Vary: Accept-Encoding\r\n\
        Content-Type: text/plain\r\n\
        \r\n\
        Hello World! My content includes a trailing CRLF.\r\n";
    let output = decode(&[get()], example, End::Open);
    let [response] = &output.responses[..] else { panic!() };
    assert_eq!((response.head.status, response.framing), (200, Framing::Length(51)));
    assert_eq!(response.body, b"Hello World! My content includes a trailing CRLF.\r\n");
    assert_eq!(response.head.fields[3].1, b"\"34aa387-d-1568eb00\"");
    assert!(response.is_complete && response.is_asked);

    let chunked =
        b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n4\r\nWiki\r\nA\r\n0123456789\r\n0\r\na: b\r\n\r\n";
    let output = decode(&[get()], chunked, End::Closed);
    assert_eq!(output.responses[0].body, b"Wiki0123456789");
    assert_eq!(output.responses[0].trailers, fields(&[("a", "b")]));

    // RFC 9110 §7.8, §15.2.2
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(decode(&[get()], switch, End::Switched).responses[0].framing, Framing::None);
    let tunnel = decode(&[of("CONNECT")], b"HTTP/1.1 200 OK\r\n\r\n", End::Switched);
    assert!(tunnel.responses[0].is_complete);

    // RFC 8297 §2
    let hints =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let output = decode(&[get()], hints, End::Closed);
    let statuses: Vec<u16> = output.responses[0].interim.iter().map(|head| head.status).collect();
    assert_eq!(statuses, [100, 103]);
    assert!(!output.responses[1].is_asked);
    assert_eq!(decode(&[get()], b"HTTP/1.1 100 \r\n\r\n", End::Open).interim.len(), 1);
}

#[test]
fn the_validator_knows_what_is_whole() {
    let until_close = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello";
    assert!(decode(&[old()], until_close, End::Closed).responses[0].is_complete);
    assert!(!decode(&[old()], until_close, End::Open).responses[0].is_complete);
    assert!(!decode(&[old()], until_close, End::Reset).responses[0].is_complete);
    for cut in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nWik",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nWiki",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nWiki\r",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: b\r\n",
    ] {
        assert!(!decode(&[get()], cut, End::Reset).responses[0].is_complete);
        assert!(validate(&[get()], cut, End::Closed).is_err());
    }
    let torn_head = b"HTTP/1.1 200 OK\r\ncontent";
    assert_eq!(decode(&[get()], torn_head, End::Reset).responses, []);
    assert!(validate(&[get()], torn_head, End::Closed).is_err());
}

#[test]
fn the_validator_finds_no_body_where_none_may_be() {
    for (asked, head) in [
        (of("HEAD"), "200 OK\r\ncontent-length: 5"),
        (of("HEAD"), "200 OK\r\ntransfer-encoding: chunked"),
        (get(), "304 Not Modified\r\ncontent-length: 5"),
        (get(), "204 No Content\r\na: b"),
        (get(), "205 Reset Content\r\ncontent-length: 0"),
    ] {
        let whole = format!("HTTP/1.1 {head}\r\n\r\n");
        assert!(decode(std::slice::from_ref(&asked), whole.as_bytes(), End::Open).responses[0].is_complete, "{head}");
        let with_body = format!("HTTP/1.1 {head}\r\n\r\nhello");
        assert!(validate(&[asked], with_body.as_bytes(), End::Open).is_err(), "{head}");
    }
}

#[test]
fn the_validator_finds_faults() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n";
    let cases: &[(&str, Asked, String)] = &[
        ("the version", get(), "HTTP/1.0 200 OK\r\n\r\n".into()),
        ("no reason", get(), "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n".into()),
        ("a short code", get(), "HTTP/1.1 20\r\n\r\n".into()),
        ("a long code", get(), "HTTP/1.1 2000 OK\r\n\r\n".into()),
        ("no code", get(), "HTTP/1.1 2x0 OK\r\n\r\n".into()),
        ("a status below all", get(), "HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n".into()),
        ("a status above all", get(), "HTTP/1.1 600 OK\r\ncontent-length: 0\r\n\r\n".into()),
        ("a control character in the reason", get(), "HTTP/1.1 200 \0\r\ncontent-length: 0\r\n\r\n".into()),
        ("a bare LF", get(), "HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n".into()),
        ("a bare CR", get(), format!("{ok}a: b\rc: d\r\n\r\n")),
        ("a folded line", get(), format!("{ok}a: b\r\n c\r\n\r\n")),
        ("a name that is no token", get(), format!("{ok}a b: c\r\n\r\n")),
        ("two Content-Length", get(), format!("{ok}Content-Length: 0\r\n\r\n")),
        ("two Connection", get(), format!("{ok}connection: a\r\nconnection: b\r\n\r\n")),
        ("a Connection that is no list", get(), format!("{ok}connection: a b\r\n\r\n")),
        ("two Date", get(), format!("{ok}{0}{0}\r\n", "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n")),
        ("a Date of another format", get(), format!("{ok}date: Sunday, 06-Nov-94 08:49:37 GMT\r\n\r\n")),
        ("a Date of another zone", get(), format!("{ok}date: Sun, 06 Nov 1994 08:49:37 MEZ\r\n\r\n")),
        ("a length that is none", get(), "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".into()),
        ("both framings", get(), format!("{ok}transfer-encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("another coding", get(), "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n".into()),
        ("chunked to HTTP/1.0", old(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        ("an interim response to HTTP/1.0", old(), format!("HTTP/1.1 103 x\r\n\r\n{ok}\r\n")),
        ("framing on 1xx", get(), format!("HTTP/1.1 103 x\r\ncontent-length: 0\r\n\r\n{ok}\r\n")),
        ("framing on 204", get(), "HTTP/1.1 204 x\r\ncontent-length: 0\r\n\r\n".into()),
        (
            "framing on 101",
            get(),
            format!("HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n{}\r\n", &ok[17..]),
        ),
        ("framing in a tunnel", of("CONNECT"), format!("{ok}\r\n")),
        ("two 100", get(), format!("{0}{0}{ok}\r\n", "HTTP/1.1 100 x\r\n\r\n")),
        ("a 100 unasked", Asked { expects_continue: false, ..get() }, format!("HTTP/1.1 100 x\r\n\r\n{ok}\r\n")),
        ("content in a 205", get(), "HTTP/1.1 205 x\r\ncontent-length: 1\r\n\r\nx".into()),
        ("a second response", get(), format!("{ok}\r\n{ok}\r\n")),
        ("a second response that closes", get(), format!("{ok}\r\n{ok}connection: close\r\n\r\n")),
        (
            "an error response that does not close",
            get(),
            format!("{ok}\r\nHTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n"),
        ),
        ("an interim response to nobody", get(), format!("{ok}\r\nHTTP/1.1 103 x\r\n\r\n")),
        ("bytes behind the last", get(), format!("{ok}\r\nx")),
        ("a chunk without a size", get(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n".into()),
        ("a chunk of 17 digits", get(), format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:017}\r\n", 0)),
        ("an extension", get(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\n\r\n".into()),
        (
            "a chunk without its end",
            get(),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n".into(),
        ),
        (
            "trailers unasked",
            Asked { takes_trailers: false, ..get() },
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: b\r\n\r\n".into(),
        ),
        (
            "a trailer for framing",
            get(),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 0\r\n\r\n".into(),
        ),
        ("a switch without connection", get(), "HTTP/1.1 101 x\r\nupgrade: websocket\r\n\r\n".into()),
        ("a switch without upgrade", get(), "HTTP/1.1 101 x\r\nconnection: upgrade\r\n\r\n".into()),
        (
            "a switch to what was not offered",
            get(),
            "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: irc\r\n\r\n".into(),
        ),
    ];
    for (what, asked, output) in cases {
        for end in [End::Open, End::Closed, End::Switched] {
            let verdict = validate(std::slice::from_ref(asked), output.as_bytes(), end);
            assert!(verdict.is_err(), "{what}: {verdict:?}");
        }
    }
}

#[test]
fn the_validator_lets_nothing_follow_the_last() {
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let two = [get(), get()];
    let follows = |first: &[u8], asked: &[Asked]| validate(asked, &[first, ok].concat(), End::Open).is_ok();
    assert!(follows(ok, &two));
    assert!(!follows(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", &two));
    assert!(!follows(b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", &two));
    assert!(!follows(ok, &[old(), get()]));
    assert!(follows(b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", &[old(), get()]));
    assert!(!follows(b"HTTP/1.1 200 OK\r\n\r\n", &[of("CONNECT"), get()]));
    let refused = b"HTTP/1.1 400 x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert!(validate(&[], refused, End::Closed).is_ok());
    assert!(validate(&[], &refused.repeat(2), End::Closed).is_err());
    // The end that the last response says, and no other.
    assert!(validate(&two, ok, End::Switched).is_err());
    assert!(
        validate(&two, b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", End::Closed).is_err()
    );
}

#[test]
fn the_client_writes_what_it_means() {
    let mut message = Message {
        method: b"POST".to_vec(),
        target: b"/a".to_vec(),
        minor: 1,
        fields: fields(&[("Host", "b"), ("TE", "trailers")]),
        paddings: vec![("", ""), ("\t ", " ")],
        body: b"Wikipedia".to_vec(),
        coding: Coding::Chunked {
            sizes: vec![4, 0],
            extensions: vec![b";x".to_vec(), Vec::new()],
            trailers: fields(&[("Sum", "7")]),
        },
        has_blank_line: true,
    };
    let head = "\r\nPOST /a HTTP/1.1\r\nHost:b\r\nTE:\t trailers \r\nTransfer-Encoding:chunked\r\n\r\n";
    let body = "4;x\r\nWiki\r\n1\r\np\r\n4;x\r\nedia\r\n0\r\nSum: 7\r\n\r\n";
    assert_eq!(String::from_utf8(message.encode()).unwrap(), format!("{head}{body}"));
    assert_eq!(message.asked(), Asked { method: b"POST".to_vec(), expects_continue: false, upgrades: vec![], ..get() });

    message.coding = Coding::Length;
    message.has_blank_line = false;
    message.paddings.clear();
    message.fields = fields(&[("Host", "b"), ("expect", "100-continue")]);
    let bytes = b"POST /a HTTP/1.1\r\nHost: b\r\nexpect: 100-continue\r\nContent-Length: 9\r\n\r\nWikipedia";
    assert_eq!(message.encode(), bytes);
    assert!(message.asked().expects_continue && !message.asked().takes_trailers);

    message.coding = Coding::None;
    message.body.clear();
    message.fields = fields(&[("Host", "b"), ("Connection", "Upgrade"), ("Upgrade", "a, b/1")]);
    assert_eq!(message.asked().upgrades, [&b"a"[..], b"b/1"]);
    let output = b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: b/1\r\n\r\n";
    assert!(client::decode(&[message], output, End::Switched).unwrap().responses[0].is_asked);
}

//! What may be shown and what may not, what a clone is, and the small values of the interface: dates, paths, instants.

mod common_wire;

use core::fmt::{Debug, Display};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::task::Poll;

use bytes::Bytes;
use common_wire::{Pair, ask, at, head, last, output, part, receive_all, respond, start, text, write};
use sansgi::{
    Action, Channel, Chunks, Clock, CloseReason, Config, ConfigBuilder, ConfigError, Connection, ConnectionGuard, Date,
    Driver, EarlyResponse, EndOnDrop, Exchange, ExchangeId, Field, Fields, HalfClose, Headers, Instant, Limit, Limits,
    Misuse, Outcome, ProtocolError, ReceiveEvent, Request, SendError, SendEvent, TargetForm, Timeouts, Version, Wait,
    decode_path,
};

const NOW: Instant = Instant::ZERO;

/// What nobody may find in a log.
const SECRET: &str = "oPen-SesAme";
const SECRET_BYTES: &[u8] = SECRET.as_bytes();

/// How it could show: as text, in hexadecimal, or as a list of numbers.
#[track_caller]
fn hides(what: &str, shown: &dyn Debug) {
    for shown in [format!("{shown:?}"), format!("{shown:#?}"), format!("{shown:x?}")] {
        let squeezed: String = shown.chars().filter(|char| !char.is_whitespace()).collect();
        for trace in [SECRET.to_owned(), "111,80,101,110".into(), "6f,50,65,6e".into(), "6f50656e".into()] {
            assert!(!squeezed.contains(&trace), "{what} shows {trace}: {shown}");
        }
    }
}

/// A request with a secret in each place that has one, and in its body.
fn secret_request() -> Vec<u8> {
    format!(
        "POST /open HTTP/1.1\r\nHost: a\r\nAuthorization: {SECRET}\r\nproxy-authorization: {SECRET}\r\nCOOKIE: {SECRET}\r\n\
         Set-Cookie: {SECRET}\r\ncookie: a={SECRET}\r\nContent-Length: 22\r\n\r\n{SECRET}{SECRET}"
    )
    .into_bytes()
}

const SECRET_HEADERS: &[Pair<'_>] = &[
    (b"Set-Cookie", SECRET_BYTES),
    (b"authorization", SECRET_BYTES),
    (b"Proxy-Authorization", SECRET_BYTES),
    (b"cookie", SECRET_BYTES),
    (b"x-open", b"shown"),
];

#[test]
fn debug_of_a_request_and_its_headers_hides_secrets_and_shows_the_rest() {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(&secret_request());
    hides("Connection", &conn);
    let action = conn.next_action(NOW);
    hides("Action::Start", &action);
    let Action::Start(id, request) = action else { panic!("a whole request is there") };
    hides("Request", &request);
    hides("Headers", request.headers());
    for field in request.headers() {
        hides("Field", &field);
    }
    hides("Exchange", &conn.exchange(id));
    hides("Connection", &conn);
    let shown = format!("{request:?}");
    for open in ["POST", "/open", "host", "authorization", "cookie", "content-length", "11 bytes", "13 bytes"] {
        assert!(shown.contains(open), "{open} is in {shown}");
    }
}

#[test]
fn debug_of_what_is_received_hides_bodies() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, &secret_request());
    let received = conn.exchange(id).receive();
    hides("ReceiveEvent", &received);
    assert!(format!("{received:?}").contains("22 bytes"), "{received:?}");
    assert_eq!(format!("{:?}", ReceiveEvent::Disconnect), "Disconnect");
    hides("Connection", &conn);
}

#[test]
fn debug_of_what_is_sent_hides_bodies_and_secrets() {
    let body = Bytes::from_static(SECRET_BYTES);
    let events = [
        SendEvent::ResponseStart { status: 200, headers: SECRET_HEADERS, trailers: true },
        SendEvent::ResponseBody { body, more_body: false },
        SendEvent::ResponsePart { token: 1, len: 2, more_body: true },
        SendEvent::ResponseTrailers { headers: SECRET_HEADERS, more_trailers: false },
        SendEvent::Informational { status: 103, headers: SECRET_HEADERS },
    ];
    for event in &events {
        hides("SendEvent", event);
        if !matches!(event, SendEvent::ResponsePart { .. }) {
            assert!(format!("{event:?}").contains("11 bytes"), "{event:?}");
        }
    }
    assert!(format!("{:?}", events[0]).contains("shown"), "{:?}", events[0]);
}

#[test]
fn debug_of_what_is_queued_hides_it() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    conn.exchange(id).send(head(200, SECRET_HEADERS)).unwrap();
    hides("Connection with a held head", &conn);
    conn.exchange(id).send(part(SECRET_BYTES)).unwrap();
    conn.exchange(id).send(SendEvent::ResponseBody { body: SECRET.repeat(1000).into(), more_body: true }).unwrap();
    hides("Connection with something unwritten", &conn);
    hides("Chunks", &conn.outgoing());
    assert!(format!("{:?}", conn.outgoing()).contains("11000"), "how long they are: {:?}", conn.outgoing());
    conn.handle_bytes(SECRET_BYTES);
    hides("Connection with pipelined bytes", &conn);
    let _ = conn.take_outgoing();
    hides("Connection with a taken chunk", &conn);
}

#[test]
fn debug_of_trailers_hides_what_it_hides_of_headers() {
    let mut conn = Connection::new(Config::default());
    let request = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\ncookie: {SECRET}\r\nset-cookie: {SECRET}\r\nx: y\r\n\r\n"
    );
    let id = start(&mut conn, NOW, request.as_bytes());
    receive_all(&mut conn, id);
    let exchange = conn.exchange(id);
    let trailers = exchange.trailers().unwrap();
    assert_eq!(trailers.len(), 1);
    hides("trailers", trailers);
}

#[test]
fn debug_of_an_iteration_over_fields_hides_what_debug_of_each_hides() {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(&secret_request());
    let Action::Start(_, request) = conn.next_action(NOW) else { panic!("a whole request is there") };
    let mut fields = request.headers().iter();
    hides("Fields", &fields);
    assert!(format!("{fields:?}").contains("host"), "{fields:?}");
    fields.next();
    hides("Fields, the first of them taken", &fields);
    assert!(!format!("{fields:?}").contains("host") && format!("{fields:?}").contains("cookie"), "{fields:?}");
}

fn shown(field: Field<'_>) -> (&str, &[u8], &[u8]) {
    (field.name(), field.name_as_sent(), field.value())
}

#[test]
fn fields_are_read_from_both_ends_and_counted() {
    let mut conn = Connection::new(Config::default());
    // The absolute-form puts a field in front that was not sent.
    conn.handle_bytes(b"GET http://b/ HTTP/1.0\r\nAb: 1\r\nx: \r\nCookie: c=3\r\nab: 4\r\n\r\n");
    let Action::Start(_, request) = conn.next_action(NOW) else { panic!("a whole request is there") };
    let headers = request.headers();
    let expected: [(&str, &[u8], &[u8]); 5] = [
        ("host", b"host", b"b"),
        ("ab", b"Ab", b"1"),
        ("x", b"x", b""),
        ("cookie", b"Cookie", b"c=3"),
        ("ab", b"ab", b"4"),
    ];
    assert_eq!(headers.iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(
        headers.into_iter().rev().map(shown).collect::<Vec<_>>(),
        expected.iter().rev().copied().collect::<Vec<_>>()
    );
    for from_front in 0..=5 {
        let mut fields = headers.iter();
        let mut front: Vec<_> = fields.by_ref().take(from_front).map(shown).collect();
        assert_eq!((fields.len(), fields.size_hint()), (5 - from_front, (5 - from_front, Some(5 - from_front))));
        let back: Vec<_> = fields.rev().map(shown).collect();
        front.extend(back.into_iter().rev());
        assert_eq!(front, expected, "{from_front} from the front");
    }
    assert_eq!(headers.get_all("AB").collect::<Vec<_>>(), [b"1", b"4"]);
    assert_eq!(
        (headers.get("aB"), headers.get("a"), headers.len(), headers.is_empty()),
        (Some(&b"1"[..]), None, 5, false)
    );
}

#[test]
fn debug_of_timeouts_says_how_long_and_which_are_off() {
    let shown = format!("{:?}", Timeouts::default().idle(Duration::from_millis(1_500)).head(Duration::MAX));
    for text in ["idle: 1.5s", "head: off", "write: 60s"] {
        assert!(shown.contains(text), "{text} is in {shown}");
    }
    assert_eq!(shown.matches("off").count(), 1, "{shown}");
}

#[test]
fn requests_are_equal_byte_for_byte() {
    let request = |bytes: &[u8]| {
        let mut conn = Connection::new(Config::default());
        conn.handle_bytes(bytes);
        let Action::Start(_, request) = conn.next_action(NOW) else { panic!("a whole request is there") };
        request
    };
    let one = request(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(one, request(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\n"));
    assert_ne!(one, request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_ne!(one, request(b"GET /2 HTTP/1.1\r\nhost: a\r\n\r\n"));
}

/// Nothing that anybody sent is in it, and it is still of use.
#[test]
fn debug_of_a_connection_and_of_small_values_says_how_it_stands() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, &[&secret_request()[..], b"12345"].concat());
    conn.exchange(id).send(head(200, &[])).unwrap();
    conn.exchange(id).send(part(b"begun")).unwrap();
    let shown = format!("{conn:?}");
    let unwritten = output(&conn).len().to_string();
    // Of the content and what is behind it nothing was asked for.
    for known in ["Connection", "ExchangeId(1)", "27", unwritten.as_str()] {
        assert!(shown.contains(known), "{known} is in {shown}");
    }
    let mut faulty = Connection::new(Config::default());
    faulty.handle_bytes(b"?");
    ask(&mut faulty, NOW);
    assert!(format!("{faulty:?}").contains("Fault(RequestLine)"), "{faulty:?}");
    assert_eq!((format!("{id:?}"), id.to_string()), ("ExchangeId(1)".to_owned(), "1".to_owned()));
    assert!(format!("{:?}", Date::from_unix(0)).contains("Thu, 01 Jan 1970 00:00:00 GMT"));
}

/// A secret that the server itself sends, such as a cookie, is a default header like any other.
#[test]
fn debug_of_a_config_hides_secrets_of_its_default_headers() {
    let builder = Config::builder().default_header("Set-Cookie", SECRET).default_header("authorization", SECRET);
    hides("ConfigBuilder", &builder);
    let config = builder.default_header("server", "shown").connect(true).build().unwrap();
    hides("Config", &config);
    let shown = format!("{config:?}");
    for open in ["Limits", "Timeouts", "set-cookie", "11 bytes", "server", "shown", "true"] {
        assert!(shown.to_ascii_lowercase().contains(&open.to_ascii_lowercase()), "{open} is in {shown}");
    }
}

/// The first bytes of the protocol that is switched to: a tunnel's content is no less private than a body.
#[test]
fn debug_of_a_switch_hides_the_bytes_that_are_left_over() {
    let mut conn = Connection::new(Config::default());
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let id = start(&mut conn, NOW, &[request, SECRET_BYTES].concat());
    conn.exchange(id).send(head(101, &[(b"upgrade", b"x")])).unwrap();
    write(&mut conn);
    let answers = ask(&mut conn, NOW);
    assert!(matches!(&answers[1], Action::Switch { leftover, .. } if leftover == SECRET_BYTES));
    hides("Action::Switch", &answers[1]);
    hides("Connection behind a switch", &conn);
}

#[test]
fn debug_of_what_tasks_share_hides_what_debug_of_a_connection_hides() {
    let mut driver = Driver::new(Connection::new(Config::default()));
    let id = start(&mut driver.lock(), NOW, &secret_request());
    let channel = driver.channel(id);
    channel.send_now(head(200, SECRET_HEADERS)).unwrap();
    channel.send_now(part(SECRET_BYTES)).unwrap();
    hides("Channel", &channel);
    hides("Driver", &driver);
    hides("ConnectionGuard", &driver.lock());
    hides("EndOnDrop", &channel.end_on_drop());
}

/// Something that the peer does wrong, with a canary in all that it sends.
struct Fault {
    bytes: String,
    error: ProtocolError,
    status: u16,
}

/// What the peer sends and nobody may see again, least of all its own browser.
const CANARY: &str = "c4n4ry";

fn faults() -> Vec<Fault> {
    use ProtocolError as P;
    let fault = |bytes: &str, error, status| Fault { bytes: bytes.replace('@', CANARY), error, status };
    let line = |line: &str, error, status| fault(&format!("{line}\r\nhost: @\r\nx-@: @\r\n\r\n@"), error, status);
    let field = |field: &str, error, status| {
        fault(&format!("POST /@ HTTP/1.1\r\nhost: @\r\nx-@: @\r\n{field}\r\n\r\n@"), error, status)
    };
    let host = |host: &str| fault(&format!("GET /@ HTTP/1.1\r\nx-@: @\r\n{host}\r\n@"), P::Host, 400);
    let chunk = |rest: &str, error, status| {
        fault(&format!("POST /@ HTTP/1.1\r\nhost: @\r\ntransfer-encoding: chunked\r\n\r\n{rest}"), error, status)
    };
    let exceeded = |limit, max| P::LimitExceeded { limit, max };
    vec![
        line("GET /@ HTTP/1.1\n", P::BareLineFeed, 400),
        line("GET /@", P::RequestLine, 400),
        line("GET /@ HTTP/1.1 @", P::RequestLine, 400),
        line("\r\n\r\nGET /@ HTTP/1.1", P::RequestLine, 400),
        line("(@ /@ HTTP/1.1", P::RequestLine, 400),
        line("@(@ /@ HTTP/1.1", P::Method, 400),
        line("PRI /@ HTTP/1.1", P::Method, 400),
        line("CONNECT @:80 HTTP/1.1", P::ConnectDisabled, 501),
        line("GET @ HTTP/1.1", P::Target, 400),
        line("GET /<script>@</script> HTTP/1.1", P::Target, 400),
        line("GET http://@:@/ HTTP/1.1", P::Target, 400),
        line("GET /@ HTTP/@", P::Version, 400),
        line("GET /@ HTTP/2.0", P::VersionNotSupported, 505),
        field("@ : @", P::Field, 400),
        field("@", P::Field, 400),
        field("x: @\0@", P::Field, 400),
        host(""),
        host("host: @\r\nhost: @\r\n"),
        host("host: @/<script>@</script>\r\n"),
        field("connection: @ @", P::Connection, 400),
        field("content-length: @", P::ContentLength, 400),
        field("content-length: 1\r\ncontent-length: 1", P::ContentLength, 400),
        field("transfer-encoding: @", P::TransferEncoding, 400),
        field("content-length: 1\r\ntransfer-encoding: chunked", P::ContentLengthAndTransferEncoding, 400),
        field("transfer-encoding: @, chunked", P::TransferCoding, 501),
        field("content-length: 1\r\nexpect: @", P::Expectation, 417),
        chunk("@", P::ChunkLine, 400),
        chunk("1;@=\"\r\n", P::ChunkLine, 400),
        chunk("1\r\n@\r\n", P::ChunkEnd, 400),
        chunk("0\r\nhost: @\r\n\r\n", P::Trailer, 400),
        chunk("0\r\n@ @\r\n\r\n", P::Trailer, 400),
        chunk("0\r\n@: @\n\r\n", P::BareLineFeed, 400),
        fault(&format!("GET /@ HTTP/1.1\r\nx: {}", "@".repeat(100)), exceeded(Limit::HeadBytes, 400), 431),
        line(&format!("{} / HTTP/1.1", "@".repeat(10)), exceeded(Limit::MethodBytes, 20), 501),
        line(&format!("GET /{} HTTP/1.1", "@".repeat(20)), exceeded(Limit::TargetBytes, 64), 414),
        field("@: @\r\n@: @\r\n@: @\r\n@: @", exceeded(Limit::Fields, 5), 431),
        chunk(&format!("0\r\n{}\r\n", "@: @\r\n".repeat(6)), exceeded(Limit::TrailerFields, 5), 431),
        chunk(&format!("1;{}\r\n", "@".repeat(10)), exceeded(Limit::ChunkLineBytes, 12), 400),
        chunk(&"1;@\r\nx\r\n".repeat(4), exceeded(Limit::ChunkExtensionBytes, 20), 400),
        chunk(&format!("0\r\n@: {}", "@".repeat(20)), exceeded(Limit::TrailerBytes, 100), 431),
        field("content-length: 11", exceeded(Limit::BodyBytes, 10), 413),
        chunk("b;@\r\n@", exceeded(Limit::BodyBytes, 10), 413),
    ]
}

/// So that each limit can be gone beyond in a line.
fn small() -> Limits {
    Limits::default()
        .max_head_bytes(400)
        .max_method_bytes(20)
        .max_target_bytes(64)
        .max_fields(5)
        .max_chunk_line_bytes(12)
        .max_chunk_extension_bytes(20)
        .max_trailer_bytes(100)
        .max_body_bytes(Some(10))
}

#[track_caller]
fn has_no_canary(what: &str, shown: &str) {
    for trace in [CANARY, "script", "c4n"] {
        assert!(!shown.contains(trace), "{what} shows what the peer sent: {shown}");
    }
}

/// Neither the answer nor any text about the fault has a byte that the peer sent.
fn tells_no_tales(conn: &Connection, fault: ProtocolError, status: u16) {
    assert_eq!(conn.fault(), Some(fault));
    assert_eq!(fault.status(), status, "{fault:?}");
    let answer = text(&output(conn));
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{fault:?}: {answer}");
    has_no_canary("the answer", &answer);
    has_no_canary("the fault", &format!("{fault} {fault:?}"));
    let reason = conn.close_reason().unwrap();
    assert_eq!(reason, CloseReason::Fault(fault));
    has_no_canary("the reason", &format!("{reason} {reason:?}"));
    has_no_canary("the connection", &format!("{conn:?}"));
}

#[test]
fn nothing_that_the_peer_sent_is_in_the_answer_to_its_fault_or_in_any_text() {
    let config = Config::builder().limits(small()).build().unwrap();
    let mut kinds = BTreeSet::new();
    for Fault { bytes, error: fault, status } in faults() {
        let mut conn = Connection::new(config.clone());
        conn.handle_bytes(bytes.as_bytes());
        if let Action::Start(id, _) = conn.next_action(NOW) {
            receive_all(&mut conn, id);
            conn.exchange(id).send(head(200, &[])).unwrap_err();
        }
        assert_eq!(conn.fault(), Some(fault), "{}", bytes.escape_debug());
        tells_no_tales(&conn, fault, status);
        kinds.insert(match fault {
            ProtocolError::LimitExceeded { limit, .. } => format!("{limit:?}"),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(kinds.len(), 18 + 9, "each fault but those of time, and each limit: {kinds:?}");
}

#[test]
fn nothing_that_a_slow_peer_sent_is_in_the_answer() {
    let upload = format!("POST /{CANARY} HTTP/1.1\r\nhost: {CANARY}\r\ncontent-length: 1000\r\n\r\n{CANARY}");
    let timeouts = Timeouts::default();
    for (timeouts, bytes, fault) in [
        (timeouts, "GET /c4n4ry HTTP/1.1\r\nhost: c4n4ry\r\nc4n4ry", ProtocolError::HeadTimeout),
        (timeouts.body_rate(0, Duration::ZERO), &upload, ProtocolError::BodyTimeout),
        (timeouts.body(Duration::MAX), &upload, ProtocolError::BodyRate),
    ] {
        let mut conn = Connection::new(Config::builder().timeouts(timeouts).build().unwrap());
        conn.handle_bytes(bytes.as_bytes());
        if let Action::Start(id, _) = conn.next_action(NOW) {
            receive_all(&mut conn, id);
        }
        ask(&mut conn, NOW);
        ask(&mut conn, at(1000));
        tells_no_tales(&conn, fault, 408);
    }
}

#[test]
fn each_fault_has_a_text_of_its_own() {
    let mut texts = BTreeMap::new();
    for Fault { error: fault, .. } in faults() {
        let text = fault.to_string();
        assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
        let known = texts.insert(text, fault);
        assert!(known.is_none_or(|known| known == fault), "{known:?} and {fault:?} read the same");
    }
}

#[test]
fn values_can_be_shared_and_shown() {
    fn is_shown<T: Debug>() {}
    fn is_shared<T: Send + Sync + Debug>() {}
    fn is_value<T: Send + Sync + Debug + Clone>() {}
    fn is_copied<T: Send + Sync + Debug + Copy + Eq>() {}
    fn is_error<T: core::error::Error + Send + Sync + Copy + Eq + Display + 'static>() {}

    is_value::<Connection>();
    is_value::<Config>();
    is_value::<ConfigBuilder>();
    is_value::<Request>();
    is_value::<Headers>();
    is_value::<Field<'_>>();
    is_value::<Fields<'_>>();
    is_value::<Action>();
    is_value::<ReceiveEvent>();
    is_value::<SendEvent<'_>>();
    is_value::<Chunks<'_>>();
    is_value::<Channel>();
    is_shared::<Exchange<'_>>();
    is_shared::<Driver>();
    is_shared::<EndOnDrop>();
    is_shown::<ConnectionGuard<'_>>();
    is_copied::<ExchangeId>();
    is_copied::<Outcome>();
    is_copied::<Wait>();
    is_copied::<Limits>();
    is_copied::<Limit>();
    is_copied::<Timeouts>();
    is_copied::<HalfClose>();
    is_copied::<EarlyResponse>();
    is_copied::<Version>();
    is_copied::<TargetForm>();
    is_copied::<Instant>();
    is_copied::<Date>();
    is_value::<Clock>();
    is_error::<ProtocolError>();
    is_error::<SendError>();
    is_error::<Misuse>();
    is_error::<CloseReason>();
    is_error::<ConfigError>();
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nab");
    assert_eq!(receive_all(&mut conn, id), (b"ab".to_vec(), false));
    conn.exchange(id).send(head(200, &[])).unwrap();
    conn.exchange(id).send(part(b"one")).unwrap();
    conn.handle_bytes(b"c");
    let begun = output(&conn);
    let mut fork = conn.clone();
    let mut gone = conn.clone();

    gone.handle_disconnect();
    assert_eq!(gone.exchange(id).outcome(), Some(Outcome::ClientLeft));
    assert_eq!(output(&gone), b"");

    fork.handle_bytes(b"DEF");
    assert_eq!(receive_all(&mut fork, id), (b"cDEF".to_vec(), true));
    fork.exchange(id).send(last(b"fork")).unwrap();
    conn.handle_bytes(b"def");
    assert_eq!(receive_all(&mut conn, id), (b"cdef".to_vec(), true));
    assert_eq!(conn.exchange(id).outcome(), None);
    assert_eq!(output(&conn), begun);
    conn.exchange(id).send(last(b"conn")).unwrap();
    assert_ne!(output(&conn), output(&fork));
    assert!(output(&conn).starts_with(&begun) && output(&fork).starts_with(&begun));
    write(&mut fork);
    assert_eq!(fork.next_action(at(5)), Action::Disconnect(id));
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    let Action::Wait(wait) = conn.next_action(NOW) else { panic!("it is unwritten still") };
    assert_eq!((wait.write, wait.deadline), (true, Some(at(60))), "its own clock");

    // Identifiers are issued on, on each of them.
    for conn in [&mut conn, &mut fork] {
        let next = start(conn, at(5), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(next.as_u64(), 2);
        respond(conn, next);
    }
}

#[test]
fn clones_and_their_origin_do_not_share_a_buffer() {
    let mut conn = Connection::new(Config::default());
    let mut first = conn.read_buffer();
    first.extend_from_slice(b"GET /1");
    conn.handle_read(first);
    let mut fork = conn.clone();
    for (conn, rest) in [(&mut conn, "2 HTTP/1.1\r\nhost: a\r\n\r\n"), (&mut fork, "3 HTTP/1.1\r\nhost: a\r\n\r\n")] {
        let mut buffer = conn.read_buffer();
        buffer.extend_from_slice(rest.as_bytes());
        conn.handle_read(buffer);
    }
    for (mut conn, target) in [(conn, &b"/12"[..]), (fork, b"/13")] {
        let Action::Start(_, request) = conn.next_action(NOW) else { panic!("a whole request is there") };
        assert_eq!(request.target(), target);
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    let rows = [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1, "Thu, 01 Jan 1970 00:00:01 GMT"),
        (59, "Thu, 01 Jan 1970 00:00:59 GMT"),
        (3_600, "Thu, 01 Jan 1970 01:00:00 GMT"),
        (86_399, "Thu, 01 Jan 1970 23:59:59 GMT"),
        (86_400, "Fri, 02 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), // RFC 9110 §5.6.7
        (946_684_799, "Fri, 31 Dec 1999 23:59:59 GMT"),
        (946_684_800, "Sat, 01 Jan 2000 00:00:00 GMT"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
        (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
        (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"),
        (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
        (4_102_444_800, "Fri, 01 Jan 2100 00:00:00 GMT"),
        (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (4_294_967_296, "Sun, 07 Feb 2106 06:28:16 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (253_402_300_800, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ];
    for (seconds, expected) in rows {
        assert_eq!(Date::from_unix(seconds).as_str(), expected, "{seconds}");
    }
}

#[test]
fn the_first_and_the_last_day_of_each_month_are_those_of_the_calendar() {
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let mut day = 0_usize; // since 1970-01-01
    let check = |day: usize, number: u32, month: &str, year: u32| {
        let expected = format!("{}, {number:02} {month} {year} 12:34:56 GMT", weekdays[day % 7]);
        let seconds = day as u64 * 86_400 + 45_296;
        assert_eq!(Date::from_unix(seconds).as_str(), expected);
    };
    for year in 1970..10_000 {
        let is_leap = year % 400 == 0 || year % 4 == 0 && year % 100 != 0;
        let february = if is_leap { 29 } else { 28 };
        for (month, length) in names.iter().zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            check(day, 1, month, year);
            day += length as usize;
            check(day - 1, length, month, year);
        }
    }
}

#[test]
fn a_date_is_in_each_head_made_from_then_on() {
    let mut conn = Connection::new(Config::default());
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let dates = [None, Some(Date::from_unix(0)), Some(Date::from_unix(784_111_777))];
    for date in dates {
        if let Some(date) = date {
            conn.set_date(date);
        }
        let id = start(&mut conn, NOW, request);
        respond(&mut conn, id);
        let response = String::from_utf8(write(&mut conn)).unwrap();
        let line = response.lines().find_map(|line| line.strip_prefix("date: "));
        assert_eq!(line, date.as_ref().map(Date::as_str), "{response}");
        assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    }
    conn.handle_bytes(b"?\r\n");
    ask(&mut conn, NOW);
    assert!(text(&output(&conn)).contains("date: Sun, 06 Nov 1994"), "an error response has one too");
}

#[test]
fn paths_are_decoded_once_and_read_as_utf8() {
    let rows: [(&[u8], &str); 22] = [
        (b"", ""),
        (b"/", "/"),
        (b"*", "*"),
        (b"/a/b", "/a/b"),
        (b"/%41%42", "/AB"),
        (b"/%2f%2F", "///"),
        (b"/a%20b+c", "/a b+c"), // a plus is no space in a path
        (b"/caf%C3%A9", "/caf\u{e9}"),
        (b"/caf%c3%a9", "/caf\u{e9}"),
        (b"/%F0%9F%A6%80", "/\u{1f980}"),
        (b"/%", "/%"),
        (b"/%4", "/%4"),
        (b"/%4x", "/%4x"),
        (b"/%x4", "/%x4"),
        (b"/%zz%41", "/%zzA"),
        (b"/%%41", "/%A"),
        (b"/%2541", "/%41"), // once
        (b"/%00%0d%0a", "/\0\r\n"),
        (b"/%ff", "/\u{fffd}"),
        (b"/%C3", "/\u{fffd}"),
        (b"/%C3%28", "/\u{fffd}("),
        (b"/\xff", "/\u{fffd}"),
    ];
    for (raw, path) in rows {
        assert_eq!(decode_path(raw), path, "{}", text(raw));
    }
}

#[test]
fn a_request_decodes_its_path_and_leaves_the_raw_one() {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(b"GET http://b/x%2Fy%20z?q=%20 HTTP/1.1\r\nhost: a\r\n\r\n");
    let Action::Start(_, request) = conn.next_action(NOW) else { panic!("a whole request is there") };
    assert_eq!(request.raw_path(), b"/x%2Fy%20z");
    assert_eq!(request.path(), "/x/y z");
    assert_eq!(request.query(), b"q=%20");
}

#[test]
fn instants_are_counted_in_nanoseconds_and_saturate() {
    let end = Instant::from_nanos(u64::MAX);
    assert_eq!(Instant::ZERO, Instant::from_nanos(0));
    assert_eq!(Instant::default(), Instant::ZERO);
    for nanos in [0, 1, 999_999_999, 1_000_000_000, u64::MAX] {
        assert_eq!(Instant::from_nanos(nanos).as_nanos(), nanos);
    }
    let rows = [
        (0, Duration::ZERO, 0),
        (5, Duration::from_nanos(1), 6),
        (5, Duration::from_secs(2), 2_000_000_005),
        (u64::MAX - 1, Duration::from_nanos(1), u64::MAX),
        (u64::MAX, Duration::ZERO, u64::MAX),
        (u64::MAX, Duration::from_nanos(1), u64::MAX),
        (1, Duration::from_nanos(u64::MAX), u64::MAX),
        (0, Duration::from_nanos(u64::MAX), u64::MAX),
        (0, Duration::MAX, u64::MAX),
    ];
    for (nanos, duration, expected) in rows {
        assert_eq!((Instant::from_nanos(nanos) + duration).as_nanos(), expected, "{nanos} + {duration:?}");
        let mut instant = Instant::from_nanos(nanos);
        instant += duration;
        assert_eq!(instant.as_nanos(), expected, "{nanos} += {duration:?}");
    }
    assert_eq!(end.saturating_duration_since(Instant::ZERO), Duration::from_nanos(u64::MAX));
    assert_eq!(end.saturating_duration_since(end), Duration::ZERO);
    assert_eq!(Instant::ZERO.saturating_duration_since(end), Duration::ZERO);
    assert_eq!(at(7).saturating_duration_since(at(5)), Duration::from_secs(2));
    assert!(at(5) < at(7) && Instant::ZERO < end && at(7) >= at(7));
}

#[test]
fn a_clock_converts_there_and_back() {
    let clock = Clock::new();
    for nanos in [0, 1, 1_500_000_000, 1 << 50] {
        let instant = Instant::from_nanos(nanos);
        assert_eq!(clock.at(clock.to_std(instant)), instant);
    }
    let zero = clock.to_std(Instant::ZERO);
    if let Some(earlier) = zero.checked_sub(Duration::from_nanos(1)) {
        assert_eq!(clock.at(earlier), Instant::ZERO, "what was before its zero");
    }
    assert!(clock.now() <= clock.now());

    // It goes with the one of the standard library, whenever that goes on.
    let clock = Clock::new();
    let start = std::time::Instant::now();
    let before = loop {
        let now = std::time::Instant::now();
        if now > start {
            break now;
        }
    };
    let now = clock.now();
    assert!(clock.at(before) > Instant::ZERO && clock.at(before) <= now && now <= clock.at(std::time::Instant::now()));
}

#[test]
fn events_are_values() {
    let event =
        |body: &'static str| ReceiveEvent::Request { body: Bytes::from_static(body.as_bytes()), more_body: true };
    assert_eq!(Poll::Ready(event("a")), Poll::Ready(event("a")));
    assert_ne!(event("a"), event("b"));
    assert_ne!(event("a"), ReceiveEvent::Disconnect);
    assert_eq!(last(b"x"), last(b"x"));
    assert_ne!(last(b"x"), part(b"x"));
}

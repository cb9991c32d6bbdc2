//! Requests and responses as the `http` crate has them: all that can be said there comes out as it went in, and what
//! cannot is a typed error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "a test may fail"
)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version, header};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sansgi::http::{EventHeaders, ResponseStart, ToHttpError};
use sansgi::{Action, Config, Connection, ExchangeId, Instant, Limits, Misuse, Request, SendError, SendEvent};

fn config() -> Config {
    Config::builder().connect(true).build().unwrap()
}

/// A request that is accepted.
#[track_caller]
fn begin(config: Config, head: &[u8]) -> (Connection, ExchangeId, Request) {
    let mut conn = Connection::new(config);
    conn.handle_bytes(head);
    match conn.next_action(Instant::ZERO) {
        Action::Start(id, request) => (conn, id, request),
        action => panic!("{action:?}, {:?}: {}", conn.fault(), head.escape_ascii()),
    }
}

#[track_caller]
fn request(head: &str) -> Result<http::Request<()>, ToHttpError> {
    begin(config(), head.as_bytes()).2.to_http()
}

#[track_caller]
fn uri(method: &str, target: &str) -> Result<Uri, ToHttpError> {
    request(&format!("{method} {target} HTTP/1.1\r\nhost: h\r\n\r\n")).map(|request| request.uri().clone())
}

/// Scheme, authority, path and query.
fn parts(uri: &Uri) -> (Option<&str>, Option<&str>, &str, Option<&str>) {
    (uri.scheme_str(), uri.authority().map(http::uri::Authority::as_str), uri.path(), uri.query())
}

#[test]
fn every_form_of_a_target() {
    for (method, target, expected) in [
        ("GET", "/", (None, None, "/", None)),
        ("GET", "/a%20b/../c?x=1&y", (None, None, "/a%20b/../c", Some("x=1&y"))),
        ("GET", "/?", (None, None, "/", Some(""))),
        ("GET", "//a/b", (None, None, "//a/b", None)),
        ("GET", "/{\"a\"|b}^[]", (None, None, "/{\"a\"|b}^[]", None)),
        ("GET", "/?`\\{}|^[]'", (None, None, "/", Some("`\\{}|^[]'"))),
        ("GET", "http://a", (Some("http"), Some("a"), "/", None)),
        ("OPTIONS", "http://a", (Some("http"), Some("a"), "/", None)),
        ("GET", "HTTPS://a:1/b?c", (Some("https"), Some("a:1"), "/b", Some("c"))),
        ("GET", "http://[::1]:80?c", (Some("http"), Some("[::1]:80"), "/", Some("c"))),
        ("CONNECT", "a.b:443", (None, Some("a.b:443"), "", None)),
        ("CONNECT", "http:80", (None, Some("http:80"), "", None)),
        ("CONNECT", "[::1]:80", (None, Some("[::1]:80"), "", None)),
        ("OPTIONS", "*", (None, None, "*", None)),
    ] {
        let uri = uri(method, target).unwrap_or_else(|error| panic!("{target}: {error}"));
        let (scheme, authority, path, query) = parts(&uri);
        assert_eq!((scheme.map(str::to_lowercase).as_deref(), authority, path, query), expected, "{target}");
    }
}

/// Accepted here, and no `http::Uri`.
#[test]
fn targets_that_are_no_uri() {
    for (method, target) in [
        ("GET", "/?a=\"b\""),
        ("GET", "/?a=<b"),
        ("GET", "/?a=b>"),
        ("GET", "http://a/?\""),
        ("GET", "http://a%41/"),
        ("CONNECT", "a%41:80"),
        ("GET", "http://[v1.a:b:c:d:e:f:g:h:i:j]/"),
    ] {
        assert_eq!(uri(method, target), Err(ToHttpError::Target), "{target}");
    }
    // None of the bytes that are accepted in a path is refused.
    let path: String = (b'!'..=b'~').map(char::from).filter(|byte| !"#?<>\\`".contains(*byte)).collect();
    assert_eq!(uri("GET", &format!("/{path}")).unwrap().path(), format!("/{path}"));
}

#[test]
fn the_rest_of_a_head() {
    let head = "M-SEARCH / HTTP/1.0\r\nX-Tag: one\r\nA: \r\nx-tag: two\r\nX-TAG:\t\u{e9} \r\nB: x\r\n\r\n";
    let (_, _, original) = begin(config(), head.as_bytes());
    let request = http::Request::try_from(&original).unwrap();
    assert_eq!(request.method(), Method::from_bytes(b"M-SEARCH").unwrap());
    assert_eq!(request.version(), Version::HTTP_10);
    assert_eq!(request.headers().len(), 5);
    let tags: Vec<&[u8]> = request.headers().get_all("x-tag").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(tags, [&b"one"[..], b"two", "\u{e9}".as_bytes()]);
    assert_eq!(request.headers()["a"], "");
    assert_eq!(HeaderMap::try_from(original.headers()).unwrap(), *request.headers());
}

#[test]
fn in_absolute_form_host_is_the_targets() {
    for host in ["host: other\r\n", ""] {
        let request = request(&format!("GET http://a:1/ HTTP/1.0\r\nx: y\r\n{host}\r\n")).unwrap();
        assert_eq!(
            (request.headers().get_all("host").iter().count(), &request.headers()["host"]),
            (1, &"a:1".parse().unwrap())
        );
    }
}

#[test]
fn every_character_of_a_method() {
    let method = "!#$%&'*+-.^_`|~09azAZ";
    let request = request(&format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).unwrap();
    assert_eq!(request.method().as_str(), method);
}

fn raised() -> Config {
    let limits = Limits::default().max_head_bytes(1 << 20).max_fields(60_000).max_target_bytes(1 << 17);
    Config::builder().limits(limits).build().unwrap()
}

/// What only raised limits let in.
#[test]
fn heads_beyond_the_types() {
    let with =
        |fields: &str| begin(raised(), format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n").as_bytes()).2.to_http();
    let long = "a".repeat(65_535);
    assert!(with(&format!("{long}: b\r\n")).is_ok());
    assert_eq!(with(&format!("{long}a: b\r\n")).unwrap_err(), ToHttpError::Field);

    let many = (0..40_000).fold(String::new(), |many, at| many + &format!("n{at}:\r\n"));
    assert_eq!(with(&many).unwrap_err(), ToHttpError::TooManyFields);
    // As many of one name are no problem.
    let same = "n:\r\n".repeat(40_000);
    assert_eq!(with(&same).unwrap().headers().get_all("n").iter().count(), 40_000);

    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(length - 1));
    let convert = |length| begin(raised(), target(length).as_bytes()).2.to_http();
    assert_eq!(convert(65_534).unwrap().uri().path().len(), 65_534);
    assert_eq!(convert(65_535).unwrap_err(), ToHttpError::Target);
}

#[test]
fn trailers_of_a_request() {
    let head =
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\nx-none:\r\nx-sum: 2\r\n\r\n";
    let (mut conn, id, _) = begin(config(), head);
    assert!(conn.exchange(id).receive().is_ready());
    let trailers = HeaderMap::try_from(conn.exchange(id).trailers().unwrap()).unwrap();
    assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((trailers.len(), &trailers["x-none"]), (3, &HeaderValue::from_static("")));
}

fn output(conn: &Connection) -> Vec<u8> {
    conn.outgoing().flatten().copied().collect()
}

#[test]
fn a_whole_response_with_trailers() {
    let (mut conn, id, _) = begin(config(), b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n");
    let hints = HeaderMap::from_iter([(header::LINK, HeaderValue::from_static("</a>"))]);
    let hints = EventHeaders::from(&hints);
    conn.exchange(id).send(hints.informational(StatusCode::from_u16(103).unwrap())).unwrap();
    let response =
        Response::builder().status(203).header("Set-Cookie", "a=1").header("set-cookie", "b=2").body(7).unwrap();
    let start = ResponseStart::from(&response).with_trailers();
    // "lengths instead of … the values of … cookie and set-cookie"
    assert_eq!(
        format!("{:?}", start.event()),
        "ResponseStart { status: 203, headers: [set-cookie: <3 bytes>, set-cookie: <3 bytes>], trailers: true }"
    );
    conn.exchange(id).send(start.event()).unwrap();
    conn.exchange(id).send(SendEvent::ResponseBody { body: "7".into(), more_body: false }).unwrap();
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from(7))]);
    conn.exchange(id).send(EventHeaders::from(&trailers).trailers(true)).unwrap();
    conn.exchange(id).send(EventHeaders::from(&HeaderMap::new()).trailers(false)).unwrap();
    let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
        HTTP/1.1 203 Non-Authoritative Information\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
        transfer-encoding: chunked\r\n\r\n1\r\n7\r\n0\r\nx-sum: 7\r\n\r\n";
    assert_eq!(String::from_utf8(output(&conn)).unwrap(), expected);
}

/// `http` takes more than the wire does: the connection is the judge, as of any other response.
#[test]
fn responses_that_are_refused() {
    let refusal = |response: &Response<()>| {
        let (mut conn, id, _) = begin(config(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let refusal = conn.exchange(id).send(ResponseStart::from(response).event());
        assert_eq!(output(&conn), b"");
        refusal.unwrap_err()
    };
    let status = |status: u16| Response::builder().status(status).body(()).unwrap();
    for number in [100, 101, 103, 199, 600, 999] {
        let expected = if number == 101 { Misuse::UpgradeNotOffered } else { Misuse::Status };
        assert_eq!(refusal(&status(number)), SendError::Misuse(expected), "{number}");
    }
    let header = |value: &str| Response::builder().header("a", value).body(()).unwrap();
    for value in [" b", "b\t", " "] {
        assert_eq!(refusal(&header(value)), SendError::Misuse(Misuse::HeaderValue), "{value:?}");
    }
}

/// They are the `http` crate's values, but this crate made them.
#[test]
fn debug_of_a_request_shows_no_credentials() {
    let secrets = "Cookie: SECRET\r\nset-cookie: SECRET\r\nAUTHORIZATION: SECRET\r\nproxy-authorization: SECRET\r\n";
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\nx-tag: shown\r\ntransfer-encoding: chunked\r\n{secrets}\r\n");
    let request = request(&head).unwrap();
    let shown = format!("{request:?} {request:#?} {:?}", request.headers());
    assert!(shown.contains("shown") && !shown.contains("SECRET"), "{shown}");
    assert!(request.headers().values().all(|value| value.is_sensitive() == (value == "SECRET")));
    assert_eq!(request.headers()["cookie"], "SECRET");
}

#[test]
fn debug_of_a_response_start_shows_no_credentials() {
    let response = Response::builder().header("set-cookie", "secret").header("a", "b").body(()).unwrap();
    let shown = format!("{:?}", ResponseStart::from(&response));
    assert!(!shown.contains("secret") && shown.contains("set-cookie: <6 bytes>") && shown.contains("a: b"), "{shown}");
}

/// Bytes of a query, some of which `http` refuses.
fn query() -> impl Strategy<Value = String> {
    vec(prop_oneof![20 => "[!$-;=?-~]", 1 => "[\"<>]"], 0..12).prop_map(|parts| parts.concat())
}

fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let byte = prop_oneof![8 => b' '..=b'~', 1 => 0x80_u8.., 1 => Just(b'\t')];
    let value = vec(byte, 0..12).prop_map(|value| value.trim_ascii().to_vec());
    // Few names, so that they come more than once; none that frames a message or is made by the connection.
    vec(("[A-Ca-c][x-z!#$%&'*+.^_`|~-]?", value), 0..12)
}

/// The values of each name, in order.
fn grouped(fields: impl IntoIterator<Item = (String, Vec<u8>)>) -> std::collections::BTreeMap<String, Vec<Vec<u8>>> {
    let mut map: std::collections::BTreeMap<String, Vec<Vec<u8>>> = std::collections::BTreeMap::new();
    for (name, value) in fields {
        map.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    map
}

fn pairs(map: &HeaderMap) -> impl Iterator<Item = (String, Vec<u8>)> {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
}

proptest! {
    #[test]
    fn a_request_comes_out_as_it_went_in(
        method in "[A-BD-Z!~]{1,12}",
        path in "(/[!\"$-;=@-\\[\\]-_a-~]{0,8}){1,3}",
        query in option::of(query()),
        authority in option::of("[a-z.]{1,8}(:[0-9]{0,4})?"),
        is_old: bool,
        fields in fields(),
    ) {
        let target = query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let target = authority.as_ref().map_or_else(|| target.clone(), |authority| format!("http://{authority}{target}"));
        let version = if is_old { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut head = format!("{method} {target} {version}\r\nHost: h\r\n").into_bytes();
        for (name, value) in &fields {
            head.extend([name.as_bytes(), b":", value, b" \r\n"].concat());
        }
        head.extend(b"\r\n");

        let (_, _, original) = begin(config(), &head);
        let converted = original.to_http();
        if query.as_ref().is_some_and(|query| query.contains(['"', '<', '>'])) {
            prop_assert_eq!(converted.unwrap_err(), ToHttpError::Target);
        } else {
            let converted = converted.unwrap();
            prop_assert_eq!(converted.method().as_str(), method);
            prop_assert_eq!(converted.uri().to_string(), target);
            prop_assert_eq!((converted.uri().path(), converted.uri().query()), (&*path, query.as_deref()));
            prop_assert_eq!(format!("{:?}", converted.version()), version);
            let host = authority.unwrap_or_else(|| "h".into());
            let expected = grouped(fields.into_iter().chain([("host".to_owned(), host.into_bytes())]));
            prop_assert_eq!(grouped(pairs(converted.headers())), expected);
        }
    }

    #[test]
    fn a_response_comes_out_as_it_went_in(status in 200_u16..=599, fields in fields()) {
        prop_assume!(status != 204 && status != 205 && status != 304); // no length is added
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in &fields {
            let name: HeaderName = name.parse().unwrap();
            response.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let (mut conn, id, _) = begin(config(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let (parts, ()) = response.into_parts();
        conn.exchange(id).send(ResponseStart::from(&parts).event()).unwrap();
        conn.exchange(id).send(SendEvent::ResponseBody { body: "".into(), more_body: true }).unwrap();

        let output = output(&conn);
        let mut table = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Response::new(&mut table);
        prop_assert!(parsed.parse(&output).unwrap().is_complete());
        prop_assert_eq!(parsed.code, Some(status));
        let read = parsed.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec()));
        let framing = ("transfer-encoding".to_owned(), b"chunked".to_vec());
        prop_assert_eq!(grouped(read), grouped(pairs(&parts.headers).chain([framing])));
    }
}

/// The reason phrases are those of the registry, of which the `http` crate has older ones for some.
#[test]
fn reason_phrases_are_the_registry_s() {
    let newer = [
        (203, "Non-Authoritative Information"),
        (413, "Content Too Large"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),
        (418, ""), // unused
        (510, ""), // obsolete
    ];
    for status in 200..=599 {
        let mut conn = Connection::new(Config::default());
        conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { panic!("a request") };
        conn.exchange(id).send(SendEvent::ResponseStart { status, headers: &[], trailers: false }).unwrap();
        conn.exchange(id).send(SendEvent::ResponseBody { body: "".into(), more_body: false }).unwrap();
        let written: Vec<u8> = conn.outgoing().flatten().copied().collect();
        let line = String::from_utf8(written).unwrap().lines().next().unwrap().to_owned();
        let known = StatusCode::from_u16(status).unwrap().canonical_reason();
        let reason = newer.iter().find(|(newer, _)| *newer == status).map(|(_, reason)| *reason).or(known);
        assert_eq!(line, format!("HTTP/1.1 {status} {}", reason.unwrap_or_default()));
    }
}

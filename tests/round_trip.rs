//! What a client means is what the application sees, and what the application sends is what the client reads (the project's
//! assurance, P9), however the bytes are cut (P1); all that is written is a valid answer to what was read (P7), also of
//! requests that are damaged (P10), and of an application that sends any bytes at all (P15).

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

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use oracles::client::{self, Coding, Message};
use oracles::grammar::{Field, is_field_value, is_one_of, is_token, values};
use oracles::recogniser::{Limits, Request, recognise};
use oracles::subject::{self, Subject};
use oracles::validator::{self, Asked, End, Framing, Output, Response};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sansgi::{
    Action, Config, Connection, ExchangeId, Instant, ProtocolError, ReceiveEvent, SendError, SendEvent, Wait,
};

const NOW: Instant = Instant::ZERO;

/// What an application does with each request, deciding nothing by how the bytes came.
#[derive(Clone, Debug)]
struct Plan {
    mode: Mode,
    interim: Vec<(u16, Vec<Field>)>,
    status: u16,
    fields: Vec<Field>,
    has_length: bool,
    closes: bool,
    parts: Vec<Part>,
    trailers: Option<Vec<Field>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Answers without receiving anything.
    Early,
    /// Receives all, then answers.
    Late,
    /// Starts, which holds the head, receives all, then sends the body.
    Held,
    /// Starts and flushes the head, receives all, then sends the body.
    Streaming,
}

#[derive(Clone, Debug)]
enum Part {
    Body(Vec<u8>),
    /// Moved by the driver.
    Transfer(Vec<u8>),
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(bytes) | Self::Transfer(bytes) => bytes,
        }
    }
}

impl Plan {
    fn body(&self) -> Vec<u8> {
        self.parts.iter().flat_map(Part::bytes).copied().collect()
    }

    fn send_interim(&self, connection: &mut Connection, id: ExchangeId) {
        for (status, fields) in &self.interim {
            let headers = borrowed(fields);
            connection.exchange(id).send(SendEvent::Informational { status: *status, headers: &headers }).unwrap();
        }
    }

    fn send_start(&self, connection: &mut Connection, id: ExchangeId) {
        let mut headers = borrowed(&self.fields);
        let length = self.body().len().to_string();
        if self.has_length {
            headers.push((b"Content-Length", length.as_bytes()));
        }
        if self.closes {
            headers.push((b"connection", b"close"));
        }
        let start =
            SendEvent::ResponseStart { status: self.status, headers: &headers, trailers: self.trailers.is_some() };
        connection.exchange(id).send(start).unwrap();
        if self.mode == Mode::Streaming {
            let flush = SendEvent::ResponseBody { body: Bytes::new(), more_body: true };
            connection.exchange(id).send(flush).unwrap();
        }
    }

    /// The parts of exchange `number`, which the driver finds by their token.
    fn send_body(&self, connection: &mut Connection, id: ExchangeId, number: usize) {
        if self.status == 101 {
            // "Completes its exchange at `ResponseStart`."
            return;
        }
        let mut exchange = connection.exchange(id);
        for (index, part) in self.parts.iter().enumerate() {
            let event = match part {
                Part::Body(bytes) => SendEvent::ResponseBody { body: bytes.clone().into(), more_body: true },
                Part::Transfer(bytes) => SendEvent::ResponsePart {
                    token: u64::try_from(number * 100 + index).unwrap(),
                    len: u64::try_from(bytes.len()).unwrap(),
                    more_body: true,
                },
            };
            exchange.send(event).unwrap();
        }
        exchange.send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
        if let Some(trailers) = &self.trailers {
            let (first, rest) = trailers.split_at(trailers.len() / 2);
            for (fields, more_trailers) in [(first, true), (rest, false)] {
                exchange.send(SendEvent::ResponseTrailers { headers: &borrowed(fields), more_trailers }).unwrap();
            }
        }
    }
}

fn borrowed(fields: &[Field]) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
}

/// All that can be seen of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    requests: Vec<Request>,
    output: Vec<u8>,
    end: End,
    fault: Option<ProtocolError>,
    wait: Wait,
    leftover: Option<Vec<u8>>,
}

impl Seen {
    /// Responses "as V decodes them": the framing of a body is no part of what it says.
    fn normalised(&self, asked: &[Asked]) -> (Output, Self) {
        let output = match validator::validate(&asked[..self.requests.len()], &self.output, self.end) {
            Ok(output) => output,
            Err(fault) => panic!("{}: {fault:?}", self.output.escape_ascii()),
        };
        (output, Self { output: Vec::new(), ..self.clone() })
    }
}

/// A driver, its application, and the wire between them and the test.
struct Server<'a> {
    connection: Connection,
    plans: &'a [Plan],
    /// Most bytes of one write.
    write_bytes: usize,
    exchange: Option<ExchangeId>,
    receives: bool,
    seen: Seen,
}

impl<'a> Server<'a> {
    fn new(config: &Arc<Config>, plans: &'a [Plan], write_bytes: usize) -> Self {
        let seen = Seen {
            requests: Vec::new(),
            output: Vec::new(),
            end: End::Open,
            fault: None,
            wait: Wait::default(),
            leftover: None,
        };
        let connection = Connection::new(Arc::clone(config));
        Self { connection, plans, write_bytes, exchange: None, receives: false, seen }
    }

    /// Feeds the pieces, each where the connection has asked for it; then the end of the stream, either with the last piece
    /// or behind it.
    fn run(mut self, input: &[u8], cuts: &[Index], ends: bool, ends_at_once: bool) -> Seen {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        places.extend([0, input.len()]);
        places.sort_unstable();
        self.turn();
        for piece in places.windows(2) {
            if self.is_over() {
                break;
            }
            assert!(self.seen.wait.read, "asks for nothing: {:?}", self.connection);
            self.connection.handle_bytes(&input[piece[0]..piece[1]]);
            if ends_at_once && piece[1] == input.len() {
                self.connection.handle_eof();
            }
            self.turn();
        }
        if ends && !self.is_over() {
            self.connection.handle_eof();
            self.turn();
            assert!(!self.seen.wait.read, "asks for what cannot come: {:?}", self.connection);
        }
        self.seen.fault = self.connection.fault();
        self.seen
    }

    fn is_over(&self) -> bool {
        self.seen.end != End::Open
    }

    fn turn(&mut self) {
        loop {
            self.receive();
            match self.connection.next_action(NOW) {
                Action::Start(id, request) => {
                    assert!(self.exchange.is_none(), "a request is started while another is served");
                    self.seen.requests.push(subject::translate(&request));
                    self.exchange = Some(id);
                    self.begin(id);
                }
                Action::Disconnect(id) => {
                    assert_eq!(self.exchange.take(), Some(id));
                    self.receives = false;
                }
                Action::Transfer { token, remaining, wait } => {
                    assert!(wait.write);
                    let token = usize::try_from(token).unwrap();
                    let part = self.plans[token / 100].parts[token % 100].bytes();
                    let rest = &part[part.len() - usize::try_from(remaining).unwrap()..];
                    let written = rest.len().min(self.write_bytes);
                    self.seen.output.extend_from_slice(&rest[..written]);
                    self.connection.handle_written(written);
                }
                Action::Switch { leftover, .. } => {
                    self.seen.end = End::Switched;
                    self.seen.leftover = Some(leftover.to_vec());
                }
                Action::Shutdown => {}
                Action::Close { reset } => {
                    self.seen.end = if reset { End::Reset } else { End::Closed };
                    self.seen.wait = Wait::default();
                    return;
                }
                Action::Wait(wait) => {
                    let chunks: Vec<u8> = self.connection.outgoing().flatten().copied().collect();
                    assert_eq!(wait.write, !chunks.is_empty());
                    if chunks.is_empty() {
                        self.seen.wait = wait;
                        return;
                    }
                    let written = chunks.len().min(self.write_bytes);
                    self.seen.output.extend_from_slice(&chunks[..written]);
                    self.connection.handle_written(written);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn plan(&self) -> (usize, &'a Plan) {
        let number = self.seen.requests.len() - 1;
        (number, &self.plans[number % self.plans.len()])
    }

    fn begin(&mut self, id: ExchangeId) {
        let (number, plan) = self.plan();
        plan.send_interim(&mut self.connection, id);
        match plan.mode {
            Mode::Early => {
                plan.send_start(&mut self.connection, id);
                plan.send_body(&mut self.connection, id, number);
                self.end(id);
            }
            Mode::Late => self.receives = true,
            Mode::Held | Mode::Streaming => {
                plan.send_start(&mut self.connection, id);
                self.receives = true;
            }
        }
    }

    fn receive(&mut self) {
        while let (true, Some(id)) = (self.receives, self.exchange) {
            let Poll::Ready(event) = self.connection.exchange(id).receive() else { return };
            match event {
                ReceiveEvent::Request { body, more_body } => {
                    let request = self.seen.requests.last_mut().unwrap();
                    request.body.extend_from_slice(&body);
                    if !more_body {
                        request.end = Some(0);
                        request.trailers = self.connection.exchange(id).trailers().map(subject::fields).unwrap();
                        self.receives = false;
                        let (number, plan) = self.plan();
                        if plan.mode == Mode::Late {
                            plan.send_start(&mut self.connection, id);
                        }
                        plan.send_body(&mut self.connection, id, number);
                        self.end(id);
                    }
                }
                ReceiveEvent::Disconnect => {
                    self.receives = false;
                    self.end(id);
                }
            }
        }
    }

    /// "Once a response is complete, any further `receive` of that exchange is answered `Disconnect`, at once, for ever."
    fn end(&mut self, id: ExchangeId) {
        for _ in 0..2 {
            assert_eq!(self.connection.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect));
        }
        self.connection.exchange(id).end();
    }
}

// What clients mean.

fn token() -> impl Strategy<Value = Vec<u8>> {
    vec(select(b"aZ09!#$%&'*+-.^_`|~tex".to_vec()), 1..8)
}

/// A name that says nothing to a server.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![token(), token().prop_map(|token| [b"X-", &token[..]].concat())].prop_filter(
        "a name with a meaning",
        |name| {
            let meant =
                ["host", "te", "expect", "connection", "upgrade", "content-length", "transfer-encoding", "date"];
            !is_one_of(name, &meant) && is_token(name)
        },
    )
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0x20..0x7fu8, 1 => 0x80..=0xffu8, 1 => Just(b'\t')];
    vec(byte, 0..20).prop_map(|value| oracles::grammar::trim_ows(&value).to_vec())
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    vec((name(), value()), 0..5)
}

fn host() -> impl Strategy<Value = Vec<u8>> {
    let hosts = ["a", "www.example.org", "example.org:8080", "[::1]:1", "[v1.x]", "a:", "192.0.2.1", "%41.b"];
    select(hosts.to_vec()).prop_map(|host| host.as_bytes().to_vec())
}

fn path_and_query() -> impl Strategy<Value = Vec<u8>> {
    let path = vec(select(b"/a%2F.~!$&'()*+,;=:@\"{}|^[]-_0".to_vec()), 0..20);
    let query = option::of(vec(select(b"/a%3F.?&=<>\\`{}|^\"0".to_vec()), 0..20));
    (path, query).prop_map(|(path, query)| {
        let query = query.map(|query| [b"?", &query[..]].concat()).unwrap_or_default();
        [b"/", &path[..], &query].concat()
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => vec(any::<u8>(), 0..60),
        1 => vec(any::<u8>(), 0..4000),
        // What would be a request, or the end of a body.
        1 => Just(b"\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
    ];
    part
}

fn coding(minor: u8) -> BoxedStrategy<(Coding, Vec<u8>)> {
    let none = Just((Coding::None, Vec::new()));
    let length = body().prop_map(|body| (Coding::Length, body));
    if minor == 0 {
        return prop_oneof![none, length].boxed();
    }
    let extension = select(vec![&b""[..], b";a", b";a=b", b" ;\ta = \"x;\\\"\xff\";c", b";a=\"\"\t;b"]);
    let extensions = vec(extension.prop_map(<[u8]>::to_vec), 0..4);
    let chunked =
        (body(), vec(1..40usize, 0..10), extensions, fields()).prop_map(|(body, sizes, extensions, fields)| {
            // Kept trailers alone: the recogniser is asked about the others.
            let trailers = fields.into_iter().map(|(name, value)| ([b"X-T", &name[..]].concat(), value)).collect();
            (Coding::Chunked { sizes, extensions, trailers }, body)
        });
    prop_oneof![none, length, chunked].boxed()
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![4 => Just(1u8), 1 => Just(0u8)].prop_flat_map(message_of)
}

fn message_of(minor: u8) -> impl Strategy<Value = Message> {
    let method = prop_oneof![
        4 => select(vec!["GET", "HEAD", "POST", "OPTIONS", "get"]).prop_map(|method| method.as_bytes().to_vec()),
        1 => token(),
    ];
    let target = prop_oneof![
        4 => path_and_query(),
        1 => (select(vec!["http://", "HTTPS://"]), host(), option::of(path_and_query()))
            .prop_map(|(scheme, host, path)| [scheme.as_bytes(), &host, &path.unwrap_or_default()].concat()),
        1 => Just(b"*".to_vec()),
    ];
    let connection = select(vec!["", "", "close", "Keep-Alive", ", x ,,keep-alive", "X-Other"]);
    let paddings = vec(select(vec![("", ""), (" ", ""), ("\t \t", " \t")]), 0..4);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<Index>());
    (method, target, host(), fields(), connection, paddings, coding(minor), flags).prop_map(
        move |(method, target, host, mut fields, connection, paddings, (coding, body), flags)| {
            let (takes_trailers, expects, has_blank_line, place) = flags;
            let method = if target == b"*" { b"OPTIONS".to_vec() } else { method };
            if minor == 1 || takes_trailers {
                fields.insert(place.index(fields.len() + 1), (b"Host".to_vec(), host));
            }
            let mut add = |name: &str, value: &str| fields.push((name.into(), value.into()));
            if !connection.is_empty() {
                add("Connection", connection);
            }
            if takes_trailers {
                add("TE", "deflate, Trailers");
            }
            if expects {
                add("Expect", "100-Continue");
            }
            Message { method, target, minor, fields, paddings, body, coding, has_blank_line }
        },
    )
}

/// 1 to 5 requests on one connection.
fn messages() -> impl Strategy<Value = Vec<Message>> {
    vec(message(), 1..6)
}

// What applications send.

fn plan() -> impl Strategy<Value = Plan> {
    let mode = select(vec![Mode::Early, Mode::Late, Mode::Held, Mode::Streaming]);
    let status = select(vec![200, 201, 204, 205, 299, 304, 404, 500, 599]);
    let part = prop_oneof![3 => body().prop_map(Part::Body), 1 => body().prop_map(Part::Transfer)];
    let interim = vec((102..200u16, fields()), 0..2);
    let flags = (any::<bool>(), prop::bool::weighted(0.1));
    (mode, interim, status, fields(), vec(part, 0..4), option::of(fields()), flags).prop_map(
        |(mode, interim, status, fields, parts, trailers, (has_length, closes))| Plan {
            mode,
            interim,
            status,
            // Any name that is allowed in trailers too, so that one kind of fields serves for all.
            fields,
            has_length,
            closes,
            parts,
            trailers: trailers
                .map(|fields| fields.into_iter().map(|(name, value)| ([b"x-t", &name[..]].concat(), value)).collect()),
        },
    )
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    vec(plan(), 5)
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop_oneof![Just(Vec::new()), vec(any::<Index>(), 0..12)]
}

/// Whether a body may follow the head at all.
fn has_content(message: &Message, plan: &Plan) -> bool {
    message.method != b"HEAD" && ![204, 205, 304].contains(&plan.status)
}

/// Whether the connection is to be kept behind this answer; `None` where the texts do not say.
fn is_kept(message: &Message, plan: &Plan) -> Option<bool> {
    let asked = message.asked();
    let options = oracles::grammar::elements(&message.fields, "connection");
    let has_option = |name: &str| options.iter().any(|option| oracles::grammar::is(option, name));
    let is_unread = plan.mode == Mode::Early && asked.expects_continue;
    if has_option("close") || plan.closes || is_unread {
        return Some(false);
    }
    if message.minor == 1 {
        return Some(true);
    }
    let has_known_length = plan.has_length || plan.status == 205 || plan.status == 204;
    match (has_option("keep-alive"), has_known_length, has_content(message, plan)) {
        (false, _, _) | (true, false, true) => Some(false),
        (true, true, _) => Some(true),
        // A HEAD or a 304 without a length: none is needed to find its end, but none is known either.
        (true, false, false) => None,
    }
}

/// What the application is to see of a request.
fn assert_delivered(seen: &Request, message: &Message, plan: &Plan) {
    assert_eq!(seen.method, message.method);
    assert_eq!(seen.target, message.target);
    assert_eq!(seen.minor, message.minor);
    let mut fields = message.all_fields();
    if let Some(rest) = message.target.splitn(2, |&byte| byte == b':').nth(1).filter(|_| message.target[0] != b'/') {
        let authority = rest[2..].split(|&byte| byte == b'/' || byte == b'?').next().unwrap();
        match fields.iter_mut().find(|(name, _)| name == b"Host") {
            Some((_, value)) => *value = authority.to_vec(),
            None => fields.insert(0, (b"host".to_vec(), authority.to_vec())),
        }
    }
    assert_eq!(seen.fields, fields);
    if plan.mode == Mode::Early {
        assert_eq!((&seen.body[..], seen.end), (&b""[..], None));
    } else {
        assert_eq!((&seen.body, seen.end), (&message.body, Some(0)));
        let trailers = match &message.coding {
            Coding::Chunked { trailers, .. } => trailers.as_slice(),
            Coding::None | Coding::Length => &[],
        };
        assert_eq!(seen.trailers, trailers);
    }
}

/// What the client is to read of a response.
fn assert_answered(response: &Response, message: &Message, plan: &Plan) {
    let asked = message.asked();
    assert!(response.is_complete && response.is_asked);
    assert_eq!(response.head.status, plan.status);

    let mut interim = if message.minor == 1 { plan.interim.clone() } else { Vec::new() };
    if asked.expects_continue && matches!(plan.mode, Mode::Late | Mode::Held) {
        interim.push((100, Vec::new()));
    }
    let seen: Vec<(u16, Vec<Field>)> =
        response.interim.iter().map(|head| (head.status, without_ours(&head.fields))).collect();
    assert_eq!(seen, interim);

    assert_eq!(without_ours(&response.head.fields), plan.fields);
    let content = if has_content(message, plan) { plan.body() } else { Vec::new() };
    assert_eq!(response.body, content);
    let length = plan.body().len().to_string();
    let declared: &[&[u8]] = match plan.status {
        204 => &[],
        205 => &[b"0"],
        _ if plan.has_length => &[length.as_bytes()],
        _ => &[],
    };
    assert_eq!(values(&response.head.fields, "content-length"), declared);
    let trailers = match &plan.trailers {
        Some(trailers) if response.framing == Framing::Chunked && asked.takes_trailers => trailers.as_slice(),
        Some(_) | None => &[],
    };
    assert_eq!(response.trailers, trailers);
    // "No length and HTTP/1.1: chunked, also when the body comes in one event; HTTP/1.0: until close."
    if has_content(message, plan) && !plan.has_length {
        assert_eq!(response.framing, if message.minor == 1 { Framing::Chunked } else { Framing::UntilClose });
    }
}

/// Without the fields that a server adds.
fn without_ours(fields: &[Field]) -> Vec<Field> {
    let ours = ["connection", "content-length", "transfer-encoding", "date"];
    fields.iter().filter(|(name, _)| !is_one_of(name, &ours)).cloned().collect()
}

fn encode(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(Message::encode).collect()
}

proptest! {
    // What is found is told by its smallest form: no file is needed to find it again.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_meant_arrives_both_ways(
        messages in messages(),
        plans in plans(),
        cuts in cuts(),
        write_bytes in 1..300usize,
        ends_at_once: bool,
    ) {
        let config = subject::config(&Limits::DEFAULT);
        let server = Server::new(&config, &plans, write_bytes);
        let seen = server.run(&encode(&messages), &cuts, true, ends_at_once);
        assert_eq!(seen.fault, None);
        assert_eq!(seen.end, End::Closed);
        let output = client::decode(&messages, &seen.output, seen.end)
            .unwrap_or_else(|fault| panic!("{}: {fault:?}", seen.output.escape_ascii()));
        assert_eq!(output.interim, []);
        assert_eq!(output.responses.len(), seen.requests.len());
        for (index, response) in output.responses.iter().enumerate() {
            assert_delivered(&seen.requests[index], &messages[index], &plans[index]);
            assert_answered(response, &messages[index], &plans[index]);
            let is_last = index + 1 == output.responses.len();
            if let Some(is_kept) = is_kept(&messages[index], &plans[index]) {
                assert_eq!(is_last, !is_kept || index + 1 == messages.len(), "kept, or not");
            }
        }
    }

    #[test]
    fn cuts_change_nothing(
        bytes in damaged(),
        plans in plans(),
        cuts in cuts(),
        other_cuts in vec(any::<Index>(), 1..40),
        ends: bool,
    ) {
        let config = subject::config(&Limits::DEFAULT);
        let asked: Vec<Asked> = recognise(&bytes, &Limits::DEFAULT).requests.iter().map(subject::asked).collect();
        let one = Server::new(&config, &plans, 7).run(&bytes, &cuts, ends, false).normalised(&asked);
        let other = Server::new(&config, &plans, 100).run(&bytes, &other_cuts, ends, false).normalised(&asked);
        assert_eq!(one, other, "{}", bytes.escape_ascii());
    }

    #[test]
    fn damaged_requests_are_read_as_the_recogniser_reads_them(
        bytes in damaged(),
        cuts in cuts(),
        limits in limits(),
    ) {
        let said = recognise(&bytes, &limits);
        let mut subject = Subject::new(&subject::config(&limits));
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        for piece in places.windows(2) {
            subject.feed(&bytes[piece[0]..piece[1]]);
        }
        if let Some(what) = subject.disagreement(&said, false) {
            panic!("{}: {what}", bytes.escape_ascii());
        }
        // Where the verdict falls.
        let mut subject = Subject::new(&subject::config(&limits));
        subject.feed_byte_by_byte(&bytes);
        if let Some(what) = subject.disagreement(&said, true) {
            panic!("{}, byte by byte: {what}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_behind_a_switch_is_handed_over(
        before in messages(),
        behind in vec(any::<u8>(), 0..100),
        cuts in cuts(),
    ) {
        let mut before = before;
        for message in &mut before {
            message.minor = 1;
            message.fields.retain(|(name, _)| !is_one_of(name, &["connection", "host"]));
            message.fields.push((b"Host".to_vec(), b"a".to_vec()));
        }
        let head = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: h2c, x/1\r\n\r\n";
        let before_bytes = encode(&before);
        let bytes = [&before_bytes[..], head, &behind].concat();
        let mut plans = vec![plain(200, &[]); before.len()];
        plans.push(plain(101, &[("Upgrade", "x/1"), ("connection", "upgrade")]));
        let config = subject::config(&Limits::DEFAULT);
        let seen = Server::new(&config, &plans, 50).run(&bytes, &cuts, false, false);
        assert_eq!(seen.end, End::Switched);
        let asked: Vec<Asked> = recognise(&[&before_bytes[..], head].concat(), &Limits::DEFAULT)
            .requests
            .iter()
            .map(subject::asked)
            .collect();
        let output = validator::validate(&asked, &seen.output, seen.end)
            .unwrap_or_else(|fault| panic!("{}: {fault:?}", seen.output.escape_ascii()));
        assert_eq!(output.responses.len(), plans.len());
        // What comes behind the switch is read by its new owner.
        let leftover = seen.leftover.unwrap();
        assert!(behind.starts_with(&leftover), "{leftover:?}");
        if cuts.is_empty() {
            assert_eq!(leftover, behind);
        }
    }
}

// Damage.

/// What was done to a stream of requests; the places are where a parser looks, or anywhere.
#[derive(Clone, Debug)]
enum Damage {
    LineEnd(Index, &'static str),
    Line(Index, &'static str),
    SecondLine(Index, Index),
    Insert(Index, u8),
    Replace(Index, u8),
    Remove(Index),
    Repeat(Index, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let line_ends: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"\r\n")).collect();
        let line_starts: Vec<usize> = [0].into_iter().chain(line_ends.iter().map(|at| at + 2)).collect();
        let length = bytes.len();
        match self {
            _ if length == 0 || line_ends.is_empty() => {}
            Self::LineEnd(index, text) => {
                let at = line_ends[index.index(line_ends.len())];
                bytes.splice(at..at + 2, text.bytes());
            }
            Self::Line(index, text) => {
                let at = line_starts[index.index(line_starts.len())];
                bytes.splice(at..at, text.bytes());
            }
            Self::SecondLine(index, to) => {
                let from = index.index(line_ends.len());
                let line = bytes[line_starts[from]..line_ends[from] + 2].to_vec();
                let at = line_starts[to.index(line_starts.len())];
                bytes.splice(at..at, line);
            }
            Self::Insert(index, byte) => bytes.insert(index.index(length + 1), *byte),
            Self::Replace(index, byte) => bytes[index.index(length)] = *byte,
            Self::Remove(index) => {
                bytes.remove(index.index(length));
            }
            Self::Repeat(index, count) => {
                let at = index.index(length);
                let repeated = bytes[at..(at + count).min(length)].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let line_ends = select(vec!["\n", "\r", "\r\r\n", "\n\r", "", "\r\n ", "\r\n\t", "\r\n\r\n", " \r\n", "\r\nx"]);
    let lines = select(vec![
        "Content-Length: 5\r\n",
        "content-length: +5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "host: b\r\n",
        "Connection: close\r\n",
        "expect: x\r\n",
        "0\r\n\r\n",
        "1\r\nx\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\n",
        " ",
        ";",
        "+",
        "0x",
        ":",
    ]);
    let byte = prop_oneof![select(b"\r\n \t:;,=\"\\\0\x7f\x80/?#0aF".to_vec()), any::<u8>()];
    prop_oneof![
        2 => (any::<Index>(), line_ends).prop_map(|(index, text)| Damage::LineEnd(index, text)),
        2 => (any::<Index>(), lines).prop_map(|(index, text)| Damage::Line(index, text)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(index, to)| Damage::SecondLine(index, to)),
        1 => (any::<Index>(), byte.clone()).prop_map(|(index, byte)| Damage::Insert(index, byte)),
        1 => (any::<Index>(), byte).prop_map(|(index, byte)| Damage::Replace(index, byte)),
        1 => any::<Index>().prop_map(Damage::Remove),
        1 => (any::<Index>(), 1..40usize).prop_map(|(index, count)| Damage::Repeat(index, count)),
    ]
}

/// Requests with up to three faults, or without.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (vec(message(), 1..4), vec(damage(), 0..4)).prop_map(|(messages, damages)| {
        let mut bytes = encode(&messages);
        for damage in damages {
            damage.apply(&mut bytes);
        }
        bytes
    })
}

/// The usual ones, or some that most requests pass.
fn limits() -> impl Strategy<Value = Limits> {
    let small = (1..20usize, 1..40usize, 60..300usize, 1..8usize, (1..30usize, 0..40u64, 2..60usize, 0..100u64))
        .prop_map(|(method_bytes, target_bytes, head_bytes, fields, body)| {
            let (chunk_line_bytes, chunk_extension_bytes, trailer_bytes, body_bytes) = body;
            Limits {
                head_bytes,
                method_bytes,
                target_bytes,
                fields,
                chunk_line_bytes,
                chunk_extension_bytes,
                trailer_bytes,
                body_bytes,
                connect: false,
            }
        });
    prop_oneof![1 => Just(Limits::DEFAULT), 1 => small]
}

/// An application that answers at once, with these fields and no body.
fn plain(status: u16, fields: &[(&str, &str)]) -> Plan {
    Plan {
        mode: Mode::Late,
        interim: Vec::new(),
        status,
        fields: fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        has_length: status != 101,
        closes: false,
        parts: Vec::new(),
        trailers: None,
    }
}

// An application that sends any bytes.

/// All strings of no, one and two bytes.
fn short_strings() -> impl Iterator<Item = Vec<u8>> {
    let ones = (0..=255u8).map(|byte| vec![byte]);
    let twos = (0..=255u8).flat_map(|first| (0..=255u8).map(move |second| vec![first, second]));
    [Vec::new()].into_iter().chain(ones).chain(twos)
}

/// An exchange that was started and asks for all that a server may send.
fn started() -> (Connection, ExchangeId, Asked) {
    let head = b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let asked = subject::asked(&recognise(head, &Limits::DEFAULT).requests[0]);
    let mut connection = Connection::new(subject::config(&Limits::DEFAULT));
    connection.handle_bytes(head);
    let Action::Start(id, _) = connection.next_action(NOW) else { panic!("{connection:?}") };
    (connection, id, asked)
}

/// The whole output of a response that is finished from here on.
fn finish(mut connection: Connection, id: ExchangeId, events: &[SendEvent<'_>]) -> Vec<u8> {
    for event in events {
        connection.exchange(id).send(event.clone()).unwrap();
    }
    connection.outgoing().flatten().copied().collect()
}

#[track_caller]
fn the_response(asked: &Asked, output: &[u8], what: &str, string: &[u8]) -> Response {
    let decoded = validator::validate(std::slice::from_ref(asked), output, End::Open);
    let Ok(Output { mut responses, .. }) = decoded else {
        panic!("{what} {}: {}: {decoded:?}", string.escape_ascii(), output.escape_ascii());
    };
    assert!(responses.len() == 1 && responses[0].is_complete, "{what} {}: {responses:?}", string.escape_ascii());
    responses.remove(0)
}

const START: SendEvent<'_> = SendEvent::ResponseStart { status: 200, headers: &[], trailers: false };
const START_WITH_TRAILERS: SendEvent<'_> = SendEvent::ResponseStart { status: 200, headers: &[], trailers: true };
const LAST: SendEvent<'_> = SendEvent::ResponseBody { body: Bytes::new(), more_body: false };
const NO_TRAILERS: SendEvent<'_> = SendEvent::ResponseTrailers { headers: &[], more_trailers: false };

/// Sends an event with this string somewhere in it. What is refused has changed nothing: the response that is then finished
/// is the one that is finished without. What is taken gives a response.
#[track_caller]
fn try_send(
    (connection, id, asked): &(Connection, ExchangeId, Asked),
    event: SendEvent<'_>,
    (rest, rest_if_refused): (&[SendEvent<'_>], &[SendEvent<'_>]),
    unchanged: &[u8],
    string: &[u8],
) -> Option<Response> {
    let mut connection = connection.clone();
    let what = format!("{event:?}");
    match connection.exchange(*id).send(event) {
        Err(SendError::Misuse(_)) => {
            let output = finish(connection, *id, rest_if_refused);
            assert_eq!(output, unchanged, "{what} {}", string.escape_ascii());
            None
        }
        Err(other) => panic!("{what} {}: {other}", string.escape_ascii()),
        Ok(()) => {
            let output = finish(connection, *id, rest);
            Some(the_response(asked, &output, &what, string))
        }
    }
}

#[test]
fn any_header_is_refused_or_read_back() {
    let start = started();
    let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
    let mut taken = 0;
    for string in short_strings() {
        for (name, value) in [(&string[..], &b"v"[..]), (b"x-name", &string)] {
            let event = SendEvent::ResponseStart { status: 200, headers: &[(name, value)], trailers: false };
            let response = try_send(&start, event, (&[LAST], &[START, LAST]), &unchanged, &string);
            assert_eq!(response.is_some(), is_token(name) && is_field_value(value), "{}", string.escape_ascii());
            if let Some(response) = response {
                assert_eq!(without_ours(&response.head.fields), [(name.to_vec(), value.to_vec())]);
                assert_eq!((&response.body[..], &response.trailers[..]), (&b""[..], &[][..]));
                taken += 1;
            }
        }
    }
    assert!(taken > 20_000);
}

#[test]
fn any_interim_header_is_refused_or_read_back() {
    let start = started();
    let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
    for string in short_strings() {
        for (name, value) in [(&string[..], &b"v"[..]), (b"x-name", &string)] {
            let event = SendEvent::Informational { status: 103, headers: &[(name, value)] };
            let response = try_send(&start, event, (&[START, LAST], &[START, LAST]), &unchanged, &string);
            assert_eq!(response.is_some(), is_token(name) && is_field_value(value), "{}", string.escape_ascii());
            if let Some(response) = response {
                assert_eq!(response.interim.len(), 1);
                assert_eq!(response.interim[0].fields, [(name.to_vec(), value.to_vec())]);
            }
        }
    }
}

#[test]
fn any_trailer_is_refused_or_read_back() {
    let mut start = started();
    for event in [START_WITH_TRAILERS, LAST] {
        start.0.exchange(start.1).send(event).unwrap();
    }
    let unchanged = finish(start.0.clone(), start.1, &[NO_TRAILERS]);
    for string in short_strings() {
        for (name, value) in [(&string[..], &b"v"[..]), (b"x-name", &string)] {
            let event = SendEvent::ResponseTrailers { headers: &[(name, value)], more_trailers: false };
            let response = try_send(&start, event, (&[], &[NO_TRAILERS]), &unchanged, &string);
            let is_right = is_token(name) && is_field_value(value);
            // Of the names that may not be in trailers one is as short: there the texts leave both.
            if !name.eq_ignore_ascii_case(b"te") {
                assert_eq!(response.is_some(), is_right, "{}", string.escape_ascii());
            }
            if let Some(response) = response {
                assert_eq!(response.trailers, [(name.to_vec(), value.to_vec())]);
            }
        }
    }
}

/// The fields that frame the response, or say what becomes of the connection.
#[test]
fn any_framing_and_connection_are_refused_or_meant() {
    let start = started();
    let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
    for string in short_strings() {
        let length = oracles::grammar::decimal(&string);
        let body = Bytes::from(vec![b'x'; length.map_or(0, |length| usize::try_from(length).unwrap())]);
        let event = SendEvent::ResponseStart { status: 200, headers: &[(b"Content-Length", &string)], trailers: false };
        let whole = SendEvent::ResponseBody { body: body.clone(), more_body: false };
        let response = try_send(&start, event, (&[whole], &[START, LAST]), &unchanged, &string);
        assert_eq!(response.is_some(), length.is_some(), "{}", string.escape_ascii());
        if let Some(response) = response {
            assert_eq!((Some(response.framing), response.body), (length.map(Framing::Length), body.to_vec()));
        }

        let event = SendEvent::ResponseStart { status: 200, headers: &[(b"Connection", &string)], trailers: false };
        let response = try_send(&start, event, (&[LAST], &[START, LAST]), &unchanged, &string);
        let mut members = oracles::grammar::list(&string);
        members.retain(|member| !member.is_empty());
        let is_right = is_field_value(&string) && members.iter().all(|member| is_token(member));
        assert_eq!(response.is_some(), is_right, "{}", string.escape_ascii());
        if let Some(response) = response {
            assert_eq!(oracles::grammar::elements(&response.head.fields, "connection"), members);
        }

        // "`transfer-encoding` from the application is ignored."
        let headers: &[(&[u8], &[u8])] = &[(b"Transfer-Encoding", &string)];
        let event = SendEvent::ResponseStart { status: 200, headers, trailers: false };
        let mut connection = start.0.clone();
        let is_taken = connection.exchange(start.1).send(event).is_ok();
        assert_eq!(is_taken, is_field_value(&string), "{}", string.escape_ascii());
        if is_taken {
            assert_eq!(finish(connection, start.1, &[LAST]), unchanged);
        }
    }
}

/// "101 only as an upgrade": to a protocol that the request offered, and no other.
#[test]
fn any_protocol_is_refused_or_switched_to() {
    let (connection, id, asked) = started();
    let unchanged = finish(connection.clone(), id, &[START, LAST]);
    let mut taken = 0;
    for string in short_strings() {
        let mut connection = connection.clone();
        let headers: &[(&[u8], &[u8])] = &[(b"Upgrade", &string)];
        match connection.exchange(id).send(SendEvent::ResponseStart { status: 101, headers, trailers: false }) {
            Err(SendError::Misuse(_)) => assert_eq!(finish(connection, id, &[START, LAST]), unchanged),
            Err(other) => panic!("{}: {other}", string.escape_ascii()),
            Ok(()) => {
                let output = finish(connection, id, &[]);
                let decoded = validator::validate(std::slice::from_ref(&asked), &output, End::Switched);
                assert!(decoded.is_ok(), "{}: {decoded:?}", string.escape_ascii());
                taken += 1;
            }
        }
    }
    assert!(taken > 0, "no switch at all");
}

#[test]
fn any_status_is_refused_or_read_back() {
    let start = started();
    let unchanged = finish(start.0.clone(), start.1, &[START, LAST]);
    for status in 0..=u16::MAX {
        let string = status.to_string();
        let event = SendEvent::ResponseStart { status, headers: &[], trailers: false };
        let response = try_send(&start, event, (&[LAST], &[START, LAST]), &unchanged, string.as_bytes());
        // "Status 200..=599 final; 101 only as an upgrade", which this is not.
        assert_eq!(response.is_some(), (200..600).contains(&status), "{status}");
        if let Some(response) = response {
            assert_eq!((response.head.status, &response.interim[..]), (status, &[][..]));
        }

        let event = SendEvent::Informational { status, headers: &[] };
        let response = try_send(&start, event, (&[START, LAST], &[START, LAST]), &unchanged, string.as_bytes());
        // "103 and others, not 100 or 101".
        assert_eq!(response.is_some(), (102..200).contains(&status), "{status}");
        if let Some(response) = response {
            assert_eq!((response.head.status, response.interim[0].status), (200, status));
        }
    }
}

//! What a client means is what the application sees, and what the application sends is what the client reads (P9 in
//! `SECURITY.md`), however the bytes are cut (P1); all that is written is a valid answer to what was read (P7), also of
//! requests that are damaged (P10). What fails is printed as a case of the corpus.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail"
)]

mod generators;
mod oracles;
mod support;

use std::task::Poll;

use generators::*;
use oracles::client::{self, Coding, Message};
use oracles::grammar::{Field, is_one_of, values};
use oracles::recogniser::{Request, recognise};
use oracles::subject::{self, Subject};
use oracles::validator::{self, Asked, End, Framing, Output, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sansgi::{Action, Connection, ExchangeId, Instant, ProtocolError, ReceiveEvent, Wait};
use support::corpus::parse;
use support::cut::Cut;
use support::world::replay;

const NOW: Instant = Instant::ZERO;

/// All that can be seen of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    requests: Vec<Request>,
    output: Vec<u8>,
    /// What of it the driver moved by itself: where, and how much.
    transferred: Vec<(usize, usize)>,
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
        (output, Self { output: Vec::new(), transferred: Vec::new(), ..self.clone() })
    }
}

/// A driver, its application, and the wire between them and the test.
struct Server<'a> {
    connection: Connection,
    case: &'a Case,
    /// Most bytes of one write.
    write_bytes: usize,
    exchange: Option<ExchangeId>,
    receives: bool,
    seen: Seen,
}

impl<'a> Server<'a> {
    fn new(case: &'a Case, write_bytes: usize) -> Self {
        let seen = Seen {
            requests: Vec::new(),
            output: Vec::new(),
            transferred: Vec::new(),
            end: End::Open,
            fault: None,
            wait: Wait::default(),
            leftover: None,
        };
        let connection = Connection::new(subject::config(&case.limits));
        Self { connection, case, write_bytes, exchange: None, receives: false, seen }
    }

    /// Feeds the pieces, each where the connection has asked for it; then the end of the stream, either with the last
    /// piece or behind it.
    fn run(mut self, cuts: &[Index]) -> Seen {
        let Case { bytes, ends, .. } = self.case;
        self.turn();
        for piece in self.case.places(cuts).windows(2) {
            if self.is_over() {
                break;
            }
            assert!(self.seen.wait.read, "asks for nothing: {:?}", self.connection);
            self.connection.handle_bytes(&bytes[piece[0]..piece[1]]);
            if *ends == Ends::AtOnce && piece[1] == bytes.len() {
                self.connection.handle_eof();
            }
            self.turn();
        }
        if *ends != Ends::Never && !self.is_over() {
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
                    let part = self.case.plans[token / 100 % self.case.plans.len()].parts[token % 100].bytes();
                    let rest = &part[part.len() - usize::try_from(remaining).unwrap()..];
                    let written = rest.len().min(self.write_bytes);
                    self.seen.transferred.push((self.seen.output.len(), written));
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
        (number, &self.case.plans[number % self.case.plans.len()])
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

    /// "Once a response is complete, any further `receive` of that exchange is answered `Disconnect`, at once, for
    /// ever."
    fn end(&mut self, id: ExchangeId) {
        for _ in 0..2 {
            assert_eq!(self.connection.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect));
        }
        self.connection.exchange(id).end();
    }
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
/// Requests that mean something, with an application for each.
fn meant() -> impl Strategy<Value = Case> {
    let ends = select(vec![Ends::Behind, Ends::AtOnce]);
    (messages(), plans(), cuts(), 1..300usize, ends).prop_map(|(messages, plans, cuts, write_bytes, ends)| Case {
        bytes: encode(&messages),
        messages,
        write_bytes,
        ends,
        ..Case::of(Vec::new(), plans, cuts)
    })
}

proptest! {
    // What is found is told by its smallest form: no file is needed to find it again.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_meant_arrives_both_ways(case in meant()) {
        let Case { messages, plans, .. } = &case;
        let seen = Server::new(&case, case.write_bytes).run(&case.cuts);
        assert_eq!(seen.fault, None);
        assert_eq!(seen.end, End::Closed);
        let output = client::decode(messages, &seen.output, seen.end)
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

    /// What is printed of a case that fails does what that one did.
    #[test]
    fn what_is_printed_means_the_same(case in meant()) {
        let seen = Server::new(&case, usize::MAX).run(&[]);
        let printed = parse(&case.printed().to_string()).unwrap();
        let run = replay(&printed[0], &Cut::whole()).unwrap();
        assert_eq!((printed.len(), run.requests.len()), (1, seen.requests.len()));
        let mut expected = seen.output.clone();
        // What the driver moves by itself is nobody's bytes there.
        for (index, &(from, length)) in seen.transferred.iter().enumerate() {
            assert!(from + length <= expected.len(), "{index}");
            expected[from..from + length].fill(b'P');
        }
        let found = run.output.all_bytes();
        assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn cuts_change_nothing(
        case in (damaged(), plans(), cuts(), vec(any::<Index>(), 1..40), select(vec![Ends::Never, Ends::Behind]))
            .prop_map(|(bytes, plans, cuts, other_cuts, ends)| {
                Case { other_cuts, ends, ..Case::of(bytes, plans, cuts) }
            }),
    ) {
        let asked: Vec<Asked> = recognise(&case.bytes, &case.limits).requests.iter().map(subject::asked).collect();
        let one = Server::new(&case, 7).run(&case.cuts).normalised(&asked);
        let other = Server::new(&case, 100).run(&case.other_cuts).normalised(&asked);
        assert_eq!(one, other);
    }

    #[test]
    fn damaged_requests_are_read_as_the_recogniser_reads_them(
        case in (damaged(), cuts(), limits())
            .prop_map(|(bytes, cuts, limits)| Case { limits, ..Case::of(bytes, Vec::new(), cuts) }),
    ) {
        let Case { bytes, limits, .. } = &case;
        let said = recognise(bytes, limits);
        let mut subject = Subject::new(&subject::config(limits));
        for piece in case.places(&case.cuts).windows(2) {
            subject.feed(&bytes[piece[0]..piece[1]]);
        }
        if let Some(what) = subject.disagreement(&said, false) {
            panic!("{what}");
        }
        // Where the verdict falls.
        let mut subject = Subject::new(&subject::config(limits));
        subject.feed_byte_by_byte(bytes);
        if let Some(what) = subject.disagreement(&said, true) {
            panic!("byte by byte: {what}");
        }
    }

    #[test]
    fn what_is_behind_a_switch_is_handed_over(case in switching()) {
        let seen = Server::new(&case, 50).run(&case.cuts);
        assert_eq!(seen.end, End::Switched);
        let asked: Vec<Asked> =
            recognise(&case.bytes, &case.limits).requests.iter().take(case.plans.len()).map(subject::asked).collect();
        let output = validator::validate(&asked, &seen.output, seen.end)
            .unwrap_or_else(|fault| panic!("{}: {fault:?}", seen.output.escape_ascii()));
        assert_eq!(output.responses.len(), case.plans.len());
        // What comes behind the switch is read by its new owner.
        let (_, behind) = case.bytes.split_at(case.bytes.windows(SWITCH.len()).position(|at| at == SWITCH).unwrap());
        let behind = &behind[SWITCH.len()..];
        let leftover = seen.leftover.unwrap();
        assert!(behind.starts_with(&leftover), "{leftover:?}");
        if case.cuts.is_empty() {
            assert_eq!(leftover, behind);
        }
    }
}

const SWITCH: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: h2c, x/1\r\n\r\n";

/// Requests, then one to switch protocols, then bytes of the next one.
fn switching() -> impl Strategy<Value = Case> {
    (messages(), vec(any::<u8>(), 0..100), cuts()).prop_map(|(mut before, behind, cuts)| {
        for message in &mut before {
            message.minor = 1;
            message.fields.retain(|(name, _)| !is_one_of(name, &["connection", "host"]));
            message.fields.push((b"Host".to_vec(), b"a".to_vec()));
        }
        let mut plans = vec![plain(200, &[]); before.len()];
        plans.push(plain(101, &[("Upgrade", "x/1"), ("connection", "upgrade")]));
        Case::of([&encode(&before)[..], SWITCH, &behind].concat(), plans, cuts)
    })
}

//! The state space to a fixpoint: from a new connection every event in every state, until no new state comes.
//!
//! A state is the connection's fingerprint beside the model's ([`model`]), which runs along and must agree: on what
//! `receive` and `send` answer, on every action and its order, on what the driver waits for and until exactly when.
//! There is no bound of depth; the config's limits are a few units, so that it closes. What must hold in every state is
//! in [`Node::judge_state`] and [`Explorer::judge_progress`].
//!
//! Three things are left out, since they multiply states without telling them apart:
//! - behind a request that is whole, and in content, only some of the inputs are sent ([`Node::may_send`]): what waits
//!   there is not looked at, and is judged later by its place, where all of them are sent;
//! - bytes are sent only where the connection reads, or throws away: what is given unasked is held on top;
//! - of a fingerprint what is left over from an exchange that has ended, and the request's raw head ([`essence`]).
//!
//! `cargo test` explores a part of the events; `SANSGI_EXHAUST=full cargo test --release --test exploration` all of
//! them under seven configs, and it alone writes `exploration.table` with `SANSGI_BLESS=1` as well. The table is for
//! reading: what each event comes to, by what can be seen from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod model;
mod oracles;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use model::{Kind, Model, Place, Policy, Receive, Refused, Run, Send, Start, Time, Times, Told};
use oracles::subject;
use oracles::validator::{self, Asked, End};
use sansgi::{
    Action, Config, Connection, EarlyResponse, ExchangeId, HalfClose, Instant, Limits, Outcome, ProtocolError,
    ReceiveEvent, SendError, SendEvent, Timeouts, Wait,
};

/// Above it "the state is badly factored".
const MOST_STATES: usize = 50_000;

/// The cut head has one byte less than this: whatever follows it, but the one byte that ends it, is soon a fault, so
/// that heads in parts do not make states without end.
const HEAD_LIMIT: usize = 96;
const TRAILER_LIMIT: usize = 8;
const TOKEN: u64 = 7;

/// No two that can run together come due at the same time.
const TIMES: Times = Times {
    idle: 7_000_000,
    head: 11_000_100,
    body: 13_000_300,
    write: 17_000_700,
    linger_quiet: 1_900_030,
    linger: 5_100_070,
    shutdown: 23_001_100,
};

const POLICY: Policy = Policy {
    half_close: model::HalfClose::Told,
    drains: true,
    one_byte_is_high_water: true,
    most_requests: u64::MAX,
    budget: 2,
    read_buffer: 1,
    head_limit: HEAD_LIMIT,
    trailer_limit: TRAILER_LIMIT,
    times: TIMES,
};

type Pair<'a> = (&'a [u8], &'a [u8]);

#[derive(Clone, Copy, Debug)]
enum Event {
    // The world.
    Bytes(&'static [u8]),
    CutHead,
    Eof,
    Lost,
    /// All that may be written before the next opaque part, or that part.
    Written,
    OneByteWritten,
    Shutdown,
    TransferFailed,
    Deadline,
    // The application.
    Receive,
    Start(u16, &'static [Pair<'static>], bool),
    Body(&'static [u8], bool),
    Part(bool),
    Trailers(bool),
    Informational,
    End,
}

/// Whether the default run has it, or the full one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Default,
    Full,
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

const EVENTS: [(&str, Set, Event); 45] = [
    ("get", Set::Default, Event::Bytes(GET)),
    ("head", Set::Full, Event::Bytes(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")),
    ("post by length", Set::Default, Event::Bytes(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n")),
    (
        "post chunked",
        Set::Default,
        Event::Bytes(b"POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n"),
    ),
    ("get 1.0", Set::Default, Event::Bytes(b"GET / HTTP/1.0\r\n\r\n")),
    ("get 1.0 keep-alive", Set::Full, Event::Bytes(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")),
    (
        "expect",
        Set::Full,
        Event::Bytes(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"),
    ),
    ("expect without content", Set::Full, Event::Bytes(b"GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n")),
    ("upgrade", Set::Full, Event::Bytes(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: w\r\n\r\n")),
    ("connect", Set::Default, Event::Bytes(b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n")),
    ("bad head", Set::Default, Event::Bytes(b"GET / HTTP/1.1\r\n\r\n")),
    ("cut head", Set::Default, Event::CutHead),
    ("blank line", Set::Default, Event::Bytes(b"\r\n")),
    // The rest of the cut head; a byte of content; elsewhere a fault at once.
    ("lf", Set::Default, Event::Bytes(b"\n")),
    ("lf lf", Set::Default, Event::Bytes(b"\n\n")),
    ("chunk", Set::Default, Event::Bytes(b"1\r\n\n\r\n")),
    ("cut chunk", Set::Default, Event::Bytes(b"1\r\n")),
    ("rest of chunk", Set::Default, Event::Bytes(b"\n\r\n")),
    ("last chunk", Set::Default, Event::Bytes(b"0\r\n\r\n")),
    ("cut last chunk", Set::Full, Event::Bytes(b"0\r\n")),
    ("rest of last chunk", Set::Full, Event::Bytes(b"x: y\r\n\r\n")),
    ("eof", Set::Default, Event::Eof),
    ("lost", Set::Default, Event::Lost),
    ("written", Set::Default, Event::Written),
    ("one byte written", Set::Default, Event::OneByteWritten),
    ("shutdown", Set::Default, Event::Shutdown),
    ("transfer failed", Set::Default, Event::TransferFailed),
    ("deadline", Set::Default, Event::Deadline),
    ("receive", Set::Default, Event::Receive),
    ("start", Set::Default, Event::Start(200, &[], false)),
    ("start with length", Set::Default, Event::Start(404, &[(b"content-length", b"2")], false)),
    ("start 204 close", Set::Full, Event::Start(204, &[(b"connection", b"close")], false)),
    ("start with trailers", Set::Full, Event::Start(200, &[], true)),
    ("start 101", Set::Default, Event::Start(101, &[(b"upgrade", b"w")], false)),
    ("start badly", Set::Default, Event::Start(200, &[(b"bad name", b"")], false)),
    ("flush", Set::Default, Event::Body(b"", true)),
    ("body", Set::Default, Event::Body(b"h", true)),
    ("last body", Set::Default, Event::Body(b"h", false)),
    ("end of body", Set::Default, Event::Body(b"", false)),
    ("part", Set::Default, Event::Part(true)),
    ("last part", Set::Full, Event::Part(false)),
    ("more trailers", Set::Full, Event::Trailers(true)),
    ("last trailers", Set::Default, Event::Trailers(false)),
    ("103", Set::Default, Event::Informational),
    ("ended", Set::Default, Event::End),
];

fn cut_head() -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nhost: a\r\nx: ".to_vec();
    head.resize(HEAD_LIMIT - 4, b'p');
    head.extend_from_slice(b"\r\n\r");
    head
}

fn config(policy: Policy) -> Config {
    let limits = Limits::default()
        .max_head_bytes(policy.head_limit)
        .max_trailer_bytes(policy.trailer_limit)
        .drain_budget_bytes(policy.budget)
        .read_buffer_bytes(policy.read_buffer)
        .high_water_bytes(if policy.one_byte_is_high_water { 1 } else { 1 << 20 })
        .max_requests((policy.most_requests != u64::MAX).then_some(policy.most_requests));
    let times = policy.times;
    let timeouts = Timeouts::default()
        .idle(Duration::from_nanos(times.idle))
        .head(Duration::from_nanos(times.head))
        .body(Duration::from_nanos(times.body))
        .body_rate(0, Duration::ZERO)
        .write(Duration::from_nanos(times.write))
        .linger(Duration::from_nanos(times.linger_quiet), Duration::from_nanos(times.linger))
        .shutdown(Duration::from_nanos(times.shutdown));
    let half_close = match policy.half_close {
        model::HalfClose::Told => HalfClose::Disconnect,
        model::HalfClose::Ignored => HalfClose::Ignore,
        model::HalfClose::Left => HalfClose::Abort,
    };
    let early = if policy.drains { EarlyResponse::Drain } else { EarlyResponse::Close };
    Config::builder()
        .limits(limits)
        .timeouts(timeouts)
        .half_close(half_close)
        .early_response(early)
        .connect(true)
        .build()
        .unwrap()
}

/// What all states share.
struct World {
    /// As many as the longest path uses: an id means the same on every connection.
    ids: Vec<ExchangeId>,
    cut_head: Vec<u8>,
    /// Of a new connection.
    new: String,
}

fn ids() -> Vec<ExchangeId> {
    let mut conn = Connection::new(Config::default());
    let mut ids = Vec::new();
    while ids.len() < 40 {
        conn.handle_bytes(GET);
        let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { panic!("no start") };
        conn.exchange(id).send(SendEvent::ResponseStart { status: 204, headers: &[], trailers: false }).unwrap();
        conn.exchange(id).send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
        conn.handle_written(usize::MAX);
        assert_eq!(conn.next_action(Instant::ZERO), Action::Disconnect(id));
        ids.push(id);
    }
    ids
}

/// Of a fingerprint what decides how it goes on. It has besides: of a request that is not read any more its decoder, of
/// a response that is not written any more its encoder, and of the current request the raw head, with the method's
/// letters.
fn essence(fingerprint: &str) -> String {
    let parts: Vec<&str> = fingerprint.split(" | ").collect();
    let [state, reader, writer, waits] = parts[..] else { panic!("a fingerprint of {} parts", parts.len()) };
    let is = |phases: &[&str]| phases.iter().any(|phase| state.contains(phase));
    let after = |text: &str, end: &str| text.find(end).unwrap() + end.len();
    let head = &reader[..after(reader, "version: Http1") + "1 } }".len()];
    let body = &reader[reader.find(" BodyDecoder").unwrap()..];
    let body = if is(&["reading: Idle", "reading: Head", "reading: Closed"]) { "" } else { body };
    let (queue, response) = writer.split_once(" Asked").unwrap();
    let is_above_high_water = writer.ends_with("true");
    let response = if is(&["writing: Idle", "writing: Over"]) { "" } else { response };
    let state = if is(&["writing: Idle"]) && is(&["reading: Idle", "reading: Head"]) {
        // The number of the last exchange, saturated, and its outcome.
        let (before, outcome) = state[2..].split_once(", outcome: ").unwrap();
        format!("{before} {}", outcome.split_once(", next").unwrap().1)
    } else {
        state.to_owned()
    };
    format!("{state} | {head} {body} | {queue} {response} {is_above_high_water} | {waits}")
}

fn outgoing(conn: &Connection) -> Vec<u8> {
    conn.outgoing().flatten().copied().collect()
}

fn in_words_of_the_model(outcome: Outcome) -> model::Outcome {
    match outcome {
        Outcome::Complete => model::Outcome::Complete,
        Outcome::HalfClosed => model::Outcome::HalfClosed,
        Outcome::ClientLeft => model::Outcome::ClientLeft,
        Outcome::Fault => model::Outcome::Fault,
        Outcome::TimedOut => model::Outcome::TimedOut,
        Outcome::Failed => model::Outcome::Failed,
        Outcome::Switched => model::Outcome::Switched,
        _ => panic!("an outcome that the model does not know"),
    }
}

fn refusal(answer: Result<(), SendError>) -> Result<(), Refused> {
    answer.map_err(|error| match error {
        SendError::Misuse(_) => Refused::Misuse,
        SendError::Complete => Refused::Complete,
        SendError::Disconnected => Refused::Disconnected,
        _ => panic!("an error that the model does not know"),
    })
}

const START: SendEvent<'static> = SendEvent::ResponseStart { status: 200, headers: &[], trailers: false };
const FLUSH: SendEvent<'static> = SendEvent::ResponseBody { body: Bytes::new(), more_body: true };
const LAST_TRAILERS: SendEvent<'static> = SendEvent::ResponseTrailers { headers: &[], more_trailers: false };

/// Why this is not what it should be.
type Verdict<T> = Result<T, String>;

fn require(truth: bool, what: impl FnOnce() -> String) -> Verdict<()> {
    if truth { Ok(()) } else { Err(what()) }
}

/// A connection, the model of it, and what came of both.
#[derive(Clone)]
struct Node {
    conn: Connection,
    model: Model,
    now: Time,
    /// All that was written, for the validator.
    output: Vec<u8>,
    asked: Vec<Asked>,
    end: End,
    /// The transport was gone before the end: whether one resets it then is all the same.
    is_gone: bool,
    wait: Wait,
    is_transfer: bool,
    /// The fingerprint.
    print: String,
    parent: usize,
    event: usize,
}

impl Node {
    fn new(policy: Policy) -> Self {
        Self {
            conn: Connection::new(config(policy)),
            model: Model::new(policy),
            now: 0,
            output: Vec::new(),
            asked: Vec::new(),
            end: End::Open,
            is_gone: false,
            wait: Wait::default(),
            is_transfer: false,
            print: String::new(),
            parent: 0,
            event: 0,
        }
    }

    fn key(&self) -> String {
        format!("{} @ {}", essence(&self.print), self.model.key())
    }

    fn id(&self, world: &World) -> ExchangeId {
        world.ids[usize::try_from(self.model.last_id()).unwrap() - 1]
    }

    fn can_happen(&self, event: Event) -> bool {
        match event {
            Event::Bytes(bytes) => self.may_send(bytes),
            Event::CutHead => self.wait.read && matches!(self.model.place(), Place::Head | Place::BehindTheRequest),
            Event::Written => !self.model.unwritten.is_empty(),
            Event::OneByteWritten => self.model.unwritten.front() == Some(&Run::Bytes),
            Event::Deadline => self.wait.deadline.is_some(),
            Event::Eof | Event::Lost | Event::Shutdown | Event::TransferFailed => true,
            Event::Receive
            | Event::Start(..)
            | Event::Body(..)
            | Event::Part(_)
            | Event::Trailers(_)
            | Event::Informational
            | Event::End => self.model.last_id() > 0,
        }
    }

    fn may_send(&self, bytes: &[u8]) -> bool {
        let is_good_or_bad = bytes == GET || bytes == b"\n";
        match self.model.place() {
            Place::Head => self.wait.read,
            // In chunks anything but a chunk is a fault at its first byte: one such head is enough.
            Place::Chunks => self.wait.read && (bytes == GET || !bytes.windows(5).any(|word| word == b"HTTP/")),
            // Content is content, whatever it says.
            Place::Content => self.wait.read && bytes.iter().all(|&byte| byte == b'\n'),
            Place::BehindTheRequest => self.wait.read && is_good_or_bad,
            Place::Nowhere => is_good_or_bad,
        }
    }

    /// Lets it happen to both; what it was answered, and what was told.
    fn step(&mut self, world: &World, event: Event) -> Verdict<String> {
        self.now += 1;
        let mut answer = String::new();
        let fault = self.conn.fault();
        match event {
            Event::Bytes(bytes) => {
                self.conn.handle_bytes(bytes);
                self.model.bytes(bytes);
            }
            Event::CutHead => {
                self.conn.handle_bytes(&world.cut_head);
                self.model.bytes(&world.cut_head);
            }
            Event::Eof => {
                self.conn.handle_eof();
                self.model.eof();
            }
            Event::Lost => {
                self.conn.handle_disconnect();
                self.model.lost();
            }
            Event::Written if self.is_transfer => {
                self.output.push(b'p');
                self.conn.handle_written(1);
                self.model.written();
            }
            Event::Written => {
                let bytes = outgoing(&self.conn);
                self.conn.handle_written(bytes.len());
                self.output.extend_from_slice(&bytes);
                self.model.written();
            }
            Event::OneByteWritten => {
                let bytes = outgoing(&self.conn);
                self.conn.handle_written(1);
                self.output.push(bytes[0]);
                if bytes.len() == 1 { self.model.written() } else { self.model.partly_written() }
            }
            Event::Shutdown => {
                self.conn.handle_shutdown();
                self.model.shutdown();
            }
            Event::TransferFailed => {
                self.conn.handle_transfer_failed();
                self.model.transfer_failed();
            }
            Event::Deadline => self.now = self.wait.deadline.unwrap().as_nanos(),
            Event::Receive => answer = self.receive(world)?,
            Event::End => {
                let is = in_words_of_the_model(self.conn.exchange(self.id(world)).end());
                let said = self.model.end();
                require(is == said, || format!("`end` is {is:?}, not {said:?}"))?;
                answer = format!("{is:?}");
            }
            Event::Start(..) | Event::Body(..) | Event::Part(_) | Event::Trailers(_) | Event::Informational => {
                answer = self.send(world, event)?;
            }
        }
        let is_silent_before = (self.output.len(), self.end);
        let mut outcome: Vec<String> = Some(answer).into_iter().filter(|answer| !answer.is_empty()).collect();
        outcome.extend(self.ask()?);
        if self.conn.fault() != fault {
            outcome.push(format!("fault {}", self.conn.fault().map_or(0, ProtocolError::status)));
        }
        self.print = self.conn.fingerprint();
        self.judge_output(is_silent_before != (0, End::Open))?;
        Ok(if outcome.is_empty() { "-".to_owned() } else { outcome.join(", ") })
    }

    fn receive(&mut self, world: &World) -> Verdict<String> {
        let is = self.conn.exchange(self.id(world)).receive();
        let said = self.model.receive();
        let answer = match (&is, &said) {
            (Poll::Pending, Receive::Pending | Receive::Fault) => "pending",
            (Poll::Ready(ReceiveEvent::Disconnect), Receive::Disconnect | Receive::Fault) => "disconnect",
            // How much of what is here one part has is the connection's affair.
            (Poll::Ready(ReceiveEvent::Request { body, more_body: true }), Receive::Part(content, _))
                if !body.is_empty() && content.starts_with(body) =>
            {
                self.model.received(body.len(), false);
                "part"
            }
            (Poll::Ready(ReceiveEvent::Request { body, more_body: false }), Receive::Part(content, true))
                if body == content =>
            {
                self.model.received(body.len(), true);
                "last part"
            }
            _ => return Err(format!("`receive` is {is:?}, not {said:?}")),
        };
        Ok(answer.to_owned())
    }

    fn send(&mut self, world: &World, event: Event) -> Verdict<String> {
        let (real, said) = in_both_words(event);
        let is = refusal(self.conn.exchange(self.id(world)).send(real));
        let said = self.model.send(said);
        require(is == said, || format!("`send` is {is:?}, not {said:?}"))?;
        match is {
            Ok(()) => Ok("ok".to_owned()),
            Err(refused) => {
                let is_same = self.conn.fingerprint() == self.print;
                require(is_same, || "a refused event has changed something".to_owned())?;
                Ok(format!("{refused:?}").to_lowercase())
            }
        }
    }

    /// Asks both until they wait; what was told.
    fn ask(&mut self) -> Verdict<Vec<String>> {
        let mut told = Vec::new();
        loop {
            require(told.len() < 8, || format!("asked for ever: {told:?}"))?;
            let is = self.conn.next_action(Instant::from_nanos(self.now));
            let said = self.model.ask(self.now);
            let agree = self.compare(&is, &said);
            require(agree, || format!("told {is:?}, not {said:?}, behind {told:?}"))?;
            match is {
                Action::Start(..) => told.push("Start".to_owned()),
                Action::Disconnect(_) => told.push("Disconnect".to_owned()),
                Action::Switch { .. } => told.push("Switch".to_owned()),
                Action::Shutdown => told.push("Shutdown".to_owned()),
                Action::Close { reset } => {
                    // "Nothing follows, ever", and it repeats itself.
                    if self.end == End::Open {
                        told.push(if reset { "Close by reset" } else { "Close" }.to_owned());
                    }
                    self.end = if reset { End::Reset } else { End::Closed };
                    self.wait = Wait::default();
                    self.is_transfer = false;
                    return Ok(told);
                }
                Action::Transfer { wait, .. } => {
                    self.wait = wait;
                    self.is_transfer = true;
                    return Ok(told);
                }
                Action::Wait(wait) => {
                    self.wait = wait;
                    self.is_transfer = false;
                    return Ok(told);
                }
                _ => return Err("an action that the model does not know".to_owned()),
            }
        }
    }

    fn compare(&mut self, is: &Action, said: &Told) -> bool {
        // Only between chunks it may be open whether the connection reads.
        let may_leave_it_open = self.model.place() == Place::Chunks;
        let same_wait = |is: &Wait, said: &model::Wait| {
            let deadline = said.deadline.map(Instant::from_nanos);
            said.read.map_or(may_leave_it_open, |read| read == is.read)
                && said.write == is.write
                && deadline == is.deadline
        };
        match (is, said) {
            (Action::Start(id, request), Told::Start(said, kind)) => {
                let request = subject::translate(request);
                let (expects_continue, takes_trailers) = (kind.expects, kind.takes_trailers);
                self.asked.push(Asked { expects_continue, takes_trailers, ..subject::asked(&request) });
                id.as_u64() == *said && is_of_kind(&request, *kind)
            }
            (Action::Disconnect(id), Told::Disconnect(said)) => id.as_u64() == *said,
            (Action::Transfer { token: TOKEN, remaining: 1, wait }, Told::Transfer(said))
            | (Action::Wait(wait), Told::Wait(said)) => same_wait(wait, said),
            (Action::Switch { leftover, .. }, Told::Switch { leftover: said }) => {
                self.end = End::Switched;
                leftover == said
            }
            (Action::Shutdown, Told::Shutdown) => true,
            (Action::Close { reset }, Told::Close { reset: said }) => {
                self.is_gone |= self.end == End::Open && said.is_none();
                let before = if *reset { End::Reset } else { End::Closed };
                (self.end == End::Open || self.end == before) && said.is_none_or(|said| said == *reset)
            }
            _ => false,
        }
    }

    /// P7, and that something is unwritten when it should.
    fn judge_output(&self, is_anything_written: bool) -> Verdict<()> {
        let here = outgoing(&self.conn);
        let is_right = (self.model.unwritten.front() == Some(&Run::Bytes)) != here.is_empty();
        require(is_right, || format!("unwritten {:?}, not {:?}", here.escape_ascii(), self.model.unwritten))?;
        let (is, said) = (self.conn.fault().map(ProtocolError::status), self.model.fault());
        require(is == said, || format!("the fault is {:?}, not {said:?}", self.conn.fault()))?;
        if !is_anything_written {
            return Ok(());
        }
        // A transport that is gone tells the client so by itself.
        let end = if self.is_gone && self.end == End::Closed { End::Reset } else { self.end };
        let verdict = validator::validate(&self.asked, &self.output, end).map(|_| ());
        verdict.map_err(|fault| format!("written {:?}: {fault:?}", self.output.escape_ascii().to_string()))
    }

    /// What must hold in every state.
    fn judge_state(&self, world: &World) -> Verdict<()> {
        self.judge_repetition()?;
        self.judge_other_exchanges(world)?;
        if self.model.last_id() > 0 {
            self.judge_exchange(world)?;
        }
        // P14.
        let (is, essence) = (self.model.is_as_new(), essence(&self.print));
        require(is == (essence == world.new), || format!("as new ({is}) it is {}, but it is {essence}", world.new))?;
        let is_over = self.model.is_finished();
        require(!is_over || self.wait == Wait::default(), || format!("over, and it waits: {:?}", self.wait))?;
        require(!is_over || self.conn.outgoing().next().is_none(), || "over, and it writes".to_owned())?;
        // P4: "never a wait for nobody".
        let waits = self.wait.read || self.wait.write || self.wait.deadline.is_some();
        require(is_over || waits || self.model.is_in_flight(), || "a wait for nobody".to_owned())
    }

    /// "`next_action` may be asked at any time and repeats itself until acted on."
    fn judge_repetition(&self) -> Verdict<()> {
        let mut conn = self.conn.clone();
        let again = conn.next_action(Instant::from_nanos(self.now));
        let is_same = match again {
            Action::Wait(wait) => wait == self.wait && !self.is_transfer,
            Action::Transfer { wait, .. } => wait == self.wait && self.is_transfer,
            Action::Close { reset } => self.end == if reset { End::Reset } else { End::Closed },
            _ => false,
        };
        require(is_same && conn.fingerprint() == self.print, || format!("asked again it tells {again:?}"))
    }

    /// P8: "a stale id is harmless", and one that was never issued.
    fn judge_other_exchanges(&self, world: &World) -> Verdict<()> {
        let mut conn = self.conn.clone();
        let last = usize::try_from(self.model.last_id()).unwrap();
        let others = [last.checked_sub(2), Some(last), Some(world.ids.len() - 1)];
        for &id in others.into_iter().flatten().map(|index| &world.ids[index]) {
            let mut exchange = conn.exchange(id);
            let is_over = exchange.receive() == Poll::Ready(ReceiveEvent::Disconnect)
                && exchange.send(START) == Err(SendError::Complete)
                && exchange.ready() == Poll::Ready(Err(SendError::Complete))
                && exchange.trailers().is_none()
                && exchange.outcome() == Some(Outcome::Complete)
                && exchange.end() == Outcome::Complete;
            require(is_over, || format!("{id} is alive"))?;
        }
        require(conn.fingerprint() == self.print, || "another exchange has changed this one".to_owned())
    }

    fn judge_exchange(&self, world: &World) -> Verdict<()> {
        let id = self.id(world);
        let mut conn = self.conn.clone();
        let (is, said) = (conn.exchange(id).outcome(), self.model.outcome());
        let agree = is.map(in_words_of_the_model) == said;
        require(agree, || format!("the outcome is {is:?}, not {said:?}"))?;
        let received = conn.exchange(id).receive();
        let is_over = received == Poll::Ready(ReceiveEvent::Disconnect);
        let reaches_a_fault = self.model.clone().receive() == Receive::Fault;
        require(is_over == is.is_some() || reaches_a_fault, || format!("{received:?} with the outcome {is:?}"))?;
        let ready = self.conn.clone().exchange(id).ready().map(refusal);
        let said = match refusal(self.conn.clone().exchange(id).send(START)) {
            Err(refused @ (Refused::Complete | Refused::Disconnected)) => Poll::Ready(Err(refused)),
            _ if self.model.is_above_high_water() => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        };
        require(ready == said, || format!("`ready` is {ready:?}, not {said:?}"))
    }

    /// What can be seen from outside.
    fn class(&self, world: &World) -> String {
        let end = match self.end {
            End::Open if self.is_transfer => "a transfer is due",
            End::Open if self.wait.write => "bytes to write",
            End::Open => "nothing to write",
            End::Closed | End::Reset => "closed",
            End::Switched => "switched",
        };
        let is_closing = self.conn.close_reason().is_some() && self.end == End::Open;
        let end = format!("{end}{}", if is_closing { ", closing" } else { "" });
        if self.model.last_id() == 0 {
            return format!("no exchange yet; {end}");
        }
        let id = self.id(world);
        let receive = match self.conn.clone().exchange(id).receive() {
            Poll::Pending => "pending",
            Poll::Ready(ReceiveEvent::Disconnect) => "disconnect",
            Poll::Ready(ReceiveEvent::Request { .. }) => "a part",
        };
        let takes = |event| refusal(self.conn.clone().exchange(id).send(event));
        let send = match (takes(START), takes(FLUSH), takes(LAST_TRAILERS)) {
            (Ok(()), _, _) => "the start",
            (_, Ok(()), _) => "body",
            (_, _, Ok(())) => "trailers",
            (Err(Refused::Complete), _, _) => "complete",
            (Err(Refused::Disconnected), _, _) => "disconnected",
            (Err(Refused::Misuse), _, _) => unreachable!("it is always taken or over"),
        };
        format!("receive: {receive}; send: {send}; {end}")
    }

    /// What is awaited.
    fn awaited(&self) -> String {
        let awaited = [(self.wait.read, "read"), (self.wait.write, "write"), (self.wait.deadline.is_some(), "time")];
        let awaited: Vec<&str> = awaited.into_iter().filter_map(|(is_on, what)| is_on.then_some(what)).collect();
        match (awaited.is_empty(), self.end) {
            (false, _) => awaited.join(" + "),
            (true, End::Open) => "the application".to_owned(),
            (true, _) => "nothing".to_owned(),
        }
    }
}

fn is_of_kind(request: &oracles::recogniser::Request, kind: Kind) -> bool {
    request.minor == kind.minor
        && (request.method == b"HEAD") == kind.is_head
        && (request.method == b"CONNECT") == kind.is_connect
        && request.upgrades.is_empty() != kind.upgrades
        && request.has_body == (kind.is_chunked || kind.length > 0)
        && request.content_length.unwrap_or(0) == kind.length
}

fn is_of_response(event: Event) -> bool {
    matches!(event, Event::Start(..) | Event::Body(..) | Event::Part(_) | Event::Trailers(_) | Event::Informational)
}

/// An event of the response, as the connection takes it and as the model does.
fn in_both_words(event: Event) -> (SendEvent<'static>, Send) {
    const HEADERS: &[Pair<'_>] = &[(b"x", b"y")];
    match event {
        Event::Start(status, headers, trailers) => {
            let has = |name: &[u8]| headers.iter().any(|(is, _)| *is == name);
            let start = Start {
                status,
                is_valid: !has(b"bad name"),
                length: has(b"content-length").then_some(2),
                trailers,
                closes: has(b"connection"),
            };
            (SendEvent::ResponseStart { status, headers, trailers }, Send::Start(start))
        }
        Event::Body(body, more) => {
            let length = u64::try_from(body.len()).unwrap();
            let event = SendEvent::ResponseBody { body: Bytes::from_static(body), more_body: more };
            (event, Send::Body { length, is_opaque: false, more })
        }
        Event::Part(more) => {
            let event = SendEvent::ResponsePart { token: TOKEN, len: 1, more_body: more };
            (event, Send::Body { length: 1, is_opaque: true, more })
        }
        Event::Trailers(more) => {
            (SendEvent::ResponseTrailers { headers: HEADERS, more_trailers: more }, Send::Trailers { more })
        }
        Event::Informational => (SendEvent::Informational { status: 103, headers: HEADERS }, Send::Informational),
        _ => unreachable!("{event:?} is not sent"),
    }
}

/// What is awaited, and for each event all that it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    awaited: BTreeSet<String>,
    outcomes: BTreeMap<&'static str, BTreeSet<String>>,
}

/// By class.
type Table = BTreeMap<String, Row>;

/// What must not be, how often it is, and how one comes there first.
type Faults = BTreeMap<String, (usize, String)>;

struct Explorer {
    world: World,
    nodes: Vec<Node>,
    transitions: usize,
    table: Table,
    faults: Faults,
}

impl Explorer {
    fn explore(policy: Policy, set: Set) -> Self {
        let mut new = Node::new(policy);
        new.ask().unwrap();
        new.print = new.conn.fingerprint();
        let world = World { ids: ids(), cut_head: cut_head(), new: essence(&new.print) };
        let mut seen = HashMap::from([(new.key(), 0)]);
        let (table, faults) = (Table::new(), Faults::new());
        let mut explorer = Self { world, nodes: vec![new], transitions: 0, table, faults };
        let mut at = 0;
        while at < explorer.nodes.len() && explorer.nodes.len() <= MOST_STATES {
            explorer.visit(at, set, &mut seen);
            at += 1;
        }
        explorer
    }

    /// Lets every event happen there.
    fn visit(&mut self, at: usize, set: Set, seen: &mut HashMap<String, usize>) {
        let node = self.nodes[at].clone();
        if let Err(what) = node.judge_state(&self.world) {
            self.fault(&what, at, None);
        }
        let class = node.class(&self.world);
        self.table.entry(class.clone()).or_default().awaited.insert(node.awaited());
        let mut moved = BTreeSet::new();
        for (index, &(name, in_set, event)) in EVENTS.iter().enumerate() {
            if set == Set::Default && in_set == Set::Full || !node.can_happen(event) {
                continue;
            }
            self.transitions += 1;
            let mut next = Node { parent: at, event: index, ..node.clone() };
            match next.step(&self.world, event) {
                Err(what) => {
                    // It is known to move somewhere.
                    moved.insert(name);
                    self.fault(&format!("{name}: {what}"), at, Some(name));
                }
                Ok(outcome) => {
                    let row = self.table.entry(class.clone()).or_default();
                    row.outcomes.entry(name).or_default().insert(outcome);
                    if next.print != node.print || next.model.unwritten != node.model.unwritten {
                        moved.insert(name);
                    }
                    let key = next.key();
                    let to = self.nodes.len();
                    if *seen.entry(key).or_insert(to) == to {
                        self.nodes.push(next);
                    }
                }
            }
        }
        self.judge_progress(at, &moved);
    }

    /// P4: what is awaited "can change its state"; P5: where nothing is awaited any more, nothing does.
    fn judge_progress(&mut self, at: usize, moved: &BTreeSet<&str>) {
        let node = &self.nodes[at];
        if node.model.is_finished() {
            return;
        }
        let awaited = [
            (node.wait.read, "eof"),
            (node.wait.write, "written"),
            (node.wait.deadline.is_some(), "deadline"),
            (node.model.is_in_flight(), "ended"),
        ];
        for (is_awaited, name) in awaited {
            if is_awaited && !moved.contains(name) {
                self.fault(&format!("{name} is awaited, and changes nothing"), at, None);
            }
        }
    }

    fn fault(&mut self, what: &str, at: usize, last: Option<&'static str>) {
        // Without numbers, so that what is the same fault looks the same.
        let kind: String = what.chars().filter(|char| !char.is_ascii_digit()).collect();
        let first = format!("{what}\n    first after: {}", self.path(at, last));
        self.faults.entry(kind).or_insert((0, first)).0 += 1;
    }

    fn path(&self, mut at: usize, last: Option<&'static str>) -> String {
        let mut path: Vec<&str> = last.into_iter().collect();
        while at != 0 {
            path.push(EVENTS[self.nodes[at].event].0);
            at = self.nodes[at].parent;
        }
        path.reverse();
        path.join(" | ")
    }

    #[track_caller]
    fn report(&self, name: &str, expected: (usize, usize)) {
        let prints: BTreeSet<String> = self.nodes.iter().map(|node| essence(&node.print)).collect();
        let (states, prints) = (self.nodes.len(), prints.len());
        println!("{name}: {states} states, {prints} fingerprints, {} transitions", self.transitions);
        for (count, first) in self.faults.values() {
            println!("  {count} times {first}");
        }
        assert!(self.faults.is_empty(), "{name}: {} kinds of faults", self.faults.len());
        assert!(states < MOST_STATES, "{name}: {states} states");
        // Else the model has come to tell states apart that are the same, or the reverse; or the crate has.
        assert_eq!(
            (states, self.transitions),
            expected,
            "{name}: states and transitions, other than when it was reviewed"
        );
    }
}

/// One block for each class, and classes where all comes to the same in one; events that come to the same are one line.
fn print(table: &Table) -> String {
    let mut blocks: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (class, row) in table {
        blocks.entry(print_row(row)).or_default().push(class);
    }
    let mut blocks: Vec<(String, String)> =
        blocks.into_iter().map(|(row, classes)| (classes.join("\n"), row)).collect();
    blocks.sort();
    let mut text = String::from(TABLE_HEAD);
    for (classes, row) in blocks {
        let _ = write!(text, "\n{classes}\n{row}");
    }
    text
}

const TABLE_HEAD: &str = "\
What each event comes to in each class of states: the answer to a call, then the actions that are told, then the fault. A
class is what can be seen from outside. Written by tests/exploration.rs, which see.
";

fn print_row(row: &Row) -> String {
    let awaited: Vec<&str> = row.awaited.iter().map(String::as_str).collect();
    let mut text = format!("  awaits {}\n", awaited.join(" | "));
    let mut lines: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for &(name, _, _) in &EVENTS {
        if let Some(outcomes) = row.outcomes.get(name) {
            let outcomes: Vec<&str> = outcomes.iter().map(String::as_str).collect();
            lines.entry(outcomes.join(" | ")).or_default().push(name);
        }
    }
    for (outcome, names) in lines {
        let _ = writeln!(text, "  {}: {outcome}", in_groups(&names).join(", "));
    }
    text
}

type Group = (&'static str, fn(Event) -> bool);

/// Names that stand for several events.
const GROUPS: [Group; 3] = [
    ("every send", is_of_response),
    ("every start", |event| matches!(event, Event::Start(..))),
    ("every body", |event| matches!(event, Event::Body(..) | Event::Part(_))),
];

fn members(is_in: fn(Event) -> bool) -> Vec<&'static str> {
    EVENTS.iter().filter(|(.., event)| is_in(*event)).map(|&(name, ..)| name).collect()
}

/// With one name for events that are all there.
fn in_groups(names: &[&'static str]) -> Vec<&'static str> {
    let mut rest = names.to_vec();
    let mut groups = Vec::new();
    for (group, is_in) in GROUPS {
        let members = members(is_in);
        if members.iter().all(|member| rest.contains(member)) {
            rest.retain(|name| !members.contains(name));
            groups.push(group);
        }
    }
    rest.extend(groups);
    rest
}

/// The reverse of [`print`].
fn parse(text: &str) -> Table {
    let set = |text: &str| text.split(" | ").map(str::to_owned).collect::<BTreeSet<String>>();
    let mut table = Table::new();
    for block in text.split("\n\n").skip(1) {
        let classes = block.lines().take_while(|line| !line.starts_with(' '));
        let mut row = Row::default();
        for line in block.lines().filter_map(|line| line.strip_prefix("  ")) {
            if let Some(awaited) = line.strip_prefix("awaits ") {
                row.awaited = set(awaited);
                continue;
            }
            let (names, outcomes) = line.split_once(": ").unwrap();
            for name in names.split(", ") {
                let group = GROUPS.iter().find(|(group, _)| *group == name).map(|&(_, is_in)| members(is_in));
                let one = || members_named(name);
                for name in group.unwrap_or_else(one) {
                    row.outcomes.insert(name, set(outcomes));
                }
            }
        }
        table.extend(classes.map(|class| (class.to_owned(), row.clone())));
    }
    table
}

fn members_named(name: &str) -> Vec<&'static str> {
    EVENTS.iter().map(|&(known, ..)| known).filter(|known| *known == name).collect()
}

/// What `is` has that `said` has not.
fn surplus(is: &Table, said: &Table) -> Vec<String> {
    let nothing = Row::default();
    let mut surplus = Vec::new();
    for (class, row) in is {
        let said = said.get(class).unwrap_or(&nothing);
        surplus.extend(row.awaited.difference(&said.awaited).map(|awaited| format!("{class}: awaits {awaited}")));
        for (name, outcomes) in &row.outcomes {
            let known = said.outcomes.get(name);
            let new = outcomes.iter().filter(|outcome| known.is_none_or(|known| !known.contains(*outcome)));
            surplus.extend(new.map(|outcome| format!("{class}: {name}: {outcome}")));
        }
    }
    surplus
}

fn is_full() -> bool {
    std::env::var_os("SANSGI_EXHAUST").is_some_and(|value| value == "full")
}

fn table_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exploration.table")
}

/// Compares with the table that was reviewed: what is new must not be, and in the full run nothing may be missing.
fn judge_table(table: &Table) {
    let reviewed = parse(&std::fs::read_to_string(table_path()).unwrap());
    let new = surplus(table, &reviewed);
    assert!(new.is_empty(), "not in the reviewed table:\n{}", new.join("\n"));
    if is_full() {
        let missing = surplus(&reviewed, table);
        assert!(missing.is_empty(), "in the reviewed table only:\n{}", missing.join("\n"));
    }
}

#[test]
fn every_event_in_every_state() {
    let set = if is_full() { Set::Full } else { Set::Default };
    let explorer = Explorer::explore(POLICY, set);
    println!("{} classes", explorer.table.len());
    if is_full() && std::env::var_os("SANSGI_BLESS").is_some() {
        std::fs::write(table_path(), print(&explorer.table)).unwrap();
    }
    explorer.report("the usual config", if is_full() { (29_535, 715_807) } else { (10_754, 209_722) });
    judge_table(&explorer.table);
}

#[test]
fn every_event_in_every_state_of_other_configs() {
    if !is_full() {
        eprintln!("skipped: only with SANSGI_EXHAUST=full");
        return;
    }
    let policies = [
        ("half-close ignored", Policy { half_close: model::HalfClose::Ignored, ..POLICY }, (10_754, 209_722)),
        ("half-close is leaving", Policy { half_close: model::HalfClose::Left, ..POLICY }, (9_208, 179_818)),
        ("no drain", Policy { drains: false, ..POLICY }, (10_544, 204_856)),
        (
            "a high water mark that is never reached",
            Policy { one_byte_is_high_water: false, ..POLICY },
            (16_868, 332_414),
        ),
        ("two requests at most", Policy { most_requests: 2, ..POLICY }, (18_591, 364_766)),
        ("a larger read buffer", Policy { read_buffer: 2, ..POLICY }, (16_724, 326_645)),
    ];
    for (name, policy, expected) in policies {
        Explorer::explore(policy, Set::Default).report(name, expected);
    }
}

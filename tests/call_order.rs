//! Every public call in every order, by random walks that are the same each time; and each misuse by its name.

mod common_wire;

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use common_wire::{MOST_ASKS, Pair, ask, at, head, last, output, part, respond, start, text, with_limits, write};
use sansgi::{
    Action, CloseReason, Config, Connection, Date, EarlyResponse, ExchangeId, HalfClose, Instant, Limits, Misuse,
    Outcome, ProtocolError, ReceiveEvent, SendError, SendEvent, Timeouts, Wait,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const NOW: Instant = Instant::ZERO;

const WALKS: u64 = 20_000;
const CALLS: usize = 40;

/// "xorshift64*": enough chance for a walk, and the same on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, count: usize) -> usize {
        let at = self.next() % u64::try_from(count).unwrap();
        usize::try_from(at).unwrap()
    }

    fn of<'a, T>(&mut self, choice: &'a [T]) -> &'a T {
        &choice[self.below(choice.len())]
    }
}

/// What clients send; a walk has one of them, cut at random.
const INPUTS: [&[u8]; 16] = [
    b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\nGET /3 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nokGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nleft over",
    b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\ntunnel",
    b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nxytunnel",
    b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\nGET",
    b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nhost: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n0123456789012345678901234567890123456789",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"",
];

/// Configurations, and their high-water marks.
fn configs() -> Vec<(Arc<Config>, usize)> {
    let small = Limits::default().read_buffer_bytes(8).high_water_bytes(16).drain_budget_bytes(2).max_requests(Some(2));
    let short = Duration::from_nanos(3);
    let impatient = Timeouts::default()
        .idle(short)
        .head(short)
        .body(short)
        .body_rate(1, short)
        .write(short)
        .linger(short, short)
        .shutdown(short);
    let builders = [
        (Config::builder(), 64 * 1024),
        (Config::builder().limits(small), 16),
        (Config::builder().timeouts(impatient), 64 * 1024),
        (Config::builder().half_close(HalfClose::Ignore).early_response(EarlyResponse::Close), 64 * 1024),
        (Config::builder().limits(small.max_body_bytes(Some(3))).default_header("server", "walk"), 16),
        (Config::builder().half_close(HalfClose::Abort), 64 * 1024),
    ];
    builders.map(|(builder, mark)| (Arc::new(builder.connect(true).build().unwrap()), mark)).into()
}

/// What applications send, of which much is wrong at any time and the rest at some.
static EVENTS: [SendEvent<'static>; 27] = [
    head(200, &[]),
    head(200, &[]),
    head(200, &[]),
    head(200, &[(b"content-length", b"5")]),
    head(200, &[(b"content-length", b"5"), (b"connection", b"close")]),
    SendEvent::ResponseStart { status: 200, headers: &[], trailers: true },
    head(204, &[]),
    head(304, &[(b"content-length", b"9")]),
    head(101, &[(b"upgrade", b"websocket")]),
    head(101, &[]),
    head(99, &[]),
    head(200, &[(b"bad name", b"")]),
    head(200, &[(b"content-length", b"5"), (b"Content-Length", b"5")]),
    part(b""),
    part(b"hi"),
    part(b"hello, longer than the mark"),
    last(b""),
    last(b"hello"),
    last(b""),
    SendEvent::ResponsePart { token: 1, len: 0, more_body: true },
    SendEvent::ResponsePart { token: 2, len: 5, more_body: true },
    SendEvent::ResponsePart { token: 3, len: 5, more_body: false },
    SendEvent::ResponseTrailers { headers: &[(b"x", b"y")], more_trailers: false },
    SendEvent::ResponseTrailers { headers: &[], more_trailers: true },
    SendEvent::ResponseTrailers { headers: &[(b"content-length", b"1")], more_trailers: false },
    SendEvent::Informational { status: 103, headers: &[(b"link", b"</a>")] },
    SendEvent::Informational { status: 100, headers: &[] },
];

/// The first of [`EVENTS`] that is not a head.
const FIRST_BODY: usize = 13;

/// Whose exchange a call of the application is about.
#[derive(Clone, Copy, Debug)]
enum Whose {
    Newest,
    Older,
    /// Of another connection, which has come further.
    Foreign,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Bytes(usize),
    Junk,
    Read(usize),
    LostBuffer,
    KeptBuffer,
    LateBuffer,
    ForeignBuffer(usize),
    Eof,
    Gone,
    Shutdown,
    TransferFailed,
    Date,
    Written(usize),
    Take,
    TakeAll,
    Fork,
    Next(u64),
    /// Earlier than the latest told.
    NextEarlier,
    Receive(Whose),
    Ready(Whose),
    Send(Whose, usize),
    /// A whole response, if nothing of it was sent yet.
    Respond,
    Look(Whose),
    End(Whose),
}

/// What walks have reached, so that none of it is only believed to be walked through.
#[derive(Debug, Default)]
struct Reached {
    starts: u64,
    disconnects: u64,
    transfers: u64,
    switches: u64,
    shutdowns: u64,
    closes: u64,
    resets: u64,
    misuses: BTreeSet<String>,
    faults: BTreeSet<String>,
    reasons: BTreeSet<String>,
    outcomes: BTreeSet<String>,
}

#[allow(clippy::struct_excessive_bools, reason = "what has happened, each by itself")]
struct Walk<'a> {
    number: u64,
    chance: Chance,
    calls: Vec<Call>,
    reached: &'a mut Reached,
    conn: Connection,
    input: &'static [u8],
    buffers: Vec<BytesMut>,
    foreign: ExchangeId,
    now: Instant,
    high_water: usize,

    // What must hold from some point on.
    started: Vec<ExchangeId>,
    open: Option<ExchangeId>,
    /// Its last part was received.
    body_ended: Option<ExchangeId>,
    /// Its head was accepted.
    answering: Option<ExchangeId>,
    /// Those that have heard `Disconnect`.
    released: BTreeSet<ExchangeId>,
    eof: bool,
    gone: bool,
    stopping: bool,
    was_shut_down: bool,
    switched: bool,
    closed: Option<Action>,
    fault: Option<ProtocolError>,
    reason: Option<CloseReason>,
}

macro_rules! holds {
    ($walk:expr, $condition:expr, $($message:tt)+) => {
        assert!($condition, "walk {}: {}\n{:?}", $walk.number, format_args!($($message)+), $walk.calls)
    };
}

/// All that shows of a connection.
fn fingerprint(conn: &Connection, now: Instant) -> (Vec<u8>, String, Action) {
    (output(conn), format!("{conn:?}"), conn.clone().next_action(now))
}

impl Walk<'_> {
    fn whose(&mut self) -> Whose {
        *self.chance.of(&[Whose::Newest, Whose::Newest, Whose::Newest, Whose::Newest, Whose::Older, Whose::Foreign])
    }

    fn id(&self, whose: Whose) -> Option<ExchangeId> {
        match whose {
            Whose::Newest => self.started.last().copied(),
            Whose::Older => self.started.first().copied(),
            Whose::Foreign => Some(self.foreign),
        }
    }

    /// Often one that may be right, or few walks would come far.
    fn event(&mut self) -> usize {
        let is_answering = self.answering.is_some() && self.answering == self.started.last().copied();
        match (self.chance.below(3), is_answering) {
            (0, _) => self.chance.below(EVENTS.len()),
            (_, false) => self.chance.below(FIRST_BODY),
            (_, true) => FIRST_BODY + self.chance.below(EVENTS.len() - FIRST_BODY),
        }
    }

    fn choose(&mut self) -> Call {
        if self.calls.len() < 2 && self.chance.below(8) > 0 {
            return [Call::Bytes(*self.chance.of(&[60, 80, 1000])), Call::Next(0)][self.calls.len()];
        }
        let whose = self.whose();
        match self.chance.below(100) {
            0..16 => Call::Bytes(*self.chance.of(&[1, 2, 7, 30, 60, 1000, 1000])),
            16..20 => Call::Respond,
            20..26 => Call::Read(*self.chance.of(&[0, 1, 5, 1000])),
            26 => Call::LostBuffer,
            27 => Call::KeptBuffer,
            28 => Call::LateBuffer,
            29 => Call::ForeignBuffer(*self.chance.of(&[0, 3, 1000])),
            30 => *self.chance.of(&[Call::Eof, Call::Eof, Call::Gone, Call::Shutdown, Call::Junk]),
            31 => *self.chance.of(&[Call::Date, Call::Fork, Call::TransferFailed]),
            32..38 => Call::Written(*self.chance.of(&[0, 1, 2, 5, 40, 1000, usize::MAX, usize::MAX])),
            38 => Call::Take,
            39 => Call::TakeAll,
            40..62 => Call::Next(*self.chance.of(&[0, 0, 0, 0, 0, 0, 0, 1, 2, 3])),
            62 => Call::Next(*self.chance.of(&[1, 1, 31, 61, 100]) * common_wire::SECOND),
            63 => Call::NextEarlier,
            64..74 => Call::Receive(whose),
            74..76 => Call::Ready(whose),
            76..97 => Call::Send(whose, self.event()),
            97..99 => Call::Look(whose),
            _ => Call::End(whose),
        }
    }

    fn piece(&mut self, length: usize) -> &'static [u8] {
        let (piece, rest) = self.input.split_at(length.min(self.input.len()));
        self.input = rest;
        piece
    }

    fn call(&mut self, call: Call) {
        // An end that was told changes nothing when told again, and behind the end nothing does.
        let is_told_again = match call {
            Call::Gone => self.gone,
            Call::Eof | Call::Bytes(_) | Call::Junk | Call::Read(_) | Call::LateBuffer | Call::ForeignBuffer(_) => {
                self.eof
            }
            _ => false,
        };
        let is_of_the_world = !matches!(call, Call::Next(_) | Call::NextEarlier);
        if is_told_again || is_of_the_world && (self.closed.is_some() || self.switched) {
            let before = fingerprint(&self.conn, self.now);
            self.make(call);
            let after = fingerprint(&self.conn, self.now);
            holds!(self, before == after, "{call:?} behind the end changed {before:?} to {after:?}");
        } else {
            self.make(call);
        }
    }

    fn make(&mut self, call: Call) {
        match call {
            Call::Bytes(length) => {
                let piece = self.piece(length);
                self.conn.handle_bytes(piece);
            }
            Call::Junk => self.conn.handle_bytes(b"\x00\n junk \r\n"),
            Call::Read(length) => {
                let piece = self.piece(length);
                let mut buffer = self.conn.read_buffer();
                holds!(self, buffer.is_empty() && buffer.capacity() > 0, "a read buffer has room");
                buffer.extend_from_slice(piece);
                self.conn.handle_read(buffer);
            }
            Call::LostBuffer => drop(self.conn.read_buffer()),
            Call::KeptBuffer => {
                let piece = self.piece(4);
                let mut buffer = self.conn.read_buffer();
                buffer.extend_from_slice(piece);
                self.buffers.push(buffer);
            }
            Call::LateBuffer => {
                if let Some(buffer) = self.buffers.pop() {
                    self.conn.handle_read(buffer);
                }
            }
            Call::ForeignBuffer(length) => {
                let piece = self.piece(length);
                self.conn.handle_read(BytesMut::from(piece));
            }
            Call::Eof => {
                self.conn.handle_eof();
                self.eof = true;
            }
            Call::Gone => {
                self.conn.handle_disconnect();
                self.gone = true;
            }
            Call::Shutdown => {
                self.conn.handle_shutdown();
                self.stopping = true;
            }
            Call::TransferFailed => self.conn.handle_transfer_failed(),
            Call::Date => self.conn.set_date(Date::from_unix(self.chance.next())),
            Call::Written(count) => self.conn.handle_written(count),
            Call::Take => drop(self.conn.take_outgoing()),
            Call::TakeAll => while self.conn.take_outgoing().is_some_and(|chunk| !chunk.is_empty()) {},
            Call::Fork => {
                let fork = self.conn.clone();
                let now = self.now;
                holds!(self, fingerprint(&fork, now) == fingerprint(&self.conn, now), "a clone is the same");
                // The other one may do what it will.
                self.conn.handle_disconnect();
                ask(&mut self.conn, now);
                self.conn = fork;
            }
            Call::Next(nanos) => {
                self.now += Duration::from_nanos(nanos);
                self.next(self.now);
            }
            Call::NextEarlier => self.next(Instant::from_nanos(self.now.as_nanos() / 2)),
            Call::Receive(whose) => self.receive(whose),
            Call::Ready(whose) => self.ready(whose),
            Call::Send(whose, event) => self.send(whose, &EVENTS[event]),
            Call::Respond => {
                self.send(Whose::Newest, &head(204, &[]));
                self.send(Whose::Newest, &last(b""));
            }
            Call::Look(whose) => self.look(whose),
            Call::End(whose) => self.end(whose),
        }
    }

    fn next(&mut self, now: Instant) {
        let answer = self.conn.next_action(now);
        let again = self.conn.clone().next_action(self.now);
        let told_once =
            matches!(answer, Action::Start(..) | Action::Disconnect(_) | Action::Switch { .. } | Action::Shutdown);
        holds!(self, told_once != (again == answer), "{answer:?}, then {again:?}");

        if let Some(closed) = &self.closed {
            holds!(self, answer == *closed, "{answer:?} behind {closed:?}");
        }
        if self.switched {
            holds!(self, answer == Action::Wait(Wait::default()), "{answer:?} behind a switch");
            return;
        }
        let is_written = self.conn.outgoing().next().is_none();
        match answer {
            Action::Start(id, _) => {
                holds!(self, self.open.is_none(), "{id:?} starts while {:?} is open", self.open);
                holds!(self, id.as_u64() == self.started.len() as u64 + 1, "{id:?} is not the next");
                holds!(self, !self.gone && !self.stopping && !self.was_shut_down, "{id:?} starts behind the end");
                let unwritten = output(&self.conn).len();
                holds!(self, unwritten < self.high_water, "{id:?} starts with {unwritten} bytes unwritten");
                self.started.push(id);
                self.open = Some(id);
                self.reached.starts += 1;
            }
            Action::Disconnect(id) => {
                holds!(self, self.open == Some(id), "{id:?} ends, {:?} is open", self.open);
                holds!(self, self.conn.exchange(id).outcome().is_some(), "over, with no outcome");
                self.open = None;
                self.released.insert(id);
                self.reached.disconnects += 1;
            }
            Action::Transfer { remaining, wait, .. } => {
                holds!(self, remaining > 0 && is_written && wait.write, "{answer:?} before its turn");
                self.waits(wait);
                self.reached.transfers += 1;
            }
            Action::Switch { .. } => {
                holds!(self, self.open.is_none() && is_written, "a switch before the end");
                self.switched = true;
                self.reached.switches += 1;
            }
            Action::Shutdown => {
                holds!(self, self.open.is_none() && is_written, "a shutdown before the end");
                holds!(self, !self.was_shut_down, "a second shutdown");
                holds!(self, !self.eof && !self.gone, "nobody lingers for a peer that has closed");
                self.was_shut_down = true;
                self.reached.shutdowns += 1;
            }
            Action::Close { reset } => {
                holds!(self, self.open.is_none() && is_written, "a close before the end");
                holds!(self, self.conn.close_reason().is_some(), "a close without a reason");
                if self.closed.is_none() {
                    self.reached.closes += 1;
                    self.reached.resets += u64::from(reset);
                }
                self.closed = Some(answer);
            }
            Action::Wait(wait) => {
                holds!(self, wait.write != is_written, "{wait:?} with {} bytes", output(&self.conn).len());
                self.waits(wait);
            }
            other => panic!("an action that this test does not know: {other:?}"),
        }
    }

    fn waits(&self, wait: Wait) {
        holds!(self, !(wait.read && (self.eof || self.gone)), "reads behind the end: {wait:?}");
        holds!(self, wait.deadline.is_none_or(|deadline| deadline > self.now), "due already: {wait:?}");
        holds!(self, wait != Wait::default() || self.open.is_some(), "waits for nobody");
    }

    /// Calls for this exchange find nothing and change nothing.
    fn is_over(&self, id: ExchangeId) -> bool {
        self.started.last() != Some(&id)
    }

    fn receive(&mut self, whose: Whose) {
        let Some(id) = self.id(whose) else { return };
        let outcome = self.conn.exchange(id).outcome();
        let answer = self.conn.exchange(id).receive();
        let is_released = self.released.contains(&id) || self.is_over(id) || outcome.is_some() || self.gone;
        match answer {
            Poll::Ready(ReceiveEvent::Disconnect) => {
                holds!(self, self.conn.exchange(id).outcome().is_some(), "disconnected, and nobody knows why");
                if !self.is_over(id) {
                    self.released.insert(id);
                }
            }
            Poll::Ready(ReceiveEvent::Request { more_body, .. }) => {
                holds!(self, !is_released, "a body behind the end");
                holds!(self, self.body_ended != Some(id), "a body behind its last part");
                if !more_body {
                    self.body_ended = Some(id);
                }
            }
            Poll::Pending => holds!(self, !is_released, "pending behind the end"),
        }
    }

    fn ready(&mut self, whose: Whose) {
        let Some(id) = self.id(whose) else { return };
        let answer = self.conn.exchange(id).ready();
        holds!(self, self.conn.exchange(id).ready() == answer, "ready repeats itself");
        if self.is_over(id) {
            holds!(self, answer == Poll::Ready(Err(SendError::Complete)), "{answer:?} for an id that is over");
        }
        if let Poll::Ready(Err(error)) = answer {
            let sent = self.conn.clone().exchange(id).send(last(b""));
            holds!(self, sent == Err(error), "ready says {error}, send {sent:?}");
        }
    }

    fn send(&mut self, whose: Whose, event: &SendEvent<'static>) {
        let Some(id) = self.id(whose) else { return };
        let mut untouched = self.conn.clone();
        let answer = self.conn.exchange(id).send(event.clone());
        if let Err(error) = answer {
            holds!(self, output(&untouched) == output(&self.conn), "{error}: output of a refused {event:?}");
            let (before, after) = (format!("{untouched:?}"), format!("{:?}", self.conn));
            holds!(self, before == after, "a refused {event:?} changed {before} to {after}");
            let (before, after) = (untouched.next_action(self.now), self.conn.clone().next_action(self.now));
            holds!(self, before == after, "a refused {event:?} changed {before:?} to {after:?}");
        }
        match answer {
            Ok(()) => {
                if matches!(event, SendEvent::ResponseStart { .. }) {
                    self.answering = Some(id);
                }
                holds!(self, !self.is_over(id) && !self.gone, "{event:?} for an id that is over");
                holds!(self, self.closed.is_none() && !self.switched, "{event:?} behind the end");
            }
            Err(SendError::Misuse(misuse)) => {
                holds!(self, !self.is_over(id) && !self.gone, "{event:?} for an id that is over");
                self.reached.misuses.insert(format!("{misuse:?}"));
            }
            Err(SendError::Complete) => {}
            Err(SendError::Disconnected) => {
                holds!(self, !self.is_over(id), "disconnected, but for an id that is over");
                let outcome = self.conn.exchange(id).outcome();
                holds!(self, outcome.is_some(), "disconnected, and nobody knows why");
            }
            Err(other) => panic!("an error that this test does not know: {other:?}"),
        }
    }

    fn look(&mut self, whose: Whose) {
        let Some(id) = self.id(whose) else { return };
        let before = fingerprint(&self.conn, self.now);
        let exchange = self.conn.exchange(id);
        let (outcome, trailers) = (exchange.outcome(), exchange.trailers().is_some());
        if self.is_over(id) {
            holds!(self, outcome == Some(Outcome::Complete) && !trailers, "{outcome:?} for an id that is over");
        }
        if self.released.contains(&id) {
            holds!(self, outcome.is_some(), "disconnected, and nobody knows why");
        }
        if let Some(outcome) = outcome {
            self.reached.outcomes.insert(format!("{outcome:?}"));
        }
        holds!(self, fingerprint(&self.conn, self.now) == before, "a look changes something");
    }

    fn end(&mut self, whose: Whose) {
        let Some(id) = self.id(whose) else { return };
        let before = fingerprint(&self.conn, self.now);
        let outcome = self.conn.exchange(id).end();
        if self.is_over(id) {
            holds!(self, outcome == Outcome::Complete, "{outcome:?} for an id that is over");
            holds!(self, fingerprint(&self.conn, self.now) == before, "an id that is over ends something");
        }
        let ended = fingerprint(&self.conn, self.now);
        holds!(self, self.conn.exchange(id).end() == outcome, "ends twice, in two ways");
        holds!(self, fingerprint(&self.conn, self.now) == ended, "ends twice");
        holds!(self, self.conn.exchange(id).outcome() == Some(outcome), "ended, and has no outcome");
        if !self.is_over(id) {
            self.released.insert(id);
        }
    }

    /// The questions of one turn come to an end, whatever was called before.
    fn terminates(&self) {
        let mut fork = self.conn.clone();
        let is_last = |answer| matches!(answer, Action::Wait(_) | Action::Transfer { .. } | Action::Close { .. });
        holds!(self, (0..MOST_ASKS).any(|_| is_last(fork.next_action(self.now))), "asked for ever");
    }

    /// What holds behind any call.
    fn holds(&mut self, was_open: bool) {
        let (fault, reason) = (self.conn.fault(), self.conn.close_reason());
        holds!(self, self.fault.is_none() || self.fault == fault, "{:?} has become {fault:?}", self.fault);
        // "The first reason stands", but for what then breaks an exchange off or cuts its response, or a hand-over,
        // which may also come to nothing.
        let switch = Some(CloseReason::Switched);
        let is_cut =
            matches!(reason, Some(CloseReason::WriteTimeout | CloseReason::TransferFailed | CloseReason::ClientLeft));
        let may_change = self.reason.is_none() || was_open || is_cut || reason == switch || self.reason == switch;
        holds!(self, self.reason == reason || may_change, "{:?} has become {reason:?}", self.reason);
        (self.fault, self.reason) = (fault, reason);
        if self.gone || self.closed.is_some() || self.switched {
            holds!(self, self.conn.outgoing().next().is_none(), "writes to nobody");
        }
        if let Some(id) = self.released.last() {
            holds!(self, self.conn.exchange(*id).outcome().is_some(), "released, but no more");
        }
    }

    fn walk(mut self) {
        for _ in 0..CALLS {
            let call = self.choose();
            self.calls.push(call);
            let was_open = self.open.is_some();
            self.call(call);
            self.holds(was_open || self.open.is_some());
            if self.chance.below(3) == 0 {
                self.terminates();
            }
        }
        if let Some(fault) = self.fault {
            self.reached.faults.insert(format!("{fault:?}"));
        }
        if let Some(reason) = self.reason {
            self.reached.reasons.insert(format!("{reason:?}"));
        }
        self.closes();
    }

    /// Whatever has been, a connection that is told of its transport's end comes to its own.
    fn closes(mut self) {
        if self.switched {
            return;
        }
        self.calls.push(Call::Gone);
        self.call(Call::Gone);
        self.terminates();
        while self.closed.is_none() {
            self.next(self.now);
            holds!(self, !matches!(self.conn.clone().next_action(self.now), Action::Wait(_)), "gone, but not closed");
        }
        self.next(self.now);
        holds!(self, self.started.len() == self.released.len(), "each start has its disconnect");
    }
}

/// An id that a short connection never issues.
fn foreign_id() -> ExchangeId {
    let mut conn = Connection::new(Config::default());
    for _ in 0..99 {
        let id = start(&mut conn, NOW, GET);
        respond(&mut conn, id);
        write(&mut conn);
        assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    }
    start(&mut conn, NOW, GET)
}

#[test]
fn no_order_of_calls_breaks_a_rule() {
    let configs = configs();
    let foreign = foreign_id();
    let mut reached = Reached::default();
    for number in 0..WALKS {
        let mut chance = Chance((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let input = *chance.of(&INPUTS);
        let (config, high_water) = chance.of(&configs).clone();
        let walk = Walk {
            number,
            chance,
            calls: Vec::with_capacity(CALLS + 1),
            reached: &mut reached,
            conn: Connection::new(config),
            input,
            buffers: Vec::new(),
            foreign,
            now: NOW,
            high_water,
            started: Vec::new(),
            open: None,
            body_ended: None,
            answering: None,
            released: BTreeSet::new(),
            eof: false,
            gone: false,
            stopping: false,
            was_shut_down: false,
            switched: false,
            closed: None,
            fault: None,
            reason: None,
        };
        walk.walk();
    }
    let Reached { starts, disconnects, transfers, switches, shutdowns, closes, resets, .. } = reached;
    for (name, count) in [
        ("starts", starts),
        ("disconnects", disconnects),
        ("transfers", transfers),
        ("switches", switches),
        ("shutdowns", shutdowns),
        ("closes", closes),
        ("resets", resets),
    ] {
        assert!(count >= 50, "the walks have seen {count} {name} only: {reached:?}");
    }
    for (name, kinds, least) in [
        ("misuses", &reached.misuses, 10),
        ("faults", &reached.faults, 8),
        ("reasons", &reached.reasons, 10),
        ("outcomes", &reached.outcomes, 6),
    ] {
        assert!(kinds.len() >= least, "the walks have seen few {name}: {kinds:?}");
    }
}

/// A script of an application, in which one event is wrong at one place.
struct Wrong<'a> {
    request: &'static [u8],
    script: &'a [SendEvent<'a>],
    /// Before which of them.
    place: usize,
    events: &'a [SendEvent<'a>],
    misuse: Misuse,
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const TRAILERS: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n";

/// Plays the script; the wrong events, if any, at their place and twice.
fn play(wrong: &Wrong<'_>, is_wrong: bool) -> (Vec<Vec<u8>>, String, Vec<Action>) {
    let name = format!("{:?}", wrong.misuse);
    let mut conn = Connection::new(Config::builder().connect(true).build().unwrap());
    let id = start(&mut conn, NOW, wrong.request);
    let mut outputs = Vec::new();
    for place in 0..=wrong.script.len() {
        if is_wrong && place == wrong.place {
            for event in wrong.events.iter().chain(wrong.events) {
                let before = fingerprint(&conn, NOW);
                let expected = Err(SendError::Misuse(wrong.misuse));
                assert_eq!(
                    conn.exchange(id).send(event.clone()),
                    expected,
                    "{event:?} at {place} of {:?}",
                    wrong.script
                );
                assert_eq!(fingerprint(&conn, NOW), before, "{name}: a refused {event:?} changes nothing");
            }
        }
        if let Some(event) = wrong.script.get(place) {
            assert_eq!(conn.exchange(id).send(event.clone()), Ok(()), "{name}: {event:?} is right at {place}");
            outputs.push(output(&conn));
        }
    }
    assert!(conn.exchange(id).outcome().is_some(), "{name}: the script is a whole response");
    (outputs, format!("{conn:?}"), ask(&mut conn, NOW))
}

fn check(rows: &[Wrong<'_>]) {
    for wrong in rows {
        assert_eq!(play(wrong, true), play(wrong, false), "{:?}: as if nothing had happened", wrong.misuse);
    }
}

const fn start_with_trailers<'a>(headers: &'a [Pair<'a>]) -> SendEvent<'a> {
    SendEvent::ResponseStart { status: 200, headers, trailers: true }
}

const fn trailers<'a>(headers: &'a [Pair<'a>]) -> SendEvent<'a> {
    SendEvent::ResponseTrailers { headers, more_trailers: false }
}

const fn more_trailers<'a>(headers: &'a [Pair<'a>]) -> SendEvent<'a> {
    SendEvent::ResponseTrailers { headers, more_trailers: true }
}

const fn hint<'a>(status: u16, headers: &'a [Pair<'a>]) -> SendEvent<'a> {
    SendEvent::Informational { status, headers }
}

const fn moved(len: u64, more_body: bool) -> SendEvent<'static> {
    SendEvent::ResponsePart { token: 9, len, more_body }
}

#[test]
fn events_out_of_order_are_refused_and_right_ones_taken_after_them() {
    let plain = &[head(200, &[]), part(b"ab"), last(b"c")];
    let with_trailers =
        &[start_with_trailers(&[]), part(b"ab"), last(b"c"), more_trailers(&[(b"x", b"1")]), trailers(&[(b"y", b"2")])];
    let bodies = &[part(b"x"), part(b""), last(b"x"), last(b""), moved(1, true), moved(1, false)];
    let starts = &[head(200, &[]), head(404, &[(b"x", b"y")]), start_with_trailers(&[])];
    let ends = &[trailers(&[]), more_trailers(&[]), trailers(&[(b"x", b"y")])];
    let row = |script, place, events, misuse| Wrong { request: TRAILERS, script, place, events, misuse };
    check(&[
        row(plain, 0, bodies, Misuse::NotStarted),
        row(plain, 0, ends, Misuse::NotStarted),
        row(plain, 1, starts, Misuse::AlreadyStarted),
        row(plain, 2, starts, Misuse::AlreadyStarted),
        row(with_trailers, 3, starts, Misuse::AlreadyStarted),
        row(with_trailers, 3, bodies, Misuse::BodyEnded),
        row(with_trailers, 4, bodies, Misuse::BodyEnded),
        row(with_trailers, 1, ends, Misuse::BodyNotEnded),
        row(with_trailers, 2, ends, Misuse::BodyNotEnded),
        row(plain, 1, ends, Misuse::TrailersNotDeclared),
        row(plain, 2, ends, Misuse::TrailersNotDeclared),
    ]);
}

#[test]
fn statuses_out_of_range_are_refused_and_right_ones_taken_after_them() {
    let finals: Vec<_> = [0, 1, 99, 100, 102, 103, 199, 600, 999, u16::MAX].map(|status| head(status, &[])).into();
    let interims: Vec<_> = [0, 99, 100, 101, 200, 404, 600, u16::MAX].map(|status| hint(status, &[])).into();
    for right in [200, 299, 404, 599] {
        let script = &[hint(102, &[]), hint(199, &[]), head(right, &[]), part(b"ab"), last(b"c")];
        let row = |place, events| Wrong { request: GET, script, place, events, misuse: Misuse::Status };
        check(&[row(0, &finals), row(2, &finals), row(0, &interims), row(2, &interims), row(3, &interims)]);
    }
}

#[test]
fn malformed_headers_are_refused_and_right_ones_taken_after_them() {
    let names: [&[u8]; 9] = [b"", b"a b", b"a:", b" a", b"a\r\n", b"a\0", "\u{e9}".as_bytes(), b"a\x7f", b"a,"];
    let values: [&[u8]; 9] = [b"a\r\nb: c", b"a\nb", b"a\rb", b"\0", b" a", b"a ", b"\ta", b"a\t", b"a\x7f"];
    let bad_names: Vec<[Pair<'_>; 2]> = names.map(|name| [(&b"x"[..], &b"y"[..]), (name, b"v")]).into();
    let bad_values: Vec<[Pair<'_>; 2]> = values.map(|value| [(&b"x"[..], &b"y"[..]), (b"n", value)]).into();
    let script = &[
        hint(103, &[(b"x", b"y")]),
        start_with_trailers(&[(b"x", b"a\tb \xff")]),
        last(b"ab"),
        trailers(&[(b"!#$%&'*+-.^_`|~09aZ", b"")]),
    ];
    for (bad, misuse) in [(&bad_names, Misuse::HeaderName), (&bad_values, Misuse::HeaderValue)] {
        let starts: Vec<_> = bad.iter().map(|headers| head(200, headers)).collect();
        let hints: Vec<_> = bad.iter().map(|headers| hint(103, headers)).collect();
        let ends: Vec<_> = bad.iter().map(|headers| trailers(headers)).collect();
        let row = |place, events| Wrong { request: TRAILERS, script, place, events, misuse };
        check(&[row(1, &starts), row(0, &hints), row(2, &hints), row(3, &ends)]);
    }
}

#[test]
fn headers_that_contradict_are_refused_and_right_ones_taken_after_them() {
    let script = &[head(200, &[(b"content-length", b"3"), (b"connection", b"x, close,, y")]), part(b"ab"), last(b"c")];
    let row = |events, misuse| Wrong { request: GET, script, place: 0, events, misuse };
    let lengths: [&[u8]; 12] = [
        b"",
        b"+1",
        b"-1",
        b"0x1",
        b"1_0",
        b"1, 1",
        b"1 1",
        b"1.0",
        b"9223372036854775808",
        b"00000000000000000001",
        b"18446744073709551616",
        "\u{665}".as_bytes(),
    ];
    let bad_lengths: Vec<[Pair<'_>; 1]> = lengths.map(|value| [(&b"Content-Length"[..], value)]).into();
    let bad_lengths: Vec<_> = bad_lengths.iter().map(|headers| head(200, headers)).collect();
    let options: [&[u8]; 4] = [b"a b", b"close; x", b"@", b"close, \xff"];
    let bad_options: Vec<[Pair<'_>; 1]> = options.map(|value| [(&b"Connection"[..], value)]).into();
    let bad_options: Vec<_> = bad_options.iter().map(|headers| head(200, headers)).collect();
    check(&[
        row(&bad_lengths, Misuse::ContentLength),
        row(&bad_options, Misuse::Connection),
        row(
            &[
                head(200, &[(b"content-length", b"3"), (b"content-length", b"3")]),
                head(200, &[(b"content-length", b"3"), (b"x", b"y"), (b"Content-Length", b"4")]),
                head(200, &[(b"date", b"x"), (b"DATE", b"x")]),
            ],
            Misuse::HeaderRepeated,
        ),
    ]);
}

#[test]
fn fields_of_a_head_are_refused_in_trailers_and_right_ones_taken_after_them() {
    let script = &[start_with_trailers(&[]), last(b"ab"), trailers(&[(b"x", b"y")])];
    let names = "content-length Transfer-Encoding trailer host Content-Type content-encoding content-range authorization \
                 proxy-authorization proxy-authenticate www-authenticate connection keep-alive upgrade te set-cookie \
                 cache-control pragma age Date expires location retry-after VARY";
    let bad: Vec<[Pair<'_>; 1]> = names.split(' ').map(|name| [(name.as_bytes(), &b"1"[..])]).collect();
    let events: Vec<_> = bad.iter().map(|headers| trailers(headers)).collect();
    check(&[Wrong { request: TRAILERS, script, place: 2, events: &events, misuse: Misuse::TrailerField }]);
}

#[test]
fn bodies_that_contradict_their_length_are_refused_and_right_ones_taken_after_them() {
    let script = &[head(200, &[(b"content-length", b"5")]), part(b"ab"), part(b""), last(b"cde")];
    let row = |place, events, misuse| Wrong { request: GET, script, place, events, misuse };
    check(&[
        row(1, &[part(b"abcdef"), last(b"abcdef"), moved(6, true), moved(u64::MAX, false)], Misuse::BodyTooLong),
        row(2, &[part(b"abcd"), last(b"abcd"), moved(4, false), moved(u64::MAX, true)], Misuse::BodyTooLong),
        row(1, &[last(b""), last(b"abcd"), moved(0, false), moved(4, false)], Misuse::BodyTooShort),
        row(3, &[last(b""), last(b"cd"), moved(2, false)], Misuse::BodyTooShort),
    ]);
}

#[test]
fn a_switch_that_was_not_offered_is_refused_and_a_response_taken_after_it() {
    let refused = [
        head(101, &[]),
        head(101, &[(b"upgrade", b"h2c")]),
        head(101, &[(b"upgrade", b"")]),
        head(101, &[(b"connection", b"upgrade")]),
    ];
    let offered = head(101, &[(b"upgrade", b"websocket")]);
    let script = &[head(200, &[]), last(b"no")];
    let row = |request, events| Wrong { request, script, place: 0, events, misuse: Misuse::UpgradeNotOffered };
    let rest = std::slice::from_ref(&offered);
    check(&[
        row(UPGRADE, &refused),
        row(GET, &refused),
        row(GET, rest),
        row(b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\r\n", rest),
        row(b"GET / HTTP/1.0\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", rest),
        row(
            b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 1\r\n\r\n",
            rest,
        ),
        row(
            b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
            &[head(101, &[(b"upgrade", b"h2c")])],
        ),
    ]);
    // And the switch itself after wrong ones.
    check(&[Wrong {
        request: UPGRADE,
        script: std::slice::from_ref(&offered),
        place: 0,
        events: &refused,
        misuse: Misuse::UpgradeNotOffered,
    }]);
}

#[test]
fn a_tunnel_before_the_end_of_the_content_is_refused_and_taken_behind_it() {
    let request = b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nxytunnel";
    let script = &[head(403, &[]), last(b"no")];
    let events = &[head(200, &[]), head(204, &[])];
    check(&[Wrong { request, script, place: 0, events, misuse: Misuse::TunnelBeforeBodyEnd }]);

    let mut conn = Connection::new(Config::builder().connect(true).build().unwrap());
    let id = start(&mut conn, NOW, request);
    let refused = Err(SendError::Misuse(Misuse::TunnelBeforeBodyEnd));
    assert_eq!(conn.exchange(id).send(head(200, &[])), refused);
    assert_eq!(common_wire::receive_all(&mut conn, id), (b"xy".to_vec(), true));
    assert_eq!(conn.exchange(id).send(head(200, &[])), Ok(()));
    assert_eq!(conn.exchange(id).outcome(), Some(Outcome::Switched));
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    write(&mut conn);
    let tunnel = Action::Switch { protocol: Bytes::new(), leftover: Bytes::from_static(b"tunnel") };
    assert_eq!(conn.next_action(NOW), tunnel);
}

#[test]
fn an_application_that_ends_behind_a_refused_event_has_failed() {
    let rows: [(&[SendEvent<'_>], SendEvent<'_>, Option<u16>); 4] = [
        (&[], head(200, &[(b"bad name", b"")]), Some(500)),
        (&[head(200, &[(b"content-length", b"5")])], last(b""), Some(500)),
        (&[head(200, &[(b"content-length", b"5")]), part(b"ab")], last(b"cdef"), None),
        (&[head(200, &[(b"content-length", b"5")]), part(b"ab")], last(b"c"), None),
    ];
    for (script, wrong, status) in rows {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, GET);
        for event in script {
            conn.exchange(id).send(event.clone()).unwrap();
        }
        let begun = output(&conn);
        assert!(matches!(conn.exchange(id).send(wrong.clone()), Err(SendError::Misuse(_))), "{wrong:?}");
        assert_eq!(conn.exchange(id).end(), Outcome::Failed, "{wrong:?}");
        assert_eq!(conn.next_action(NOW), Action::Disconnect(id), "{wrong:?}");
        let written = write(&mut conn);
        if let Some(status) = status {
            assert!(written.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{}", text(&written));
            assert_eq!(conn.next_action(NOW), Action::Shutdown, "{wrong:?}");
        } else {
            assert_eq!(text(&written), text(&begun), "{wrong:?}: nothing of it is written");
            assert_eq!(conn.next_action(NOW), Action::Close { reset: true }, "{wrong:?}");
        }
        assert_eq!(conn.close_reason(), Some(CloseReason::ApplicationFailed), "{wrong:?}");
    }
}

/// Brings an exchange to its end.
type Ending = fn(&mut Connection, ExchangeId);

#[test]
fn behind_the_end_every_event_is_told_why_it_comes_too_late() {
    let rows: [(&str, Ending, SendError); 7] = [
        ("complete", respond, SendError::Complete),
        (
            "complete, unread",
            |conn, id| {
                conn.exchange(id).send(head(200, &[])).unwrap();
                conn.exchange(id).send(last(b"hi")).unwrap();
            },
            SendError::Complete,
        ),
        ("ended", |conn, id| assert_eq!(conn.exchange(id).end(), Outcome::Failed), SendError::Complete),
        (
            "ended, its head out",
            |conn, id| {
                conn.exchange(id).send(head(200, &[])).unwrap();
                conn.exchange(id).send(part(b"")).unwrap();
                conn.exchange(id).end();
            },
            SendError::Complete,
        ),
        (
            "handed over",
            |conn, id| conn.exchange(id).send(head(101, &[(b"upgrade", b"websocket")])).unwrap(),
            SendError::Complete,
        ),
        ("the client has left", |conn, _| conn.handle_disconnect(), SendError::Disconnected),
        (
            "not read in time",
            |conn, id| {
                conn.exchange(id).send(head(200, &[])).unwrap();
                conn.exchange(id).send(part(b"")).unwrap();
                let _ = conn.next_action(NOW);
                let _ = conn.next_action(at(60));
            },
            SendError::Disconnected,
        ),
    ];
    for (name, ending, error) in rows {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, UPGRADE);
        ending(&mut conn, id);
        for _ in 0..3 {
            let before = fingerprint(&conn, at(60));
            for event in &EVENTS {
                assert_eq!(conn.exchange(id).send(event.clone()), Err(error), "{name}: {event:?}");
            }
            assert_eq!(conn.exchange(id).ready(), Poll::Ready(Err(error)), "{name}");
            assert_eq!(conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect), "{name}");
            assert_eq!(fingerprint(&conn, at(60)), before, "{name}");
            let _ = conn.next_action(at(60));
        }
    }
}

/// A pending `receive` is released by the end of the stream, also where the application asks before the driver does.
#[test]
fn an_end_of_the_stream_counts_for_a_receive_before_the_next_question() {
    for (request, before, outcome) in [
        (&b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab"[..], true, Outcome::ClientLeft),
        (b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab", false, Outcome::ClientLeft),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", true, Outcome::HalfClosed),
    ] {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, Instant::ZERO, request);
        while before && conn.exchange(id).receive().is_ready() {}
        assert_eq!(conn.exchange(id).outcome(), None);
        conn.handle_eof();
        assert_eq!(conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect));
        assert_eq!(conn.exchange(id).outcome(), Some(outcome));
    }
}

#[test]
fn a_fault_of_the_client_disconnects_its_application() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc");
    assert!(matches!(conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Request { .. })));
    assert_eq!(conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect));
    assert_eq!(conn.exchange(id).outcome(), Some(Outcome::Fault));
    for event in &EVENTS {
        assert_eq!(conn.exchange(id).send(event.clone()), Err(SendError::Disconnected), "{event:?}");
    }
}

#[test]
fn an_old_exchange_touches_nothing_of_the_current_one() {
    let foreign = foreign_id();
    let mut conn = Connection::new(Config::default());
    let old = start(&mut conn, NOW, GET);
    respond(&mut conn, old);
    write(&mut conn);
    assert_eq!(conn.next_action(NOW), Action::Disconnect(old));
    let current = start(&mut conn, NOW, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
    let before = fingerprint(&conn, NOW);
    for id in [old, foreign] {
        for _ in 0..2 {
            assert_eq!(conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect));
            assert_eq!(conn.exchange(id).ready(), Poll::Ready(Err(SendError::Complete)));
            assert_eq!(conn.exchange(id).outcome(), Some(Outcome::Complete));
            assert!(conn.exchange(id).trailers().is_none());
            for event in &EVENTS {
                assert_eq!(conn.exchange(id).send(event.clone()), Err(SendError::Complete), "{event:?}");
            }
            assert_eq!(conn.exchange(id).end(), Outcome::Complete);
        }
    }
    assert_eq!(fingerprint(&conn, NOW), before);
    assert_eq!(common_wire::receive_all(&mut conn, current), (b"hi".to_vec(), true));
    respond(&mut conn, current);
    assert!(output(&conn).starts_with(b"HTTP/1.1 204 "));
}

/// All that the world can tell.
fn tell_everything(conn: &mut Connection) {
    conn.handle_bytes(GET);
    let mut buffer = conn.read_buffer();
    buffer.extend_from_slice(GET);
    conn.handle_read(buffer);
    conn.handle_read(BytesMut::from(GET));
    conn.handle_eof();
    conn.handle_eof();
    conn.handle_written(0);
    conn.handle_written(usize::MAX);
    conn.handle_shutdown();
    conn.handle_transfer_failed();
    conn.handle_disconnect();
    conn.set_date(Date::from_unix(0));
    assert_eq!(conn.take_outgoing(), None);
    assert_eq!(output(conn), b"");
}

#[test]
fn close_repeats_for_ever_and_nothing_follows() {
    for reset in [false, true] {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, &GET.repeat(2));
        if reset {
            conn.exchange(id).send(head(200, &[])).unwrap();
            conn.exchange(id).send(part(b"x")).unwrap();
            conn.exchange(id).end();
        } else {
            respond(&mut conn, id);
            conn.handle_disconnect();
        }
        write(&mut conn);
        assert_eq!(ask(&mut conn, NOW), [Action::Disconnect(id), Action::Close { reset }]);
        let reason = conn.close_reason();
        for seconds in [0, 0, 100, 1_000_000] {
            tell_everything(&mut conn);
            assert_eq!(conn.next_action(at(seconds)), Action::Close { reset });
            assert_eq!(conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect));
            assert!(conn.exchange(id).send(last(b"")).is_err());
            conn.exchange(id).end();
            assert_eq!((conn.fault(), conn.close_reason()), (None, reason));
        }
    }
}

#[test]
fn behind_a_switch_there_is_only_an_empty_wait() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, &[UPGRADE, b"left"].concat());
    conn.handle_bytes(b" over");
    conn.exchange(id).send(head(101, &[(b"upgrade", b"websocket")])).unwrap();
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    assert!(matches!(conn.next_action(NOW), Action::Wait(Wait { write: true, .. })), "the 101 is written first");
    let response = text(&write(&mut conn));
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    let switch =
        Action::Switch { protocol: Bytes::from_static(b"websocket"), leftover: Bytes::from_static(b"left over") };
    assert_eq!(conn.next_action(NOW), switch);
    for seconds in [0, 0, 100, 1_000_000] {
        assert_eq!(conn.next_action(at(seconds)), Action::Wait(Wait::default()));
        tell_everything(&mut conn);
        assert_eq!(conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect));
        assert_eq!(conn.exchange(id).send(last(b"")), Err(SendError::Complete));
        assert_eq!(conn.exchange(id).end(), Outcome::Switched);
        assert_eq!((conn.fault(), conn.close_reason()), (None, Some(CloseReason::Switched)));
    }
}

#[test]
fn what_was_written_beyond_what_there_was_is_not_owed() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, GET);
    conn.handle_written(1_000_000);
    respond(&mut conn, id);
    let response = output(&conn);
    assert!(response.starts_with(b"HTTP/1.1 204 "));
    conn.handle_written(1);
    assert_eq!(output(&conn), response[1..]);
    conn.handle_written(1_000_000);
    assert_eq!(output(&conn), b"");
}

#[test]
fn a_taken_chunk_is_not_shown_again_and_counts_until_it_is_reported() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, b"GET / HTTP/1.0\r\n\r\n");
    respond(&mut conn, id);
    let response = output(&conn);
    let mut taken = Vec::new();
    while let Some(chunk) = conn.take_outgoing() {
        taken.extend_from_slice(&chunk);
    }
    assert_eq!(taken, response);
    assert_eq!(output(&conn), b"");
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    for written in [response.len() - 1, 1] {
        let Action::Wait(wait) = conn.next_action(NOW) else { panic!("it is not written yet") };
        assert_eq!((wait.write, wait.deadline), (false, Some(at(60))), "nothing to write, and a time to do it in");
        conn.handle_written(written);
    }
    assert_eq!(conn.next_action(NOW), Action::Shutdown);
}

/// However much of it was written before, and however much memory it has.
#[test]
fn a_taken_chunk_is_without_what_was_written() {
    for parts in [1, 2, 20] {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, GET);
        conn.exchange(id).send(head(200, &[])).unwrap();
        (0..parts).for_each(|_| conn.exchange(id).send(part(&[b'x'; 1000])).unwrap());
        let all = output(&conn);
        for written in [1, 30, all.len() / 2, all.len() - 1] {
            let mut conn = conn.clone();
            conn.handle_written(written);
            assert_eq!(conn.take_outgoing().unwrap(), all[written..]);
            assert_eq!(conn.take_outgoing(), None);
        }
    }
}

#[test]
fn what_the_driver_moves_itself_waits_for_the_chunks_before_it() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, GET);
    conn.exchange(id).send(head(200, &[(b"content-length", b"5")])).unwrap();
    conn.exchange(id).send(moved(5, true)).unwrap();
    assert!(matches!(conn.next_action(NOW), Action::Wait(Wait { write: true, .. })), "the head comes first");
    let before = conn.take_outgoing().unwrap();
    assert_eq!(conn.take_outgoing(), None);
    conn.handle_written(before.len() - 1);
    assert!(matches!(conn.next_action(NOW), Action::Wait(Wait { write: false, .. })), "a kernel has its last byte");
    conn.handle_written(1);
    assert!(matches!(conn.next_action(NOW), Action::Transfer { token: 9, remaining: 5, .. }));
}

#[test]
fn lost_late_and_foreign_read_buffers_do_no_harm() {
    let mut conn = with_limits(Limits::default().read_buffer_bytes(16));
    let mut kept = conn.read_buffer();
    for _ in 0..3 {
        drop(conn.read_buffer());
    }
    let (first, rest) = GET.split_at(5);
    let (second, rest) = rest.split_at(5);
    let (third, rest) = rest.split_at(5);
    conn.handle_bytes(first);
    kept.extend_from_slice(second);
    conn.handle_read(kept);
    conn.handle_read(BytesMut::from(third));
    conn.handle_read(BytesMut::new());
    let mut late = conn.read_buffer();
    let id = start(&mut conn, NOW, rest);
    late.extend_from_slice(GET);
    respond(&mut conn, id);
    write(&mut conn);
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    conn.handle_read(late);
    let Action::Start(_, request) = conn.next_action(NOW) else { panic!("a whole request is there") };
    assert_eq!((request.method(), request.raw_path()), ("GET", &b"/"[..]));
}

#[test]
fn a_transfer_fails_only_where_one_is_due() {
    let mut conn = Connection::new(Config::default());
    conn.handle_transfer_failed();
    let id = start(&mut conn, NOW, GET);
    conn.handle_transfer_failed();
    conn.exchange(id).send(head(200, &[(b"content-length", b"5")])).unwrap();
    conn.handle_transfer_failed();
    conn.exchange(id).send(part(b"ab")).unwrap();
    conn.handle_transfer_failed();
    assert_eq!(conn.exchange(id).outcome(), None);
    conn.exchange(id).send(moved(3, false)).unwrap();
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    let chunk = conn.take_outgoing().map_or(0, |chunk| chunk.len());
    conn.handle_transfer_failed(); // a kernel has what comes before it
    conn.handle_written(chunk);
    assert!(matches!(conn.next_action(NOW), Action::Transfer { token: 9, remaining: 3, .. }));
    conn.handle_written(2);
    conn.handle_transfer_failed();
    conn.handle_transfer_failed();
    assert_eq!(ask(&mut conn, NOW), [Action::Close { reset: true }]);
    assert_eq!(conn.close_reason(), Some(CloseReason::TransferFailed));
}

#[test]
fn a_chunk_of_any_length_has_all_its_digits() {
    for (len, digits) in [(1, "1"), (15, "f"), (16, "10"), (1 << 32, "100000000"), (u64::MAX, "ffffffffffffffff")] {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, GET);
        conn.exchange(id).send(head(200, &[])).unwrap();
        conn.exchange(id).send(SendEvent::ResponsePart { token: 1, len, more_body: true }).unwrap();
        assert!(output(&conn).ends_with(format!("\r\n\r\n{digits}\r\n").as_bytes()), "{len}");
    }
}

#[test]
fn parts_of_any_length_are_moved_to_their_end() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, NOW, GET);
    let mut exchange = conn.exchange(id);
    exchange.send(head(200, &[])).unwrap();
    for token in 0..3 {
        exchange.send(SendEvent::ResponsePart { token, len: u64::MAX, more_body: token < 2 }).unwrap();
    }
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    for part in 0..3 {
        // The head or the line end of the chunk before it, and its own line.
        let line = conn.outgoing().map(<[u8]>::len).sum();
        conn.handle_written(line);
        let Action::Transfer { token, remaining, .. } = conn.next_action(NOW) else { panic!("{part}") };
        assert_eq!((token, remaining), (part, u64::MAX));
        conn.handle_written(usize::MAX);
    }
    assert_eq!(conn.outgoing().flatten().copied().collect::<Vec<_>>(), b"\r\n0\r\n\r\n");
    conn.handle_written(7);
    let Action::Wait(wait) = conn.next_action(NOW) else { panic!("it is kept") };
    assert!(wait.read && !wait.write);
}

/// A background task of an exchange that is over, which asks between the arrival of the last request and the next
/// question.
#[test]
fn a_receive_of_an_old_id_takes_nothing_from_the_next_request() {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(GET);
    let Action::Start(old, _) = conn.next_action(Instant::ZERO) else { panic!("a request is there") };
    conn.exchange(old).send(head(204, &[])).unwrap();
    conn.exchange(old).send(last(b"")).unwrap();
    write(&mut conn);
    assert_eq!(conn.next_action(Instant::ZERO), Action::Disconnect(old));
    conn.handle_bytes(GET);
    conn.handle_eof();
    assert_eq!(conn.exchange(old).receive(), Poll::Ready(ReceiveEvent::Disconnect));
    assert!(matches!(conn.next_action(Instant::ZERO), Action::Start(id, _) if id != old));
}

/// What a client means that closes its half is found at one place of the stream, whoever looks first: a `receive`
/// between `handle_eof` and the next question, that question, or the `receive` that is given the last of the body.
#[test]
fn the_end_of_the_stream_is_found_by_who_looks_first() {
    const POST: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n";
    let whole = || Poll::Ready(ReceiveEvent::Request { body: "hi".into(), more_body: false });
    for (policy, outcome, sent) in [
        (HalfClose::Disconnect, Some(Outcome::HalfClosed), Ok(())),
        (HalfClose::Ignore, None, Ok(())),
        (HalfClose::Abort, Some(Outcome::ClientLeft), Err(SendError::Disconnected)),
    ] {
        let mut conn = Connection::new(Config::builder().half_close(policy).build().unwrap());
        conn.handle_bytes(POST);
        let Action::Start(id, _) = conn.next_action(NOW) else { panic!("a request is there") };
        let judge = |mut conn: Connection| {
            assert_eq!(conn.exchange(id).outcome(), outcome, "{policy:?}");
            assert_eq!(conn.exchange(id).receive().is_ready(), outcome.is_some(), "{policy:?}");
            assert_eq!(conn.exchange(id).trailers().map(|trailers| trailers.get("x")), Some(Some(&b"y"[..])));
            assert_eq!(conn.exchange(id).send(head(200, &[])), sent, "{policy:?}");
            assert_eq!(conn.next_action(NOW) == Action::Disconnect(id), sent.is_err(), "{policy:?}");
        };

        let mut ended_first = conn.clone();
        ended_first.handle_eof();
        assert!(matches!(ended_first.next_action(NOW), Action::Wait(_)), "the body comes first");
        assert_eq!(ended_first.exchange(id).outcome(), None, "the body comes first");
        assert_eq!(ended_first.exchange(id).receive(), whole());
        judge(ended_first);

        assert_eq!(conn.exchange(id).receive(), whole());
        conn.handle_eof();
        let mut asked_first = conn.clone();
        let _ = asked_first.exchange(id).receive();
        judge(asked_first);
        let told = conn.next_action(NOW);
        assert_eq!(told == Action::Disconnect(id), sent.is_err(), "{policy:?}");
        assert_eq!(conn.exchange(id).outcome(), outcome, "{policy:?}");
    }
}

#[test]
fn trailers_are_there_from_the_end_of_the_body_to_that_of_the_exchange() {
    let mut conn = Connection::new(Config::default());
    let request = b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-sum: 7\r\n\r\n";
    let id = start(&mut conn, NOW, request);
    assert!(conn.exchange(id).trailers().is_none(), "nobody has received the end of the body");
    assert!(conn.exchange(id).receive().is_ready());
    assert_eq!(conn.exchange(id).trailers().map(sansgi::Headers::len), Some(1));
    respond(&mut conn, id);
    assert!(conn.exchange(id).trailers().is_none(), "its response is complete");
    write(&mut conn);
    assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
    let next = start(&mut conn, NOW, GET);
    assert!(conn.exchange(id).trailers().is_none() && conn.exchange(next).trailers().is_none());
    assert!(conn.exchange(next).receive().is_ready());
    assert_eq!(conn.exchange(next).trailers().map(sansgi::Headers::len), Some(0), "there are none");
}

/// What cuts a response is why its connection ends, also where that had been decided for another reason before: a log
/// must not take it for an orderly end.
#[test]
fn what_cuts_the_last_response_is_the_reason() {
    for (cut, expected) in [
        (Connection::handle_transfer_failed as fn(&mut Connection), CloseReason::TransferFailed),
        (|_| {}, CloseReason::WriteTimeout),
    ] {
        for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"] {
            let mut conn = Connection::new(Config::default());
            let id = start(&mut conn, NOW, request.as_bytes());
            conn.exchange(id).send(head(200, &[])).unwrap();
            conn.exchange(id).send(SendEvent::ResponsePart { token: 1, len: 8, more_body: false }).unwrap();
            assert_eq!(conn.close_reason(), Some(CloseReason::LastRequest));
            assert_eq!(conn.next_action(Instant::ZERO), Action::Disconnect(id));
            let head = conn.outgoing().map(<[u8]>::len).sum();
            conn.handle_written(head);
            assert!(matches!(conn.next_action(Instant::ZERO), Action::Transfer { token: 1, .. }));
            cut(&mut conn);
            assert_eq!(conn.next_action(Instant::from_nanos(60_000_000_000)), Action::Close { reset: true });
            assert_eq!(conn.close_reason(), Some(expected), "{request}");
        }
    }
}

/// A transport that is lost under the last response cuts it too. One that is lost behind it, or behind what had cut it
/// before, is not the reason.
#[test]
fn a_transport_that_is_lost_before_its_switch_is_told_is_the_reason() {
    for is_written in [false, true] {
        let mut conn = Connection::new(Config::default());
        let offer = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";
        let id = start(&mut conn, NOW, offer);
        conn.exchange(id).send(head(101, &[(b"upgrade", b"chat")])).unwrap();
        assert_eq!(conn.next_action(NOW), Action::Disconnect(id));
        assert_eq!(conn.close_reason(), Some(CloseReason::Switched));
        if is_written {
            write(&mut conn);
        }
        conn.handle_disconnect();
        assert_eq!(ask(&mut conn, NOW), [Action::Close { reset: false }], "there is no socket to hand over");
        assert_eq!(conn.close_reason(), Some(CloseReason::ClientLeft), "{is_written}");
    }
}

#[test]
fn a_transport_that_is_lost_under_the_last_response_is_the_reason() {
    for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"] {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, request.as_bytes());
        conn.exchange(id).send(head(200, &[])).unwrap();
        conn.exchange(id).send(part(b"a part")).unwrap();

        let mut cut = conn.clone();
        assert_eq!(cut.exchange(id).end(), Outcome::Failed);
        cut.handle_disconnect();
        assert_eq!(cut.close_reason(), Some(CloseReason::ApplicationFailed), "{request}");

        conn.exchange(id).send(SendEvent::ResponseBody { body: "the rest".into(), more_body: false }).unwrap();
        assert_eq!(conn.next_action(Instant::ZERO), Action::Disconnect(id));
        assert_eq!(conn.close_reason(), Some(CloseReason::LastRequest));
        for taken in [false, true] {
            let mut conn = conn.clone();
            let first = if taken { conn.take_outgoing().map_or(0, |chunk| chunk.len()) } else { 0 };
            let mut written = conn.clone();
            conn.handle_disconnect();
            assert_eq!(conn.next_action(Instant::ZERO), Action::Close { reset: false });
            assert_eq!(conn.close_reason(), Some(CloseReason::ClientLeft), "{request}");

            let rest: usize = written.outgoing().map(<[u8]>::len).sum();
            written.handle_written(first + rest);
            written.handle_disconnect();
            assert_eq!(written.close_reason(), Some(CloseReason::LastRequest), "{request}");
        }
    }
}

/// Whether a request with this Host is started.
fn takes_host(host: &str) -> bool {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
    let is_started = matches!(conn.next_action(NOW), Action::Start(..));
    assert_eq!(conn.fault(), (!is_started).then_some(ProtocolError::Host), "{host}");
    is_started
}

#[test]
fn a_percent_encoded_octet_may_stand_anywhere_in_a_name() {
    for host in ["%41", "%41b", "a%41", "a%41b", "a%41%4ab%4B", "%41:1", "a%41b:", "a%41b:65535"] {
        assert!(takes_host(host), "{host}");
    }
    for host in ["%", "%4", "%4g", "%g4", "a%4", "a%4gb", "a%41%", "a%41%4", "a%41b%4g", "%4:1", "a%:1", "%%41", ":1"] {
        assert!(!takes_host(host), "{host}");
    }
}

/// Attack class 50, in the header that is written by a way of its own.
#[test]
fn no_value_of_a_content_type_is_written_unseen() {
    for value in [&b"a\r\nx: y"[..], b"a\nb", b"a\rb", b"a\0", b"a\x7f", b" a", b"a ", b"\ta", b"a\t", b" ", b"\r"] {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, GET);
        let refused = conn.exchange(id).send(head(200, &[(b"content-type", value)]));
        assert_eq!(refused, Err(SendError::Misuse(Misuse::HeaderValue)), "{}", text(value));
        let informed = SendEvent::Informational { status: 103, headers: &[(b"content-type", value)] };
        assert_eq!(conn.exchange(id).send(informed), Err(SendError::Misuse(Misuse::HeaderValue)), "{}", text(value));
        assert_eq!(output(&conn), b"");
    }
}

#[test]
fn a_name_is_written_in_the_case_it_was_sent_in() {
    for name in [&b"content-type"[..], b"Content-Type", b"CONTENT-TYPE", b"content-typE"] {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, GET);
        conn.exchange(id).send(head(200, &[(name, b"a/b"), (b"content-length", b"0")])).unwrap();
        conn.exchange(id).send(last(b"")).unwrap();
        let expected = [b"HTTP/1.1 200 OK\r\n", name, b": a/b\r\ncontent-length: 0\r\n\r\n"].concat();
        assert_eq!(text(&output(&conn)), text(&expected));
    }
}

/// CR is `-` without the bit that parts the cases.
#[test]
fn a_carriage_return_is_no_dash() {
    let names: [&[u8]; 3] = [b"content\rlength", b"transfer\rencoding", b"keep\ralive"];
    for name in names {
        let mut conn = Connection::new(Config::default());
        let id = start(&mut conn, NOW, GET);
        let refused = conn.exchange(id).send(head(200, &[(name, b"0")]));
        assert_eq!(refused, Err(SendError::Misuse(Misuse::HeaderName)), "{}", text(name));
    }
}

#[test]
fn a_switch_is_the_reason_also_where_the_request_was_the_last() {
    let mut conn = Connection::new(Config::default());
    let id =
        start(&mut conn, NOW, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close, upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(conn.close_reason(), Some(CloseReason::LastRequest));
    conn.exchange(id).send(head(101, &[(b"upgrade", b"websocket")])).unwrap();
    assert_eq!(conn.close_reason(), Some(CloseReason::Switched));
}

//! A driver with its applications, in virtual time. It asserts at each step what must hold at any: P2, P4 to P8, P13,
//! P16, P17.

use std::task::Poll;
use std::time::Duration;

use sansgi::bytes::{Bytes, BytesMut};
use sansgi::{
    Action, CloseReason, Connection, ExchangeId, Instant, Outcome, ProtocolError, ReceiveEvent, Request, SendEvent,
    Wait,
};

use super::answers::{Dates, Exchange, PART, Written, note};
use super::application::{Do, Plan, Reads};
use super::oracles::subject;
use super::oracles::validator::{End, Output};
use super::setup::Setup;

/// More turns than this without anything new are a loop without end.
const MOST_TURNS: usize = 10_000;

/// How a driver goes about what it may do in several ways: nothing may depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way(pub(crate) u8);

impl Way {
    fn asks_after_each_call(self) -> bool {
        self.0 & 1 != 0
    }

    fn reads(self) -> Read {
        [Read::Bytes, Read::Lent, Read::Own, Read::Bytes][usize::from(self.0 >> 1 & 3)]
    }

    fn writes(self) -> Write {
        [Write::All, Write::Taken, Write::Slowly, Write::Half][usize::from(self.0 >> 3 & 3)]
    }

    fn clones(self) -> bool {
        self.0 >> 5 & 3 == 3
    }

    fn is_exact(self) -> bool {
        self.0 >> 6 == 2
    }
}

#[derive(Clone, Copy)]
enum Read {
    Bytes,
    Lent,
    Own,
}

#[derive(Clone, Copy)]
enum Write {
    All,
    Taken,
    Slowly,
    Half,
}

/// An application at work, also behind the end of its exchange.
struct App {
    id: ExchangeId,
    plan: &'static Plan,
    /// What it does before it receives again.
    todo: &'static [Do],
    is_released: bool,
    body_ended: bool,
}

impl App {
    fn receives(&self) -> bool {
        match self.plan.reads {
            Reads::Never => false,
            Reads::ToTheEnd => !self.is_released && !self.body_ended,
            Reads::UntilDisconnect => !self.is_released,
        }
    }
}

/// All that may be compared between two runs of the same input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) output: Output,
    pub(crate) transferred: u64,
    pub(crate) end: End,
    pub(crate) fault: Option<ProtocolError>,
    pub(crate) reason: Option<CloseReason>,
    pub(crate) was_shut_down: bool,
    pub(crate) protocol: Bytes,
    pub(crate) leftover: Vec<u8>,
    pub(crate) waits: Vec<(bool, Option<Instant>)>,
}

#[allow(clippy::struct_excessive_bools, reason = "independent facts of what was told")]
pub(crate) struct Server {
    conn: Connection,
    setup: &'static Setup,
    way: Way,
    /// The plan of the first exchange, and by how much that of each next one is further.
    plans: (usize, usize),
    now: Instant,
    apps: Vec<App>,
    open: Option<ExchangeId>,
    exchanges: Vec<Exchange>,
    output: Vec<u8>,
    transferred: u64,
    end: End,
    was_shut_down: bool,
    protocol: Bytes,
    leftover: Vec<u8>,
    wait: Wait,
    waits: Vec<(bool, Option<Instant>)>,
    fault: Option<ProtocolError>,
    eof: bool,
    gone: bool,
    stopping: bool,
    fed: u64,
    calls: u64,
}

impl Server {
    pub(crate) fn new(setup: &'static Setup, plans: (usize, usize), way: Way) -> Self {
        let mut server = Self {
            conn: Connection::new(setup.config.clone()),
            setup,
            way,
            plans,
            now: Instant::ZERO,
            apps: Vec::new(),
            open: None,
            exchanges: Vec::new(),
            output: Vec::new(),
            transferred: 0,
            end: End::Open,
            was_shut_down: false,
            protocol: Bytes::new(),
            leftover: Vec::new(),
            wait: Wait::default(),
            waits: Vec::new(),
            fault: None,
            eof: false,
            gone: false,
            stopping: false,
            fed: 0,
            calls: 0,
        };
        server.settle();
        server
    }

    /// Whether the driver is asked to read. Whoever has the socket after a switch reads from it.
    pub(crate) fn reads(&self) -> bool {
        self.wait.read || self.end == End::Switched
    }

    /// The stream in pieces that `size` chooses, as far as it is asked for; gives what was not.
    pub(crate) fn feed_all<'a>(&mut self, mut stream: &'a [u8], mut size: impl FnMut() -> usize) -> &'a [u8] {
        while self.reads() && !stream.is_empty() {
            let most = self.setup.read_buffer_bytes.min(stream.len());
            let (piece, rest) = stream.split_at(size().clamp(1, most));
            self.feed(piece);
            stream = rest;
        }
        if self.end == End::Switched {
            self.leftover.extend_from_slice(stream);
            return &[];
        }
        stream
    }

    /// In one read.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.tell_bytes(bytes);
        self.settle();
    }

    /// And nothing asked behind it.
    pub(crate) fn tell_bytes(&mut self, bytes: &[u8]) {
        if self.end == End::Switched {
            self.leftover.extend_from_slice(bytes);
            return;
        }
        self.fed += bytes.len() as u64;
        self.calls += 1;
        match self.way.reads() {
            Read::Bytes => self.conn.handle_bytes(bytes),
            Read::Lent => {
                let mut buffer = self.conn.read_buffer();
                assert!(buffer.is_empty() && buffer.capacity() > 0, "a read into nothing looks like an end");
                buffer.extend_from_slice(bytes);
                self.conn.handle_read(buffer);
            }
            Read::Own => {
                drop(self.conn.read_buffer());
                self.conn.handle_read(BytesMut::from(bytes));
            }
        }
        if self.way.clones() {
            self.conn = self.conn.clone();
        }
    }

    pub(crate) fn feed_eof(&mut self) {
        self.conn.handle_eof();
        self.eof = true;
        self.settle();
        // P6: a second one changes nothing.
        let before = self.fingerprint();
        self.conn.handle_eof();
        self.settle();
        assert_eq!(self.fingerprint(), before, "P6");
    }

    pub(crate) fn lose(&mut self) {
        self.gone = true;
        self.conn.handle_disconnect();
        assert!(self.end == End::Switched || self.conn.outgoing().next().is_none(), "writes to nobody");
        self.settle();
        let is_over = matches!(self.end, End::Closed | End::Reset | End::Switched);
        assert!(is_over, "gone, but not closed: {:?}", self.wait);
    }

    pub(crate) fn shut_down(&mut self) {
        self.stopping = true;
        self.conn.handle_shutdown();
        self.settle();
    }

    /// Time passes up to the next deadline; false if there is none.
    pub(crate) fn pass(&mut self) -> bool {
        let Some(deadline) = self.wait.deadline else { return false };
        self.now = deadline;
        self.settle();
        true
    }

    pub(crate) fn pass_by(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    /// Notes what is waited for now.
    pub(crate) fn look(&mut self) {
        self.waits.push((self.wait.read, self.wait.deadline));
    }

    /// Not always: it takes longer than all the rest.
    fn fingerprint(&self) -> Option<String> {
        self.way.is_exact().then(|| self.conn.fingerprint())
    }

    /// Asks, runs the application and writes, until all of it waits.
    fn settle(&mut self) {
        for _ in 0..MOST_TURNS {
            let is_told = self.ask();
            let has_run = self.run();
            // "a pending `receive` included": what is waited for may have changed.
            let is_told = self.ask() || is_told;
            if !is_told && !has_run && !self.write() {
                self.check_work();
                return;
            }
        }
        panic!("P4: it goes on for ever: {:?}", self.conn);
    }

    /// P13.
    fn check_work(&self) {
        let most = 4 * self.fed + 64 * self.calls + 4096;
        assert!(self.conn.bytes_examined() <= most, "P13: {} of {}", self.conn.bytes_examined(), self.fed);
    }

    /// Asks until there is something to wait for; true if something was told.
    fn ask(&mut self) -> bool {
        let mut told = false;
        loop {
            self.calls += 1;
            let action = self.conn.next_action(self.now);
            self.check_fault();
            match self.end {
                End::Open => {}
                End::Closed => assert_eq!(action, Action::Close { reset: false }, "P5"),
                End::Reset => assert_eq!(action, Action::Close { reset: true }, "P5"),
                End::Switched => assert_eq!(action, Action::Wait(Wait::default()), "P5"),
            }
            if self.end != End::Open {
                return told;
            }
            match action {
                Action::Start(id, request) => self.start(id, &request),
                Action::Disconnect(id) => self.disconnect(id),
                Action::Wait(wait) => {
                    let is_written = self.conn.outgoing().next().is_none();
                    assert_eq!(wait.write, !is_written, "P4: writes what there is, and nothing else");
                    assert!(wait != Wait::default() || self.open.is_some(), "P4: waits for nobody: {:?}", self.conn);
                    self.check_wait(wait);
                    return told;
                }
                Action::Transfer { token, remaining, wait } => {
                    assert!(remaining <= token, "part {token} has {remaining}");
                    assert!(remaining > 0 && wait.write && self.conn.outgoing().next().is_none(), "before its turn");
                    self.check_wait(wait);
                    return told;
                }
                Action::Shutdown => {
                    self.check_over("shutdown");
                    assert!(!self.was_shut_down && !self.eof && !self.gone, "a shutdown to nobody");
                    self.was_shut_down = true;
                }
                Action::Switch { protocol, leftover } => {
                    self.check_over("switch");
                    self.end = End::Switched;
                    self.wait = Wait::default();
                    self.protocol = protocol;
                    self.leftover.extend_from_slice(&leftover);
                }
                Action::Close { reset } => {
                    self.check_over("close");
                    assert!(self.conn.close_reason().is_some(), "a close without a reason");
                    self.end = if reset { End::Reset } else { End::Closed };
                    self.wait = Wait::default();
                }
                other => panic!("an action that this driver does not know: {other:?}"),
            }
            told = true;
        }
    }

    fn check_wait(&mut self, wait: Wait) {
        assert!(!wait.read || !self.eof && !self.gone, "P4: reads behind the end");
        assert!(wait.deadline.is_none_or(|deadline| deadline > self.now), "P17: due already");
        self.wait = wait;
    }

    fn check_fault(&mut self) {
        let fault = self.conn.fault();
        assert!(self.fault.is_none() || self.fault == fault, "{:?} has become {fault:?}", self.fault);
        self.fault = fault;
    }

    fn check_over(&self, what: &str) {
        assert!(self.open.is_none(), "P8: a {what} before the end of an exchange");
        assert!(self.conn.outgoing().next().is_none(), "P7: a {what} before all is written");
    }

    fn start(&mut self, id: ExchangeId, request: &Request) {
        assert!(self.open.is_none(), "P16: {id:?} starts while {:?} is open", self.open);
        assert_eq!(id.as_u64(), self.exchanges.len() as u64 + 1, "P8: ids count");
        assert!(!self.gone && !self.stopping && !self.was_shut_down, "P8: {id:?} starts behind the end");
        let unwritten: usize = self.conn.outgoing().map(<[u8]>::len).sum();
        assert!(unwritten < self.setup.high_water_bytes, "P16: {id:?} starts above the high-water mark");
        if let Some(last) = self.exchanges.last() {
            assert!(last.sent.is_complete, "P16: {id:?} starts behind a response that is not whole");
        }
        let plan = Plan::of(self.plans.0 + self.exchanges.len() * self.plans.1);
        self.exchanges.push(Exchange::new(request));
        self.open = Some(id);
        self.apps.push(App { id, plan, todo: plan.at_start, is_released: false, body_ended: false });
    }

    fn disconnect(&mut self, id: ExchangeId) {
        assert_eq!(self.open.take(), Some(id), "P8");
        let outcome = self.conn.exchange(id).outcome();
        assert!(!matches!(outcome, None | Some(Outcome::HalfClosed)), "P8: over, with the outcome {outcome:?}");
        self.exchanges.last_mut().unwrap().outcome = outcome;
        assert_eq!(self.conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect), "P8");
        // Background work: nothing of it may touch what comes next.
        let before = self.fingerprint();
        let late = SendEvent::ResponseBody { body: Bytes::from_static(b"late"), more_body: true };
        assert!(self.conn.exchange(id).send(late).is_err(), "P8");
        assert_eq!(Some(self.conn.exchange(id).end()), outcome, "P8");
        assert_eq!(self.fingerprint(), before, "P8: an exchange that is over touches something");
    }

    /// Lets the applications go on as far as they can; true if one did something.
    fn run(&mut self) -> bool {
        let mut has_run = false;
        let mut number = 0;
        while let Some(app) = self.apps.get_mut(number) {
            let has_moved = if let [item, rest @ ..] = app.todo {
                app.todo = rest;
                let id = app.id;
                self.does(id, *item);
                true
            } else {
                app.receives() && self.receive(number)
            };
            has_run |= has_moved;
            if !has_moved {
                number += 1;
            } else if self.way.asks_after_each_call() {
                self.ask();
            }
        }
        let open = self.open;
        self.apps.retain(|app| Some(app.id) == open);
        has_run
    }

    /// True if there was something.
    fn receive(&mut self, number: usize) -> bool {
        self.calls += 1;
        let app = &mut self.apps[number];
        let mut at = self.conn.exchange(app.id);
        let exchange = exchange(&mut self.exchanges, app.id);
        match at.receive() {
            Poll::Pending => return false,
            Poll::Ready(ReceiveEvent::Disconnect) => {
                assert_eq!(at.receive(), Poll::Ready(ReceiveEvent::Disconnect), "P8: at once, and for ever");
                assert!(at.outcome().is_some(), "P8: disconnected, and nobody knows why");
                if self.open == Some(app.id) {
                    exchange.outcome = at.outcome();
                }
                app.is_released = true;
                app.todo = app.plan.at_disconnect;
            }
            Poll::Ready(ReceiveEvent::Request { body, more_body }) => {
                assert!(!app.body_ended, "P8: body behind its end");
                assert!(!body.is_empty() || !more_body, "P8: an empty part");
                exchange.received.extend_from_slice(&body);
                if !more_body {
                    exchange.body_ended = true;
                    exchange.trailers = at.trailers().map(subject::fields);
                    assert!(exchange.trailers.is_some(), "P8: the end, and no trailers");
                    app.body_ended = true;
                    app.todo = app.plan.at_body_end;
                }
                if app.plan.echoes {
                    let id = app.id;
                    let before = exchange.refused.len();
                    self.send(id, &SendEvent::ResponseBody { body, more_body });
                    // Behind a start that was refused each part is, and how many there are is up to the cuts.
                    let refused = &mut self::exchange(&mut self.exchanges, id).refused;
                    if refused.len() > before
                        && let [.., last, this] = refused[..]
                        && last == this
                    {
                        refused.pop();
                    }
                }
            }
        }
        true
    }

    fn does(&mut self, id: ExchangeId, item: Do) {
        match item {
            Do::Start { status, fields, trailers } => {
                self.send(id, &SendEvent::ResponseStart { status, headers: fields, trailers });
            }
            Do::StartAsLong => {
                let length = exchange(&mut self.exchanges, id).request.content_length;
                let length = length.map(|length| length.to_string());
                let headers: &[(&[u8], &[u8])] = match &length {
                    Some(length) => &[(b"Content-Length", length.as_bytes())],
                    None => &[],
                };
                self.send(id, &SendEvent::ResponseStart { status: 200, headers, trailers: false });
            }
            Do::Body(bytes) => {
                self.send(id, &SendEvent::ResponseBody { body: Bytes::from_static(bytes), more_body: true });
            }
            Do::Last(bytes) => {
                self.send(id, &SendEvent::ResponseBody { body: Bytes::from_static(bytes), more_body: false });
            }
            // The token says the length, so that it can be checked.
            Do::Part(len) => self.send(id, &SendEvent::ResponsePart { token: len, len, more_body: true }),
            Do::LastPart(len) => self.send(id, &SendEvent::ResponsePart { token: len, len, more_body: false }),
            Do::Trailers { fields, more } => {
                self.send(id, &SendEvent::ResponseTrailers { headers: fields, more_trailers: more });
            }
            Do::Interim { status, fields } => self.send(id, &SendEvent::Informational { status, headers: fields }),
            Do::Switch => {
                let protocol = exchange(&mut self.exchanges, id).request.upgrades.first().cloned();
                let (status, headers): (_, &[(&[u8], &[u8])]) = match &protocol {
                    Some(protocol) => (101, &[(b"upgrade", protocol)]),
                    None => (200, &[]),
                };
                self.send(id, &SendEvent::ResponseStart { status, headers, trailers: false });
            }
            Do::End => {
                self.calls += 1;
                let outcome = self.conn.exchange(id).end();
                assert_eq!(self.conn.exchange(id).outcome(), Some(outcome), "P8");
                if self.open == Some(id) {
                    exchange(&mut self.exchanges, id).outcome = Some(outcome);
                }
            }
        }
    }

    fn send(&mut self, id: ExchangeId, event: &SendEvent<'_>) {
        self.calls += 1;
        let exchange = exchange(&mut self.exchanges, id);
        match self.conn.exchange(id).send(event.clone()) {
            Ok(()) => note(exchange, event),
            // That it leaves no trace: `response` and `ops`.
            Err(error) => exchange.refused.push(error),
        }
    }

    /// Writes what there is; true if it did something.
    fn write(&mut self) -> bool {
        if self.end != End::Open {
            return false;
        }
        let mut chunks = self.conn.outgoing();
        let Some(first) = chunks.next() else { return self.transfer() };
        assert!(!first.is_empty() && chunks.all(|chunk| !chunk.is_empty()), "an empty chunk");
        let count = match self.way.writes() {
            Write::All => {
                let before = self.output.len();
                self.output.extend(self.conn.outgoing().flatten());
                self.output.len() - before
            }
            Write::Taken => {
                let chunk = self.conn.take_outgoing().expect("it was there");
                self.output.extend_from_slice(&chunk);
                chunk.len()
            }
            Write::Slowly => {
                let count = first.len().min(7);
                self.output.extend_from_slice(&first[..count]);
                count
            }
            Write::Half => {
                let count = first.len().div_ceil(2);
                self.output.extend_from_slice(&first[..count]);
                count
            }
        };
        self.calls += 1;
        self.conn.handle_written(count);
        true
    }

    fn transfer(&mut self) -> bool {
        // `ask` has left it at that: nothing else is told.
        let Action::Transfer { remaining, .. } = self.conn.next_action(self.now) else { return false };
        let count = if matches!(self.way.writes(), Write::Half) { remaining.div_ceil(2) } else { remaining };
        let count = usize::try_from(count).unwrap();
        self.output.extend(std::iter::repeat_n(PART, count));
        self.transferred += count as u64;
        self.conn.handle_written(count);
        true
    }

    /// The end: all that was seen, judged.
    pub(crate) fn finish(mut self) -> Summary {
        self.check_dead();
        let written = Written {
            default_headers: self.setup.default_headers,
            date: Dates::None,
            bytes: &self.output,
            // Of a transport that is gone the peer has seen the end itself.
            end: if self.gone && self.end == End::Closed { End::Reset } else { self.end },
            fault: self.fault.map(ProtocolError::status),
            was_dropped: self.gone,
        };
        let output = written.check(&self.exchanges);
        Summary {
            exchanges: self.exchanges,
            output,
            transferred: self.transferred,
            end: self.end,
            fault: self.fault,
            reason: self.conn.close_reason(),
            was_shut_down: self.was_shut_down,
            protocol: self.protocol,
            leftover: self.leftover,
            waits: self.waits,
        }
    }

    /// P5: behind the end everything is accepted and nothing happens.
    fn check_dead(&mut self) {
        if self.end == End::Open {
            return;
        }
        let (fault, reason) = (self.conn.fault(), self.conn.close_reason());
        let mut dead = self.conn.clone();
        dead.handle_bytes(b"GET / HTTP/1.1\r\nhost: late\r\n\r\n");
        let mut buffer = dead.read_buffer();
        buffer.extend_from_slice(b"?\r\n");
        dead.handle_read(buffer);
        dead.handle_written(1);
        dead.handle_eof();
        dead.handle_transfer_failed();
        dead.handle_shutdown();
        dead.handle_disconnect();
        let action = dead.next_action(self.now + Duration::from_secs(1000));
        let expected = match self.end {
            End::Closed => Action::Close { reset: false },
            End::Reset => Action::Close { reset: true },
            End::Switched | End::Open => Action::Wait(Wait::default()),
        };
        assert_eq!(action, expected, "P5");
        assert_eq!((dead.fault(), dead.close_reason()), (fault, reason), "P5");
        assert_eq!(dead.outgoing().next(), None, "P5");
    }
}

fn exchange(exchanges: &mut [Exchange], id: ExchangeId) -> &mut Exchange {
    &mut exchanges[usize::try_from(id.as_u64()).unwrap() - 1]
}

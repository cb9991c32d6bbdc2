//! A driver between a scripted wire and scripted applications, with a virtual clock. It asserts, for every case and
//! every cut, what must hold always.

use std::collections::{BTreeMap, VecDeque};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sansgi::{Action, Connection, Date, ExchangeId, Instant, ProtocolError, ReceiveEvent, Request, Wait};

use super::app::{self, App, Moment, Moved};
use super::corpus::Case;
use super::cut::{Ask, Cut, Feed, Write};
use super::log::Log;
use super::output::Output;
use super::text::{escape, quote, show_duration};
use super::wire::Step;

/// What came of a replay.
pub struct Run {
    pub log: String,
    /// What each exchange was given of its body.
    pub received: BTreeMap<u64, Vec<u8>>,
    /// The requests that were started.
    pub requests: Vec<Request>,
    pub output: Output,
    pub end: End,
}

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Open,
    Closed,
    /// Or the peer is gone.
    Reset,
    Switched,
}

/// Plays a case, its input cut in one way. An error is a law that was broken.
pub fn replay(case: &Case, cut: &Cut) -> Result<Run, String> {
    let mut world = World::new(case, cut);
    world.pump()?;
    for step in &case.wire.steps {
        world.happens(step)?;
    }
    world.finish()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eof {
    None,
    /// Behind the bytes that are under way.
    Coming {
        at_once: bool,
    },
    Told,
}

enum Life {
    Running,
    Closed { reset: bool },
    Switched { protocol: Bytes, leftover: Vec<u8> },
}

/// How many rounds without an end are taken for a livelock, besides those that bytes account for.
const MOST_ROUNDS: usize = 10_000;

struct World<'a> {
    case: &'a Case,
    cut: &'a Cut,
    conn: Connection,
    now: Instant,
    life: Life,
    log: Log,
    apps: Vec<App>,
    ids: Vec<ExchangeId>,
    requests: Vec<Request>,
    /// The transport is gone.
    is_lost: bool,
    /// How many of them were told to be over.
    disconnected: usize,
    fault: Option<ProtocolError>,
    /// What the connection waits for, when last asked.
    wait: Wait,
    part: Option<(u64, u64)>,
    /// Under way to the server.
    arriving: VecDeque<u8>,
    /// How much of the whole input was read.
    offset: usize,
    eof: Eof,
    /// How many bytes more the peer reads; `None`: all.
    room: Option<usize>,
    /// What the driver is to move by itself cannot be had.
    parts_fail: bool,
    /// Taken to be written, and not yet reported as written.
    in_flight: Bytes,
}

impl<'a> World<'a> {
    fn new(case: &'a Case, cut: &'a Cut) -> Self {
        Self {
            case,
            cut,
            conn: Connection::new(case.setup.config.clone()),
            now: Instant::ZERO,
            life: Life::Running,
            log: Log::default(),
            apps: Vec::new(),
            ids: Vec::new(),
            requests: Vec::new(),
            is_lost: false,
            disconnected: 0,
            fault: None,
            wait: Wait::default(),
            part: None,
            arriving: VecDeque::new(),
            offset: 0,
            eof: Eof::None,
            room: None,
            parts_fail: false,
            in_flight: Bytes::new(),
        }
    }

    fn happens(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Bytes(bytes) => self.arriving.extend(bytes),
            Step::Eof { at_once } => {
                self.eof = Eof::Coming { at_once: *at_once };
                return self.pump();
            }
            Step::Disconnect => {
                self.arriving.clear();
                self.eof = Eof::Told;
                self.is_lost = true;
                self.conn.handle_disconnect();
                if !matches!(self.life, Life::Switched { .. }) && self.conn.outgoing().next().is_some() {
                    return Err("something is to be written though the transport is gone".to_owned());
                }
                self.in_flight = Bytes::new();
            }
            Step::Shutdown => self.conn.handle_shutdown(),
            Step::Wait(time) => return self.passes(*time),
            Step::Block => self.room = Some(0),
            Step::Unblock => self.room = None,
            Step::Reads(count) => self.room = Some(*count),
            Step::PartsFail => self.parts_fail = true,
            Step::Date(seconds) => self.conn.set_date(Date::from_unix(*seconds)),
            Step::Look => {
                let wait = self.show_wait();
                self.log.driver(self.now, wait);
            }
        }
        // Where the end of the stream is seen together with the last byte, nothing is asked before it.
        let next = self.case.wire.steps.iter().skip_while(|other| !std::ptr::eq(*other, step)).nth(1);
        if let (Step::Bytes(_), Some(Step::Eof { at_once: true })) = (step, next) {
            return Ok(());
        }
        self.pump()
    }

    /// Time passes. What is due on the way happens at its own time, as a driver would wake for it.
    fn passes(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        loop {
            let wakes = self.apps.iter().filter_map(App::wakes);
            let next = wakes.chain(self.wait.deadline).filter(|&at| at > self.now).min();
            self.now = next.map_or(until, |next| next.min(until));
            self.pump()?;
            if self.now >= until {
                return Ok(());
            }
        }
    }

    /// All goes on until nothing moves.
    fn pump(&mut self) -> Result<(), String> {
        for _ in 0..MOST_ROUNDS + 64 * self.case.wire.input.len() {
            let mut moved = self.ask()?;
            if self.apps.iter().any(App::is_at_work) {
                moved |= self.run_apps()?;
                // A receive that found nothing is demand: what the connection waits for may have changed.
                moved |= self.ask()?;
            }
            if !moved && !self.write()? && !self.read() {
                return Ok(());
            }
        }
        Err("it goes on for ever".to_owned())
    }

    /// Asks for actions until it is to wait. True if there were others.
    fn ask(&mut self) -> Result<bool, String> {
        let mut told = false;
        loop {
            if let Life::Switched { .. } = self.life {
                return match self.conn.next_action(self.now) {
                    Action::Wait(wait) if wait == Wait::default() => Ok(told),
                    action => Err(format!("{action:?} after a switch")),
                };
            }
            let action = self.conn.next_action(self.now);
            if !matches!(action, Action::Start(..) | Action::Disconnect(_)) {
                self.note_fault();
            }
            if let Life::Closed { reset } = self.life {
                return if action == (Action::Close { reset }) {
                    Ok(told)
                } else {
                    Err(format!("{action:?} after a close"))
                };
            }
            match action {
                Action::Wait(wait) => {
                    (self.wait, self.part) = (wait, None);
                    self.check_wait()?;
                    let again = self.cut.asks_twice();
                    return if again && self.conn.next_action(self.now) != Action::Wait(wait) {
                        Err(format!("{wait:?} is not what is said when asked again"))
                    } else {
                        Ok(told)
                    };
                }
                Action::Transfer { token, remaining, wait } => {
                    (self.wait, self.part) = (wait, Some((token, remaining)));
                    self.check_wait()?;
                    return Ok(told);
                }
                Action::Start(id, request) => self.starts(id, &request)?,
                Action::Disconnect(id) => self.disconnects(id)?,
                Action::Shutdown => {
                    self.check_written("shutdown")?;
                    self.log.driver(self.now, "shutdown");
                }
                Action::Switch { protocol, leftover } => {
                    self.check_written("switch")?;
                    self.check_over("switch")?;
                    self.life = Life::Switched { protocol, leftover: leftover.to_vec() };
                    self.wait = Wait::default();
                }
                Action::Close { reset } => {
                    self.check_written("close")?;
                    self.check_over("close")?;
                    self.life = Life::Closed { reset };
                    self.wait = Wait::default();
                    let reason = match self.conn.close_reason() {
                        Some(sansgi::CloseReason::Fault(_)) => "Fault".to_owned(),
                        Some(reason) => format!("{reason:?}"),
                        None => return Err("a close without a reason".to_owned()),
                    };
                    let how = if reset { "close reset" } else { "close" };
                    self.log.driver(self.now, format!("{how}: {reason}"));
                }
                action => return Err(format!("an action that this driver does not know: {action:?}")),
            }
            told = true;
            self.check_old_ids()?;
        }
    }

    fn starts(&mut self, id: ExchangeId, request: &Request) -> Result<(), String> {
        if self.disconnected < self.ids.len() {
            return Err(format!("exchange {id} starts before the one before it is over"));
        }
        if self.ids.last().is_some_and(|last| *last >= id) {
            return Err(format!("exchange {id} starts again"));
        }
        let target = escape(request.target());
        let line = format!("start {id} {} {target} HTTP/{}", request.method(), request.version().as_str());
        self.log.driver(self.now, line);
        self.log.started(request.method());
        let script = match self.case.apps.get(self.ids.len()) {
            Some(script) => script.clone(),
            None => app::Script::default_script()?,
        };
        self.apps.extend(App::tasks(id, request, &script));
        self.ids.push(id);
        self.requests.push(request.clone());
        Ok(())
    }

    fn disconnects(&mut self, id: ExchangeId) -> Result<(), String> {
        if self.ids.get(self.disconnected) != Some(&id) {
            return Err(format!("a disconnect of {id}, which was told before or has not started"));
        }
        self.disconnected += 1;
        self.log.driver(self.now, format!("disconnect {id}"));
        Ok(())
    }

    fn run_apps(&mut self) -> Result<bool, String> {
        let mut moved = false;
        for at in 0..self.apps.len() {
            loop {
                let mut moment =
                    Moment { conn: &mut self.conn, now: self.now, started: self.ids.len() as u64, log: &mut self.log };
                let step = match self.apps.get_mut(at) {
                    Some(app) => app.step(&mut moment)?,
                    None => Moved::No,
                };
                if step == Moved::No {
                    break;
                }
                moved = true;
                if self.cut.ask == Ask::AfterEachCall {
                    self.ask()?;
                }
            }
        }
        Ok(moved)
    }

    /// Writes what the peer has room for. True if it did something.
    fn write(&mut self) -> Result<bool, String> {
        if !matches!(self.life, Life::Running) {
            return Ok(false);
        }
        if self.part.is_some() && self.parts_fail {
            self.conn.handle_transfer_failed();
            return Ok(true);
        }
        let room = self.room.unwrap_or(usize::MAX);
        if room == 0 {
            return Ok(false);
        }
        if !self.in_flight.is_empty() {
            let landed = self.in_flight.len().min(room);
            let bytes = self.in_flight.split_to(landed);
            self.wrote(&bytes);
            return Ok(true);
        }
        if let Some((token, remaining)) = self.part {
            let size = usize::try_from(remaining).unwrap_or(usize::MAX);
            let size = if self.cut.write == Write::ByteByByte { size.div_ceil(2) } else { size }.min(room);
            self.log.transferred(self.now, token, size as u64);
            self.written(size);
            return Ok(true);
        }
        let bytes: Vec<u8> = match self.cut.write {
            Write::All => self.conn.outgoing().flatten().copied().take(room).collect(),
            Write::ByteByByte => self.conn.outgoing().flatten().copied().take(1).collect(),
            Write::Taken | Write::TakenInHalves => {
                let Some(mut chunk) = self.conn.take_outgoing() else { return Ok(false) };
                if chunk.is_empty() {
                    return Err("an empty chunk was taken".to_owned());
                }
                let now = if self.cut.write == Write::Taken { chunk.len() } else { chunk.len().div_ceil(2) }.min(room);
                let bytes = chunk.split_to(now);
                self.in_flight = chunk;
                bytes.to_vec()
            }
        };
        if bytes.is_empty() {
            return Ok(false);
        }
        self.wrote(&bytes);
        Ok(true)
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.log.written(self.now, bytes);
        self.written(bytes.len());
    }

    fn written(&mut self, count: usize) {
        self.room = self.room.map(|room| room.saturating_sub(count));
        self.conn.handle_written(count);
    }

    /// Reads once, if that is asked for. True if it did something.
    fn read(&mut self) -> bool {
        match &mut self.life {
            Life::Running => {}
            Life::Closed { .. } => return false,
            Life::Switched { leftover, .. } => {
                let moved = !self.arriving.is_empty();
                leftover.extend(self.arriving.drain(..));
                return moved;
            }
        }
        if !self.wait.read {
            return false;
        }
        if !self.arriving.is_empty() {
            self.read_bytes();
            if !matches!(self.eof, Eof::Coming { at_once: true }) || !self.arriving.is_empty() {
                return true;
            }
        }
        if matches!(self.eof, Eof::Coming { .. }) {
            self.eof = Eof::Told;
            self.conn.handle_eof();
            return true;
        }
        false
    }

    fn read_bytes(&mut self) {
        let most = self.cut.until_next(self.offset).min(self.case.setup.read_buffer_bytes).min(self.arriving.len());
        let count = match self.cut.feed {
            Feed::Bytes => {
                let bytes: Vec<u8> = self.arriving.drain(..most).collect();
                self.conn.handle_bytes(&bytes);
                most
            }
            Feed::OwnBuffer => {
                let mut buffer = self.conn.read_buffer();
                let count = most.min(buffer.capacity());
                buffer.extend(self.arriving.drain(..count));
                self.conn.handle_read(buffer);
                count
            }
            Feed::ForeignBuffer => {
                drop(self.conn.read_buffer());
                let buffer: BytesMut = self.arriving.drain(..most).collect();
                self.conn.handle_read(buffer);
                most
            }
        };
        self.offset += count;
        if self.cut.clones {
            self.conn = self.conn.clone();
        }
    }

    /// Asked behind a `Disconnect`, since that comes before the fault where a response was complete already, and before
    /// anything else. In which of two calls at the same time it happens is up to the cut.
    fn note_fault(&mut self) {
        let fault = self.conn.fault();
        if fault != self.fault {
            let line = match fault {
                Some(fault) => format!("fault {} {}", show_fault(fault), fault.status()),
                None => "the fault is forgotten".to_owned(),
            };
            self.log.driver(self.now, line);
            self.fault = fault;
        }
    }

    fn check_wait(&self) -> Result<(), String> {
        let Wait { read, write, deadline } = self.wait;
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            return Err("a deadline that is not later than now".to_owned());
        }
        if read && self.eof == Eof::Told {
            return Err("it asks to read behind the end of the stream".to_owned());
        }
        if self.conn.outgoing().any(<[u8]>::is_empty) {
            return Err("an outgoing chunk is empty".to_owned());
        }
        let has_outgoing = self.part.is_some() || self.conn.outgoing().next().is_some();
        if write != has_outgoing {
            return Err(format!("write is {write}, but it is {has_outgoing} that something is outgoing"));
        }
        Ok(())
    }

    fn check_written(&self, what: &str) -> Result<(), String> {
        if self.conn.outgoing().next().is_some() { Err(format!("{what} before all is written")) } else { Ok(()) }
    }

    fn check_over(&self, what: &str) -> Result<(), String> {
        if self.disconnected < self.ids.len() { Err(format!("{what} before the exchange is over")) } else { Ok(()) }
    }

    /// "Once a response is complete, any further `receive` of that exchange is answered `Disconnect`, at once, for
    /// ever".
    fn check_old_ids(&mut self) -> Result<(), String> {
        let over = self.ids.get(..self.disconnected).unwrap_or_default();
        for &id in over.iter().rev().take(2).chain(over.first()) {
            let mut exchange = self.conn.exchange(id);
            if exchange.receive() != Poll::Ready(ReceiveEvent::Disconnect) {
                return Err(format!("exchange {id} is over, but receive is not Disconnect"));
            }
            if exchange.outcome().is_none() {
                return Err(format!("exchange {id} is over without an outcome"));
            }
        }
        Ok(())
    }

    fn show_wait(&self) -> String {
        if !matches!(self.life, Life::Running) {
            return "waits for nothing".to_owned();
        }
        let mut awaited = Vec::new();
        if let Some((token, remaining)) = self.part {
            awaited.push(format!("transfer of part {token}, {remaining} bytes"));
        }
        if self.wait.read {
            awaited.push("read".to_owned());
        }
        if self.wait.write || !self.in_flight.is_empty() {
            awaited.push("write".to_owned());
        }
        if let Some(deadline) = self.wait.deadline {
            awaited.push(format!("deadline in {}", show_duration(deadline.saturating_duration_since(self.now))));
        }
        if awaited.is_empty() {
            awaited.push("for the application".to_owned());
        }
        format!("waits {}", awaited.join(", "))
    }

    fn finish(mut self) -> Result<Run, String> {
        match &self.life {
            Life::Running => {
                let wait = self.show_wait();
                self.log.driver(self.now, wait);
            }
            Life::Switched { protocol, leftover } => {
                let line = format!("switch {} leftover {}", quote(protocol), quote(leftover));
                self.log.driver(self.now, line);
                self.check_dead()?;
            }
            Life::Closed { .. } => self.check_dead()?,
        }
        let end = match self.life {
            Life::Switched { .. } => End::Switched,
            Life::Running if !self.is_lost => End::Open,
            Life::Closed { reset: false } if !self.is_lost => End::Closed,
            Life::Running | Life::Closed { .. } => End::Reset,
        };
        Ok(Run {
            log: self.log.render(),
            received: self.log.received().clone(),
            requests: self.requests,
            output: self.log.into_output(),
            end,
        })
    }

    /// After the end all inputs are taken and change nothing.
    fn check_dead(&mut self) -> Result<(), String> {
        let fault = self.conn.fault();
        self.conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: late\r\n\r\n");
        self.ask()?;
        self.conn.handle_eof();
        self.ask()?;
        self.conn.handle_written(1);
        self.conn.handle_shutdown();
        self.passes(Duration::from_secs(1000))?;
        self.conn.handle_disconnect();
        self.ask()?;
        self.check_old_ids()?;
        if self.conn.fault() != fault {
            return Err("a fault after the end".to_owned());
        }
        if self.conn.outgoing().next().is_some() {
            return Err("something to write after the end".to_owned());
        }
        Ok(())
    }
}

fn show_fault(fault: ProtocolError) -> String {
    match fault {
        ProtocolError::LimitExceeded { limit, max } => format!("{limit:?}({max})"),
        fault => format!("{fault:?}"),
    }
}

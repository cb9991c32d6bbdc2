//! The connection: the only place that sees both halves, the state, and the time.

mod application;
mod interpretation;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use bytes::{Bytes, BytesMut};

use crate::action::{Action, Wait};
use crate::config::Config;
use crate::date::Date;
use crate::error::{CloseReason, ProtocolError};
use crate::exchange::{Exchange, ExchangeId};
use crate::outgoing::{Chunks, Due};
use crate::reader::Reader;
use crate::state::{Effect, End, Event, Next, Reading, State, Tell, Writing};
use crate::time::{Awaited, Instant, Overdue, Turn, Waits};
use crate::writer::Writer;

/// One HTTP/1.1 server connection: bytes and application events in, actions out. It does no I/O.
///
/// Its methods are of four kinds: `handle_*` tell what the world did and cannot fail;
/// [`next_action`](Self::next_action) says what to do next, and [`outgoing`](Self::outgoing) what to write;
/// [`exchange`](Self::exchange) is the application's half; [`fault`](Self::fault) and
/// [`close_reason`](Self::close_reason) are for the log. The crate's documentation has the rules and a whole driver.
///
/// # Examples
/// ```
/// use sansgi::{Action, Config, Connection, Instant, SendEvent};
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"GET / HTTP/1.0\r\n\r\n");
/// let Action::Start(id, _request) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// let mut exchange = conn.exchange(id);
/// exchange.send(SendEvent::ResponseStart { status: 204, headers: &[], trailers: false })?;
/// exchange.send(SendEvent::ResponseBody { body: Default::default(), more_body: false })?;
/// let out: Vec<u8> = conn.outgoing().flatten().copied().collect();
/// assert_eq!(out, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
/// # Ok::<(), sansgi::SendError>(())
/// ```
#[derive(Clone)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    reader: Reader,
    writer: Writer,
    waits: Waits,
    date: Option<Date>,
    /// Of the current exchange, or of the last one; 0 before the first.
    id: ExchangeId,
    /// To switch to, once the response that says so is written.
    protocol: Bytes,
    fault: Option<ProtocolError>,
    close_reason: Option<CloseReason>,
    is_shutting_down: bool,
    /// Something came since the last turn.
    was_read: bool,
    /// Something was written since the last turn.
    was_written: bool,
}

/// In one read buffer, of however many bytes may be read ahead: more than a socket holds.
const MOST_ROOM: usize = 1 << 24;

/// All that a call can change for those who wait.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    state: State,
    id: ExchangeId,
    unread_bytes: usize,
    has_ended: bool,
    unwritten_bytes: u64,
}

#[cfg(feature = "std")]
impl Stamp {
    /// Whether anything but the number of unwritten bytes is not as in `other`.
    pub(crate) fn differs_beside_writing(self, other: Self) -> bool {
        Self { unwritten_bytes: other.unwritten_bytes, ..self } != other
    }
}

/// What the world did.
impl Connection {
    /// A new connection, of which no byte has come.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use sansgi::{Config, Connection};
    /// let config = Arc::new(Config::default()); // one for all connections
    /// let conn = Connection::new(Arc::clone(&config));
    /// ```
    pub fn new(config: impl Into<Arc<Config>>) -> Self {
        Self {
            config: config.into(),
            state: State::NEW,
            reader: Reader::new(),
            writer: Writer::new(),
            waits: Waits::NONE,
            date: None,
            id: ExchangeId(0),
            protocol: Bytes::new(),
            fault: None,
            close_reason: None,
            is_shutting_down: false,
            was_read: false,
            was_written: false,
        }
    }

    /// These bytes came. They are copied and never refused. Bytes that were not asked for, and those beyond
    /// [`Limits::read_buffer_bytes`](crate::Limits::read_buffer_bytes) in one call, are held on top of
    /// [`Config::memory_bound`].
    ///
    /// # Examples
    /// ```
    /// # let mut conn = sansgi::Connection::new(sansgi::Config::default());
    /// conn.handle_bytes(b"GET / HT");
    /// conn.handle_bytes(b"TP/1.1\r\n");
    /// ```
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.takes(bytes.len()) {
            self.reader.incoming.push(bytes);
        }
    }

    /// An empty buffer with room for as much as may be read now, to be filled and given to
    /// [`handle_read`](Self::handle_read). It is yours: lend it to a kernel, keep it for as long as you like, make any
    /// other call meanwhile, or drop it. Ask for it only when there is something to read, so that a connection that
    /// idles, or whose response takes its time, holds no buffer. One that has content to come keeps what it was read
    /// into for the next read.
    ///
    /// # Examples
    /// ```
    /// # let mut conn = sansgi::Connection::new(sansgi::Config::default());
    /// let buffer = conn.read_buffer();
    /// assert!(buffer.is_empty() && buffer.capacity() >= 16 * 1024);
    /// ```
    #[must_use = "the room is in the buffer"]
    pub fn read_buffer(&mut self) -> BytesMut {
        let size = self.config.limits.read_buffer_bytes;
        let here = if self.reads_ahead() { self.reader.incoming.bytes.len() } else { 0 };
        // Never without room: a read into nothing looks like the end of the stream.
        self.reader.incoming.lend(size.saturating_sub(here).clamp(1, MOST_ROOM))
    }

    /// The bytes in this buffer came. This does what [`handle_bytes`](Self::handle_bytes) does with them, but copies
    /// nothing if no other bytes are held, or if the buffer is the one that [`read_buffer`](Self::read_buffer) gave.
    ///
    /// Bytes that are not copied keep their whole buffer in memory, its unused capacity included. So a buffer of your
    /// own should be no larger than [`Limits::read_buffer_bytes`](crate::Limits::read_buffer_bytes), the size that
    /// [`Config::memory_bound`] counts with.
    ///
    /// # Examples
    /// ```
    /// # use std::io::Read;
    /// # let mut conn = sansgi::Connection::new(sansgi::Config::default());
    /// # let mut socket = &b"GET / HTTP/1.1\r\n"[..];
    /// let mut buffer = conn.read_buffer();
    /// buffer.resize(buffer.capacity(), 0);
    /// let n = socket.read(&mut buffer)?;
    /// buffer.truncate(n);
    /// if n == 0 { conn.handle_eof() } else { conn.handle_read(buffer) }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn handle_read(&mut self, buffer: BytesMut) {
        if self.takes(buffer.len()) {
            self.reader.incoming.push_buffer(buffer);
        }
    }

    /// The peer has closed its sending half: a read gave no bytes.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant};
    /// let mut conn = Connection::new(Config::default());
    /// conn.handle_eof();
    /// assert_eq!(conn.next_action(Instant::ZERO), Action::Close { reset: false });
    /// ```
    pub fn handle_eof(&mut self) {
        self.reader.incoming.ended = true;
    }

    /// The kernel has taken `written` more bytes: of [`outgoing`](Self::outgoing), of a chunk that was taken, or of a
    /// transfer. A number greater than what is unwritten counts as all of it.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Config, Connection, Instant};
    /// let mut conn = Connection::new(Config::default());
    /// conn.handle_bytes(b"?\r\n");
    /// let _ = conn.next_action(Instant::ZERO);
    /// let first = conn.outgoing().next().map_or(0, <[u8]>::len);
    /// conn.handle_written(first);
    /// assert_eq!(conn.outgoing().count(), 0);
    /// ```
    pub fn handle_written(&mut self, written: usize) {
        if written > 0 {
            self.was_written = true;
            self.writer.outgoing.written(u64::try_from(written).unwrap_or(u64::MAX));
        }
    }

    /// The transport is gone: a reset, a failed write, a hang-up. Nothing is delivered or written any more. A read that
    /// gave no bytes is [`handle_eof`](Self::handle_eof) instead: that client may still read its answer.
    ///
    /// An exchange that is under way is over: its application receives
    /// [`ReceiveEvent::Disconnect`](crate::ReceiveEvent::Disconnect), and [`Action::Disconnect`] is told.
    ///
    /// # Examples
    /// See [`Outcome`](crate::Outcome).
    pub fn handle_disconnect(&mut self) {
        self.happened(Event::Lost, CloseReason::ClientLeft);
        if self.state.next == Next::Close {
            self.writer.outgoing.clear();
            self.reader.incoming.clear();
        }
    }

    /// The bytes of the [`Action::Transfer`] that is due cannot be had: its file is shorter than announced, or
    /// unreadable. The response is cut: what is unwritten is dropped, and `Close { reset: true }` follows.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Action, Config, Connection, Instant, SendEvent};
    /// # let mut conn = Connection::new(Config::default());
    /// # conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    /// # let Action::Start(id, _) = conn.next_action(Instant::ZERO) else { unreachable!() };
    /// conn.exchange(id).send(SendEvent::ResponseStart { status: 200, headers: &[], trailers: false })?;
    /// conn.exchange(id).send(SendEvent::ResponsePart { token: 7, len: 100, more_body: false })?;
    /// assert_eq!(conn.next_action(Instant::ZERO), Action::Disconnect(id));
    /// let head = conn.outgoing().map(<[u8]>::len).sum();
    /// conn.handle_written(head);
    /// assert!(matches!(conn.next_action(Instant::ZERO), Action::Transfer { token: 7, remaining: 100, .. }));
    /// conn.handle_written(40);
    /// conn.handle_transfer_failed();
    /// assert_eq!(conn.next_action(Instant::ZERO), Action::Close { reset: true });
    /// # Ok::<(), sansgi::SendError>(())
    /// ```
    pub fn handle_transfer_failed(&mut self) {
        if matches!(self.writer.outgoing.due(), Due::Part { .. }) {
            self.writer.outgoing.clear();
            self.happened(Event::TransferFailed, CloseReason::TransferFailed);
        }
    }

    /// Finish the exchange that is in flight, then close. If there is none, the connection closes as soon as everything
    /// unwritten is written. A request that was not started, or is here only in part, gets no answer. Calling this
    /// again does no harm.
    ///
    /// The application is not told. An exchange that outlasts [`Timeouts::shutdown`](crate::Timeouts::shutdown) is cut
    /// off.
    ///
    /// # Examples
    /// See [`CloseReason`].
    pub fn handle_shutdown(&mut self) {
        self.is_shutting_down = true;
        let event = if self.writer.outgoing.is_empty() { Event::Shutdown } else { Event::LastRequest };
        self.happened(event, CloseReason::Shutdown);
    }

    /// The `date` of every head made from now on. Without it there is none: "An origin server without a clock … MUST
    /// NOT generate a Date" (RFC 9110 §6.6.1). A head is made when its `ResponseStart` is sent. So set the date when
    /// the connection is made and before each turn. Where an application may run for long between two turns, set it
    /// once a second too, or just before it sends. This changes no answer and wakes nobody.
    ///
    /// # Examples
    /// ```
    /// # let mut conn = sansgi::Connection::new(sansgi::Config::default());
    /// conn.set_date(sansgi::Date::from_unix(1_700_000_000));
    /// ```
    pub fn set_date(&mut self, date: Date) {
        self.date = Some(date);
    }

    /// How it stands, for those who wake tasks.
    #[cfg(feature = "std")]
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            state: self.state,
            id: self.id,
            unread_bytes: self.reader.incoming.bytes.len(),
            has_ended: self.reader.incoming.ended,
            unwritten_bytes: self.writer.outgoing.unwritten(),
        }
    }

    /// Whether what comes is neither parsed nor stored. As long as the application may still hand the connection over,
    /// it may be the next protocol's.
    #[inline]
    fn discards(&self) -> bool {
        self.state.discards() && !(self.state.writing == Writing::Head && self.reader.may_switch())
    }

    /// Takes note that so many bytes came. True if they are kept.
    fn takes(&mut self, length: usize) -> bool {
        if length == 0 {
            return false;
        }
        self.was_read = true;
        !self.reader.incoming.ended && !self.discards()
    }
}

/// What to do next.
impl Connection {
    /// What the driver does next. Ask until it answers `Wait`, and again after any other call, the application's too.
    ///
    /// Time enters here and nowhere else, on a scale of the driver's choice. A `now` that is earlier than the latest
    /// one told counts as that one. Whatever is due by now happens first.
    ///
    /// # Examples
    /// See [`Action`].
    pub fn next_action(&mut self, now: Instant) -> Action {
        let now = self.waits.advance(now);
        if self.waits_for_a_head_only()
            && let Some(action) = self.look_at_a_piece_of_a_head()
        {
            return action;
        }
        debug_assert!(
            self.state.reading != Reading::Head
                || self.reader.incoming.ended
                || self.was_written
                || !self.writer.outgoing.is_empty()
                || self.waits.first_due().is_some_and(|due| due <= now),
            "while nothing else can happen a piece of a head does not come here"
        );
        loop {
            if self.waits.overdue_before_reading(&self.config.timeouts).is_some() {
                // Unless it is over, or what was written since has put it off.
                self.turn();
                if let Some(overdue) = self.waits.overdue_before_reading(&self.config.timeouts) {
                    self.expire(overdue);
                    continue;
                }
            }
            if let Some(request) = self.interpret() {
                return self.start(request);
            }
            self.turn();
            match self.state.tell(!self.writer.outgoing.is_empty()) {
                Tell::Nothing => {}
                Tell::Disconnect => {
                    self.moved_on(Event::DisconnectTold);
                    return Action::Disconnect(self.id);
                }
                Tell::End(end) => return self.tell_end(end),
            }
            match self.waits.deadline(&self.config.timeouts, self.reader.content_bytes()) {
                Ok(deadline) => return self.wait(deadline),
                Err(overdue) => self.expire(overdue),
            }
        }
    }

    /// The chunks to write now, in order, for a vectored write; none of them is empty. Looking removes nothing:
    /// [`handle_written`](Self::handle_written) does.
    ///
    /// # Examples
    /// See [`Chunks`].
    pub fn outgoing(&self) -> Chunks<'_> {
        self.writer.outgoing.chunks()
    }

    /// Takes the first chunk of [`outgoing`](Self::outgoing), for a kernel that keeps it while it writes. It still
    /// counts as unwritten until [`handle_written`](Self::handle_written) has counted all of it.
    ///
    /// # Examples
    /// ```
    /// # use sansgi::{Config, Connection, Instant};
    /// # let mut conn = Connection::new(Config::default());
    /// # conn.handle_bytes(b"?\r\n");
    /// # let _ = conn.next_action(Instant::ZERO);
    /// while let Some(chunk) = conn.take_outgoing() {
    ///     let written = chunk.len(); // by a kernel, later
    ///     conn.handle_written(written);
    /// }
    /// ```
    #[must_use = "a chunk is taken once"]
    pub fn take_outgoing(&mut self) -> Option<Bytes> {
        self.writer.outgoing.take()
    }

    /// The application's half of an exchange, for any id at any time.
    ///
    /// # Examples
    /// See [`Exchange`].
    pub fn exchange(&mut self, id: ExchangeId) -> Exchange<'_> {
        Exchange { connection: self, id }
    }

    /// What the peer did wrong, if it did.
    ///
    /// # Examples
    /// See [`ProtocolError`].
    pub fn fault(&self) -> Option<ProtocolError> {
        self.fault
    }

    /// Why the connection ends; `None` as long as nothing has decided that. The first reason stands, unless something
    /// later breaks an exchange off or cuts its response: then that is the reason.
    ///
    /// # Examples
    /// See [`CloseReason`].
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason
    }

    /// All that decides how it goes on, without instants, and with counters saturated: equal fingerprints behave the
    /// same. For exhaustive exploration by clones.
    #[doc(hidden)]
    pub fn fingerprint(&self) -> String {
        let exchange = self.id.0.min(1);
        let (reader, writer, waits) = (self.reader.fingerprint(), self.writer.fingerprint(), self.waits.fingerprint());
        let high = self.is_above_high_water();
        let (state, fault, reason, shutdown) = (self.state, self.fault, self.close_reason, self.is_shutting_down);
        let told = (self.was_read, self.was_written);
        format!("{exchange} {state:?} {fault:?} {reason:?} {shutdown} {told:?} | {reader} | {writer} {high} | {waits}")
    }

    /// Bytes that were looked at to interpret what came, each as often as it was looked at.
    #[doc(hidden)]
    pub fn bytes_examined(&self) -> u64 {
        self.reader.bytes_examined()
    }

    /// What is told when the connection is over.
    #[cold] // mostly there is a next request
    fn tell_end(&mut self, end: End) -> Action {
        self.moved_on(Event::EndTold);
        match end {
            End::Shutdown => Action::Shutdown,
            End::Switch => {
                let leftover = core::mem::take(&mut self.reader.incoming.bytes).freeze();
                Action::Switch { protocol: core::mem::take(&mut self.protocol), leftover }
            }
            End::Close { reset } => Action::Close { reset },
        }
    }

    fn wait(&self, deadline: Option<Instant>) -> Action {
        let due = if self.writer.outgoing.is_empty() { Due::Nothing } else { self.writer.outgoing.due() };
        let wait = Wait { read: self.wants_to_read(), write: due != Due::Nothing, deadline };
        match due {
            Due::Part { token, remaining } => Action::Transfer { token, remaining, wait },
            Due::Bytes | Due::Nothing => Action::Wait(wait),
        }
    }

    /// Where somebody asks, or where it is thrown away, reading goes on: the limits bound it. What would wait for
    /// somebody to ask is read as far as the buffer has room. What comes behind a switch is for the next protocol to
    /// read.
    fn wants_to_read(&self) -> bool {
        if self.reader.incoming.ended {
            return false;
        }
        match self.state.reading {
            Reading::Closed => !self.state.hands_over(),
            Reading::Idle | Reading::Head | Reading::Body | Reading::Wanted | Reading::Draining | Reading::Ended => {
                !self.reads_ahead() || self.has_room()
            }
        }
    }

    /// Whether what is read now waits for somebody to ask.
    fn reads_ahead(&self) -> bool {
        match self.state.reading {
            Reading::Head | Reading::Wanted | Reading::Draining | Reading::Closed => false,
            Reading::Idle => self.is_above_high_water(),
            Reading::Body | Reading::Ended => !self.discards(),
        }
    }

    fn has_room(&self) -> bool {
        self.reader.incoming.bytes.len() < self.config.limits.read_buffer_bytes
    }

    fn is_above_high_water(&self) -> bool {
        self.writer.outgoing.holds(self.config.limits.high_water_bytes)
    }
}

/// Time.
impl Connection {
    /// Tells [`Waits`] what is waited for now, and what of it has come since it was last told.
    fn turn(&mut self) {
        self.turn_to(self.awaited());
    }

    /// What the peer is waited for to send.
    fn awaited(&self) -> Awaited {
        match self.state.reading {
            Reading::Idle if self.writer.outgoing.is_empty() => Awaited::Request,
            Reading::Head => Awaited::Head,
            Reading::Wanted | Reading::Draining => Awaited::Body,
            Reading::Closed if self.state.next == Next::Lingering => Awaited::Close,
            Reading::Idle | Reading::Body | Reading::Ended | Reading::Closed => Awaited::Nothing,
        }
    }

    fn turn_to(&mut self, awaited: Awaited) {
        let unwritten = !self.writer.outgoing.is_empty();
        let has_come = match awaited {
            Awaited::Body => self.reader.has_progressed,
            Awaited::Close => self.was_read,
            Awaited::Nothing | Awaited::Request | Awaited::Head => false,
        };
        let turn = Turn { awaited, has_come, unwritten, was_written: self.was_written };
        self.waits.turn(turn, &self.config.timeouts);
        if self.is_shutting_down {
            self.waits.turn_of_a_shutdown(self.state.in_flight(), &self.config.timeouts);
        }
        self.reader.has_progressed = false;
        self.was_read = false;
        self.was_written = false;
    }

    #[cold]
    fn expire(&mut self, overdue: Overdue) {
        match overdue {
            Overdue::Write => {
                self.writer.outgoing.clear();
                self.happened(Event::WriteTimeout, CloseReason::WriteTimeout);
            }
            Overdue::Shutdown => self.happened(Event::ShutdownTimeout, CloseReason::ShutdownTimeout),
            Overdue::Peer(Awaited::Request) => self.happened(Event::IdleTimeout, CloseReason::Idle),
            Overdue::Peer(Awaited::Head) => self.break_off(ProtocolError::HeadTimeout, Event::ReadTimeout),
            Overdue::Peer(Awaited::Body) => {
                let too_slow = self.waits.rate_is_overdue(&self.config.timeouts, self.reader.content_bytes());
                let error = if too_slow { ProtocolError::BodyRate } else { ProtocolError::BodyTimeout };
                self.break_off(error, Event::ReadTimeout);
            }
            Overdue::Peer(Awaited::Close | Awaited::Nothing) => {
                self.moved_on(Event::LingerTimeout);
            }
        }
    }

    /// The peer's fault, or its silence.
    #[cold]
    fn break_off(&mut self, error: ProtocolError, event: Event) {
        self.fault = self.fault.or(Some(error));
        self.happened(event, CloseReason::Fault(error));
    }
}

/// The state.
impl Connection {
    /// Takes a transition that cannot be refused, or was found legal before, and is not what ends the connection.
    #[inline]
    fn moved_on(&mut self, event: Event) {
        let taken = self.state.take(event);
        debug_assert!(
            taken.is_ok_and(|effect| effect == Effect::Nothing)
                && (self.state.next == Next::Request || self.close_reason.is_some()),
            "{event:?} does no more than to move on to {:?}",
            self.state
        );
    }

    /// Takes a transition that cannot be refused, or was found legal before. `reason` is why the connection ends, if
    /// this is what ends it.
    #[inline(never)] // it is rare that one of these happens
    fn happened(&mut self, event: Event, reason: CloseReason) {
        let taken = self.state.on(event);
        debug_assert!(taken.is_ok(), "{event:?} is legal in {:?}", self.state);
        let Ok((after, effect)) = taken else { return };
        let before = core::mem::replace(&mut self.state, after);
        // The first reason stands, but for what then breaks an exchange off, or cuts a response that was complete.
        let is_broken_off = before.in_flight() && after.is_broken_off();
        let is_cut = before.next != Next::Reset && after.next == Next::Reset;
        let is_dropped = event == Event::Lost && before.next != Next::Reset && !self.writer.outgoing.is_empty();
        let is_no_switch = before.hands_over() && !after.hands_over();
        if is_broken_off
            || is_cut
            || is_dropped
            || is_no_switch
            || self.close_reason.is_none() && after.next != Next::Request
        {
            self.close_reason = Some(reason);
        }
        if effect == Effect::Answer {
            let status = match (event, self.fault) {
                (Event::Fault | Event::ReadTimeout, Some(fault)) => fault.status(),
                _ => 500,
            };
            self.writer.write_error(status, &self.config, self.date);
        } else if before.in_flight() && !after.in_flight() {
            // Of a response that will never be complete, what was accepted but not out is not sent either.
            self.writer.drop_head();
        }
    }
}

/// Its state, without a byte of what it holds.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("state", &self.state)
            .field("exchange", &self.id)
            .field("unread_bytes", &self.reader.incoming.bytes.len())
            .field("unwritten_bytes", &self.writer.outgoing.unwritten())
            .field("fault", &self.fault)
            .field("close_reason", &self.close_reason)
            .finish_non_exhaustive()
    }
}

//! M: what a connection does, said a second time, from the rules of the exchange and without a look at the state
//! machine.
//!
//! Three automata that know little of each other: a [`Reader`] that takes the stream byte by byte, as far as somebody
//! asks; a [`Writer`] that frames one response and says what becomes unwritten; and the application's contract, which
//! is one field, `over`. What joins them is [`Model::ask`]. It knows the few requests of the exploration and no others:
//! what they say is a table ([`Kind`]).
//!
//! It predicts answers, actions, deadlines, and whether bytes become unwritten; never which bytes: a validator judges
//! those.

#![allow(
    clippy::struct_excessive_bools,
    reason = "a model says what is so and what not; what follows from it is a function"
)]

mod reader;

use std::collections::VecDeque;

pub(crate) use reader::Kind;
use reader::{Fault, Head, Reader, head};

/// Nanoseconds.
pub(crate) type Time = u64;

/// What the config says, as far as the exploration varies it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) half_close: HalfClose,
    /// The rest of a request is thrown away behind an early response, and the connection kept.
    pub(crate) drains: bool,
    /// Any unwritten byte is as much as the high-water mark; else none is.
    pub(crate) one_byte_is_high_water: bool,
    pub(crate) most_requests: u64,
    pub(crate) budget: u64,
    pub(crate) read_buffer: usize,
    pub(crate) head_limit: usize,
    pub(crate) trailer_limit: usize,
    pub(crate) times: Times,
}

/// What a client means that closes its sending half after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfClose {
    /// `receive` is Disconnect behind what was to be delivered, and the response goes on.
    Told,
    Ignored,
    /// It has left, as one that is gone; but what was to be delivered comes first, and what was accepted is written.
    Left,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) idle: Time,
    pub(crate) head: Time,
    pub(crate) body: Time,
    pub(crate) write: Time,
    pub(crate) linger_quiet: Time,
    pub(crate) linger: Time,
    pub(crate) shutdown: Time,
}

/// Why `receive` says Disconnect, in the words of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Complete,
    HalfClosed,
    ClientLeft,
    Fault,
    TimedOut,
    Failed,
    Switched,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    Pending,
    /// Content that may be given now, and whether nothing more follows it.
    Part(Vec<u8>, bool),
    /// What comes next breaks the protocol: pending until that is found, or found at once.
    Fault,
    Disconnect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Misuse,
    Complete,
    Disconnected,
}

/// What an application sends, as far as the exchange cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Send {
    Start(Start),
    /// So many bytes, opaque or not.
    Body {
        length: u64,
        is_opaque: bool,
        more: bool,
    },
    Trailers {
        more: bool,
    },
    Informational,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) status: u16,
    pub(crate) is_valid: bool,
    pub(crate) length: Option<u64>,
    pub(crate) trailers: bool,
    pub(crate) closes: bool,
}

/// What the driver is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Start(u64, Kind),
    Disconnect(u64),
    Transfer(Wait),
    Switch { leftover: Vec<u8> },
    Shutdown,
    Close { reset: Option<bool> },
    Wait(Wait),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wait {
    /// `None`: that is the reader's own affair.
    pub(crate) read: Option<bool>,
    pub(crate) write: bool,
    pub(crate) deadline: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Head,
    /// Of a declared length.
    Content,
    Chunks,
    BehindTheRequest,
    /// It is thrown away.
    Nowhere,
}

/// How far the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    NotStarted,
    /// Accepted, and held until the first body event.
    Held(Body),
    Out(Body),
    /// The body has ended, trailers follow.
    AwaitsTrailers(Body),
    /// Also between exchanges.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Body {
    framing: Framing,
    has_trailers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// There is none; what the application sends is dropped.
    Dropped,
    /// So much is left.
    Length(u64),
    Chunked,
    UntilClose,
}

/// What is unwritten, in order; neighbours of the same kind are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Bytes,
    /// Bytes that the driver moves, so many are left.
    Opaque(u64),
}

/// What becomes of the connection once nothing is unwritten and no exchange is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    None,
    Shutdown,
    /// `Shutdown` was told.
    Lingering,
    Close,
    Reset,
    /// The transport is gone: whether one resets it is all the same.
    Gone,
    Closed,
    Switch,
    Switched,
}

/// A wait that is on: since when.
type Since = Option<Time>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    Idle,
    Head,
    Body,
    Write,
    Linger,
    Shutdown,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) policy: Policy,
    // The stream.
    reader: Reader,
    buffer: VecDeque<u8>,
    eof: bool,
    /// At the end of the stream it was seen that the request is whole.
    rest_is_not_torn: bool,
    // The exchange.
    id: u64,
    kind: Kind,
    /// The contract: why the application is given and may send nothing more.
    over: Option<Outcome>,
    disconnect_is_told: bool,
    wants_body: bool,
    continue_is_due: bool,
    was_continued: bool,
    drained: u64,
    is_last: bool,
    // The response.
    writer: Writer,
    pub(crate) unwritten: VecDeque<Run>,
    ending: Ending,
    is_shutting_down: bool,
    status: Option<u16>,
    // Time.
    now: Time,
    idle: Since,
    head: Since,
    body: Since,
    write: Since,
    linger: Since,
    quiet: Since,
    shutdown: Since,
    head_has_begun: bool,
    content_came: bool,
    anything_came: bool,
    anything_was_written: bool,
}

/// The world.
impl Model {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            reader: Reader::Head { a_blank_line_came: false },
            buffer: VecDeque::new(),
            eof: false,
            rest_is_not_torn: false,
            id: 0,
            kind: Kind::NONE,
            over: Some(Outcome::Complete),
            disconnect_is_told: true,
            wants_body: false,
            continue_is_due: false,
            was_continued: false,
            drained: 0,
            is_last: false,
            writer: Writer::Done,
            unwritten: VecDeque::new(),
            ending: Ending::None,
            is_shutting_down: false,
            status: None,
            now: 0,
            idle: None,
            head: None,
            body: None,
            write: None,
            linger: None,
            quiet: None,
            shutdown: None,
            head_has_begun: false,
            content_came: false,
            anything_came: false,
            anything_was_written: false,
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.anything_came = true;
        // What is thrown away goes when it is looked at, and behind the end of the stream nothing else is sent.
        self.buffer.extend(bytes);
    }

    pub(crate) fn eof(&mut self) {
        self.eof = true;
    }

    /// The first run, and all of it.
    pub(crate) fn written(&mut self) {
        self.anything_was_written = true;
        self.unwritten.pop_front();
    }

    /// Not all of it.
    pub(crate) fn partly_written(&mut self) {
        self.anything_was_written = true;
    }

    pub(crate) fn lost(&mut self) {
        if self.is_finished() {
            return;
        }
        self.unwritten.clear();
        self.break_off(Outcome::ClientLeft, None);
        self.ending = Ending::Gone;
    }

    pub(crate) fn shutdown(&mut self) {
        if self.is_shutting_down {
            return;
        }
        self.is_shutting_down = true;
        if self.is_in_flight() {
            self.is_last = true;
        } else if self.ending == Ending::None {
            // "No request, or part of a head: close at once". "Every close after a response lingers."
            let response_is_under_way = !self.unwritten.is_empty() || !matches!(self.reader, Reader::Head { .. });
            self.ending = if response_is_under_way { Ending::Shutdown } else { Ending::Close };
        }
    }

    pub(crate) fn transfer_failed(&mut self) {
        if matches!(self.unwritten.front(), Some(Run::Opaque(_))) {
            self.unwritten.clear();
            self.break_off(Outcome::Failed, None);
            self.ending = Ending::Reset;
        }
    }
}

/// The application.
impl Model {
    pub(crate) fn receive(&mut self) -> Receive {
        if self.disconnects() {
            return Receive::Disconnect;
        }
        if std::mem::take(&mut self.continue_is_due) {
            self.was_continued = true;
            self.push(Run::Bytes);
        }
        if self.reader == Reader::End {
            return Receive::Pending;
        }
        match self.look() {
            Ok((content, ended)) if ended || !content.is_empty() => Receive::Part(content, ended),
            Ok(_) => {
                self.wants_body = true;
                Receive::Pending
            }
            Err(_) => {
                self.wants_body = true;
                Receive::Fault
            }
        }
    }

    /// Of the part that may be given, so many bytes were; and that they are the last.
    pub(crate) fn received(&mut self, mut count: usize, is_last: bool) {
        self.wants_body = false;
        self.continue_is_due = false;
        while count > 0 || is_last && !self.reader.is_at_end() {
            if let Ok(Some(_)) = self.take() {
                count -= 1;
            }
        }
        if is_last {
            self.reader = Reader::End;
        }
    }

    pub(crate) fn send(&mut self, event: Send) -> Result<(), Refused> {
        match self.over {
            Some(Outcome::Complete | Outcome::Failed | Outcome::Switched) => return Err(Refused::Complete),
            Some(Outcome::ClientLeft | Outcome::Fault | Outcome::TimedOut) => return Err(Refused::Disconnected),
            // A client that has closed its half is still answered.
            None | Some(Outcome::HalfClosed) => {}
        }
        match (event, self.writer) {
            (Send::Start(start), Writer::NotStarted) => self.start(start),
            (Send::Body { length, is_opaque, more }, Writer::Held(body)) => {
                self.send_body(body, true, length, is_opaque, more)
            }
            (Send::Body { length, is_opaque, more }, Writer::Out(body)) => {
                self.send_body(body, false, length, is_opaque, more)
            }
            (Send::Trailers { more }, Writer::AwaitsTrailers(body)) => {
                if body.framing == Framing::Chunked && (self.kind.takes_trailers || !more) {
                    self.push(Run::Bytes);
                }
                if !more {
                    self.complete();
                }
                Ok(())
            }
            (Send::Informational, Writer::NotStarted | Writer::Held(_)) => {
                if self.kind.minor == 1 {
                    self.push(Run::Bytes);
                }
                Ok(())
            }
            (Send::Informational, _) => Ok(()),
            _ => Err(Refused::Misuse),
        }
    }

    fn start(&mut self, start: Start) -> Result<(), Refused> {
        let is_tunnel = self.kind.is_connect && (200..300).contains(&start.status);
        if !start.is_valid || start.status == 101 && !self.kind.upgrades {
            return Err(Refused::Misuse);
        }
        if start.status == 101 || is_tunnel {
            self.push(Run::Bytes);
            self.writer = Writer::Done;
            self.over = Some(Outcome::Switched);
            self.ending = Ending::Switch;
            return Ok(());
        }
        let framing = match start.length {
            _ if self.kind.is_head || start.status == 204 => Framing::Dropped,
            Some(length) => Framing::Length(length),
            None if self.kind.minor == 1 => Framing::Chunked,
            None => Framing::UntilClose,
        };
        // A CONNECT that is refused: what follows it is the tunnel's, not a request.
        self.is_last |= start.closes || framing == Framing::UntilClose || self.kind.is_connect;
        self.writer = Writer::Held(Body { framing, has_trailers: start.trailers });
        Ok(())
    }

    fn send_body(
        &mut self,
        mut body: Body,
        is_first: bool,
        length: u64,
        is_opaque: bool,
        more: bool,
    ) -> Result<(), Refused> {
        if let Framing::Length(left) = &mut body.framing {
            *left = left.checked_sub(length).ok_or(Refused::Misuse)?;
            if !more && *left > 0 {
                return Err(Refused::Misuse);
            }
        }
        if is_first {
            self.continue_is_due = false;
            self.push(Run::Bytes);
        }
        let is_chunked = body.framing == Framing::Chunked;
        if length > 0 && body.framing != Framing::Dropped {
            if is_opaque && is_chunked {
                self.push(Run::Bytes);
                self.push(Run::Opaque(length));
                self.push(Run::Bytes);
            } else if is_opaque {
                self.push(Run::Opaque(length));
            } else {
                self.push(Run::Bytes);
            }
        }
        self.writer = match (more, body.has_trailers) {
            (true, _) => Writer::Out(body),
            (false, true) => Writer::AwaitsTrailers(body),
            (false, false) => Writer::Done,
        };
        if !more && is_chunked && !body.has_trailers {
            self.push(Run::Bytes);
        }
        if self.writer == Writer::Done {
            self.complete();
        }
        Ok(())
    }

    pub(crate) fn end(&mut self) -> Outcome {
        self.break_off(Outcome::Failed, Some(500));
        self.over.unwrap_or(Outcome::Failed)
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self.over {
            None if self.disconnects() => Some(Outcome::HalfClosed),
            over => over,
        }
    }

    /// The response is complete.
    fn complete(&mut self) {
        self.writer = Writer::Done;
        self.over = Some(Outcome::Complete);
        self.wants_body = false;
        self.continue_is_due = false;
        if !self.reader.is_at_end() {
            self.is_last |= !self.policy.drains || self.is_unanswered() || self.kind.length > self.policy.budget;
        }
        if self.is_last {
            self.ending = Ending::Shutdown;
        }
    }

    /// The client has asked whether to send the body, and was not told.
    fn is_unanswered(&self) -> bool {
        self.kind.expects && !self.was_continued
    }

    /// The exchange, if it is in flight, ends like this: with an error response, where no head is out and there is one
    /// to give; cut, where one is.
    fn break_off(&mut self, outcome: Outcome, status: Option<u16>) {
        if !self.is_in_flight() {
            return;
        }
        self.over = Some(outcome);
        self.wants_body = false;
        self.continue_is_due = false;
        let is_out = matches!(self.writer, Writer::Out(_) | Writer::AwaitsTrailers(_));
        self.writer = Writer::Done;
        self.ending = match status {
            _ if is_out => Ending::Reset,
            Some(_) => {
                self.push(Run::Bytes);
                Ending::Shutdown
            }
            None => Ending::Close,
        };
    }
}

/// What the driver does next.
impl Model {
    pub(crate) fn ask(&mut self, now: Time) -> Told {
        self.now = self.now.max(now);
        loop {
            self.turn();
            if let Some(kind) = self.interpret() {
                self.id += 1;
                self.kind = kind;
                self.reader = Reader::of(kind);
                self.over = None;
                self.disconnect_is_told = false;
                self.was_continued = false;
                self.continue_is_due = kind.expects && kind.minor == 1 && (kind.is_chunked || kind.length > 0);
                self.drained = 0;
                self.is_last |= !kind.keeps_alive || self.id >= self.policy.most_requests;
                self.writer = Writer::NotStarted;
                self.turn();
                return Told::Start(self.id, kind);
            }
            self.turn();
            if !self.expire() {
                return self.tell();
            }
        }
    }

    fn tell(&mut self) -> Told {
        if !self.is_in_flight() && !self.disconnect_is_told {
            self.disconnect_is_told = true;
            return Told::Disconnect(self.id);
        }
        if self.unwritten.is_empty() && !self.is_in_flight() {
            match self.ending {
                Ending::None | Ending::Lingering | Ending::Switched => {}
                Ending::Shutdown if self.eof => return self.close(Some(false)),
                Ending::Shutdown => {
                    self.ending = Ending::Lingering;
                    return Told::Shutdown;
                }
                Ending::Switch => {
                    self.ending = Ending::Switched;
                    let leftover = self.buffer.drain(..).collect();
                    return Told::Switch { leftover };
                }
                Ending::Close => return self.close(Some(false)),
                Ending::Reset => return self.close(Some(true)),
                Ending::Gone | Ending::Closed => return self.close(None),
            }
        }
        let wait = Wait { read: self.reads(), write: !self.unwritten.is_empty(), deadline: self.deadline() };
        match self.unwritten.front() {
            Some(Run::Opaque(_)) => Told::Transfer(wait),
            Some(Run::Bytes) | None => Told::Wait(wait),
        }
    }

    fn close(&mut self, reset: Option<bool>) -> Told {
        self.ending = Ending::Closed;
        Told::Close { reset }
    }

    /// Takes what came, as far as somebody asks; a request that starts.
    fn interpret(&mut self) -> Option<Kind> {
        loop {
            if self.throws_away() {
                self.buffer.clear();
            }
            if self.eof && self.ending == Ending::Lingering {
                self.ending = Ending::Close;
            }
            if self.ending != Ending::None {
                return None;
            }
            if self.is_in_flight() {
                self.interpret_body();
                return None;
            }
            if !self.disconnect_is_told {
                return None;
            }
            if let Reader::Head { a_blank_line_came } = self.reader {
                if self.is_above_high_water() {
                    return None;
                }
                match head(self.buffer.make_contiguous(), a_blank_line_came, self.policy.head_limit) {
                    Head::Blank => {
                        self.buffer.drain(..2);
                        self.reader = Reader::Head { a_blank_line_came: true };
                    }
                    Head::Whole(length, kind) => {
                        self.head_has_begun = false;
                        let behind: Vec<u8> = self.buffer.iter().skip(length).copied().collect();
                        if self.eof && self.is_torn(Reader::of(kind), &behind) {
                            self.ending = Ending::Close;
                            continue;
                        }
                        self.buffer.drain(..length);
                        self.rest_is_not_torn = self.eof;
                        return Some(kind);
                    }
                    Head::Fault(status) => self.refuse(status),
                    Head::Nothing | Head::Begun if self.eof => self.ending = Ending::Close,
                    Head::Begun => {
                        self.head_has_begun = true;
                        return None;
                    }
                    Head::Nothing => return None,
                }
            } else if !self.drain() {
                return None;
            }
        }
    }

    /// Of the request in flight.
    fn interpret_body(&mut self) {
        if self.eof && self.policy.half_close == HalfClose::Left && self.reader.is_at_end() {
            self.break_off(Outcome::ClientLeft, None);
            return;
        }
        if self.reader == Reader::End {
            return;
        }
        if self.eof && !self.rest_is_not_torn {
            let rest: Vec<u8> = self.buffer.iter().copied().collect();
            if self.is_torn(self.reader.clone(), &rest) {
                self.break_off(Outcome::ClientLeft, None);
                return;
            }
            self.rest_is_not_torn = true;
        }
        if self.wants_body {
            match self.look() {
                Ok((content, ended)) if ended || !content.is_empty() => self.wants_body = false,
                Ok(_) => self.skip_framing(),
                Err(status) => {
                    self.status = Some(status);
                    self.break_off(Outcome::Fault, Some(status));
                }
            }
        }
    }

    /// Behind a complete response; whether there is something to do.
    fn drain(&mut self) -> bool {
        loop {
            if self.reader.is_at_end() {
                self.reader = Reader::Head { a_blank_line_came: false };
                return true;
            }
            if self.buffer.is_empty() {
                if self.eof {
                    self.ending = Ending::Close;
                }
                return self.eof;
            }
            match self.take() {
                Ok(None) => {}
                Ok(Some(_)) => {
                    self.content_came = true;
                    self.drained += 1;
                    if self.kind.is_chunked && self.drained > self.policy.budget {
                        self.ending = Ending::Shutdown;
                        return true;
                    }
                }
                // "Once a final status line is out an error can only close."
                Err(status) => {
                    self.status = Some(status);
                    self.ending = Ending::Shutdown;
                    return true;
                }
            }
        }
    }

    /// A head that cannot be.
    fn refuse(&mut self, status: u16) {
        self.status = Some(status);
        self.push(Run::Bytes);
        self.ending = Ending::Shutdown;
    }

    /// The content that is here, and whether the body ends behind it; or the fault that stands before any.
    fn look(&self) -> Result<(Vec<u8>, bool), Fault> {
        let mut ahead = self.reader.clone();
        let mut content = Vec::new();
        for &byte in &self.buffer {
            if ahead.is_at_end() {
                break;
            }
            match ahead.take(byte, self.policy.trailer_limit) {
                Ok(byte) => content.extend(byte),
                Err(_) if !content.is_empty() => return Ok((content, false)),
                Err(status) => return Err(status),
            }
        }
        Ok((content, ahead.is_at_end()))
    }

    fn is_torn(&self, mut reader: Reader, rest: &[u8]) -> bool {
        for &byte in rest {
            if reader.is_at_end() {
                return false;
            }
            // It is not torn, but worse: that counts when it is reached.
            if reader.take(byte, self.policy.trailer_limit).is_err() {
                return false;
            }
        }
        !reader.is_at_end()
    }

    fn take(&mut self) -> Result<Option<u8>, Fault> {
        let byte = self.buffer.pop_front().expect("a byte is here");
        self.reader.take(byte, self.policy.trailer_limit)
    }

    fn skip_framing(&mut self) {
        while !self.buffer.is_empty() && !self.reader.is_at_content() && !self.reader.is_at_end() {
            if self.take().is_err() {
                break;
            }
        }
    }
}

/// What it waits for.
impl Model {
    pub(crate) fn is_in_flight(&self) -> bool {
        self.over.is_none()
    }

    fn disconnects(&self) -> bool {
        self.over.is_some() || self.eof && self.policy.half_close == HalfClose::Told && self.reader == Reader::End
    }

    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.ending, Ending::Closed | Ending::Switched)
    }

    /// "After the last request of a connection, or after a fault, what still arrives is neither parsed nor stored."
    pub(crate) fn throws_away(&self) -> bool {
        match self.ending {
            // The other protocol's bytes are nobody's to throw away.
            Ending::None => self.is_in_flight() && self.is_last && self.reader == Reader::End && !self.may_switch(),
            Ending::Switch => false,
            _ => true,
        }
    }

    fn may_switch(&self) -> bool {
        self.writer == Writer::NotStarted && (self.kind.upgrades || self.kind.is_connect)
    }

    pub(crate) fn is_above_high_water(&self) -> bool {
        self.policy.one_byte_is_high_water && !self.unwritten.is_empty()
    }

    fn is_draining(&self) -> bool {
        !self.is_in_flight() && self.ending == Ending::None && !matches!(self.reader, Reader::Head { .. })
    }

    fn reads(&self) -> Option<bool> {
        if self.eof || self.is_finished() || self.ending == Ending::Switch {
            return Some(false);
        }
        if self.throws_away() || matches!(self.reader, Reader::Head { .. }) && !self.is_above_high_water() {
            return Some(true);
        }
        // How much of the framing behind a part is taken with that part is nobody's business.
        let mut taken = self.clone();
        if !matches!(self.reader, Reader::Head { .. } | Reader::End) {
            taken.skip_framing();
        }
        let has_room = self.buffer.len() < self.policy.read_buffer;
        (has_room == (taken.buffer.len() < self.policy.read_buffer)).then_some(has_room)
    }

    /// Whether all is as on a new connection.
    pub(crate) fn is_as_new(&self) -> bool {
        self.reader == (Reader::Head { a_blank_line_came: false })
            && self.buffer.is_empty()
            && !self.eof
            && self.disconnect_is_told
            && self.ending == Ending::None
            && self.unwritten.is_empty()
            && !self.is_shutting_down
    }

    /// Where the next byte of the peer stands, for those who choose it.
    pub(crate) fn place(&self) -> Place {
        match self.reader {
            _ if self.throws_away() || self.is_finished() => Place::Nowhere,
            Reader::Head { .. } => Place::Head,
            Reader::End | Reader::Length(0) => Place::BehindTheRequest,
            Reader::Length(_) => Place::Content,
            _ => Place::Chunks,
        }
    }

    pub(crate) fn last_id(&self) -> u64 {
        self.id
    }

    pub(crate) fn fault(&self) -> Option<u16> {
        self.status
    }

    fn push(&mut self, run: Run) {
        if run != Run::Bytes || self.unwritten.back() != Some(&Run::Bytes) {
            self.unwritten.push_back(run);
        }
    }
}

/// Time: "deadlines are computed from the state".
impl Model {
    /// A phase that began since the last question begins now.
    fn turn(&mut self) {
        let is_open = self.ending == Ending::None && !self.is_in_flight() && self.disconnect_is_told;
        let is_between = is_open && matches!(self.reader, Reader::Head { .. });
        let is_idle = is_between && !self.head_has_begun && self.unwritten.is_empty();
        let awaits_body = self.is_in_flight() && self.wants_body || self.is_draining();
        let awaits_writing = !self.unwritten.is_empty() && !self.is_finished();
        let is_lingering = self.ending == Ending::Lingering;
        let outlasts = self.is_shutting_down && self.is_in_flight();
        let came = std::mem::take(&mut self.anything_came);
        let content_came = std::mem::take(&mut self.content_came);
        let was_written = std::mem::take(&mut self.anything_was_written);
        let now = self.now;
        let note = |since: &mut Since, is_on: bool, again: bool| {
            *since = if is_on { since.filter(|_| !again).or(Some(now)) } else { None };
        };
        note(&mut self.idle, is_idle, false);
        note(&mut self.head, is_between && self.head_has_begun, false);
        note(&mut self.body, awaits_body, content_came);
        note(&mut self.write, awaits_writing, was_written);
        note(&mut self.quiet, is_lingering, came);
        note(&mut self.linger, is_lingering, false);
        note(&mut self.shutdown, outlasts, false);
    }

    fn timers(&self) -> [(Timer, Since, Time); 7] {
        let times = self.policy.times;
        [
            (Timer::Idle, self.idle, times.idle),
            (Timer::Head, self.head, times.head),
            (Timer::Body, self.body, times.body),
            (Timer::Write, self.write, times.write),
            (Timer::Linger, self.quiet, times.linger_quiet),
            (Timer::Linger, self.linger, times.linger),
            (Timer::Shutdown, self.shutdown, times.shutdown),
        ]
    }

    fn deadline(&self) -> Option<Time> {
        self.timers().into_iter().filter_map(|(_, since, time)| Some(since? + time)).min()
    }

    /// Whether something was due, which has happened then.
    fn expire(&mut self) -> bool {
        let deadlines = self.timers().into_iter().filter_map(|(timer, since, time)| Some((since? + time, timer)));
        let due = deadlines.filter(|&(deadline, _)| deadline <= self.now).min_by_key(|&(deadline, _)| deadline);
        let Some((_, timer)) = due else { return false };
        match timer {
            Timer::Idle | Timer::Linger => self.ending = Ending::Close,
            Timer::Head => self.refuse(408),
            Timer::Body => {
                self.status = Some(408);
                if self.is_in_flight() {
                    self.break_off(Outcome::TimedOut, Some(408));
                } else {
                    self.ending = Ending::Shutdown;
                }
            }
            Timer::Write => {
                self.unwritten.clear();
                self.break_off(Outcome::TimedOut, None);
                self.ending = Ending::Reset;
            }
            Timer::Shutdown => self.break_off(Outcome::TimedOut, Some(500)),
        }
        true
    }
}

/// What tells one state from another: no instants, no counts, and of an exchange which is over no more than how it
/// ended.
impl Model {
    pub(crate) fn key(&self) -> String {
        let buffer: Vec<u8> = self.buffer.iter().copied().collect();
        let place = match &self.reader {
            Reader::Head { a_blank_line_came } => *a_blank_line_came,
            _ => false,
        };
        let has_opaque = self.unwritten.iter().skip(1).any(|run| matches!(run, Run::Opaque(_)));
        let unwritten = (self.unwritten.front(), has_opaque);
        let may_be_started = self.writer == Writer::NotStarted;
        let kind = self.kind;
        let exchange = (
            &self.reader,
            (self.wants_body, self.continue_is_due, self.drained, self.rest_is_not_torn),
            (kind.minor, kind.takes_trailers, self.is_unanswered()),
            may_be_started.then_some((kind.is_head, kind.is_connect, kind.upgrades)),
        );
        let exchange = (self.is_in_flight() || self.is_draining()).then_some(exchange);
        let contract = (self.id.min(1), self.over, self.disconnect_is_told);
        let connection = (self.eof, self.is_last, self.is_shutting_down, self.status, self.head_has_begun);
        let timers = self.timers().map(|(_, since, _)| since.is_some());
        format!(
            "{} {place} {exchange:?} {:?} {unwritten:?} {:?} {contract:?} {connection:?} {timers:?}",
            buffer.escape_ascii(),
            self.writer,
            self.ending,
        )
    }
}

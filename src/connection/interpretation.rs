//! From what came to what happened: in stream order, and no further than somebody asks, so that it makes no difference
//! how the stream was cut into reads.

use super::Connection;
use crate::action::{Action, Wait};
use crate::config::HalfClose;
use crate::error::CloseReason;
use crate::exchange::ExchangeId;
use crate::reader::Drained;
use crate::request::Request;
use crate::state::{Event, Reading};
use crate::time::Awaited;

/// Of heap that an idle connection keeps, for its next request and its response.
const MOST_IDLE_BYTES: usize = 700;

impl Connection {
    /// Whether there is nothing to wait for but the rest of a head, as at the last answer. Until the head's end comes
    /// that answer stands, since bytes do not extend its deadline.
    pub(super) fn waits_for_a_head_only(&self) -> bool {
        self.state.reading == Reading::Head
            && !self.waits.may_be_due()
            && !self.was_written
            && self.writer.outgoing.is_empty()
            && !self.reader.incoming.ended
    }

    /// The short way for one more piece of a head, as heads may drip byte by byte. `None` where the long way has to say
    /// what follows.
    pub(super) fn look_at_a_piece_of_a_head(&mut self) -> Option<Action> {
        match self.reader.has_head(&self.config) {
            Ok(false) => {
                debug_assert!(self.writer.outgoing.is_empty(), "nobody writes between two requests");
                self.was_read = false;
                Some(Action::Wait(Wait { read: true, write: false, deadline: self.waits.first_due() }))
            }
            Ok(true) => self.take_request().map(|request| self.start(request)),
            Err(error) => {
                self.break_off(error, Event::Fault);
                None
            }
        }
    }

    /// Interprets what came, as far as somebody asks: a head while no exchange is in flight, a body while a `receive`
    /// or the drain waits for it.
    #[inline] // most turns have nothing to interpret
    pub(super) fn interpret(&mut self) -> Option<Request> {
        loop {
            let before = self.state.reading;
            match before {
                // Nothing came since the last request, which is often asked: so nothing moves on.
                Reading::Idle if self.reader.incoming.bytes.is_empty() && !self.reader.incoming.ended => {
                    self.idle();
                    return None;
                }
                Reading::Idle | Reading::Head => {
                    let request = self.interpret_head();
                    if request.is_some() {
                        return request;
                    }
                }
                Reading::Wanted | Reading::Draining => self.interpret_body(),
                Reading::Body | Reading::Ended | Reading::Closed => {
                    if self.reader.incoming.ended {
                        self.interpret_end();
                    }
                    if self.reader.incoming.has_memory() && self.discards() {
                        self.discard();
                    }
                }
            }
            if self.state.reading == before {
                return None;
            }
        }
    }

    /// The request, if its head is here.
    #[inline(never)] // so that a turn without one costs little
    fn interpret_head(&mut self) -> Option<Request> {
        let is_idle = self.state.reading == Reading::Idle;
        if is_idle && self.is_above_high_water() {
            return None;
        }
        let may_be_whole = is_idle && !self.reader.incoming.bytes.is_empty();
        if may_be_whole && let Some(request) = self.reader.whole_request(&self.config) {
            return self.unless_torn(request);
        }
        let has_head = self.reader.has_head(&self.config);
        if may_be_whole {
            self.reader.looked_in_vain();
        }
        match has_head {
            Ok(true) => return self.take_request(),
            Ok(false) => {
                if is_idle && self.reader.head_has_begun() {
                    self.moved_on(Event::HeadBegan);
                } else if is_idle {
                    self.idle();
                }
                if self.reader.incoming.ended {
                    self.interpret_end();
                }
            }
            Err(error) => self.break_off(error, Event::Fault),
        }
        None
    }

    /// Nothing of the next request is here.
    fn idle(&mut self) {
        debug_assert!(!self.reader.head_has_begun(), "a head that has begun is awaited as such");
        if self.writer.outgoing.is_empty() {
            self.give_back_memory();
        }
    }

    /// Most connections are idle most of the time: their buffers are given back.
    #[inline(never)] // asked once a request
    fn give_back_memory(&mut self) {
        self.reader.release();
        self.writer.shrink(MOST_IDLE_BYTES.saturating_sub(self.reader.kept_bytes()));
    }

    /// What comes behind the last request is forgotten.
    #[cold]
    fn discard(&mut self) {
        self.reader.incoming.clear();
    }

    fn take_request(&mut self) -> Option<Request> {
        match self.reader.request(&self.config) {
            Ok(request) => self.unless_torn(request),
            Err(error) => {
                self.break_off(error, Event::Fault);
                None
            }
        }
    }

    /// Behind the end of the stream only a request that is here to its end is started.
    fn unless_torn(&mut self, request: Request) -> Option<Request> {
        if self.reader.incoming.ended && !self.reader.rest_is_whole(&self.config) {
            self.happened(Event::Eof, CloseReason::ClientClosed);
            return None;
        }
        Some(request)
    }

    /// What of the body a `receive` or the drain waits for.
    #[inline(never)] // so that a turn without one costs little
    fn interpret_body(&mut self) {
        let is_wanted = self.state.reading == Reading::Wanted;
        let found = if is_wanted {
            self.reader.has_part(&self.config).map(|is_here| is_here.then_some(Event::BodyArrived))
        } else {
            self.reader.drain(&self.config).map(|drained| match drained {
                Drained::Pending => None,
                Drained::Ended => Some(Event::BodyEnded),
                Drained::OverBudget => Some(Event::LastRequest),
            })
        };
        match found {
            Ok(Some(Event::LastRequest)) => self.happened(Event::LastRequest, CloseReason::EarlyResponse),
            Ok(Some(event)) => self.moved_on(event),
            Ok(None) if self.reader.incoming.ended => self.interpret_end(),
            Ok(None) => {}
            Err(error) => self.break_off(error, Event::Fault),
        }
    }

    /// The end of the stream, where all before it was interpreted.
    #[cold] // it comes once
    pub(super) fn interpret_end(&mut self) {
        let is_behind_a_request = match self.state.reading {
            Reading::Body => self.reader.rest_is_whole(&self.config),
            Reading::Ended => self.state.in_flight(),
            Reading::Idle | Reading::Head | Reading::Wanted | Reading::Draining | Reading::Closed => false,
        };
        let event = match self.config.half_close {
            _ if !is_behind_a_request => Event::Eof,
            // What of the request is still to be delivered comes first.
            HalfClose::Disconnect if self.state.reading == Reading::Ended => Event::Eof,
            // Of a request without a body that is nothing: an application that never asks is told too.
            HalfClose::Abort if !self.reader.has_undelivered_body() => Event::ClientLeft,
            HalfClose::Disconnect | HalfClose::Ignore | HalfClose::Abort => return,
        };
        self.happened(event, CloseReason::ClientClosed);
    }

    pub(super) fn start(&mut self, request: Request) -> Action {
        self.begin(&request);
        debug_assert_eq!(self.awaited(), Awaited::Nothing, "nobody has asked for its body yet");
        self.turn_to(Awaited::Nothing);
        Action::Start(self.id, request)
    }

    #[inline(never)] // so that a turn without a request costs little
    fn begin(&mut self, request: &Request) {
        self.id = ExchangeId(self.id.0.saturating_add(1));
        self.moved_on(Event::Requested);
        self.writer.begin(request);
        self.waits.body_begins();
        if !request.is_persistent() || self.id.0 >= self.config.limits.requests {
            self.happened(Event::LastRequest, CloseReason::LastRequest);
        }
    }
}

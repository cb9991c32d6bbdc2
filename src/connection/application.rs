//! The application's half of the connection: what [`Exchange`](crate::Exchange) hands over.

use core::task::Poll;

use bytes::Bytes;

use super::Connection;
use crate::config::EarlyResponse;
use crate::error::{CloseReason, Misuse, SendError};
use crate::exchange::{ExchangeId, ReceiveEvent, SendEvent};
use crate::headers::Headers;
use crate::outgoing::Content;
use crate::reader::Part;
use crate::request::Request;
use crate::response::Pair;
use crate::state::{Event, Next, Outcome, Reading, Writing};
use crate::syntax;

impl Connection {
    pub(crate) fn receive(&mut self, id: ExchangeId) -> Poll<ReceiveEvent> {
        if self.outcome(id).is_some() {
            return Poll::Ready(ReceiveEvent::Disconnect);
        }
        if self.reader.incoming.ended {
            return self.receive_at_the_end();
        }
        self.receive_body()
    }

    /// An end of the stream that was told since the last question counts already.
    #[cold] // mostly the stream goes on
    fn receive_at_the_end(&mut self) -> Poll<ReceiveEvent> {
        let request = self.interpret();
        debug_assert!(request.is_none(), "no request begins while another is in flight");
        if self.state.outcome.is_some() { Poll::Ready(ReceiveEvent::Disconnect) } else { self.receive_body() }
    }

    #[inline(never)] // mostly every second `receive` has no more to do than to say `Disconnect`
    fn receive_body(&mut self) -> Poll<ReceiveEvent> {
        match self.state.reading {
            Reading::Body | Reading::Wanted => {}
            Reading::Idle | Reading::Head | Reading::Draining | Reading::Ended | Reading::Closed => {
                return Poll::Pending;
            }
        }
        // The first `receive` sends the 100 Continue that is due, unless the final head is out: an interim response
        // comes "prior to completing the requested action and sending a final response" (RFC 9110 §15.2). A held head
        // waits behind it.
        if self.reader.continue_is_due() && self.state.owes_head() {
            self.reader.continue_was_sent();
            let answer = self.writer.write_interim(100, &[], true);
            debug_assert!(answer.is_ok(), "there is nothing to refuse");
        }
        match self.reader.part(&self.config) {
            Ok(Part::Content { bytes, last }) => {
                if last {
                    self.moved_on(Event::BodyEnded);
                    if self.reader.incoming.ended {
                        // Here, and not when the driver asks: what is sent next is taken or refused, whoever is first.
                        self.interpret_end();
                    }
                } else {
                    self.moved_on(Event::BodyArrived);
                }
                Poll::Ready(ReceiveEvent::Request { body: bytes, more_body: !last })
            }
            Ok(Part::Nothing) => {
                self.moved_on(Event::Receive);
                Poll::Pending
            }
            Err(error) => {
                self.break_off(error, Event::Fault);
                Poll::Ready(ReceiveEvent::Disconnect)
            }
        }
    }

    pub(crate) fn ready(&mut self, id: ExchangeId) -> Poll<Result<(), SendError>> {
        let answer = if self.is_current(id) { self.state.may_send() } else { Err(SendError::Complete) };
        if answer.is_ok() && self.is_above_high_water() { Poll::Pending } else { Poll::Ready(answer) }
    }

    #[inline] // who sends mostly knows which event it is
    pub(crate) fn send(&mut self, id: ExchangeId, event: SendEvent<'_>) -> Result<(), SendError> {
        if !self.is_current(id) {
            return Err(SendError::Complete);
        }
        match event {
            SendEvent::ResponseStart { status, headers, trailers } => self.send_start(status, headers, trailers),
            SendEvent::ResponseBody { body, more_body } => self.send_body(Content::Bytes(body), more_body),
            SendEvent::ResponsePart { token, len, more_body } => self.send_part(token, len, more_body),
            SendEvent::ResponseTrailers { headers, more_trailers } => self.send_trailers(headers, more_trailers),
            SendEvent::Informational { status, headers } => self.send_interim(status, headers),
        }
    }

    pub(crate) fn trailers(&self, id: ExchangeId) -> Option<&Headers> {
        // Behind the exchange what is left of them depends on when the memory is given back. Where the client has left
        // that is never, and they stay: the exchange may be over as soon as they are here.
        let are_kept = self.state.in_flight() || self.state.outcome == Some(Outcome::ClientLeft);
        if self.is_current(id) && are_kept { self.reader.trailers() } else { None }
    }

    pub(crate) fn outcome(&self, id: ExchangeId) -> Option<Outcome> {
        if self.is_current(id) { self.state.outcome } else { Some(Outcome::Complete) }
    }

    pub(crate) fn end(&mut self, id: ExchangeId) -> Outcome {
        if self.is_current(id) && self.state.in_flight() {
            self.happened(Event::ApplicationEnd, CloseReason::ApplicationFailed);
        }
        self.outcome(id).unwrap_or(Outcome::Complete)
    }

    /// Whether this is the exchange that was started last. All other ids are harmless (rule 5).
    fn is_current(&self, id: ExchangeId) -> bool {
        id == self.id && id.0 > 0
    }

    #[inline(never)] // each part of a body would pay for what it saves on the stack
    fn send_start(&mut self, status: u16, headers: &[Pair<'_>], trailers: bool) -> Result<(), SendError> {
        if self.writer.switches(status) {
            return self.send_switch(status, headers);
        }
        self.state.may_start()?;
        if !(200..=599).contains(&status) {
            return Err(Misuse::Status.into());
        }
        let is_last = self.writer.hold_head(status, headers, trailers, &self.config, self.date)?;
        self.moved_on(Event::ResponseStart);
        if is_last {
            self.happened(Event::LastRequest, CloseReason::LastRequest);
        }
        Ok(())
    }

    /// A 101, or a 2xx to CONNECT: it completes its exchange at once, and what follows is the next protocol's.
    #[cold] // most responses are a start and a body
    fn send_switch(&mut self, status: u16, headers: &[Pair<'_>]) -> Result<(), SendError> {
        self.state.may_start()?;
        self.writer.hold_head(status, headers, false, &self.config, self.date)?;
        self.protocol = self.next_protocol(status, headers).inspect_err(|_| self.writer.drop_head())?;
        self.writer.release_as_it_is();
        self.close_reason = Some(CloseReason::Switched);
        self.moved_on(Event::Switch);
        Ok(())
    }

    /// What a response switches to, if it may.
    fn next_protocol(&self, status: u16, headers: &[Pair<'_>]) -> Result<Bytes, Misuse> {
        if status == 101 {
            let mut named = headers.iter().filter(|(name, _)| syntax::is_name(name, b"upgrade"));
            let (Some((_, named)), None) = (named.next(), named.next()) else { return Err(Misuse::UpgradeNotOffered) };
            let mut offered = self.reader.current().into_iter().flat_map(Request::upgrades);
            let is_offered = offered.any(|protocol| protocol.eq_ignore_ascii_case(named));
            return if is_offered { Ok(Bytes::copy_from_slice(named)) } else { Err(Misuse::UpgradeNotOffered) };
        }
        // What is left of its content would be taken for the tunnel's.
        if self.reader.has_undelivered_body() { Err(Misuse::TunnelBeforeBodyEnd) } else { Ok(Bytes::new()) }
    }

    fn send_body(&mut self, content: Content, more_body: bool) -> Result<(), SendError> {
        self.state.may_send_body()?;
        self.writer.count_body(&content, !more_body)?;
        let is_held = self.state.writing == Writing::Held;
        let completes = !more_body && !self.writer.has_declared_trailers();
        if more_body {
            self.moved_on(Event::ResponseBody);
        } else if completes {
            self.moved_on(Event::ResponseEnd);
            self.settle_early_response();
        } else {
            self.moved_on(Event::ResponseBodyEnd);
        }
        if is_held {
            self.writer.release_head(self.state.next != Next::Request);
        }
        self.writer.write_body(content, completes);
        Ok(())
    }

    #[inline(never)] // so that `send` is short enough to be in line
    fn send_part(&mut self, token: u64, length: u64, more_body: bool) -> Result<(), SendError> {
        self.send_body(Content::Part { token, length }, more_body)
    }

    #[cold] // most responses are a start and a body
    fn send_trailers(&mut self, headers: &[Pair<'_>], more_trailers: bool) -> Result<(), SendError> {
        match self.state.may_send_trailers() {
            Err(SendError::Misuse(Misuse::BodyNotEnded)) if !self.writer.has_declared_trailers() => {
                return Err(Misuse::TrailersNotDeclared.into());
            }
            answer => answer?,
        }
        self.writer.write_trailers(headers, !more_trailers)?;
        if more_trailers {
            self.moved_on(Event::ResponseTrailers);
        } else {
            self.moved_on(Event::ResponseTrailersEnd);
            self.settle_early_response();
        }
        Ok(())
    }

    /// Before the final head is out, and on HTTP/1.1, it is written at once; else it is accepted and dropped.
    #[cold] // most responses are a start and a body
    fn send_interim(&mut self, status: u16, headers: &[Pair<'_>]) -> Result<(), SendError> {
        self.state.may_send()?;
        if !(102..=199).contains(&status) {
            return Err(Misuse::Status.into());
        }
        let is_due = self.state.owes_head();
        Ok(self.writer.write_interim(status, headers, is_due)?)
    }

    /// The response is complete: decides whether the connection can outlive a request that was not received to its end.
    /// That depends on what was declared and delivered, never on what happens to be buffered.
    fn settle_early_response(&mut self) {
        if self.reader.has_undelivered_body()
            && (self.config.early_response == EarlyResponse::Close
                // The client may send the content that it was not asked for, or the next request: nobody can tell.
                || self.reader.continue_is_due()
                || !self.reader.may_drain(&self.config))
        {
            self.happened(Event::LastRequest, CloseReason::EarlyResponse);
        }
    }
}

//! The machine: every transition, and nothing else. It knows no bytes, no time and no roles.
//!
//! Two halves and what comes after them. [`Reading`] is what we still expect from the peer, the application's demand
//! included; [`Writing`] is what we still owe it; [`Next`] is what becomes of the connection when both are done.
//! [`State::on`] is the one function from (state, event) to (state, effect); [`State::settle`] is the one rule that
//! looks at both halves.
//!
//! ```text
//!  Reading          ┌──────────── both halves done, Next::Request ─────────────┐
//!                   ▼                                                          │
//!      Idle ──► Head ──► Body ◄──────► Wanted ──► Ended ───────────────────────┤
//!                         │  receive,    │          ▲                          │
//!                         │  body came   │          │ drained                  │
//!                         └──────────────┴─► Draining                          │
//!      any ──► Closed: nothing more is interpreted                             │
//!                                                                              │
//!  Writing                                                                     │
//!      Idle ──► Head ──► Held ──► Body ──► Trailers ──► Over ──► Idle ─────────┘
//!           Start   start    first     last       last       `Action::Disconnect` told
//!
//!  Next
//!      Request ──► Linger ──► Lingering ──► Close ──► Closed
//!              ├─► Close: where there is nobody to linger for
//!              ├─► Reset ───────────────────────────► ClosedByReset
//!              └─► Switch ──────────────────────────► Switched
//! ```
//!
//! Left out are the short cuts: a head that comes whole goes from `Idle` to `Body`, a body that is here when it is
//! asked for from `Body` to `Ended`; and what cuts a response turns `Linger` and `Close` into `Reset`. `state.table`
//! has them all.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::error::{Misuse, SendError};

/// What we still expect from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    /// The next request; no byte of it has come.
    Idle,
    /// The rest of a request's head.
    Head,
    /// The body, or its end, which has not been delivered; the application has not asked.
    Body,
    /// The body; a `receive` found nothing and waits.
    Wanted,
    /// The rest of a body that nobody will see, on the way to the next request.
    Draining,
    /// Nothing of this request: its end was delivered or drained.
    Ended,
    /// Nothing, ever: what still comes is neither parsed nor stored.
    Closed,
}

/// What we still owe the peer for the current exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Writing {
    /// Nothing: no exchange, or one whose end was told.
    Idle,
    /// All of a response.
    Head,
    /// A response whose head was accepted and is held until its first body event.
    Held,
    /// The rest of a body, its head being out.
    Body,
    /// The declared trailers.
    Trailers,
    /// Nothing more is taken; the driver has yet to be told.
    Over,
}

/// What becomes of the connection when the exchange is over and nothing is left unwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    /// The next request.
    Request,
    /// Shut the sending half down, then wait for the peer to close (RFC 9112 §9.6).
    Linger,
    /// The sending half is shut down; what comes is thrown away.
    Lingering,
    /// Close.
    Close,
    /// Close such that the peer cannot take a cut response for a whole one.
    Reset,
    /// Hand the socket over.
    Switch,
    /// `Close` was told.
    Closed,
    /// `Close` was told, with a reset.
    ClosedByReset,
    /// `Switch` was told.
    Switched,
}

/// Why `receive` answers [`ReceiveEvent::Disconnect`](crate::ReceiveEvent::Disconnect).
///
/// # Examples
/// ```
/// # use sansgi::{Action, Config, Connection, Instant, Outcome};
/// let mut conn = Connection::new(Config::default());
/// conn.handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
/// let Action::Start(id, _request) = conn.next_action(Instant::ZERO) else { unreachable!() };
/// assert_eq!(conn.exchange(id).outcome(), None);
/// conn.handle_disconnect();
/// assert_eq!(conn.exchange(id).outcome(), Some(Outcome::ClientLeft));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The response is complete: every byte of it was accepted.
    Complete,
    /// The client has closed its sending half after a whole request. The response is still taken and written.
    HalfClosed,
    /// The client left before its response was complete: the transport is gone, or it closed its sending half in the
    /// middle of a request, so it expects no answer. With [`HalfClose::Abort`](crate::HalfClose::Abort) also if it
    /// closed it behind a whole one.
    ClientLeft,
    /// The client broke the protocol; [`Connection::fault`](crate::Connection::fault) says how.
    Fault,
    /// The client stopped sending or reading, or the time for a graceful shutdown was over.
    TimedOut,
    /// The application ended before its response was complete; or the driver could not get the bytes of a
    /// [`SendEvent::ResponsePart`](crate::SendEvent::ResponsePart), of this response or of the one before it.
    Failed,
    /// The connection was handed over (101, or a 2xx to CONNECT).
    Switched,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    // The peer, in stream order.
    /// The first byte of a request head.
    HeadBegan,
    /// A whole head, and so `Start`.
    Requested,
    /// What a waiting `receive` wants is there.
    BodyArrived,
    /// The end of the body was delivered or drained.
    BodyEnded,
    /// The stream has ended here: inside a body, behind it, or between requests.
    Eof,
    /// The stream has ended behind a request that is whole, and its client is taken to have left.
    ClientLeft,
    /// The peer broke the protocol.
    Fault,
    // Time.
    /// The peer owes part of a request and has sent nothing for too long.
    ReadTimeout,
    /// No request came.
    IdleTimeout,
    /// The peer does not read.
    WriteTimeout,
    /// The peer does not close.
    LingerTimeout,
    /// A graceful shutdown has lasted too long.
    ShutdownTimeout,
    // The driver.
    /// The transport is gone.
    Lost,
    /// A part of the response cannot be had.
    TransferFailed,
    /// No request after this one: asked for by either side, by the version, or by a limit.
    LastRequest,
    /// Close at the next boundary.
    Shutdown,
    /// `Action::Disconnect` was told.
    DisconnectTold,
    /// `Action::Shutdown`, `Action::Switch` or `Action::Close` was told: nothing was left unwritten.
    EndTold,
    // The application.
    /// A `receive` found nothing.
    Receive,
    /// A final head.
    ResponseStart,
    /// A body event that is not the last.
    ResponseBody,
    /// The last body event, with trailers to come.
    ResponseBodyEnd,
    /// Trailers that are not the last.
    ResponseTrailers,
    /// The last of the trailers.
    ResponseTrailersEnd,
    /// The last body event, with no trailers to come.
    ResponseEnd,
    /// 101, or a 2xx to CONNECT.
    Switch,
    /// The application returned or crashed.
    ApplicationEnd,
}

/// What the transition asks of those who know bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Nothing.
    Nothing,
    /// Queue the error response that belongs to the event: no final head is out, and one that is held is thrown away.
    Answer,
}

/// The phases of the two halves, why `receive` says `Disconnect`, and what comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    /// Of the current exchange, or of the last one.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) next: Next,
}

/// What to tell the driver next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tell {
    Nothing,
    Disconnect,
    End(End),
}

/// What to tell the driver where the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Shutdown,
    Switch,
    Close { reset: bool },
}

impl State {
    pub(crate) const NEW: Self =
        Self { reading: Reading::Idle, writing: Writing::Idle, outcome: None, next: Next::Request };

    /// The state behind the transition, or why the application may not do this now.
    #[inline]
    pub(crate) fn on(mut self, event: Event) -> Result<(Self, Effect), SendError> {
        let effect = self.take(event)?;
        Ok((self, effect))
    }

    /// The transition, or why the application may not do this now; only its events are refused. An event that cannot
    /// happen in a phase (a head that begins in a body) changes nothing, nor does one that is refused.
    #[inline] // where the event is known nothing is left of it but its transition
    pub(crate) fn take(&mut self, event: Event) -> Result<Effect, SendError> {
        let mut effect = Effect::Nothing;
        match event {
            Event::HeadBegan => self.head_began(),
            Event::Requested => self.requested(),
            Event::BodyArrived => self.body_arrived(),
            Event::BodyEnded => self.body_ended(),
            Event::Eof => self.eof(),
            Event::ClientLeft => self.client_left(),
            Event::Fault => effect = self.broken_off(Outcome::Fault),
            Event::ReadTimeout => effect = self.broken_off(Outcome::TimedOut),
            Event::IdleTimeout => self.idle_for_too_long(),
            Event::WriteTimeout => self.lost(Outcome::TimedOut, Next::Reset),
            Event::LingerTimeout => self.lingered(),
            Event::ShutdownTimeout => effect = self.abandoned(Outcome::TimedOut),
            Event::Lost => self.lost(Outcome::ClientLeft, Next::Close),
            Event::TransferFailed => self.lost(Outcome::Failed, Next::Reset),
            Event::LastRequest => self.last_request(Next::Linger),
            Event::Shutdown => self.shut_down(),
            Event::DisconnectTold => self.disconnect_told(),
            Event::EndTold => self.end_told(),
            Event::Receive => self.received_nothing(),
            Event::ResponseStart => self.response_started()?,
            Event::ResponseBody => self.body_to(Writing::Body)?,
            Event::ResponseBodyEnd => self.body_to(Writing::Trailers)?,
            Event::ResponseTrailers => self.trailers_to(Writing::Trailers)?,
            Event::ResponseTrailersEnd => self.trailers_to(Writing::Over)?,
            Event::ResponseEnd => self.body_to(Writing::Over)?,
            Event::Switch => self.switched()?,
            Event::ApplicationEnd => effect = self.abandoned(Outcome::Failed),
        }
        self.settle();
        Ok(effect)
    }

    /// The one rule that looks at both halves.
    fn settle(&mut self) {
        match self.writing {
            // The last request: nothing behind it will be answered, so nothing more is interpreted.
            Writing::Idle | Writing::Over if self.next != Next::Request => self.reading = Reading::Closed,
            // "A server MUST read the entire request message body or close the connection" (RFC 9112 §9.3): only behind
            // its end does the next request begin.
            Writing::Idle if self.reading == Reading::Ended => self.reading = Reading::Idle,
            Writing::Idle | Writing::Over | Writing::Head | Writing::Held | Writing::Body | Writing::Trailers => {}
        }
    }

    // The peer.

    fn head_began(&mut self) {
        match self.reading {
            Reading::Idle => self.reading = Reading::Head,
            Reading::Head | Reading::Body | Reading::Wanted | Reading::Draining | Reading::Ended | Reading::Closed => {}
        }
    }

    fn requested(&mut self) {
        match self.reading {
            Reading::Idle | Reading::Head => {
                self.reading = Reading::Body;
                self.writing = Writing::Head;
                self.outcome = None;
            }
            Reading::Body | Reading::Wanted | Reading::Draining | Reading::Ended | Reading::Closed => {}
        }
    }

    fn body_arrived(&mut self) {
        match self.reading {
            Reading::Wanted => self.reading = Reading::Body,
            Reading::Idle | Reading::Head | Reading::Body | Reading::Draining | Reading::Ended | Reading::Closed => {}
        }
    }

    fn body_ended(&mut self) {
        match self.reading {
            Reading::Body | Reading::Wanted | Reading::Draining => self.reading = Reading::Ended,
            Reading::Idle | Reading::Head | Reading::Ended | Reading::Closed => {}
        }
    }

    fn eof(&mut self) {
        match self.reading {
            // Between requests, inside a head, or in what nobody will see: there is nobody to answer.
            Reading::Idle | Reading::Head | Reading::Draining => self.finish_by(Next::Close),
            // "a message … is incomplete" (RFC 9112 §8): never the end of a body.
            Reading::Body | Reading::Wanted => self.client_left(),
            // The request is whole: its response is still taken and written.
            Reading::Ended => {
                if self.in_flight() {
                    self.outcome = Some(Outcome::HalfClosed);
                }
                self.spare_linger();
            }
            Reading::Closed => self.spare_linger(),
        }
    }

    /// Nobody waits for what is still owed.
    fn client_left(&mut self) {
        match self.writing {
            Writing::Head | Writing::Held => self.over(Outcome::ClientLeft, Next::Close),
            Writing::Body | Writing::Trailers => self.over(Outcome::ClientLeft, Next::Reset),
            Writing::Idle | Writing::Over => {}
        }
    }

    /// The peer's fault, or its silence: answered where that is still possible.
    fn broken_off(&mut self, outcome: Outcome) -> Effect {
        match self.reading {
            Reading::Idle | Reading::Head => {
                self.finish_by(Next::Linger);
                Effect::Answer
            }
            Reading::Body | Reading::Wanted => self.abandoned(outcome),
            // Its request has been answered already, and a response has no second one behind it.
            Reading::Draining => {
                self.finish_by(Next::Linger);
                Effect::Nothing
            }
            Reading::Ended | Reading::Closed => Effect::Nothing,
        }
    }

    fn lost(&mut self, outcome: Outcome, next: Next) {
        match self.next {
            Next::Closed | Next::ClosedByReset | Next::Switched => {}
            Next::Request | Next::Linger | Next::Lingering | Next::Close | Next::Reset | Next::Switch => {
                if self.in_flight() {
                    self.writing = Writing::Over;
                    self.outcome = Some(outcome);
                }
                self.reading = Reading::Closed;
                self.next = next;
            }
        }
    }

    // Time.

    fn idle_for_too_long(&mut self) {
        match self.reading {
            Reading::Idle => self.finish_by(Next::Close),
            Reading::Head | Reading::Body | Reading::Wanted | Reading::Draining | Reading::Ended | Reading::Closed => {}
        }
    }

    fn lingered(&mut self) {
        match self.next {
            Next::Lingering => self.next = Next::Close,
            Next::Request
            | Next::Linger
            | Next::Close
            | Next::Reset
            | Next::Switch
            | Next::Closed
            | Next::ClosedByReset
            | Next::Switched => {}
        }
    }

    // The driver.

    fn last_request(&mut self, next: Next) {
        match self.next {
            Next::Request => self.next = next,
            Next::Linger
            | Next::Lingering
            | Next::Close
            | Next::Reset
            | Next::Switch
            | Next::Closed
            | Next::ClosedByReset
            | Next::Switched => {}
        }
    }

    fn shut_down(&mut self) {
        match self.reading {
            // No request, or a part of a head: nobody is owed anything.
            Reading::Idle | Reading::Head => self.last_request(Next::Close),
            Reading::Body | Reading::Wanted | Reading::Draining | Reading::Ended | Reading::Closed => {
                self.last_request(Next::Linger);
            }
        }
    }

    fn disconnect_told(&mut self) {
        match self.writing {
            Writing::Over => self.writing = Writing::Idle,
            Writing::Idle | Writing::Head | Writing::Held | Writing::Body | Writing::Trailers => {}
        }
    }

    fn end_told(&mut self) {
        self.next = match self.next {
            Next::Linger => Next::Lingering,
            Next::Close => Next::Closed,
            Next::Reset => Next::ClosedByReset,
            Next::Switch => Next::Switched,
            Next::Request | Next::Lingering | Next::Closed | Next::ClosedByReset | Next::Switched => self.next,
        };
    }

    // The application.

    fn received_nothing(&mut self) {
        match self.reading {
            Reading::Body => self.reading = Reading::Wanted,
            Reading::Idle | Reading::Head | Reading::Wanted | Reading::Draining | Reading::Ended | Reading::Closed => {}
        }
    }

    fn response_started(&mut self) -> Result<(), SendError> {
        self.may_start()?;
        self.writing = Writing::Held;
        Ok(())
    }

    fn body_to(&mut self, after: Writing) -> Result<(), SendError> {
        self.may_send_body()?;
        self.response_to(after);
        Ok(())
    }

    fn trailers_to(&mut self, after: Writing) -> Result<(), SendError> {
        self.may_send_trailers()?;
        self.response_to(after);
        Ok(())
    }

    fn response_to(&mut self, after: Writing) {
        self.writing = after;
        if after == Writing::Over {
            self.outcome = Some(Outcome::Complete);
            match self.reading {
                Reading::Body | Reading::Wanted => self.reading = Reading::Draining,
                Reading::Idle | Reading::Head | Reading::Draining | Reading::Ended | Reading::Closed => {}
            }
        }
    }

    fn switched(&mut self) -> Result<(), SendError> {
        self.response_started()?;
        self.over(Outcome::Switched, Next::Switch);
        Ok(())
    }

    /// Nobody will complete this response: 500 (or the peer's own status) while no head is out, else a cut.
    fn abandoned(&mut self, outcome: Outcome) -> Effect {
        match self.writing {
            Writing::Head | Writing::Held => {
                self.over(outcome, Next::Linger);
                Effect::Answer
            }
            // A head is out, so no error response can follow. A clean end would make the client take the part for all.
            Writing::Body | Writing::Trailers => {
                self.over(outcome, Next::Reset);
                Effect::Nothing
            }
            Writing::Idle | Writing::Over => Effect::Nothing,
        }
    }

    // What several of them do.

    fn over(&mut self, outcome: Outcome, next: Next) {
        self.writing = Writing::Over;
        self.outcome = Some(outcome);
        self.finish_by(next);
    }

    /// The connection ends, and nothing more is read into it. What cuts a response stays a reset.
    fn finish_by(&mut self, next: Next) {
        self.reading = Reading::Closed;
        match (self.next, next) {
            (Next::Request | Next::Linger, _) | (Next::Close, Next::Reset | Next::Switch) => self.next = next,
            (
                Next::Close
                | Next::Lingering
                | Next::Reset
                | Next::Switch
                | Next::Closed
                | Next::ClosedByReset
                | Next::Switched,
                _,
            ) => {}
        }
    }

    /// The peer has closed already: nothing to wait for.
    fn spare_linger(&mut self) {
        match self.next {
            Next::Linger | Next::Lingering => self.next = Next::Close,
            Next::Request
            | Next::Close
            | Next::Reset
            | Next::Switch
            | Next::Closed
            | Next::ClosedByReset
            | Next::Switched => {}
        }
    }

    // Questions.

    /// Whether a response is owed.
    pub(crate) fn in_flight(self) -> bool {
        match self.writing {
            Writing::Head | Writing::Held | Writing::Body | Writing::Trailers => true,
            Writing::Idle | Writing::Over => false,
        }
    }

    /// Whether the head of a response is owed, one that is held included: nothing of it is out.
    pub(crate) fn owes_head(self) -> bool {
        match self.writing {
            Writing::Head | Writing::Held => true,
            Writing::Idle | Writing::Body | Writing::Trailers | Writing::Over => false,
        }
    }

    /// Whether an event of the application is taken at all.
    pub(crate) fn may_send(self) -> Result<(), SendError> {
        if self.in_flight() { Ok(()) } else { Err(self.refusal()) }
    }

    /// Whether a final head is taken.
    pub(crate) fn may_start(self) -> Result<(), SendError> {
        match self.writing {
            Writing::Head => Ok(()),
            Writing::Held | Writing::Body | Writing::Trailers => Err(Misuse::AlreadyStarted.into()),
            Writing::Idle | Writing::Over => Err(self.refusal()),
        }
    }

    /// Whether a body event is taken.
    pub(crate) fn may_send_body(self) -> Result<(), SendError> {
        match self.writing {
            Writing::Head => Err(Misuse::NotStarted.into()),
            Writing::Held | Writing::Body => Ok(()),
            Writing::Trailers => Err(Misuse::BodyEnded.into()),
            Writing::Idle | Writing::Over => Err(self.refusal()),
        }
    }

    /// Whether trailers are taken.
    pub(crate) fn may_send_trailers(self) -> Result<(), SendError> {
        match self.writing {
            Writing::Head => Err(Misuse::NotStarted.into()),
            Writing::Held | Writing::Body => Err(Misuse::BodyNotEnded.into()),
            Writing::Trailers => Ok(()),
            Writing::Idle | Writing::Over => Err(self.refusal()),
        }
    }

    /// Why no event of the application is taken, where no response is owed.
    fn refusal(self) -> SendError {
        match self.outcome {
            None | Some(Outcome::HalfClosed | Outcome::Complete | Outcome::Switched | Outcome::Failed) => {
                SendError::Complete
            }
            Some(Outcome::ClientLeft | Outcome::Fault | Outcome::TimedOut) => SendError::Disconnected,
        }
    }

    /// Whether what arrives is neither parsed nor stored: behind the last request of a connection, or a fault. What
    /// arrives before a switch belongs to the next protocol.
    #[inline]
    pub(crate) fn discards(self) -> bool {
        match self.reading {
            Reading::Closed => self.next != Next::Switch,
            Reading::Ended => self.next != Next::Request,
            Reading::Idle | Reading::Head | Reading::Body | Reading::Wanted | Reading::Draining => false,
        }
    }

    /// Whether the connection is to be handed over, or has been.
    pub(crate) fn hands_over(self) -> bool {
        match self.next {
            Next::Switch | Next::Switched => true,
            Next::Request
            | Next::Linger
            | Next::Lingering
            | Next::Close
            | Next::Reset
            | Next::Closed
            | Next::ClosedByReset => false,
        }
    }

    /// Whether the exchange is over, or was, without a response that is complete.
    pub(crate) fn is_broken_off(self) -> bool {
        match self.outcome {
            Some(Outcome::ClientLeft | Outcome::Fault | Outcome::TimedOut | Outcome::Failed | Outcome::Switched) => {
                true
            }
            None | Some(Outcome::HalfClosed | Outcome::Complete) => false,
        }
    }

    /// `Disconnect` is told before what is unwritten has gone, the others after.
    #[inline]
    pub(crate) fn tell(self, unwritten: bool) -> Tell {
        match self.writing {
            Writing::Over => Tell::Disconnect,
            Writing::Head | Writing::Held | Writing::Body | Writing::Trailers => Tell::Nothing,
            Writing::Idle if self.next == Next::Request => Tell::Nothing,
            Writing::Idle => self.end(unwritten).map_or(Tell::Nothing, Tell::End),
        }
    }

    /// What is told of the connection's end, if anything is now.
    #[cold] // mostly there is a next request
    fn end(self, unwritten: bool) -> Option<End> {
        match self.next {
            Next::Request | Next::Lingering | Next::Switched => None,
            Next::Linger | Next::Close | Next::Reset | Next::Switch if unwritten => None,
            Next::Linger => Some(End::Shutdown),
            Next::Close | Next::Closed => Some(End::Close { reset: false }),
            Next::Reset | Next::ClosedByReset => Some(End::Close { reset: true }),
            Next::Switch => Some(End::Switch),
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::format_push_string, reason = "a test")]
mod tests {
    //! All pairs of a reachable state and an event, against a table that was read by people: each state (reading,
    //! writing, outcome, next) with the events that change it or are refused.

    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    const EVENTS: [Event; 27] = [
        Event::HeadBegan,
        Event::Requested,
        Event::BodyArrived,
        Event::BodyEnded,
        Event::Eof,
        Event::ClientLeft,
        Event::Fault,
        Event::ReadTimeout,
        Event::IdleTimeout,
        Event::WriteTimeout,
        Event::LingerTimeout,
        Event::ShutdownTimeout,
        Event::Lost,
        Event::TransferFailed,
        Event::LastRequest,
        Event::Shutdown,
        Event::DisconnectTold,
        Event::EndTold,
        Event::Receive,
        Event::ResponseStart,
        Event::ResponseBody,
        Event::ResponseBodyEnd,
        Event::ResponseTrailers,
        Event::ResponseTrailersEnd,
        Event::ResponseEnd,
        Event::Switch,
        Event::ApplicationEnd,
    ];

    fn name(state: State) -> String {
        let State { reading, writing, outcome, next } = state;
        let outcome = outcome.map_or_else(|| "-".into(), |outcome| format!("{outcome:?}"));
        format!("{reading:?} {writing:?} {outcome} {next:?}")
    }

    /// Whether the connection lets this happen: it tells an end only when the state says so, and the peer's events come
    /// in the phases that interpret them.
    fn can_happen(state: State, event: Event) -> bool {
        let told = state.tell(false);
        (event != Event::DisconnectTold || told == Tell::Disconnect)
            && (event != Event::EndTold || !matches!(told, Tell::Nothing | Tell::Disconnect))
            && (event != Event::LingerTimeout || state.next == Next::Lingering)
            && (event != Event::ShutdownTimeout || state.in_flight() && state.next != Next::Request)
            && (event != Event::Eof || state.next != Next::Switch)
            && (event != Event::ClientLeft || state.in_flight())
    }

    fn reachable() -> Vec<State> {
        let mut seen = vec![State::NEW];
        let mut names = BTreeSet::from([name(State::NEW)]);
        let mut at = 0;
        while let Some(&state) = seen.get(at) {
            for event in EVENTS.into_iter().filter(|&event| can_happen(state, event)) {
                if let Ok((after, _)) = state.on(event)
                    && names.insert(name(after))
                {
                    seen.push(after);
                }
            }
            at += 1;
        }
        seen
    }

    #[test]
    fn every_transition_is_in_the_table() {
        let mut table = String::new();
        for state in reachable() {
            table += &format!("{}\n", name(state));
            let mut refusals: Vec<(SendError, String)> = Vec::new();
            for event in EVENTS.into_iter().filter(|&event| can_happen(state, event)) {
                match state.on(event) {
                    Ok((after, effect)) if after != state || effect != Effect::Nothing => {
                        let effect = if effect == Effect::Answer { ", error response" } else { "" };
                        table += &format!("    {event:?}: {}{effect}\n", name(after));
                    }
                    Ok(_) => {}
                    Err(error) => match refusals.iter_mut().find(|(known, _)| *known == error) {
                        Some((_, events)) => *events += &format!(", {event:?}"),
                        None => refusals.push((error, format!("{event:?}"))),
                    },
                }
            }
            for (error, events) in refusals {
                table += &format!("    {events}: {error:?}\n");
            }
        }
        if std::env::var_os("SANSGI_BLESS").is_some() {
            std::fs::write("src/state.table", &table).unwrap();
        }
        assert!(
            table == include_str!("state.table"),
            "a transition changed: run with SANSGI_BLESS=1 and read the diff"
        );
    }

    #[test]
    fn what_holds_in_every_state() {
        for state in reachable() {
            let name = name(state);
            // An exchange is over when and only when there is an outcome.
            if state.in_flight() {
                assert!(matches!(state.outcome, None | Some(Outcome::HalfClosed)), "{name}");
            }
            if state.writing == Writing::Over {
                assert!(!matches!(state.outcome, None | Some(Outcome::HalfClosed)), "{name}");
            }
            // Nothing is read into a connection that ends.
            if !state.in_flight() && state.next != Next::Request {
                assert_eq!(state.reading, Reading::Closed, "{name}");
            }
            // A connection that is kept expects something, or owes it.
            if state.next == Next::Request {
                assert_ne!(state.reading, Reading::Closed, "{name}");
            }
            // A `receive` waits only in an exchange.
            if state.reading == Reading::Wanted {
                assert!(state.in_flight(), "{name}");
            }
        }
    }

    #[test]
    fn the_end_is_the_end() {
        let ended = |next| matches!(next, Next::Closed | Next::ClosedByReset | Next::Switched);
        for state in reachable().into_iter().filter(|state| ended(state.next)) {
            for event in EVENTS {
                if let Ok((after, effect)) = state.on(event) {
                    assert_eq!((after.next, effect), (state.next, Effect::Nothing), "{} {event:?}", name(state));
                }
            }
        }
    }

    #[test]
    fn a_response_that_was_begun_and_not_completed_is_cut() {
        for state in reachable().into_iter().filter(|state| matches!(state.writing, Writing::Body | Writing::Trailers))
        {
            for event in EVENTS {
                let Ok((after, effect)) = state.on(event) else { continue };
                if after.writing == Writing::Over && after.outcome != Some(Outcome::Complete) {
                    let next = if event == Event::Lost { Next::Close } else { Next::Reset };
                    assert_eq!((after.next, effect), (next, Effect::Nothing), "{} {event:?}", name(state));
                }
            }
        }
    }
}

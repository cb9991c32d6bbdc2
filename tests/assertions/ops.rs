//! Public calls in any order, by the crate's own generators: P2, P4 to P8, P11, P16, and rule 3 of the crate.

use std::collections::BTreeSet;
use std::task::Poll;
use std::time::Duration;

use sansgi::arbitrary::{Answer, Arbitrary, Call, Caller, Calls, OwnedSendEvent, Unstructured, Whose};
use sansgi::bytes::Bytes;
use sansgi::{
    Action, CloseReason, Config, Connection, ExchangeId, Outcome, ProtocolError, ReceiveEvent, SendError, SendEvent,
    Wait,
};

use super::answers::{Dates, Exchange, PART, Written, note};
use super::oracles::validator::End;

/// More questions than this in a row without a `Wait` are a loop without end.
const MOST_ASKS: usize = 32;
/// As many calls behind the end tell what many would.
const FEW: usize = 12;
const DEFAULT_HEADER: (&str, &str) = ("server", "ops");

pub(crate) fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    // Nothing of these fails, but for want of input, which there need not be.
    let Some((config, default_headers)) = configure(&mut input) else { return };
    let Ok(Calls(calls)) = Calls::arbitrary(&mut input) else { return };
    let mut play = Play::new(Connection::new(config), default_headers);
    let mut behind_end = 0;
    for call in &calls {
        play.call(call);
        behind_end += usize::from(play.end != End::Open);
        if behind_end == FEW {
            break;
        }
    }
    play.finish();
}

type Headers = &'static [(&'static str, &'static str)];

/// As `Config::arbitrary`, but so that the default headers are known.
fn configure(input: &mut Unstructured<'_>) -> Option<(Config, Headers)> {
    let builder = Config::builder().limits(input.arbitrary().ok()?).timeouts(input.arbitrary().ok()?);
    let builder = builder.half_close(input.arbitrary().ok()?).early_response(input.arbitrary().ok()?);
    let mut builder = builder.connect(input.arbitrary().ok()?);
    let default_headers: Headers = if input.arbitrary().ok()? { &[DEFAULT_HEADER] } else { &[] };
    for &(name, value) in default_headers {
        builder = builder.default_header(name, value);
    }
    Some((builder.build().unwrap(), default_headers))
}

#[allow(clippy::struct_excessive_bools, reason = "independent facts of what was called")]
struct Play {
    conn: Connection,
    caller: Caller,
    default_headers: Headers,
    exchanges: Vec<Exchange>,
    open: Option<ExchangeId>,
    /// Those that have heard `Disconnect`, by their number.
    released: BTreeSet<u64>,
    body_ended: Option<ExchangeId>,
    part: Option<u64>,
    was_shut_down: bool,
    is_stopping: bool,
    eof: bool,
    gone: bool,
    end: End,
    fault: Option<ProtocolError>,

    /// Taken by a kernel, and not yet reported as written.
    kernel: Vec<u8>,
    output: Vec<u8>,
    /// Whether `output` is what was written, as far as it goes.
    is_known: bool,
    /// Whether what was accepted may be lost.
    was_dropped: bool,
    has_parts: bool,
}

impl Play {
    fn new(conn: Connection, default_headers: Headers) -> Self {
        Self {
            conn,
            caller: Caller::default(),
            default_headers,
            exchanges: Vec::new(),
            open: None,
            released: BTreeSet::new(),
            body_ended: None,
            part: None,
            was_shut_down: false,
            is_stopping: false,
            eof: false,
            gone: false,
            end: End::Open,
            fault: None,
            kernel: Vec::new(),
            output: Vec::new(),
            is_known: true,
            was_dropped: false,
            has_parts: false,
        }
    }

    fn newest(&self) -> Option<ExchangeId> {
        (!self.exchanges.is_empty()).then(|| self.caller.id(Whose::Newest))
    }

    fn call(&mut self, call: &Call) {
        let of_the_world = !matches!(call, Call::NextAction { .. });
        let is_dead = self.end != End::Open && of_the_world;
        // An end that was told changes nothing when told again.
        let is_told_again = match call {
            Call::Eof => self.eof,
            Call::Disconnect => self.gone,
            _ => false,
        };
        let before = (is_dead || is_told_again).then(|| self.shows());
        self.make(call);
        if let Some(before) = before {
            assert_eq!(self.shows(), before, "P5, P6: {call:?} changes something behind the end");
        }
        self.holds();
    }

    /// All that shows of the connection. A fingerprint has more: that something was told since the last question.
    fn shows(&self) -> (String, Vec<u8>, Action) {
        let output = self.conn.outgoing().flatten().copied().collect();
        (format!("{:?}", self.conn), output, self.conn.clone().next_action(self.caller.now()))
    }

    fn make(&mut self, call: &Call) {
        if let Call::Written(count) = call {
            self.is_written(*count);
        }
        let unwritten = |conn: &Connection| conn.outgoing().map(<[u8]>::len).sum::<usize>();
        let before = unwritten(&self.conn);
        let twin = match call {
            // Most of them are refused, most of the time.
            Call::Send(..) => Some(self.conn.clone()),
            _ => None,
        };
        let answer = call.apply(&mut self.conn, &mut self.caller);
        match (call, answer) {
            (Call::Eof, _) => self.eof = true,
            (Call::Disconnect, _) => {
                self.gone = true;
                self.drops();
            }
            (Call::TransferFailed, _) => {
                if self.conn.close_reason() == Some(CloseReason::TransferFailed) {
                    self.drops();
                }
            }
            (Call::Shutdown, _) => self.is_stopping = true,
            (Call::TakeOutgoing, Answer::Taken(chunk)) => {
                let chunk = chunk.unwrap_or_default();
                self.kernel.extend_from_slice(&chunk);
            }
            (Call::NextAction { .. }, Answer::Action(action)) => {
                // The peer does not read.
                if unwritten(&self.conn) < before {
                    self.drops();
                }
                self.told(action);
            }
            (Call::Receive(whose), Answer::Received(answer)) => self.received(*whose, answer),
            (Call::Ready(whose), Answer::Ready(answer)) => self.is_ready(*whose, answer),
            (Call::Send(whose, event), Answer::Sent(answer)) => {
                self.sent(*whose, event, answer, &twin.expect("it was made"));
            }
            (Call::End(whose), Answer::Ended(outcome)) => self.ended(*whose, outcome),
            (_, Answer::Nothing) => {}
            (call, answer) => panic!("{answer:?} to {call:?}"),
        }
    }

    /// What is with the kernel now, before the connection hears of it.
    fn is_written(&mut self, count: usize) {
        if self.end != End::Open || self.was_dropped {
            return;
        }
        let here: usize = self.kernel.len() + self.conn.outgoing().map(<[u8]>::len).sum::<usize>();
        match self.part {
            Some(remaining) if here == 0 && remaining >= count as u64 && count <= 4000 => {
                self.output.extend(std::iter::repeat_n(PART, count));
            }
            _ => {
                // What is behind a part cannot be seen yet, but may be written already.
                self.is_known &= count <= here || !self.has_parts;
                let landed = count.min(self.kernel.len());
                self.output.extend(self.kernel.drain(..landed));
                self.output.extend(self.conn.outgoing().flatten().take(count - landed));
            }
        }
        self.part = None;
    }

    fn drops(&mut self) {
        self.was_dropped = true;
        self.kernel.clear();
    }

    fn told(&mut self, action: Action) {
        let now = self.caller.now();
        let again = self.conn.clone().next_action(now);
        let is_told_once =
            matches!(action, Action::Start(..) | Action::Disconnect(_) | Action::Switch { .. } | Action::Shutdown);
        assert!(is_told_once != (again == action), "rule 3: {action:?}, then {again:?}");
        match self.end {
            End::Open => {}
            End::Closed => return assert_eq!(action, Action::Close { reset: false }, "P5"),
            End::Reset => return assert_eq!(action, Action::Close { reset: true }, "P5"),
            End::Switched => return assert_eq!(action, Action::Wait(Wait::default()), "P5"),
        }
        self.part = None;
        let has_output = self.conn.outgoing().next().is_some();
        match action {
            Action::Start(id, request) => self.started(id, &request),
            Action::Disconnect(id) => {
                assert_eq!(self.open.take(), Some(id), "P8");
                self.released.insert(id.as_u64());
                self.note_outcome();
                let outcome = self.exchanges.last().unwrap().outcome;
                assert!(outcome.is_some_and(|outcome| outcome != Outcome::HalfClosed), "P8: over, with {outcome:?}");
            }
            Action::Transfer { remaining, wait, .. } => {
                assert!(remaining > 0 && wait.write && !has_output && self.kernel.is_empty(), "before its turn");
                self.part = Some(remaining);
                self.waits(wait);
            }
            Action::Shutdown => {
                assert!(self.open.is_none() && !has_output, "P7: a shutdown before the end");
                assert!(!self.was_shut_down && !self.eof && !self.gone, "a shutdown to nobody");
                self.was_shut_down = true;
            }
            Action::Switch { .. } => {
                assert!(self.open.is_none() && !has_output, "P7: a switch before the end");
                self.end = End::Switched;
            }
            Action::Close { reset } => {
                let has_ended = self.open.is_none() && !has_output;
                assert!(has_ended, "P7: a close before the end: {:?}, {:?}", self.open, self.conn);
                assert!(self.conn.close_reason().is_some(), "a close without a reason");
                self.end = if reset { End::Reset } else { End::Closed };
            }
            Action::Wait(wait) => {
                assert_eq!(wait.write, has_output, "P4: writes what there is, and nothing else");
                // A chunk that a kernel has is waited for too.
                let is_waiting = wait != Wait::default() || self.open.is_some() || !self.kernel.is_empty();
                assert!(is_waiting, "P4: waits for nobody: {:?}", self.conn);
                self.waits(wait);
            }
            other => panic!("an action that this check does not know: {other:?}"),
        }
    }

    fn started(&mut self, id: ExchangeId, request: &sansgi::Request) {
        assert!(self.open.is_none(), "P16: {id:?} starts while {:?} is open", self.open);
        assert_eq!(id.as_u64(), self.exchanges.len() as u64 + 1, "P8: ids count");
        assert!(!self.gone && !self.is_stopping && !self.was_shut_down, "P8: {id:?} starts behind the end");
        assert!(self.exchanges.last().is_none_or(|last| last.sent.is_complete), "P16: behind a response that is cut");
        assert_eq!(self.conn.exchange(id).ready(), Poll::Ready(Ok(())), "P16: above the high-water mark");
        self.exchanges.push(Exchange::new(request));
        self.open = Some(id);
    }

    fn waits(&self, wait: Wait) {
        assert!(!wait.read || !self.eof && !self.gone, "P4: reads behind the end");
        assert!(wait.deadline.is_none_or(|deadline| deadline > self.caller.now()), "P17: due already");
    }

    fn note_outcome(&mut self) {
        let Some(id) = self.newest() else { return };
        let outcome = self.conn.exchange(id).outcome();
        self.exchanges.last_mut().unwrap().outcome = outcome;
    }

    fn is_newest(&self, whose: Whose) -> bool {
        self.newest() == Some(self.caller.id(whose))
    }

    fn received(&mut self, whose: Whose, answer: Poll<ReceiveEvent>) {
        let id = self.caller.id(whose);
        let is_released = self.released.contains(&id.as_u64()) || !self.is_newest(whose) || self.gone;
        match answer {
            Poll::Ready(ReceiveEvent::Disconnect) => {
                assert!(self.conn.exchange(id).outcome().is_some(), "P8: disconnected, and nobody knows why");
                if self.is_newest(whose) {
                    self.released.insert(id.as_u64());
                }
            }
            Poll::Ready(ReceiveEvent::Request { body, more_body }) => {
                assert!(!is_released, "P8: a body behind the end");
                assert!(self.body_ended != Some(id), "P8: a body behind its last part");
                assert!(!body.is_empty() || !more_body, "P8: an empty part");
                if !more_body {
                    self.body_ended = Some(id);
                    assert!(self.conn.exchange(id).trailers().is_some(), "P8: the end, and no trailers");
                }
            }
            Poll::Pending => assert!(!is_released, "P8: pending behind the end"),
        }
    }

    fn is_ready(&mut self, whose: Whose, answer: Poll<Result<(), SendError>>) {
        let id = self.caller.id(whose);
        if !self.is_newest(whose) {
            assert_eq!(answer, Poll::Ready(Err(SendError::Complete)), "P8");
        }
        if let Poll::Ready(Err(error)) = answer {
            let last = SendEvent::ResponseBody { body: Bytes::new(), more_body: false };
            assert_eq!(self.conn.clone().exchange(id).send(last), Err(error), "ready says otherwise");
        }
    }

    fn sent(&mut self, whose: Whose, event: &OwnedSendEvent, answer: Result<(), SendError>, before: &Connection) {
        let id = self.caller.id(whose);
        let Err(error) = answer else {
            assert!(self.is_newest(whose) && !self.gone && self.end == End::Open, "P8: taken behind the end");
            // The validator wants a date, of applications too; and what was said to be long need not be.
            let is_odd = |headers: &[(Bytes, Bytes)]| {
                headers.iter().any(|(name, value)| name.eq_ignore_ascii_case(b"date") && value.len() != 29)
            };
            match event {
                OwnedSendEvent::ResponseStart { headers, .. } | OwnedSendEvent::Informational { headers, .. } => {
                    self.is_known &= !is_odd(headers);
                }
                OwnedSendEvent::ResponsePart { len, more_body, .. } => {
                    self.has_parts = true;
                    if *len > 4000 {
                        // More than can be written here.
                        self.is_known = false;
                        let part = SendEvent::ResponsePart { token: 0, len: 0, more_body: *more_body };
                        return note(self.exchanges.last_mut().unwrap(), &part);
                    }
                }
                OwnedSendEvent::ResponseBody { .. } | OwnedSendEvent::ResponseTrailers { .. } => {}
            }
            event.lend(|event| note(self.exchanges.last_mut().unwrap(), &event));
            return;
        };
        assert_eq!(before.fingerprint(), self.conn.fingerprint(), "P11: {error:?} changes something");
        assert!(before.outgoing().eq(self.conn.outgoing()), "P11: {error:?} writes something");
        match error {
            SendError::Misuse(_) => assert!(self.is_newest(whose) && !self.gone, "P8: misused behind the end"),
            SendError::Complete => {}
            SendError::Disconnected => {
                assert!(self.is_newest(whose), "P8: of an exchange that is long over");
                assert!(self.conn.exchange(id).outcome().is_some(), "P8: disconnected, and nobody knows why");
            }
            other => panic!("an error that this check does not know: {other:?}"),
        }
    }

    fn ended(&mut self, whose: Whose, outcome: Outcome) {
        let id = self.caller.id(whose);
        let before = self.conn.fingerprint();
        assert_eq!(self.conn.exchange(id).end(), outcome, "P8: ends twice, in two ways");
        assert_eq!(self.conn.fingerprint(), before, "P8: ends twice");
        assert_eq!(self.conn.exchange(id).outcome(), Some(outcome), "P8: ended, and has no outcome");
        if self.is_newest(whose) {
            self.released.insert(id.as_u64());
        } else {
            assert_eq!(outcome, Outcome::Complete, "P8");
        }
    }

    /// What holds behind any call.
    fn holds(&mut self) {
        let fault = self.conn.fault();
        assert!(self.fault.is_none() || self.fault == fault, "{:?} has become {fault:?}", self.fault);
        self.fault = fault;
        assert!(self.conn.outgoing().all(|chunk| !chunk.is_empty()), "an empty chunk");
        if self.gone && self.end != End::Switched || matches!(self.end, End::Closed | End::Reset) {
            assert!(self.conn.outgoing().next().is_none(), "writes to nobody");
        }
        if let Some(&id) = self.released.last()
            && Some(id) == self.newest().map(ExchangeId::as_u64)
        {
            let newest = self.caller.id(Whose::Newest);
            assert!(self.conn.exchange(newest).outcome().is_some(), "P8: released, but no more");
        }
    }

    /// The questions of one turn come to an end; the connection is then told that its transport is gone, and comes to
    /// its own.
    fn finish(mut self) {
        let ask = Call::NextAction { later: Duration::ZERO };
        let is_last = |action| matches!(action, Action::Wait(_) | Action::Transfer { .. } | Action::Close { .. });
        let terminates = (0..MOST_ASKS).any(|_| {
            self.call(&ask);
            is_last(self.conn.clone().next_action(self.caller.now()))
        });
        assert!(terminates, "P4: asked for ever");

        self.note_outcome();
        // A switch that comes to nothing, behind a head that may or may not be out.
        let is_torn = |last: &Exchange| last.outcome == Some(Outcome::Switched) && self.was_dropped;
        if self.is_known && !self.exchanges.last().is_some_and(is_torn) {
            // What a kernel or a driver has when the peer stops reading is lost without a trace; and so is, where no
            // time is left to write it, an error response: nothing else is reset whose head is not out.
            let is_traceless = self.has_parts || !self.kernel.is_empty();
            let has_no_head = self.exchanges.last().is_none_or(|last| !last.sent.is_out);
            self.was_dropped |= self.end == End::Reset && (is_traceless || has_no_head);
            let written = Written {
                default_headers: self.default_headers,
                date: Dates::Any,
                bytes: &self.output,
                // Where the transport is gone the peer has seen its end.
                end: if self.was_dropped && self.end != End::Switched { End::Reset } else { self.end },
                fault: self.fault.map(ProtocolError::status),
                was_dropped: self.was_dropped || self.end == End::Open,
            };
            written.check(&self.exchanges);
        }
        if self.end == End::Switched {
            return;
        }
        self.call(&Call::Disconnect);
        for _ in 0..MOST_ASKS {
            if self.end != End::Open {
                break;
            }
            self.call(&ask);
        }
        assert!(matches!(self.end, End::Closed | End::Reset), "gone, but not closed: {:?}", self.conn);
        assert!(self.open.is_none(), "P8: each start has its disconnect");
    }
}

//! A connection, its driver and an application, and all that came of a stream.

use std::sync::Arc;
use std::task::Poll;

use sansgi::{
    Action, CloseReason, Config, Connection, ExchangeId, Instant, Outcome, ProtocolError, ReceiveEvent, SendEvent,
};

use crate::oracles::grammar::Field;
use crate::oracles::recogniser;
use crate::oracles::subject;
use crate::oracles::validator::{self, Asked, End};

const NOW: Instant = Instant::ZERO;

/// None of them decides by the number or the size of the parts that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Application {
    /// Receives all, then sends it back.
    Receiving,
    /// Sends back part by part.
    Echo,
    /// Answers at once, then receives until it is disconnected.
    Early,
    /// Receives all, and answers only when nothing more comes.
    Late,
    /// Switches where it may.
    Switching,
}

pub(crate) const APPLICATIONS: [Application; 5] =
    [Application::Receiving, Application::Echo, Application::Early, Application::Late, Application::Switching];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Start(Box<recogniser::Request>),
    Body(Vec<u8>),
    /// With the trailers.
    BodyEnd(Vec<Field>),
    Gone(Option<Outcome>),
    Disconnect(Outcome),
    Shutdown,
    Switch(Vec<u8>),
    Close(bool),
}

/// What came of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    log: Vec<Entry>,
    leftover: Vec<u8>,
    fault: Option<ProtocolError>,
    reason: Option<CloseReason>,
    /// What the driver waits for in the end, with the deadline.
    wait: Option<sansgi::Wait>,
}

/// A connection, its driver and its application.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one exchange")]
pub(crate) struct Run {
    pub(crate) conn: Connection,
    application: Application,
    exchange: Option<ExchangeId>,
    /// The request asks for a tunnel: a 200 is the whole response.
    asks_for_tunnel: bool,
    is_answered: bool,
    /// Of the current exchange.
    body: Vec<u8>,
    body_has_ended: bool,
    is_gone: bool,
    seen: Seen,
    asked: Vec<Asked>,
    pub(crate) output: Vec<u8>,
    end: End,
}

impl Run {
    pub(crate) fn new(config: &Arc<Config>, application: Application) -> Self {
        let seen = Seen { log: Vec::new(), leftover: Vec::new(), fault: None, reason: None, wait: None };
        let mut run = Self {
            conn: Connection::new(Arc::clone(config)),
            application,
            exchange: None,
            asks_for_tunnel: false,
            is_answered: false,
            body: Vec::new(),
            body_has_ended: false,
            is_gone: false,
            seen,
            asked: Vec::new(),
            output: Vec::new(),
            end: End::Open,
        };
        run.settle();
        run
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if self.end == End::Switched {
            // The driver's own by now.
            self.seen.leftover.extend_from_slice(bytes);
            return;
        }
        self.conn.handle_bytes(bytes);
        self.settle();
    }

    /// Nothing more comes, and the peer says so or not.
    pub(crate) fn finish(&mut self, closes: bool) {
        if closes {
            self.conn.handle_eof();
            self.settle();
        }
        while self.application == Application::Late && self.exchange.is_some() && !self.is_answered {
            let has_ended = self.body_has_ended;
            if has_ended {
                self.answer_with_the_body();
            } else {
                // It gives up: its connection is closed, or its client waits for ever.
                let id = self.exchange.unwrap();
                self.conn.exchange(id).end();
                self.is_answered = true;
            }
            self.settle();
        }
        self.seen.fault = self.conn.fault();
        self.seen.reason = self.conn.close_reason();
    }

    fn settle(&mut self) {
        loop {
            match self.conn.next_action(NOW) {
                Action::Start(id, request) => {
                    assert!(self.exchange.is_none(), "two at once");
                    self.exchange = Some(id);
                    self.asks_for_tunnel = request.method() == "CONNECT";
                    self.is_answered = false;
                    self.is_gone = false;
                    self.body_has_ended = false;
                    self.body.clear();
                    let translated = subject::translate(&request);
                    self.asked.push(Asked {
                        expects_continue: request.headers().get("expect").is_some(),
                        takes_trailers: request.headers().get("te").is_some(),
                        ..subject::asked(&translated)
                    });
                    self.seen.log.push(Entry::Start(Box::new(translated)));
                    self.begin(&request);
                }
                Action::Disconnect(id) => {
                    // Which of the two is asked first is not the connection's business.
                    while self.apply() {}
                    assert!(self.is_gone, "P8: over, and its application waits");
                    assert_eq!(self.exchange.take(), Some(id));
                    let outcome = self.conn.exchange(id).outcome().unwrap();
                    self.seen.log.push(Entry::Disconnect(outcome));
                }
                Action::Shutdown => self.seen.log.push(Entry::Shutdown),
                Action::Switch { protocol, leftover } => {
                    self.seen.log.push(Entry::Switch(protocol.to_vec()));
                    self.seen.leftover.extend_from_slice(&leftover);
                    self.end = End::Switched;
                }
                Action::Close { reset } => {
                    if self.end == End::Open {
                        self.seen.log.push(Entry::Close(reset));
                        self.end = if reset { End::Reset } else { End::Closed };
                    }
                    self.seen.wait = None;
                    return;
                }
                Action::Wait(_) => {
                    if self.apply() {
                        continue;
                    }
                    // A `receive` that waits is demand: "after any call … the driver asks again before it sleeps".
                    let Action::Wait(wait) = self.conn.next_action(NOW) else { panic!("told behind a Wait") };
                    if !wait.write {
                        self.seen.wait = Some(wait);
                        return;
                    }
                    let bytes: Vec<u8> = self.conn.outgoing().flatten().copied().collect();
                    self.conn.handle_written(bytes.len());
                    self.output.extend_from_slice(&bytes);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// What it does at once.
    fn begin(&mut self, request: &sansgi::Request) {
        const UPGRADE: &[(&[u8], &[u8])] = &[(b"upgrade", b"w")];
        let id = self.exchange.unwrap();
        let mut exchange = self.conn.exchange(id);
        let plain = SendEvent::ResponseStart { status: 200, headers: &[], trailers: false };
        match self.application {
            Application::Early | Application::Echo if self.asks_for_tunnel => {
                exchange.send(plain).unwrap();
                self.is_answered = true;
            }
            Application::Early => {
                exchange.send(plain).unwrap();
                exchange.send(SendEvent::ResponseBody { body: "early".into(), more_body: false }).unwrap();
                self.is_answered = true;
            }
            Application::Echo => {
                exchange.send(plain).unwrap();
                exchange.send(SendEvent::ResponseBody { body: "".into(), more_body: true }).unwrap();
            }
            Application::Switching if request.upgrades().next().is_some() => {
                exchange.send(SendEvent::ResponseStart { status: 101, headers: UPGRADE, trailers: false }).unwrap();
                self.is_answered = true;
            }
            Application::Switching if self.asks_for_tunnel => {
                exchange.send(plain).unwrap();
                self.is_answered = true;
            }
            Application::Receiving | Application::Late | Application::Switching => {}
        }
    }

    /// Whether it could do something.
    fn apply(&mut self) -> bool {
        let Some(id) = self.exchange else { return false };
        if self.is_gone {
            return false;
        }
        match self.conn.exchange(id).receive() {
            Poll::Pending => false,
            Poll::Ready(ReceiveEvent::Disconnect) => {
                self.is_gone = true;
                self.seen.log.push(Entry::Gone(self.conn.exchange(id).outcome()));
                // A client that only closed its half is still answered.
                if self.application != Application::Late && !self.is_answered {
                    self.conn.exchange(id).end();
                    self.is_answered = true;
                }
                true
            }
            Poll::Ready(ReceiveEvent::Request { body, more_body }) => {
                if let Some(Entry::Body(before)) = self.seen.log.last_mut() {
                    before.extend_from_slice(&body);
                } else if !body.is_empty() {
                    self.seen.log.push(Entry::Body(body.to_vec()));
                }
                self.body.extend_from_slice(&body);
                if self.application == Application::Echo {
                    self.conn.exchange(id).send(SendEvent::ResponseBody { body, more_body }).unwrap();
                    self.is_answered |= !more_body;
                }
                if !more_body {
                    self.body_has_ended = true;
                    let trailers = self.conn.exchange(id).trailers().map(subject::fields);
                    self.seen.log.push(Entry::BodyEnd(trailers.unwrap_or_default()));
                    if matches!(self.application, Application::Receiving | Application::Switching) && !self.is_answered
                    {
                        self.answer_with_the_body();
                    }
                }
                true
            }
        }
    }

    fn answer_with_the_body(&mut self) {
        let id = self.exchange.unwrap();
        let body = std::mem::take(&mut self.body);
        let length = body.len().to_string();
        let headers: &[(&[u8], &[u8])] = &[(b"content-length", length.as_bytes())];
        let mut exchange = self.conn.exchange(id);
        self.is_answered = true;
        // Refused where the client is gone.
        let start = exchange.send(SendEvent::ResponseStart { status: 200, headers, trailers: false });
        if start.is_ok() && !self.asks_for_tunnel {
            exchange.send(SendEvent::ResponseBody { body: body.into(), more_body: false }).unwrap();
        }
        exchange.end();
    }

    /// What is different, if anything is.
    pub(crate) fn difference(&self, whole: &Self) -> Option<String> {
        if self.seen != whole.seen {
            return Some(format!("{:?}\nnot {:?}", self.seen, whole.seen));
        }
        if (&self.output, self.end) == (&whole.output, whole.end) {
            return None;
        }
        let (is, said) = (self.decode(), whole.decode());
        (is != said).then(|| format!("{is:?}\nnot {said:?}"))
    }

    pub(crate) fn decode(&self) -> Result<validator::Output, validator::Fault> {
        validator::validate(&self.asked, &self.output, self.end)
    }
}

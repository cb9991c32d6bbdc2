//! The connection under test, driven as a server would, and what it does in the recogniser's words.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sansgi::{
    Action, Config, Connection, ExchangeId, Instant, Limits, ReceiveEvent, SendEvent, Timeouts, Version, Wait,
};

use super::grammar::Field;
use super::recogniser::{self, Request, Stop, Stream};
use super::validator::{self, Asked, End};

const NOW: Instant = Instant::ZERO;
const IDLE: Duration = Duration::from_secs(100);
/// As long as no other timer, so that a deadline tells which one runs.
const OTHER: Duration = Duration::from_secs(10);

/// The same limits for the connection.
pub(crate) fn config(limits: &recogniser::Limits) -> Arc<Config> {
    let same = Limits::default()
        .max_head_bytes(limits.head_bytes)
        .max_method_bytes(limits.method_bytes)
        .max_target_bytes(limits.target_bytes)
        .max_fields(limits.fields)
        .max_chunk_line_bytes(limits.chunk_line_bytes)
        .max_chunk_extension_bytes(limits.chunk_extension_bytes)
        .max_trailer_bytes(limits.trailer_bytes)
        .max_body_bytes(Some(limits.body_bytes));
    let timeouts = Timeouts::default().idle(IDLE).head(OTHER).body(OTHER);
    Arc::new(Config::builder().limits(same).timeouts(timeouts).connect(limits.connect).build().unwrap())
}

/// A connection whose application receives each request to its end, then answers 404 without a body.
#[derive(Clone)]
pub(crate) struct Subject {
    connection: Connection,
    exchange: Option<ExchangeId>,
    fed: usize,
    /// Shared by the copies until one of them sees more.
    requests: Rc<Vec<Request>>,
    output: Vec<u8>,
    stop: Option<Stop>,
    wait: Wait,
    end: End,
}

impl Subject {
    pub(crate) fn new(config: &Arc<Config>) -> Self {
        let mut subject = Self {
            connection: Connection::new(Arc::clone(config)),
            exchange: None,
            fed: 0,
            requests: Rc::default(),
            output: Vec::new(),
            stop: None,
            wait: Wait::default(),
            end: End::Open,
        };
        subject.turn();
        subject
    }

    /// In one read.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.fed += bytes.len();
        self.connection.handle_bytes(bytes);
        self.turn();
    }

    pub(crate) fn feed_byte_by_byte(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.feed(std::slice::from_ref(byte));
        }
    }

    /// Whether it reads no further.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.is_some()
    }

    /// How much was seen, for a comparison with itself.
    pub(crate) fn extent(&self) -> (usize, usize, Option<Stop>) {
        (self.requests.len(), self.output.len(), self.stop)
    }

    fn turn(&mut self) {
        let mut is_over = false;
        loop {
            self.receive();
            match self.connection.next_action(NOW) {
                Action::Start(id, request) => {
                    assert!(self.exchange.is_none(), "a request is started while another is served");
                    self.exchange = Some(id);
                    let seen = Request { head_end: self.fed, ..translate(&request) };
                    Rc::make_mut(&mut self.requests).push(seen);
                }
                Action::Disconnect(id) => assert_eq!(self.exchange.take(), Some(id)),
                Action::Shutdown => is_over = true,
                Action::Close { reset } => {
                    is_over = true;
                    self.end = if reset { End::Reset } else { End::Closed };
                    self.wait = Wait::default();
                    break;
                }
                Action::Wait(wait) => {
                    let chunks: Vec<u8> = self.connection.outgoing().flatten().copied().collect();
                    if chunks.is_empty() {
                        self.wait = wait;
                        break;
                    }
                    assert!(wait.write, "output, and nobody waits to write it");
                    self.output.extend_from_slice(&chunks);
                    self.connection.handle_written(chunks.len());
                }
                other => panic!("{other:?}"),
            }
        }
        if self.stop.is_none() {
            self.stop = match self.connection.fault() {
                Some(fault) => Some(Stop::Refused { status: fault.status(), at: self.fed }),
                None => is_over.then_some(Stop::Finished { at: self.fed }),
            };
        }
    }

    /// All that there is of the body, and the answer at its end.
    fn receive(&mut self) {
        let Some(id) = self.exchange else { return };
        let mut exchange = self.connection.exchange(id);
        while let Poll::Ready(ReceiveEvent::Request { body, more_body }) = exchange.receive() {
            let request = Rc::make_mut(&mut self.requests).last_mut().unwrap();
            assert!(request.end.is_none(), "body behind the end of the body");
            request.body.extend_from_slice(&body);
            if !more_body {
                request.end = Some(self.fed);
                request.trailers = exchange.trailers().map(fields).unwrap();
                let headers: &[(&[u8], &[u8])] = &[(b"content-length", b"0")];
                exchange.send(SendEvent::ResponseStart { status: 404, headers, trailers: false }).unwrap();
                exchange.send(SendEvent::ResponseBody { body: "".into(), more_body: false }).unwrap();
            }
        }
    }

    /// What it does otherwise than the recogniser says of the same bytes. The places of the verdicts are compared if it
    /// was fed byte by byte.
    pub(crate) fn disagreement(&self, said: &Stream, is_byte_by_byte: bool) -> Option<String> {
        if self.requests.len() != said.requests.len() {
            return Some(format!("{} requests, not {}", self.requests.len(), said.requests.len()));
        }
        for (seen, said) in self.requests.iter().zip(&said.requests) {
            let mut expected = said.clone();
            if !is_byte_by_byte {
                expected.head_end = seen.head_end;
                expected.end = said.end.and(seen.end);
            }
            // No method tells these: the output does, below.
            expected.expects_continue = seen.expects_continue;
            expected.takes_trailers = seen.takes_trailers;
            expected.is_persistent = seen.is_persistent;
            if *seen != expected {
                return Some(format!("the request\n{seen:?}\nnot\n{expected:?}"));
            }
        }
        let is_waiting = |inside| {
            let timer = if inside { OTHER } else { IDLE };
            self.stop.is_none() && self.wait == Wait { read: true, write: false, deadline: Some(NOW + timer) }
        };
        let is_right = match said.stop {
            Stop::Incomplete { inside } => is_waiting(inside),
            Stop::Refused { status, at } => match self.stop {
                Some(Stop::Refused { status: seen, at: seen_at }) => {
                    seen == status && (!is_byte_by_byte || seen_at == at)
                }
                _ => false,
            },
            Stop::Finished { at } => match self.stop {
                Some(Stop::Finished { at: seen_at }) => !is_byte_by_byte || seen_at == at,
                _ => false,
            },
        };
        if !is_right {
            return Some(format!("{:?} with {:?}, not {:?}", self.stop, self.wait, said.stop));
        }
        self.disagreement_of_output(said)
    }

    fn disagreement_of_output(&self, said: &Stream) -> Option<String> {
        let asked: Vec<Asked> = said.requests.iter().map(asked).collect();
        let output = match validator::validate(&asked, &self.output, self.end) {
            Ok(output) => output,
            Err(fault) => return Some(format!("the output {:?}: {fault:?}", self.output.escape_ascii().to_string())),
        };
        let mut statuses: Vec<u16> =
            said.requests.iter().filter(|request| request.end.is_some()).map(|_| 404).collect();
        if let Stop::Refused { status, .. } = said.stop {
            statuses.push(status);
        }
        let seen: Vec<u16> = output.responses.iter().map(|response| response.head.status).collect();
        if seen != statuses || !output.responses.iter().all(|response| response.is_complete) {
            return Some(format!("the responses {seen:?}, not {statuses:?}"));
        }
        // "The first `receive` sends it, whatever is buffered."
        let interim = output.responses.iter().map(|response| &response.interim).chain([&output.interim]);
        for (request, interim) in said.requests.iter().zip(interim) {
            if interim.len() != usize::from(request.expects_continue) {
                return Some(format!("{} interim responses to {request:?}", interim.len()));
            }
        }
        None
    }
}

pub(crate) fn asked(request: &Request) -> Asked {
    Asked {
        method: request.method.clone(),
        minor: request.minor,
        expects_continue: request.expects_continue,
        takes_trailers: request.takes_trailers,
        upgrades: request.upgrades.clone(),
    }
}

/// The head.
pub(crate) fn translate(request: &sansgi::Request) -> Request {
    Request {
        method: request.method().into(),
        target: request.target().to_vec(),
        raw_path: request.raw_path().to_vec(),
        query: request.query().to_vec(),
        authority: request.authority().to_vec(),
        minor: match request.version() {
            Version::Http10 => 0,
            Version::Http11 => 1,
        },
        fields: fields(request.headers()),
        content_length: request.content_length(),
        has_body: request.has_body(),
        upgrades: request.upgrades().map(<[u8]>::to_vec).collect(),
        ..Request::default()
    }
}

pub(crate) fn fields(headers: &sansgi::Headers) -> Vec<Field> {
    headers
        .iter()
        .map(|field| {
            let name = field.name_as_sent();
            assert_eq!(field.name().as_bytes(), name.to_ascii_lowercase());
            (name.to_vec(), field.value().to_vec())
        })
        .collect()
}

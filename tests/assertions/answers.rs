//! What was written against what was asked and sent: P7, the validator reads it; P9, it says what the application said;
//! P15, and nothing more; P19, an answer of the connection's own holds nothing of the peer's.

use sansgi::{Outcome, SendError, SendEvent};

use super::oracles::grammar::{self, Field, elements, is, values};
use super::oracles::validator::{self, Asked, End, Framing, Head, Output, Response};
use super::oracles::{recogniser, subject};

/// What an application has sent, as far as it was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) interim: Vec<Head>,
    pub(crate) start: Option<Head>,
    pub(crate) declared_trailers: bool,
    /// The head is out: a body event was accepted, or it switches protocols.
    pub(crate) is_out: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    pub(crate) is_complete: bool,
}

/// A request that was started, and its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) request: recogniser::Request,
    pub(crate) received: Vec<u8>,
    pub(crate) body_ended: bool,
    pub(crate) trailers: Option<Vec<Field>>,
    pub(crate) sent: Sent,
    pub(crate) refused: Vec<SendError>,
    pub(crate) outcome: Option<Outcome>,
}

impl Exchange {
    pub(crate) fn new(request: &sansgi::Request) -> Self {
        Self {
            request: translate(request),
            received: Vec::new(),
            body_ended: false,
            trailers: None,
            sent: Sent::default(),
            refused: Vec::new(),
            outcome: None,
        }
    }
}

/// The head in the recogniser's words, with what only the response shows.
fn translate(request: &sansgi::Request) -> recogniser::Request {
    let mut request = subject::translate(request);
    let has = |name: &str, value: &str| elements(&request.fields, name).into_iter().any(|element| is(element, value));
    request.expects_continue = request.minor == 1 && request.has_body && has("expect", "100-continue");
    request.takes_trailers = has("te", "trailers");
    request
}

/// The `date` that the connection adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dates<'a> {
    None,
    Is(&'a [u8]),
    /// None, or one of several.
    Any,
}

/// Everything that was written, of a connection that is in this state.
pub(crate) struct Written<'a> {
    /// Of each final response, beside the application's.
    pub(crate) default_headers: &'a [(&'a str, &'a str)],
    pub(crate) date: Dates<'a>,
    pub(crate) bytes: &'a [u8],
    pub(crate) end: End,
    /// The status that the peer's fault is answered with.
    pub(crate) fault: Option<u16>,
    /// What was accepted may be unwritten: the transport is gone, the peer does not read, a part could not be had.
    pub(crate) was_dropped: bool,
}

impl Written<'_> {
    pub(crate) fn check(&self, exchanges: &[Exchange]) -> Output {
        let asked: Vec<Asked> = exchanges.iter().map(|exchange| subject::asked(&exchange.request)).collect();
        let output = match validator::validate(&asked, self.bytes, self.end) {
            Ok(output) => output,
            Err(fault) => panic!("P7: {fault:?} in {:?}, {:?}", self.bytes.escape_ascii().to_string(), self.end),
        };
        for (exchange, response) in exchanges.iter().zip(&output.responses) {
            if exchange.sent.is_out {
                self.check_response(exchange, response);
            } else {
                self.check_error(response);
                assert_eq!(Some(response.head.status), self.error_status(exchange), "of {exchange:?}");
            }
        }
        for exchange in exchanges.iter().skip(output.responses.len()) {
            let is_owed = exchange.sent.is_out || self.error_status(exchange).is_some();
            assert!(self.was_dropped || !is_owed, "a response is missing: {exchange:?}");
        }
        if let [response] = output.responses.get(exchanges.len()..).unwrap_or_default() {
            self.check_error(response);
            assert_eq!(Some(response.head.status), self.fault, "the answer to what was no request");
        }
        output
    }

    /// What the connection answers by itself.
    fn error_status(&self, exchange: &Exchange) -> Option<u16> {
        match exchange.outcome? {
            Outcome::Failed => Some(500),
            Outcome::Fault => self.fault,
            // A request that did not come in time, or a shutdown that took too long.
            Outcome::TimedOut => self.fault.or(Some(500)),
            Outcome::Complete | Outcome::HalfClosed | Outcome::ClientLeft | Outcome::Switched => None,
            other => panic!("an outcome that this check does not know: {other:?}"),
        }
        .filter(|_| !exchange.sent.is_out)
    }

    fn check_response(&self, exchange: &Exchange, response: &Response) {
        let Exchange { request, sent, .. } = exchange;
        let start = sent.start.as_ref().expect("no body without a head");
        assert_eq!(response.head.status, start.status);
        self.check_fields(&response.head, start);
        let interim: Vec<&Head> = response.interim.iter().filter(|head| head.status != 100).collect();
        assert!(interim.len() <= sent.interim.len(), "more interim responses than were sent");
        for (written, sent) in interim.iter().zip(&sent.interim) {
            assert_eq!(written.status, sent.status);
            assert_eq!(own_fields(&written.fields), own_fields(&sent.fields), "P15: of an interim response");
        }
        assert!(self.was_dropped || interim.len() == sent.interim.len(), "an interim response is missing");
        check_framing(response, request, start);

        let body: &[u8] = if response.framing == Framing::None || start.status == 205 { b"" } else { &sent.body };
        if !self.was_dropped && sent.is_complete {
            // Of an open connection nobody can tell yet.
            let is_open = response.framing == Framing::UntilClose && self.end == End::Open;
            assert!(response.is_complete || is_open, "a whole response is cut: {exchange:?}");
        }
        if response.is_complete && response.framing != Framing::None {
            let is_told_by_length = matches!(response.framing, Framing::Length(_));
            assert!(sent.is_complete || is_told_by_length, "a cut response looks whole: {exchange:?}");
        }
        if response.is_complete || !self.was_dropped {
            assert!(response.body == body, "P9: the content is another: {exchange:?}, {response:?}");
        } else {
            assert!(body.starts_with(&response.body), "P9: the content is another: {exchange:?}, {response:?}");
        }
        if response.is_complete && response.framing == Framing::Chunked {
            let trailers = if request.takes_trailers { &sent.trailers[..] } else { &[] };
            assert_eq!(response.trailers, trailers, "P9: the trailers are others");
        }
    }

    /// The application's fields as they were sent, in order, and behind them the connection's.
    fn check_fields(&self, head: &Head, start: &Head) {
        let mut expected = own_fields(&start.fields);
        let is_sent = |name: &str| start.fields.iter().any(|(sent, _)| is(sent, name));
        if !is_sent("date") {
            expected.extend(self.date_of(head));
        }
        for (name, value) in self.default_headers {
            if !is_sent(name) {
                expected.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
            }
        }
        assert_eq!(own_fields(&head.fields), expected, "P15: the fields are others");
        if start.status != 205
            && let (Some(sent), Some(written)) = (before_length(&start.fields), before_length(&head.fields))
        {
            assert_eq!(written, sent, "P15: the content-length is in another place");
        }

        let written = elements(&head.fields, "connection");
        for option in elements(&start.fields, "connection") {
            let is_there = written.iter().any(|written| written.eq_ignore_ascii_case(option));
            // Whether it is kept is not for the application to decide; behind a switch there is nothing to close.
            let is_wish = is(option, "keep-alive") || is(option, "close") && self.end == End::Switched;
            assert!(is_there || is_wish, "the connection option {} is lost", option.escape_ascii());
        }
    }

    fn date_of(&self, head: &Head) -> Option<Field> {
        let date = match self.date {
            Dates::None => None,
            Dates::Is(date) => Some(date),
            Dates::Any => values(&head.fields, "date").first().copied(),
        };
        date.map(|date| (b"date".to_vec(), date.to_vec()))
    }

    /// To the byte: so nothing of the peer's can be in it.
    fn check_error(&self, response: &Response) {
        let mut expected: Vec<Field> = vec![(b"content-length".to_vec(), b"0".to_vec())];
        expected.extend(self.date_of(&response.head));
        let defaults = self.default_headers.iter();
        expected.extend(defaults.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())));
        expected.push((b"connection".to_vec(), b"close".to_vec()));
        assert_eq!(response.head.fields, expected, "P19");
        assert_eq!(response.body, b"", "P19");
    }
}

fn check_framing(response: &Response, request: &recogniser::Request, start: &Head) {
    let length = match values(&start.fields, "content-length")[..] {
        [length] => Some(grammar::decimal(length).expect("it was accepted")),
        _ => None,
    };
    let written = values(&response.head.fields, "content-length");
    let written = written.first().map(|length| grammar::decimal(length).unwrap());
    let has_none =
        matches!(start.status, 101 | 204) || response.framing == Framing::None && is_tunnel(request, start.status);
    let expected = if has_none {
        None
    } else if start.status == 205 {
        Some(0)
    } else {
        length
    };
    assert_eq!(written, expected, "the content-length is another");
    if length.is_none() && response.framing != Framing::None && start.status != 205 {
        let framing = if request.minor == 1 { Framing::Chunked } else { Framing::UntilClose };
        assert_eq!(response.framing, framing);
    }
}

/// "2xx to an enabled CONNECT".
fn is_tunnel(request: &recogniser::Request, status: u16) -> bool {
    request.method == b"CONNECT" && (200..300).contains(&status)
}

/// The fields that the connection hands on as they are.
fn own_fields(fields: &[Field]) -> Vec<Field> {
    let ours = ["connection", "content-length", "transfer-encoding"];
    fields.iter().filter(|(name, _)| !grammar::is_one_of(name, &ours)).cloned().collect()
}

/// How many of these are before the `content-length`, if there is one.
fn before_length(fields: &[Field]) -> Option<usize> {
    let at = fields.iter().position(|(name, _)| is(name, "content-length"))?;
    Some(own_fields(&fields[..at]).len())
}

/// What the driver puts where a part is asked for.
pub(crate) const PART: u8 = b'P';

/// Notes what was accepted.
pub(crate) fn note(exchange: &mut Exchange, event: &SendEvent<'_>) {
    let owned =
        |headers: &[(&[u8], &[u8])]| headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    let Exchange { request, sent, outcome, .. } = exchange;
    match event {
        SendEvent::ResponseStart { status, headers, trailers } => {
            sent.start = Some(Head { status: *status, fields: owned(headers) });
            sent.declared_trailers = *trailers;
            if *status == 101 || is_tunnel(request, *status) {
                sent.is_out = true;
                sent.is_complete = true;
                *outcome = Some(Outcome::Switched);
            }
        }
        SendEvent::ResponseBody { body, more_body } => {
            sent.body.extend_from_slice(body);
            sent.is_out = true;
            sent.is_complete = !more_body && !sent.declared_trailers;
        }
        SendEvent::ResponsePart { len, more_body, .. } => {
            sent.body.extend(std::iter::repeat_n(PART, usize::try_from(*len).unwrap()));
            sent.is_out = true;
            sent.is_complete = !more_body && !sent.declared_trailers;
        }
        SendEvent::ResponseTrailers { headers, more_trailers } => {
            sent.trailers.extend::<Vec<_>>(owned(headers));
            sent.is_complete = !more_trailers;
        }
        SendEvent::Informational { status, headers } => {
            if request.minor == 1 && !sent.is_out {
                sent.interim.push(Head { status: *status, fields: owned(headers) });
            }
        }
        _ => panic!("what {event:?} means is to be said here"),
    }
}

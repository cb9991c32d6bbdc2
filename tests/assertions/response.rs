//! Hostile applications: any events, with any bytes in them. P7, P9, P15: what was accepted is what the validator
//! reads, and nothing more. P11: what was refused leaves no trace: a twin that never heard of it does the same.

use std::task::Poll;

use sansgi::bytes::Bytes;
use sansgi::{Action, Connection, Date, ExchangeId, Instant, Outcome, ProtocolError, ReceiveEvent, SendEvent, Wait};

use super::answers::{Dates, Exchange, Written, note};
use super::input::Input;
use super::oracles::validator::End;
use super::setup::Setup;

/// What is asked; behind each comes another request, which the harness answers.
const REQUESTS: [&[u8]; 12] = [
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nte: gzip, trailers\r\nconnection: te\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c, WebSocket, x/1\r\n\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    b"HEAD / HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nabc",
];

const NEXT_REQUEST: &[u8] = b"GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const NOW: Instant = Instant::ZERO;

/// An event of the application that owns what it says.
enum Event {
    Start { status: u16, fields: Vec<(Vec<u8>, Vec<u8>)>, trailers: bool },
    Body { body: Vec<u8>, more: bool },
    Part { len: u64, more: bool },
    Trailers { fields: Vec<(Vec<u8>, Vec<u8>)>, more: bool },
    Interim { status: u16, fields: Vec<(Vec<u8>, Vec<u8>)> },
}

impl Event {
    fn take(input: &mut Input<'_>) -> Self {
        match input.below(8) {
            0 | 1 => Self::Start { status: status(input), fields: fields(input), trailers: input.below(4) == 3 },
            2..=4 => Self::Body { body: body(input), more: input.is_set() },
            5 => Self::Part { len: input.choose(&[0, 1, 5, 300, u64::MAX]), more: input.is_set() },
            6 => Self::Trailers { fields: fields(input), more: input.is_set() },
            _ => Self::Interim { status: status(input), fields: fields(input) },
        }
    }

    fn lend<T>(&self, take: impl FnOnce(SendEvent<'_>) -> T) -> T {
        match self {
            Self::Start { status, fields, trailers } => {
                take(SendEvent::ResponseStart { status: *status, headers: &pairs(fields), trailers: *trailers })
            }
            Self::Body { body, more } => take(SendEvent::ResponseBody { body: body.clone().into(), more_body: *more }),
            Self::Part { len, more } => take(SendEvent::ResponsePart { token: *len, len: *len, more_body: *more }),
            Self::Trailers { fields, more } => {
                take(SendEvent::ResponseTrailers { headers: &pairs(fields), more_trailers: *more })
            }
            Self::Interim { status, fields } => {
                take(SendEvent::Informational { status: *status, headers: &pairs(fields) })
            }
        }
    }
}

fn pairs(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

fn status(input: &mut Input<'_>) -> u16 {
    match input.choose(&[200, 200, 204, 205, 304, 404, 500, 599, 101, 100, 102, 103, 199, 600, 0, 1]) {
        1 => input.number(),
        status => status,
    }
}

fn body(input: &mut Input<'_>) -> Vec<u8> {
    match input.choose(&[5, 0, 1, 2, 4, 1200, 255]) {
        255 => input.bytes().to_vec(),
        size => vec![b'b'; size],
    }
}

fn fields(input: &mut Input<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    const NAMES: [&[u8]; 16] = [
        b"content-length",
        b"Content-Length",
        b"connection",
        b"Connection",
        b"date",
        b"upgrade",
        b"transfer-encoding",
        b"trailer",
        b"set-cookie",
        b"server",
        b"x-tag",
        b"host",
        RAW,
        RAW,
        RAW,
        RAW,
    ];
    const VALUES: [&[u8]; 16] = [
        b"5",
        b"0",
        b"1",
        b"close",
        b"keep-alive, x",
        b"upgrade",
        b"websocket",
        b"x/1",
        b"chunked",
        b"",
        b"9",
        RAW,
        RAW,
        RAW,
        RAW,
        RAW,
    ];
    /// Stands for bytes of the input.
    const RAW: &[u8] = b"\x00";
    let mut one = |choices: &[&'static [u8]]| match input.choose(choices) {
        RAW => input.bytes().to_vec(),
        text => text.to_vec(),
    };
    let count = one(&[b"", b"1", b"1", b"12", b"123"]).len();
    (0..count)
        .map(|_| {
            let name = one(&NAMES);
            let value = one(&VALUES);
            // What an application calls a date is its own affair, and passes; the validator wants one.
            let value =
                if name.eq_ignore_ascii_case(b"date") && !value.contains(&b'\n') { DATE.to_vec() } else { value };
            (name, value)
        })
        .collect()
}

struct Stage {
    setup: &'static Setup,
    conn: Connection,
    /// Hears only what is accepted.
    twin: Connection,
    exchanges: Vec<Exchange>,
    ids: Vec<ExchangeId>,
    date: Option<&'static [u8]>,
    output: Vec<u8>,
    part: Option<u64>,
    end: End,
    was_dropped: bool,
}

pub(crate) fn check(data: &[u8]) {
    let mut input = Input(data);
    let request = input.choose(&REQUESTS);
    // Those with limits that these requests fit.
    let setup = Setup::of(input.choose(&[0, 2, 3, 4, 5]));
    let has_date = input.is_set();

    let mut conn = Connection::new(setup.config.clone());
    if has_date {
        conn.set_date(Date::from_unix(784_111_777));
    }
    conn.handle_bytes(request);
    conn.handle_bytes(NEXT_REQUEST);
    let mut stage = Stage {
        setup,
        twin: conn.clone(),
        conn,
        exchanges: Vec::new(),
        ids: Vec::new(),
        date: has_date.then_some(DATE),
        output: Vec::new(),
        part: None,
        end: End::Open,
        was_dropped: false,
    };
    stage.ask();
    while !input.is_empty() {
        match input.below(16) {
            0 => stage.receive(),
            1 => stage.write(input.choose(&[usize::MAX, 1, 30])),
            2 => stage.ask(),
            3 => match input.below(8) {
                0 => stage.end(),
                1 => stage.both(Connection::handle_eof),
                2 => stage.both(Connection::handle_shutdown),
                3 => stage.fail_transfer(),
                _ => stage.ask(),
            },
            _ => stage.send(&Event::take(&mut input)),
        }
    }
    stage.finish();
}

impl Stage {
    fn both(&mut self, call: impl Fn(&mut Connection)) {
        call(&mut self.conn);
        call(&mut self.twin);
    }

    /// Asks until there is something to wait for.
    fn ask(&mut self) {
        loop {
            let action = self.conn.next_action(NOW);
            assert_eq!(self.twin.next_action(NOW), action, "P11");
            self.part = None;
            match action {
                Action::Start(id, request) => {
                    self.exchanges.push(Exchange::new(&request));
                    self.ids.push(id);
                    if self.ids.len() > 1 {
                        self.answer_next(id);
                    }
                }
                Action::Disconnect(id) => {
                    self.exchanges[self.ids.len() - 1].outcome = self.conn.exchange(id).outcome();
                }
                Action::Shutdown => {}
                Action::Transfer { token, remaining, .. } => {
                    assert!(remaining <= token);
                    self.part = Some(remaining);
                    return;
                }
                Action::Switch { .. } => self.end = End::Switched,
                Action::Close { reset } => {
                    self.end = if reset { End::Reset } else { End::Closed };
                    return;
                }
                Action::Wait(wait) => {
                    assert!(self.end != End::Switched || wait == Wait::default());
                    return;
                }
                other => panic!("an action that this check does not know: {other:?}"),
            }
        }
    }

    fn answer_next(&mut self, id: ExchangeId) {
        let start = SendEvent::ResponseStart { status: 404, headers: &[(b"content-length", b"0")], trailers: false };
        let last = SendEvent::ResponseBody { body: Bytes::new(), more_body: false };
        for event in [start, last] {
            self.both(|conn| conn.exchange(id).send(event.clone()).unwrap());
            note(self.exchanges.last_mut().unwrap(), &event);
        }
    }

    fn receive(&mut self) {
        let Some(&id) = self.ids.first() else { return };
        let answer = self.conn.exchange(id).receive();
        assert_eq!(self.twin.exchange(id).receive(), answer, "P11");
        if let Poll::Ready(ReceiveEvent::Request { body, .. }) = answer {
            self.exchanges[0].received.extend_from_slice(&body);
        }
        self.note_outcome();
    }

    fn end(&mut self) {
        let Some(&id) = self.ids.first() else { return };
        let outcome = self.conn.exchange(id).end();
        assert_eq!(self.twin.exchange(id).end(), outcome, "P11");
        self.note_outcome();
    }

    /// Of an older one the outcome says nothing any more.
    fn note_outcome(&mut self) {
        if let [id] = self.ids[..] {
            let outcome = self.conn.exchange(id).outcome();
            self.exchanges[0].outcome = outcome.filter(|outcome| *outcome != Outcome::HalfClosed);
        }
    }

    fn send(&mut self, event: &Event) {
        let Some(&id) = self.ids.first() else { return };
        if matches!(event, Event::Part { len, .. } if *len > 1000) {
            // More than can be written here: that it is taken or refused is all.
            let _ = event.lend(|event| self.conn.clone().exchange(id).send(event));
            return;
        }
        let unwritten = |conn: &Connection| conn.outgoing().map(<[u8]>::len).sum::<usize>();
        let before = unwritten(&self.conn);
        event.lend(|event| match self.conn.exchange(id).send(event.clone()) {
            Ok(()) => {
                assert_eq!(self.ids.len(), 1, "P8: of an exchange that is over");
                assert_eq!(self.twin.exchange(id).send(event.clone()), Ok(()), "P11: a legal retry");
                note(&mut self.exchanges[0], &event);
            }
            Err(error) => {
                assert_eq!(unwritten(&self.conn), before, "P11: {error:?} writes something");
            }
        });
        self.note_outcome();
    }

    /// So many bytes of what is to be written now.
    fn write(&mut self, most: usize) {
        self.ask();
        let before = self.output.len();
        if let Some(remaining) = self.part {
            let count = usize::try_from(remaining).unwrap().min(most);
            self.output.extend(std::iter::repeat_n(b'P', count));
        } else {
            self.output.extend(self.conn.outgoing().flatten().take(most));
            assert!(self.conn.outgoing().eq(self.twin.outgoing()), "P11: other bytes");
        }
        let count = self.output.len() - before;
        self.both(|conn| conn.handle_written(count));
        self.ask();
    }

    fn fail_transfer(&mut self) {
        self.ask();
        if self.part.is_some() {
            self.was_dropped = true;
            self.both(Connection::handle_transfer_failed);
        }
        self.ask();
    }

    fn finish(mut self) {
        self.ask();
        for _ in 0..100 {
            self.write(usize::MAX);
        }
        assert!(self.end != End::Open || self.conn.outgoing().next().is_none(), "it cannot be written to its end");
        self.note_outcome();
        let written = Written {
            default_headers: self.setup.default_headers,
            date: self.date.map_or(Dates::None, Dates::Is),
            bytes: &self.output,
            end: self.end,
            fault: self.conn.fault().map(ProtocolError::status),
            was_dropped: self.was_dropped,
        };
        written.check(&self.exchanges);
    }
}

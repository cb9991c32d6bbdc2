//! Generators that shrink to something readable: what clients mean, what is damaged on the way, what applications send,
//! how it is cut. A [`Case`] of them prints itself in the corpus's notation.

#![allow(dead_code, reason = "each test crate takes its part")]

use std::fmt;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sansgi::{Connection, ExchangeId, SendEvent};

use super::oracles;
use super::oracles::client::{Coding, Message};
use super::oracles::grammar::{Field, is_one_of, is_token};
use super::oracles::recogniser::Limits;
use super::support::print::{Line, Printed};

/// What an application does with each request, deciding nothing by how the bytes came.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    pub(crate) interim: Vec<(u16, Vec<Field>)>,
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) has_length: bool,
    pub(crate) closes: bool,
    pub(crate) parts: Vec<Part>,
    pub(crate) trailers: Option<Vec<Field>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Answers without receiving anything.
    Early,
    /// Receives all, then answers.
    Late,
    /// Starts, which holds the head, receives all, then sends the body.
    Held,
    /// Starts and flushes the head, receives all, then sends the body.
    Streaming,
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Body(Vec<u8>),
    /// Moved by the driver.
    Transfer(Vec<u8>),
}

impl Part {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(bytes) | Self::Transfer(bytes) => bytes,
        }
    }
}

impl Plan {
    pub(crate) fn body(&self) -> Vec<u8> {
        self.parts.iter().flat_map(Part::bytes).copied().collect()
    }

    pub(crate) fn send_interim(&self, connection: &mut Connection, id: ExchangeId) {
        for (status, fields) in &self.interim {
            let headers = borrowed(fields);
            connection.exchange(id).send(SendEvent::Informational { status: *status, headers: &headers }).unwrap();
        }
    }

    pub(crate) fn send_start(&self, connection: &mut Connection, id: ExchangeId) {
        let mut headers = borrowed(&self.fields);
        let length = self.body().len().to_string();
        if self.has_length {
            headers.push((b"Content-Length", length.as_bytes()));
        }
        if self.closes {
            headers.push((b"connection", b"close"));
        }
        let start =
            SendEvent::ResponseStart { status: self.status, headers: &headers, trailers: self.trailers.is_some() };
        connection.exchange(id).send(start).unwrap();
        if self.mode == Mode::Streaming {
            let flush = SendEvent::ResponseBody { body: Bytes::new(), more_body: true };
            connection.exchange(id).send(flush).unwrap();
        }
    }

    /// The parts of exchange `number`, which the driver finds by their token.
    pub(crate) fn send_body(&self, connection: &mut Connection, id: ExchangeId, number: usize) {
        if self.status == 101 {
            // "Completes its exchange at `ResponseStart`."
            return;
        }
        let mut exchange = connection.exchange(id);
        for (index, part) in self.parts.iter().enumerate() {
            let event = match part {
                Part::Body(bytes) => SendEvent::ResponseBody { body: bytes.clone().into(), more_body: true },
                Part::Transfer(bytes) => SendEvent::ResponsePart {
                    token: u64::try_from(number * 100 + index).unwrap(),
                    len: u64::try_from(bytes.len()).unwrap(),
                    more_body: true,
                },
            };
            exchange.send(event).unwrap();
        }
        exchange.send(SendEvent::ResponseBody { body: Bytes::new(), more_body: false }).unwrap();
        if let Some(trailers) = &self.trailers {
            let (first, rest) = trailers.split_at(trailers.len() / 2);
            for (fields, more_trailers) in [(first, true), (rest, false)] {
                exchange.send(SendEvent::ResponseTrailers { headers: &borrowed(fields), more_trailers }).unwrap();
            }
        }
    }
}

pub(crate) fn borrowed(fields: &[Field]) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
}
// What clients mean.

pub(crate) fn token() -> impl Strategy<Value = Vec<u8>> {
    vec(select(b"aZ09!#$%&'*+-.^_`|~tex".to_vec()), 1..8)
}

/// A name that says nothing to a server.
pub(crate) fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![token(), token().prop_map(|token| [b"X-", &token[..]].concat())].prop_filter(
        "a name with a meaning",
        |name| {
            let meant =
                ["host", "te", "expect", "connection", "upgrade", "content-length", "transfer-encoding", "date"];
            !is_one_of(name, &meant) && is_token(name)
        },
    )
}

pub(crate) fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0x20..0x7fu8, 1 => 0x80..=0xffu8, 1 => Just(b'\t')];
    vec(byte, 0..20).prop_map(|value| oracles::grammar::trim_ows(&value).to_vec())
}

pub(crate) fn fields() -> impl Strategy<Value = Vec<Field>> {
    vec((name(), value()), 0..5)
}

pub(crate) fn host() -> impl Strategy<Value = Vec<u8>> {
    let hosts = ["a", "www.example.org", "example.org:8080", "[::1]:1", "[v1.x]", "a:", "192.0.2.1", "%41.b"];
    select(hosts.to_vec()).prop_map(|host| host.as_bytes().to_vec())
}

pub(crate) fn path_and_query() -> impl Strategy<Value = Vec<u8>> {
    let path = vec(select(b"/a%2F.~!$&'()*+,;=:@\"{}|^[]-_0".to_vec()), 0..20);
    let query = option::of(vec(select(b"/a%3F.?&=<>\\`{}|^\"0".to_vec()), 0..20));
    (path, query).prop_map(|(path, query)| {
        let query = query.map(|query| [b"?", &query[..]].concat()).unwrap_or_default();
        [b"/", &path[..], &query].concat()
    })
}

pub(crate) fn body() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => vec(any::<u8>(), 0..60),
        1 => vec(any::<u8>(), 0..4000),
        // What would be a request, or the end of a body.
        1 => Just(b"\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
    ];
    part
}

pub(crate) fn coding(minor: u8) -> BoxedStrategy<(Coding, Vec<u8>)> {
    let none = Just((Coding::None, Vec::new()));
    let length = body().prop_map(|body| (Coding::Length, body));
    if minor == 0 {
        return prop_oneof![none, length].boxed();
    }
    let extension = select(vec![&b""[..], b";a", b";a=b", b" ;\ta = \"x;\\\"\xff\";c", b";a=\"\"\t;b"]);
    let extensions = vec(extension.prop_map(<[u8]>::to_vec), 0..4);
    let chunked =
        (body(), vec(1..40usize, 0..10), extensions, fields()).prop_map(|(body, sizes, extensions, fields)| {
            // Kept trailers alone: the recogniser is asked about the others.
            let trailers = fields.into_iter().map(|(name, value)| ([b"X-T", &name[..]].concat(), value)).collect();
            (Coding::Chunked { sizes, extensions, trailers }, body)
        });
    prop_oneof![none, length, chunked].boxed()
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![4 => Just(1u8), 1 => Just(0u8)].prop_flat_map(message_of)
}

pub(crate) fn message_of(minor: u8) -> impl Strategy<Value = Message> {
    let method = prop_oneof![
        4 => select(vec!["GET", "HEAD", "POST", "OPTIONS", "get"]).prop_map(|method| method.as_bytes().to_vec()),
        1 => token(),
    ];
    let target = prop_oneof![
        4 => path_and_query(),
        1 => (select(vec!["http://", "HTTPS://"]), host(), option::of(path_and_query()))
            .prop_map(|(scheme, host, path)| [scheme.as_bytes(), &host, &path.unwrap_or_default()].concat()),
        1 => Just(b"*".to_vec()),
    ];
    let connection = select(vec!["", "", "close", "Keep-Alive", ", x ,,keep-alive", "X-Other"]);
    let paddings = vec(select(vec![("", ""), (" ", ""), ("\t \t", " \t")]), 0..4);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<Index>());
    (method, target, host(), fields(), connection, paddings, coding(minor), flags).prop_map(
        move |(method, target, host, mut fields, connection, paddings, (coding, body), flags)| {
            let (takes_trailers, expects, has_blank_line, place) = flags;
            let method = if target == b"*" { b"OPTIONS".to_vec() } else { method };
            if minor == 1 || takes_trailers {
                fields.insert(place.index(fields.len() + 1), (b"Host".to_vec(), host));
            }
            let mut add = |name: &str, value: &str| fields.push((name.into(), value.into()));
            if !connection.is_empty() {
                add("Connection", connection);
            }
            if takes_trailers {
                add("TE", "deflate, Trailers");
            }
            if expects {
                add("Expect", "100-Continue");
            }
            Message { method, target, minor, fields, paddings, body, coding, has_blank_line }
        },
    )
}

/// 1 to 5 requests on one connection.
pub(crate) fn messages() -> impl Strategy<Value = Vec<Message>> {
    vec(message(), 1..6)
}

// What applications send.

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    let mode = select(vec![Mode::Early, Mode::Late, Mode::Held, Mode::Streaming]);
    let status = select(vec![200, 201, 204, 205, 299, 304, 404, 500, 599]);
    let part = prop_oneof![3 => body().prop_map(Part::Body), 1 => body().prop_map(Part::Transfer)];
    let interim = vec((102..200u16, fields()), 0..2);
    let flags = (any::<bool>(), prop::bool::weighted(0.1));
    (mode, interim, status, fields(), vec(part, 0..4), option::of(fields()), flags).prop_map(
        |(mode, interim, status, fields, parts, trailers, (has_length, closes))| Plan {
            mode,
            interim,
            status,
            // Any name that is allowed in trailers too, so that one kind of fields serves for all.
            fields,
            has_length,
            closes,
            parts,
            trailers: trailers
                .map(|fields| fields.into_iter().map(|(name, value)| ([b"x-t", &name[..]].concat(), value)).collect()),
        },
    )
}

pub(crate) fn plans() -> impl Strategy<Value = Vec<Plan>> {
    vec(plan(), 5)
}

pub(crate) fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop_oneof![Just(Vec::new()), vec(any::<Index>(), 0..12)]
}
pub(crate) fn encode(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(Message::encode).collect()
}
// Damage.

/// What was done to a stream of requests; the places are where a parser looks, or anywhere.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    LineEnd(Index, &'static str),
    Line(Index, &'static str),
    SecondLine(Index, Index),
    Insert(Index, u8),
    Replace(Index, u8),
    Remove(Index),
    Repeat(Index, usize),
}

impl Damage {
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        let line_ends: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"\r\n")).collect();
        let line_starts: Vec<usize> = [0].into_iter().chain(line_ends.iter().map(|at| at + 2)).collect();
        let length = bytes.len();
        match self {
            _ if length == 0 || line_ends.is_empty() => {}
            Self::LineEnd(index, text) => {
                let at = line_ends[index.index(line_ends.len())];
                bytes.splice(at..at + 2, text.bytes());
            }
            Self::Line(index, text) => {
                let at = line_starts[index.index(line_starts.len())];
                bytes.splice(at..at, text.bytes());
            }
            Self::SecondLine(index, to) => {
                let from = index.index(line_ends.len());
                let line = bytes[line_starts[from]..line_ends[from] + 2].to_vec();
                let at = line_starts[to.index(line_starts.len())];
                bytes.splice(at..at, line);
            }
            Self::Insert(index, byte) => bytes.insert(index.index(length + 1), *byte),
            Self::Replace(index, byte) => bytes[index.index(length)] = *byte,
            Self::Remove(index) => {
                bytes.remove(index.index(length));
            }
            Self::Repeat(index, count) => {
                let at = index.index(length);
                let repeated = bytes[at..(at + count).min(length)].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let line_ends = select(vec!["\n", "\r", "\r\r\n", "\n\r", "", "\r\n ", "\r\n\t", "\r\n\r\n", " \r\n", "\r\nx"]);
    let lines = select(vec![
        "Content-Length: 5\r\n",
        "content-length: +5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "host: b\r\n",
        "Connection: close\r\n",
        "expect: x\r\n",
        "0\r\n\r\n",
        "1\r\nx\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\n",
        " ",
        ";",
        "+",
        "0x",
        ":",
    ]);
    let byte = prop_oneof![select(b"\r\n \t:;,=\"\\\0\x7f\x80/?#0aF".to_vec()), any::<u8>()];
    prop_oneof![
        2 => (any::<Index>(), line_ends).prop_map(|(index, text)| Damage::LineEnd(index, text)),
        2 => (any::<Index>(), lines).prop_map(|(index, text)| Damage::Line(index, text)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(index, to)| Damage::SecondLine(index, to)),
        1 => (any::<Index>(), byte.clone()).prop_map(|(index, byte)| Damage::Insert(index, byte)),
        1 => (any::<Index>(), byte).prop_map(|(index, byte)| Damage::Replace(index, byte)),
        1 => any::<Index>().prop_map(Damage::Remove),
        1 => (any::<Index>(), 1..40usize).prop_map(|(index, count)| Damage::Repeat(index, count)),
    ]
}

/// Requests with up to three faults, or without.
pub(crate) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (vec(message(), 1..4), vec(damage(), 0..4)).prop_map(|(messages, damages)| {
        let mut bytes = encode(&messages);
        for damage in damages {
            damage.apply(&mut bytes);
        }
        bytes
    })
}

/// The usual ones, or some that most requests pass.
pub(crate) fn limits() -> impl Strategy<Value = Limits> {
    let small = (1..20usize, 1..40usize, 60..300usize, 1..8usize, (1..30usize, 0..40u64, 2..60usize, 0..100u64))
        .prop_map(|(method_bytes, target_bytes, head_bytes, fields, body)| {
            let (chunk_line_bytes, chunk_extension_bytes, trailer_bytes, body_bytes) = body;
            Limits {
                head_bytes,
                method_bytes,
                target_bytes,
                fields,
                chunk_line_bytes,
                chunk_extension_bytes,
                trailer_bytes,
                body_bytes,
                connect: false,
            }
        });
    prop_oneof![1 => Just(Limits::DEFAULT), 1 => small]
}

/// An application that answers at once, with these fields and no body.
pub(crate) fn plain(status: u16, fields: &[(&str, &str)]) -> Plan {
    Plan {
        mode: Mode::Late,
        interim: Vec::new(),
        status,
        fields: fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        has_length: status != 101,
        closes: false,
        parts: Vec::new(),
        trailers: None,
    }
}

// Cases.

/// How the client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Never,
    Behind,
    /// Seen together with the last bytes.
    AtOnce,
}

/// All that a property is asked of.
#[derive(Clone)]
pub(crate) struct Case {
    /// What the bytes mean, where they mean something.
    pub(crate) messages: Vec<Message>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) limits: Limits,
    /// The n-th is for the n-th exchange, then again from the first.
    pub(crate) plans: Vec<Plan>,
    pub(crate) cuts: Vec<Index>,
    pub(crate) other_cuts: Vec<Index>,
    /// Most bytes of one write.
    pub(crate) write_bytes: usize,
    pub(crate) ends: Ends,
}

impl Case {
    pub(crate) fn of(bytes: Vec<u8>, plans: Vec<Plan>, cuts: Vec<Index>) -> Self {
        Self {
            messages: Vec::new(),
            bytes,
            limits: Limits::DEFAULT,
            plans,
            cuts,
            other_cuts: Vec::new(),
            write_bytes: usize::MAX,
            ends: Ends::Never,
        }
    }

    /// Where the reads end, the first and the last place included.
    pub(crate) fn places(&self, cuts: &[Index]) -> Vec<usize> {
        let length = self.bytes.len();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
        places.extend([0, length]);
        places.sort_unstable();
        places
    }

    /// For a file of `tests/corpus/`. Where the reads end, and how much is written at a time, is not the corpus's to
    /// say: it tries all.
    pub(crate) fn printed(&self) -> Printed {
        let mut found = vec![format!("Found with reads that end at {:?}", self.places(&self.cuts))];
        if !self.other_cuts.is_empty() {
            found.push(format!("and at {:?}", self.places(&self.other_cuts)));
        }
        if self.write_bytes < usize::MAX {
            found.push(format!("in writes of {} bytes", self.write_bytes));
        }
        let requests = if self.messages.is_empty() { self.plans.len() } else { self.messages.len() };
        let apps = self.plans.iter().cycle().take(if self.plans.is_empty() { 0 } else { requests });
        let mut wire = Vec::new();
        if !self.bytes.is_empty() {
            wire.push(Line::bytes(&self.bytes));
        }
        match self.ends {
            Ends::Never => {}
            Ends::Behind => wire.push(Line::new("eof")),
            Ends::AtOnce => wire.push(Line::new("eof at once")),
        }
        Printed {
            name: "found by chance".to_owned(),
            prose: found.join(", ") + ".",
            config: self.config(),
            apps: apps.enumerate().map(|(number, plan)| plan.script(number)).collect(),
            wire,
        }
    }

    fn config(&self) -> Vec<String> {
        let (limits, usual) = (&self.limits, &Limits::DEFAULT);
        let mut lines = Vec::new();
        let mut line = |name: &str, value: u64, usual: u64| {
            if value != usual {
                lines.push(format!("{name} {value}"));
            }
        };
        let count = |bytes: usize| u64::try_from(bytes).unwrap();
        line("max_head_bytes", count(limits.head_bytes), count(usual.head_bytes));
        line("max_method_bytes", count(limits.method_bytes), count(usual.method_bytes));
        line("max_target_bytes", count(limits.target_bytes), count(usual.target_bytes));
        line("max_fields", count(limits.fields), count(usual.fields));
        line("max_chunk_line_bytes", count(limits.chunk_line_bytes), count(usual.chunk_line_bytes));
        line("max_chunk_extension_bytes", limits.chunk_extension_bytes, usual.chunk_extension_bytes);
        line("max_trailer_bytes", count(limits.trailer_bytes), count(usual.trailer_bytes));
        line("max_body_bytes", limits.body_bytes, usual.body_bytes);
        if limits.connect {
            lines.push("connect on".to_owned());
        }
        lines
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.printed())
    }
}

impl Plan {
    /// The same in the corpus's words, for exchange `number`.
    pub(crate) fn script(&self, number: usize) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for (status, fields) in &self.interim {
            lines.push(Line::with(format!("informational {status}"), fields.clone()));
        }
        let mut headers = self.fields.clone();
        if self.has_length {
            headers.push((b"Content-Length".to_vec(), self.body().len().to_string().into_bytes()));
        }
        if self.closes {
            headers.push((b"connection".to_vec(), b"close".to_vec()));
        }
        let declared = if self.trailers.is_some() { " trailers" } else { "" };
        let start = Line::with(format!("start {}{declared}", self.status), headers);
        let receive = Line::new("receive to end");
        match self.mode {
            Mode::Early => lines.push(start),
            Mode::Late => lines.extend([receive, start]),
            Mode::Held => lines.extend([start, receive]),
            Mode::Streaming => lines.extend([start, Line::new("flush"), receive]),
        }
        if self.status != 101 {
            for (index, part) in self.parts.iter().enumerate() {
                lines.push(match part {
                    Part::Body(bytes) => Line::body(bytes, true),
                    Part::Transfer(bytes) => Line::new(format!("part {} {} more", number * 100 + index, bytes.len())),
                });
            }
            lines.push(Line::body(b"", false));
            if let Some(trailers) = &self.trailers {
                let (first, rest) = trailers.split_at(trailers.len() / 2);
                lines.extend([Line::with("trailers more", first.to_vec()), Line::with("trailers", rest.to_vec())]);
            }
        }
        lines.push(Line::new("end"));
        lines
    }
}

//! A scripted application: it does one thing after the other, and waits where it is told to wait.

use std::fmt::Write as _;
use std::task::Poll;
use std::time::Duration;

use sansgi::{Connection, ExchangeId, ReceiveEvent, Request, SendError, SendEvent};

use super::log::Log;
use super::text::{escape, parse_bytes, parse_duration, parse_quoted, quote};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Op {
    Receive,
    /// Asks once and does not wait for the answer.
    Demand,
    ReceiveToEnd,
    ReceiveUntilDisconnect,
    Echo,
    Send(Sent),
    Ready,
    Show(Shown),
    /// Logs whether any `Debug` of what it has met holds this text.
    Debug(Vec<u8>),
    Sleep(Duration),
    AwaitStart(u64),
    End,
    Crash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    Start { status: u16, headers: Fields, trailers: bool },
    Body { bytes: Vec<u8>, more: bool },
    Part { token: u64, length: u64, more: bool },
    Trailers { headers: Fields, more: bool },
    Informational { status: u16, headers: Fields },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Outcome,
    Request,
    Headers,
    RawHeaders,
    Trailers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// One list for each task: the first, and those that `meanwhile` begins.
    tasks: Vec<Vec<Op>>,
}

/// What runs where a case says nothing.
const DEFAULT: &str = "receive to end\nstart 200\n  content-length: 2\nbody \"ok\"\n";

impl Script {
    pub fn default_script() -> Result<Self, String> {
        Self::parse(DEFAULT)
    }

    pub fn parse(block: &str) -> Result<Self, String> {
        let mut tasks = vec![Vec::new()];
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            if line.ends_with(' ') {
                return Err(format!("white space at the end of {line:?}: write \\x20"));
            }
            if line == "meanwhile" {
                tasks.push(Vec::new());
                continue;
            }
            let Some(ops) = tasks.last_mut() else { break };
            if let Some(field) = line.strip_prefix("  ") {
                let (name, value) = field.split_once(':').ok_or_else(|| format!("no header: {line:?}"))?;
                let field = (parse_bytes(name)?, parse_bytes(value.strip_prefix(' ').unwrap_or(value))?);
                match ops.last_mut() {
                    Some(Op::Send(
                        Sent::Start { headers, .. }
                        | Sent::Trailers { headers, .. }
                        | Sent::Informational { headers, .. },
                    )) => headers.push(field),
                    _ => return Err(format!("a header that belongs to nothing: {line:?}")),
                }
                continue;
            }
            ops.push(parse_op(line)?);
        }
        Ok(Self { tasks })
    }
}

fn parse_op(line: &str) -> Result<Op, String> {
    let unknown = || format!("an application cannot {line:?}");
    let number = |text: &str| text.parse::<u64>().map_err(|_| unknown());
    let status = |text: &str| text.parse::<u16>().map_err(|_| unknown());
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let more = |rest: &str| match rest {
        "" => Ok(false),
        "more" => Ok(true),
        _ => Err(unknown()),
    };
    Ok(match (verb, rest) {
        ("receive", "") => Op::Receive,
        ("receive", "to end") => Op::ReceiveToEnd,
        ("receive", "until disconnect") => Op::ReceiveUntilDisconnect,
        ("demand", "") => Op::Demand,
        ("echo", "") => Op::Echo,
        ("start", rest) => {
            let (code, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let trailers = match rest {
                "" => false,
                "trailers" => true,
                _ => return Err(unknown()),
            };
            Op::Send(Sent::Start { status: status(code)?, headers: Vec::new(), trailers })
        }
        ("body", rest) => {
            let (bytes, rest) = parse_quoted(rest)?;
            Op::Send(Sent::Body { bytes, more: more(rest)? })
        }
        ("flush", "") => Op::Send(Sent::Body { bytes: Vec::new(), more: true }),
        ("part", rest) => {
            let (token, rest) = rest.split_once(' ').ok_or_else(unknown)?;
            let (length, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            Op::Send(Sent::Part { token: number(token)?, length: number(length)?, more: more(rest)? })
        }
        ("trailers", rest) => Op::Send(Sent::Trailers { headers: Vec::new(), more: more(rest)? }),
        ("informational", code) => Op::Send(Sent::Informational { status: status(code)?, headers: Vec::new() }),
        ("ready", "") => Op::Ready,
        ("debug", rest) => Op::Debug(parse_quoted(rest)?.0),
        ("outcome", "") => Op::Show(Shown::Outcome),
        ("show", "request") => Op::Show(Shown::Request),
        ("show", "headers") => Op::Show(Shown::Headers),
        ("show", "raw headers") => Op::Show(Shown::RawHeaders),
        ("show", "trailers") => Op::Show(Shown::Trailers),
        ("sleep", time) => Op::Sleep(parse_duration(time)?),
        ("await", rest) => Op::AwaitStart(number(rest.strip_prefix("start ").ok_or_else(unknown)?)?),
        ("end", "") => Op::End,
        ("crash", "") => Op::Crash,
        _ => return Err(unknown()),
    })
}

/// Whether a step did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    Yes,
    No,
}

/// A task of an application, at work on an exchange.
#[derive(Debug)]
pub struct App {
    id: ExchangeId,
    /// From 0.
    task: usize,
    request: Request,
    ops: Vec<Op>,
    next: usize,
    body_ended: bool,
    /// Until when it sleeps.
    wakes: Option<sansgi::Instant>,
    /// The operation at hand has been noted as one that takes all of the body.
    is_open: bool,
    /// Every event that passed, by its `Debug`, if a line of the script asks for that.
    met: Option<String>,
}

/// What an application sees of the world at one moment.
pub struct Moment<'a> {
    pub conn: &'a mut Connection,
    pub now: sansgi::Instant,
    /// The last exchange that was started.
    pub started: u64,
    pub log: &'a mut Log,
}

/// Where an operation stands.
enum Step {
    /// The next one may follow.
    Done,
    /// It has done something and goes on.
    Again,
    Pending,
    /// The application does nothing more.
    Stop,
}

impl App {
    /// All tasks of a script.
    pub fn tasks(id: ExchangeId, request: &Request, script: &Script) -> impl Iterator<Item = Self> {
        script.tasks.iter().enumerate().map(move |(task, ops)| Self {
            id,
            task,
            request: request.clone(),
            ops: ops.clone(),
            next: 0,
            body_ended: false,
            wakes: None,
            is_open: false,
            met: ops.iter().any(|op| matches!(op, Op::Debug(_))).then(String::new),
        })
    }

    fn section(&self) -> (u64, usize) {
        (self.id.as_u64(), self.task)
    }

    fn log(&self, moment: &mut Moment<'_>, line: impl Into<String>) {
        moment.log.app(moment.now, self.section(), line);
    }

    /// When it wakes by itself.
    pub fn wakes(&self) -> Option<sansgi::Instant> {
        self.wakes
    }

    /// Whether it has not come to the end of its script.
    pub fn is_at_work(&self) -> bool {
        self.next < self.ops.len()
    }

    /// Does one thing, if it can.
    pub fn step(&mut self, moment: &mut Moment<'_>) -> Result<Moved, String> {
        let Some(op) = self.ops.get(self.next).cloned() else { return Ok(Moved::No) };
        match self.run(&op, moment)? {
            Step::Done => {
                self.next += 1;
                self.is_open = false;
            }
            Step::Again => {}
            Step::Pending => return Ok(Moved::No),
            Step::Stop => self.next = self.ops.len(),
        }
        Ok(Moved::Yes)
    }

    fn run(&mut self, op: &Op, moment: &mut Moment<'_>) -> Result<Step, String> {
        match op {
            Op::Receive => Ok(match self.receive(moment, false)? {
                Received::Pending => Step::Pending,
                Received::Part(_) | Received::Disconnect => Step::Done,
            }),
            Op::Demand => self.receive(moment, false).map(|_| Step::Done),
            Op::ReceiveToEnd => {
                self.open(moment);
                if self.body_ended {
                    return Ok(Step::Done);
                }
                Ok(match self.receive(moment, true)? {
                    Received::Pending => Step::Pending,
                    Received::Part(_) if self.body_ended => Step::Done,
                    Received::Part(_) => Step::Again,
                    Received::Disconnect => Step::Stop,
                })
            }
            Op::ReceiveUntilDisconnect => {
                self.open(moment);
                Ok(match self.receive(moment, true)? {
                    Received::Pending => Step::Pending,
                    Received::Part(_) => Step::Again,
                    Received::Disconnect => Step::Done,
                })
            }
            Op::Echo => {
                self.open(moment);
                Ok(match self.receive(moment, true)? {
                    Received::Pending => Step::Pending,
                    Received::Part(body) => {
                        let event = SendEvent::ResponseBody { body: body.into(), more_body: !self.body_ended };
                        match self.send("echo", event, moment)? {
                            Ok(()) if self.body_ended => Step::Done,
                            Ok(()) => Step::Again,
                            Err(_) => Step::Stop,
                        }
                    }
                    Received::Disconnect => Step::Stop,
                })
            }
            Op::Send(sent) => self.sends(sent, moment),
            Op::Ready => match moment.conn.exchange(self.id).ready() {
                Poll::Pending => Ok(Step::Pending),
                Poll::Ready(Ok(())) => {
                    self.log(moment, "is ready");
                    Ok(Step::Done)
                }
                Poll::Ready(Err(error)) => {
                    self.log(moment, format!("ready refused: {}", show_error(error)));
                    Ok(Step::Done)
                }
            },
            Op::Show(shown) => {
                for line in self.shown(*shown, moment) {
                    self.log(moment, line);
                }
                Ok(Step::Done)
            }
            Op::Debug(text) => {
                let mut debug = format!("{:?} {:?} {:?}", self.met, self.request, moment.conn);
                let exchange = moment.conn.exchange(self.id);
                debug = format!("{debug} {exchange:?} {:?}", exchange.trailers());
                let shows = debug.contains(&escape(text));
                self.log(moment, format!("debug {} {}", if shows { "shows" } else { "hides" }, quote(text)));
                Ok(Step::Done)
            }
            Op::Sleep(time) => match self.wakes {
                None => {
                    self.wakes = Some(moment.now + *time);
                    Ok(Step::Again)
                }
                Some(at) if at <= moment.now => {
                    self.wakes = None;
                    Ok(Step::Done)
                }
                Some(_) => Ok(Step::Pending),
            },
            Op::AwaitStart(number) => Ok(if moment.started >= *number { Step::Done } else { Step::Pending }),
            Op::End => {
                let outcome = moment.conn.exchange(self.id).end();
                self.log(moment, format!("ends: {outcome:?}"));
                Ok(Step::Done)
            }
            Op::Crash => {
                let outcome = moment.conn.exchange(self.id).end();
                self.log(moment, format!("crashes: {outcome:?}"));
                Ok(Step::Done)
            }
        }
    }

    /// Sends, and goes on also when it is refused.
    fn sends(&mut self, sent: &Sent, moment: &mut Moment<'_>) -> Result<Step, String> {
        let answer = match sent {
            Sent::Start { status, headers, trailers } => {
                let headers = &borrowed(headers);
                let event = SendEvent::ResponseStart { status: *status, headers, trailers: *trailers };
                self.send("start", event, moment)
            }
            Sent::Body { bytes, more } => {
                self.send("body", SendEvent::ResponseBody { body: bytes.clone().into(), more_body: *more }, moment)
            }
            Sent::Part { token, length, more } => {
                self.send("part", SendEvent::ResponsePart { token: *token, len: *length, more_body: *more }, moment)
            }
            Sent::Trailers { headers, more } => {
                let event = SendEvent::ResponseTrailers { headers: &borrowed(headers), more_trailers: *more };
                self.send("trailers", event, moment)
            }
            Sent::Informational { status, headers } => {
                let event = SendEvent::Informational { status: *status, headers: &borrowed(headers) };
                self.send("informational", event, moment)
            }
        };
        answer.map(|_| Step::Done)
    }

    fn shown(&self, shown: Shown, moment: &mut Moment<'_>) -> Vec<String> {
        let exchange = moment.conn.exchange(self.id);
        let fields = self.request.headers().iter();
        match shown {
            Shown::Outcome => match exchange.outcome() {
                Some(outcome) => vec![format!("outcome {outcome:?}")],
                None => vec!["no outcome".to_owned()],
            },
            Shown::Request => vec![show_request(&self.request)],
            Shown::Headers => fields.map(|f| show_field("header", f.name().as_bytes(), f.value())).collect(),
            Shown::RawHeaders => fields.map(|f| show_field("raw header", f.name_as_sent(), f.value())).collect(),
            Shown::Trailers => match exchange.trailers() {
                None => vec!["no trailers yet".to_owned()],
                Some(trailers) if trailers.is_empty() => vec!["empty trailers".to_owned()],
                Some(trailers) => {
                    trailers.iter().map(|f| show_field("trailer", f.name().as_bytes(), f.value())).collect()
                }
            },
        }
    }

    /// Notes that from here on all of the body is taken: the log may then show every byte of it.
    fn open(&mut self, moment: &mut Moment<'_>) {
        if !self.is_open {
            self.is_open = true;
            moment.log.part(moment.now, self.section(), b"", self.body_ended, true);
        }
    }

    fn receive(&mut self, moment: &mut Moment<'_>, open: bool) -> Result<Received, String> {
        let id = self.id.as_u64();
        let mut exchange = moment.conn.exchange(self.id);
        let outcome = exchange.outcome();
        match exchange.receive() {
            Poll::Pending => match outcome {
                Some(_) => Err(format!("receive of {id} is pending although its outcome is known")),
                None => Ok(Received::Pending),
            },
            Poll::Ready(ReceiveEvent::Request { body, more_body }) => {
                if self.body_ended {
                    return Err(format!("{id} receives a part behind the end of its body"));
                }
                if body.is_empty() && more_body {
                    return Err(format!("{id} receives an empty part that is not the last"));
                }
                self.body_ended = !more_body;
                if let Some(met) = &mut self.met {
                    let _ = write!(met, "{:?}", ReceiveEvent::Request { body: body.clone(), more_body });
                }
                moment.log.part(moment.now, self.section(), &body, !more_body, open);
                Ok(Received::Part(body.to_vec()))
            }
            Poll::Ready(ReceiveEvent::Disconnect) => {
                if exchange.receive() != Poll::Ready(ReceiveEvent::Disconnect) {
                    return Err(format!("{id} receives something behind a disconnect"));
                }
                let outcome = exchange.outcome().ok_or_else(|| format!("a disconnect of {id} without an outcome"))?;
                self.log(moment, format!("receives disconnect: {outcome:?}"));
                Ok(Received::Disconnect)
            }
        }
    }

    fn send(
        &mut self,
        what: &str,
        event: SendEvent<'_>,
        moment: &mut Moment<'_>,
    ) -> Result<Result<(), SendError>, String> {
        let queued = |conn: &Connection| conn.outgoing().map(<[u8]>::len).sum::<usize>();
        let before = queued(moment.conn);
        if let Some(met) = &mut self.met {
            let _ = write!(met, "{event:?}");
        }
        let answer = moment.conn.exchange(self.id).send(event);
        if let Err(error) = answer {
            if queued(moment.conn) != before {
                return Err(format!("{what} was refused, but something was written"));
            }
            self.log(moment, format!("{what} refused: {}", show_error(error)));
        }
        Ok(answer)
    }
}

enum Received {
    Pending,
    Part(Vec<u8>),
    Disconnect,
}

fn borrowed(fields: &Fields) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
}

fn show_error(error: SendError) -> String {
    match error {
        SendError::Misuse(misuse) => format!("Misuse {misuse:?}"),
        error => format!("{error:?}"),
    }
}

fn show_field(what: &str, name: &[u8], value: &[u8]) -> String {
    format!("{what} {}: {}", escape(name), escape(value)).trim_end().to_owned()
}

fn show_request(request: &Request) -> String {
    let length = match request.content_length() {
        Some(length) => length.to_string(),
        None => "none".to_owned(),
    };
    format!(
        "request raw path {}, path {}, query {}, authority {}, form {:?}, length {length}, {}",
        quote(request.raw_path()),
        quote(request.path().as_bytes()),
        quote(request.query()),
        quote(request.authority()),
        request.target_form(),
        if request.has_body() { "has a body" } else { "has no body" },
    )
}

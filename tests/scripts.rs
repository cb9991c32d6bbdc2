//! All scripts of an application: at most five of fourteen events, for nine kinds of request, with the body there
//! before or coming after; and the same with an event inserted that is illegal anywhere, at every place.
//!
//! A script goes on behind an event only if that was taken: a refused one changes nothing (P11), which is checked where
//! it is refused, so what follows it is a script of its own already. What is written is judged by the validator (P7),
//! and must say what the application said (P9).
//!
//! `cargo test` runs scripts of at most four events; `SANSGI_EXHAUST=full cargo test --release --test scripts` of five.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod oracles;

use std::task::Poll;

use bytes::Bytes;
use oracles::subject;
use oracles::validator::{self, Asked, End, Framing};
use sansgi::{Action, Config, Connection, ExchangeId, Instant, Outcome, ReceiveEvent, SendEvent};

const NOW: Instant = Instant::ZERO;

/// `None` is `receive`.
const EVENTS: [(&str, Option<SendEvent<'static>>); 14] = [
    ("receive", None),
    ("103", Some(SendEvent::Informational { status: 103, headers: &[(b"link", b"</a>")] })),
    ("start", Some(SendEvent::ResponseStart { status: 200, headers: &[], trailers: false })),
    (
        "start with length",
        Some(SendEvent::ResponseStart { status: 404, headers: &[(b"content-length", b"2")], trailers: false }),
    ),
    ("start 204", Some(SendEvent::ResponseStart { status: 204, headers: &[], trailers: false })),
    ("start with trailers", Some(SendEvent::ResponseStart { status: 200, headers: &[], trailers: true })),
    (
        "start close",
        Some(SendEvent::ResponseStart { status: 200, headers: &[(b"Connection", b"close")], trailers: false }),
    ),
    ("start 101", Some(SendEvent::ResponseStart { status: 101, headers: &[(b"upgrade", b"w")], trailers: false })),
    ("flush", Some(SendEvent::ResponseBody { body: Bytes::new(), more_body: true })),
    ("body", Some(SendEvent::ResponseBody { body: Bytes::from_static(b"h"), more_body: true })),
    ("last body", Some(SendEvent::ResponseBody { body: Bytes::from_static(b"hi"), more_body: false })),
    ("end of body", Some(SendEvent::ResponseBody { body: Bytes::new(), more_body: false })),
    ("last part", Some(SendEvent::ResponsePart { token: 7, len: 1, more_body: false })),
    ("trailers", Some(SendEvent::ResponseTrailers { headers: &[(b"x", b"y")], more_trailers: false })),
];

/// Wrong at any time.
const ILLEGAL: [SendEvent<'static>; 8] = [
    SendEvent::ResponseStart { status: 200, headers: &[(b"bad name", b"")], trailers: false },
    SendEvent::ResponseTrailers { headers: &[(b"content-length", b"1")], more_trailers: false },
    SendEvent::Informational { status: 103, headers: &[(b"a", b"b\r\nc: d")] },
    SendEvent::ResponseStart { status: 99, headers: &[], trailers: true },
    SendEvent::Informational { status: 100, headers: &[] },
    SendEvent::ResponseStart {
        status: 200,
        headers: &[(b"content-length", b"2"), (b"Content-Length", b"2")],
        trailers: false,
    },
    SendEvent::ResponseTrailers { headers: &[(b"a", b"b "), (b"c", b"d")], more_trailers: true },
    SendEvent::ResponseStart { status: 101, headers: &[(b"upgrade", b"other")], trailers: false },
];

/// A head, and its body.
const REQUESTS: [(&str, &[u8], &[u8]); 9] = [
    ("get", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b""),
    ("head", b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", b""),
    ("get 1.0", b"GET / HTTP/1.0\r\n\r\n", b""),
    ("get 1.0 keep-alive", b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", b""),
    ("post by length", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n", b"ab"),
    (
        "post chunked",
        b"POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n",
        b"1\r\na\r\n1\r\nb\r\n0\r\nx: y\r\n\r\n",
    ),
    ("expect", b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n", b"ab"),
    ("upgrade", b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: w\r\n\r\n", b""),
    ("connect", b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", b""),
];

/// Behind it: served, or a tunnel's bytes, or nobody's.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

/// What an application has said, as far as it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    status: Option<u16>,
    is_out: bool,
    body: Vec<u8>,
    trailers: bool,
    interim: usize,
    is_complete: bool,
    received: Vec<u8>,
}

impl Said {
    fn note(&mut self, event: &SendEvent<'_>, is_1_1: bool, is_connect: bool) {
        match event {
            SendEvent::ResponseStart { status, trailers, .. } => {
                self.status = Some(*status);
                self.trailers = *trailers;
                let is_switch = *status == 101 || is_connect && (200..300).contains(status);
                self.is_out |= is_switch;
                self.is_complete |= is_switch;
            }
            SendEvent::ResponseBody { body, more_body } => {
                self.is_out = true;
                self.body.extend_from_slice(body);
                self.is_complete |= !more_body && !self.trailers;
            }
            SendEvent::ResponsePart { more_body, .. } => {
                self.is_out = true;
                self.body.push(b'p');
                self.is_complete |= !more_body && !self.trailers;
            }
            SendEvent::ResponseTrailers { more_trailers, .. } => self.is_complete |= !more_trailers,
            SendEvent::Informational { .. } => self.interim += usize::from(is_1_1 && !self.is_out),
            _ => panic!("no script has {event:?}"),
        }
    }
}

/// A connection behind some events of one script.
#[derive(Clone)]
struct Run {
    conn: Connection,
    id: ExchangeId,
    asked: Vec<Asked>,
    output: Vec<u8>,
    end: End,
    leftover: Vec<u8>,
    /// The next request, which is not answered yet.
    next: Option<ExchangeId>,
}

impl Run {
    fn new(input: &[u8]) -> Self {
        let mut conn = Connection::new(Config::builder().connect(true).build().unwrap());
        conn.handle_bytes(input);
        let Action::Start(id, request) = conn.next_action(NOW) else { panic!("no start") };
        let asked = vec![asked(&request)];
        Self { conn, id, asked, output: Vec::new(), end: End::Open, leftover: Vec::new(), next: None }
    }

    fn exchange(&mut self) -> sansgi::Exchange<'_> {
        self.conn.exchange(self.id)
    }

    fn unwritten(&self) -> Vec<u8> {
        self.conn.outgoing().flatten().copied().collect()
    }

    /// All that makes one run another.
    fn print(&self) -> (String, Vec<u8>) {
        (self.conn.fingerprint(), self.unwritten())
    }

    /// The application ends, all is written, and what is still to come comes; the next request is answered.
    fn finish(&mut self, rest: &[u8]) -> Outcome {
        let outcome = self.exchange().end();
        self.write_and_answer();
        self.conn.handle_bytes(rest);
        self.write_and_answer();
        outcome
    }

    /// What is told, up to the first that stays.
    fn ask(&mut self) -> Vec<Action> {
        let mut told = Vec::new();
        loop {
            let action = self.conn.next_action(NOW);
            let is_told_once = match &action {
                Action::Start(id, request) => {
                    self.next = Some(*id);
                    self.asked.push(asked(request));
                    true
                }
                Action::Disconnect(_) => true,
                _ => false,
            };
            told.push(action);
            if !is_told_once {
                return told;
            }
        }
    }

    fn write_and_answer(&mut self) {
        loop {
            let action = self.ask().pop().unwrap();
            if let Some(id) = self.next.take() {
                let headers: &[(&[u8], &[u8])] = &[(b"content-length", b"4")];
                let mut exchange = self.conn.exchange(id);
                exchange.send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).unwrap();
                exchange.send(SendEvent::ResponseBody { body: "next".into(), more_body: false }).unwrap();
                exchange.end();
                continue;
            }
            match action {
                Action::Shutdown => {}
                Action::Transfer { token: 7, remaining: 1, .. } => {
                    self.output.push(b'p');
                    self.conn.handle_written(1);
                }
                Action::Wait(wait) if wait.write => {
                    let bytes = self.unwritten();
                    self.conn.handle_written(bytes.len());
                    self.output.extend_from_slice(&bytes);
                }
                Action::Wait(_) => return,
                Action::Switch { leftover, .. } => {
                    self.end = End::Switched;
                    self.leftover = leftover.to_vec();
                }
                Action::Close { reset } => {
                    self.end = if reset { End::Reset } else { End::Closed };
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn asked(request: &sansgi::Request) -> Asked {
    Asked {
        expects_continue: request.headers().get("expect").is_some(),
        takes_trailers: request.headers().get("te").is_some(),
        ..subject::asked(&subject::translate(request))
    }
}

/// One kind of request, and all scripts for it.
struct Scripts {
    name: &'static str,
    most_events: usize,
    /// What is there only when the script has ended.
    rest: Vec<u8>,
    body: &'static [u8],
    is_before: bool,
    asked: Asked,
    count: usize,
    insertions: usize,
}

impl Scripts {
    fn run(most_events: usize, (name, head, body): (&'static str, &[u8], &'static [u8]), is_before: bool) -> Self {
        let behind = [body, NEXT].concat();
        let run = if is_before { Run::new(&[head, &behind].concat()) } else { Run::new(head) };
        let asked = run.asked[0].clone();
        let rest = if is_before { Vec::new() } else { behind };
        let mut scripts = Self { name, most_events, rest, body, is_before, asked, count: 0, insertions: 0 };
        scripts.walk(&mut Vec::new(), &run, &[], &Said::default());
        scripts
    }

    /// `disturbed`: the same run with an illegal event at one place of those before.
    fn walk(&mut self, script: &mut Vec<usize>, run: &Run, disturbed: &[Run], said: &Said) {
        self.count += 1;
        let mut disturbed = disturbed.to_vec();
        disturbed.push(self.disturb(script, run));
        self.insertions += disturbed.len();
        self.judge(script, run, &disturbed, said);
        if script.len() == self.most_events {
            return;
        }
        for (index, (_, event)) in EVENTS.iter().enumerate() {
            let mut next = run.clone();
            let mut said = said.clone();
            let was_taken = match event {
                None => {
                    self.receive(&mut next, &mut said, script);
                    Ok(())
                }
                Some(event) => next.exchange().send(event.clone()).map(|()| {
                    let (is_1_1, is_connect) = (self.asked.minor == 1, self.asked.method == b"CONNECT");
                    said.note(event, is_1_1, is_connect);
                }),
            };
            if let Err(refused) = was_taken {
                assert_eq!(
                    next.print(),
                    run.print(),
                    "{refused:?} has changed something: {}",
                    self.text(script, Some(index))
                );
                continue;
            }
            // Behind the end nothing changes but the number of questions.
            if said.is_complete && *event == EVENTS[0].1 {
                continue;
            }
            let told = next.ask();
            let mut others = disturbed.clone();
            for other in &mut others {
                match event {
                    None => drop(other.exchange().receive()),
                    Some(event) => other.exchange().send(event.clone()).unwrap(),
                }
                assert_eq!(other.ask(), told, "told otherwise behind a refusal: {}", self.text(script, Some(index)));
                assert_eq!(other.print(), next.print(), "behind a refusal: {}", self.text(script, Some(index)));
            }
            script.push(index);
            self.walk(script, &next, &others, &said);
            script.pop();
        }
    }

    /// The run, behind one illegal event more.
    fn disturb(&self, script: &[usize], run: &Run) -> Run {
        let mut other = run.clone();
        // Each of them at each place of some scripts.
        let event = &ILLEGAL[(self.count + script.len()) % ILLEGAL.len()];
        let refused = other.exchange().send(event.clone());
        assert!(refused.is_err(), "{event:?} was taken: {}", self.text(script, None));
        assert_eq!(other.print(), run.print(), "{event:?} has changed something: {}", self.text(script, None));
        other
    }

    /// Always an answer.
    fn receive(&self, run: &mut Run, said: &mut Said, script: &[usize]) {
        match run.exchange().receive() {
            Poll::Ready(ReceiveEvent::Request { body, more_body }) => {
                said.received.extend_from_slice(&body);
                assert_eq!(more_body, !self.is_whole(said), "{}", self.text(script, Some(0)));
            }
            Poll::Ready(ReceiveEvent::Disconnect) => assert!(said.is_complete, "{}", self.text(script, Some(0))),
            Poll::Pending => assert!(!said.is_complete, "{}", self.text(script, Some(0))),
        }
    }

    fn is_whole(&self, said: &Said) -> bool {
        self.body.is_empty() || said.received == b"ab"
    }

    /// The application ends here.
    fn judge(&self, script: &[usize], run: &Run, disturbed: &[Run], said: &Said) {
        let text = || self.text(script, None);
        let mut whole = run.clone();
        let outcome = whole.finish(&self.rest);
        for other in disturbed {
            let mut other = other.clone();
            assert_eq!(other.finish(&self.rest), outcome, "{}", text());
            let same = (&other.output, other.end, &other.leftover) == (&whole.output, whole.end, &whole.leftover);
            assert!(same, "behind a refusal {:?}: {}", other.output.escape_ascii().to_string(), text());
        }
        let is_switch = whole.end == End::Switched;
        let expected = match (said.is_complete, is_switch) {
            (true, false) => Outcome::Complete,
            (true, true) => Outcome::Switched,
            (false, _) => Outcome::Failed,
        };
        assert_eq!(outcome, expected, "{}", text());
        self.judge_output(&whole, said, &text);
        // The same if the client closes now.
        whole.conn.handle_eof();
        whole.write_and_answer();
        assert_ne!(whole.end, End::Open, "{}", text());
        self.judge_output(&whole, said, &text);
    }

    fn judge_output(&self, run: &Run, said: &Said, text: &impl Fn() -> String) {
        let written = run.output.escape_ascii().to_string();
        let output = match validator::validate(&run.asked, &run.output, run.end) {
            Ok(output) => output,
            Err(fault) => panic!("{fault:?} in {written:?}: {}", text()),
        };
        assert!(output.interim.is_empty(), "{written:?}: {}", text());
        assert_eq!(output.responses.len(), run.asked.len(), "{written:?}: {}", text());
        let response = &output.responses[0];
        let status = if said.is_out { said.status.unwrap() } else { 500 };
        assert_eq!(response.head.status, status, "{written:?}: {}", text());
        let interim = response.interim.iter().filter(|head| head.status != 100).count();
        assert_eq!(interim, said.interim, "{written:?}: {}", text());
        if said.is_out {
            let body: &[u8] = if response.framing == Framing::None { b"" } else { &said.body };
            assert_eq!(response.body, body, "{written:?}: {}", text());
            let can_be_told = match response.framing {
                Framing::None => true,
                // A client counts, though the application had not said that this was all.
                Framing::Length(length) => u64::try_from(said.body.len()) == Ok(length),
                Framing::Chunked => said.is_complete,
                Framing::UntilClose => said.is_complete && run.end != End::Open,
            };
            assert_eq!(response.is_complete, can_be_told, "{written:?}: {}", text());
            let takes_trailers = said.trailers && self.asked.takes_trailers && response.framing == Framing::Chunked;
            assert_eq!(response.trailers.is_empty(), !(takes_trailers && said.is_complete), "{written:?}: {}", text());
        }
        // "After an `Expect` that got no 100 with its body not delivered to the end", else "the connection is kept".
        let was_continued = response.interim.iter().any(|head| head.status == 100);
        let is_unanswered = self.asked.expects_continue && !was_continued && !self.is_whole(said);
        let closes = response
            .head
            .fields
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case(b"connection") && value.eq_ignore_ascii_case(b"close"));
        let keeps = said.is_complete && !closes && !is_unanswered && run.end != End::Switched;
        let asked = if keeps { 2 } else { 1 };
        assert_eq!(run.asked.len(), asked, "{written:?}: {}", text());
    }

    fn text(&self, script: &[usize], last: Option<usize>) -> String {
        let names: Vec<&str> = script.iter().copied().chain(last).map(|index| EVENTS[index].0).collect();
        let when = if self.is_before { "before" } else { "after" };
        format!("{} with the body {when}: {}", self.name, names.join(" | "))
    }
}

fn all_scripts(is_before: bool) {
    let is_full = std::env::var_os("SANSGI_EXHAUST").is_some_and(|value| value == "full");
    let most_events = if is_full { 5 } else { 4 };
    let (mut count, mut insertions) = (0, 0);
    for request in REQUESTS {
        let scripts = Scripts::run(most_events, request, is_before);
        count += scripts.count;
        insertions += scripts.insertions;
    }
    println!("{count} scripts of at most {most_events} events, {insertions} with an illegal one more");
    assert!(count > 5_000, "{count} scripts");
}

#[test]
fn all_scripts_with_the_body_there_before() {
    all_scripts(true);
}

#[test]
fn all_scripts_with_the_body_coming_after() {
    all_scripts(false);
}

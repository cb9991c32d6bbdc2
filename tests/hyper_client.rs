//! Round trips with a client that others wrote: hyper's (P9 in `SECURITY.md`). What it is asked to send is what the
//! application sees, and what the application sends is what it reads: fields, content, trailers, in each framing; the
//! pipe between them is short, so that reads and writes end anywhere. Time is virtual: it passes where both sides wait.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    reason = "a test may fail"
)]

mod generators;
mod oracles;
mod support;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use generators::{Mode, Plan, body, fields, plan};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::response::Parts as ResponseParts;
use hyper_util::rt::TokioIo;
use oracles::grammar::{Field, is_one_of};
use oracles::subject;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sansgi::{Action, Config, Connection, ExchangeId, Instant, ReceiveEvent};
use support::print::Line;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Of virtual time: longer than all deadlines.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What hyper is asked to send.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one request")]
struct Sent {
    method: &'static str,
    target: String,
    fields: Vec<Field>,
    parts: Vec<Vec<u8>>,
    /// Whether hyper is told how long it is.
    has_length: bool,
    trailers: Vec<Field>,
    takes_trailers: bool,
    expects: bool,
    closes: bool,
}

impl Sent {
    fn request(&self) -> hyper::Request<Parts> {
        let mut request = hyper::Request::builder().method(self.method).uri(&self.target).header("host", "example.org");
        for (name, value) in &self.fields {
            request = request.header(header_name(name), HeaderValue::from_bytes(value).unwrap());
        }
        if self.takes_trailers {
            request = request.header("te", "trailers");
        }
        if self.expects {
            request = request.header("expect", "100-continue");
        }
        if self.closes {
            request = request.header("connection", "close");
        }
        // Else it drops the content of a GET.
        if !self.has_length {
            request = request.header("transfer-encoding", "chunked");
        }
        // Which it sends only where they are announced.
        for (name, _) in &self.trailers {
            request = request.header("trailer", String::from_utf8(name.clone()).unwrap());
        }
        let mut frames: VecDeque<Frame<Bytes>> =
            self.parts.iter().map(|part| Frame::data(Bytes::from(part.clone()))).collect();
        let length = self.has_length.then(|| self.content().len());
        if length.is_none() && !self.trailers.is_empty() {
            let trailers = self.trailers.iter();
            let trailers =
                trailers.map(|(name, value)| (header_name(name), HeaderValue::from_bytes(value).unwrap())).collect();
            frames.push_back(Frame::trailers(trailers));
        }
        request.body(Parts { frames, length }).unwrap()
    }

    fn content(&self) -> Vec<u8> {
        self.parts.concat()
    }

    fn sends_trailers(&self) -> bool {
        !self.has_length
    }
}

fn header_name(name: &[u8]) -> HeaderName {
    HeaderName::from_bytes(name).unwrap()
}

struct Parts {
    frames: VecDeque<Frame<Bytes>>,
    length: Option<usize>,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.frames.pop_front().map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, |length| SizeHint::with_exact(u64::try_from(length).unwrap()))
    }
}

/// By name: hyper keeps the order only of those with one.
fn by_name(fields: &[Field]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut map: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, value) in fields {
        map.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
    }
    map
}

fn of_map(map: &HeaderMap) -> Vec<Field> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn without(fields: &[Field], names: &[&str]) -> Vec<Field> {
    fields.iter().filter(|(name, _)| !is_one_of(name, names)).cloned().collect()
}

/// What an application has seen.
#[derive(Debug)]
struct Seen {
    method: String,
    target: Vec<u8>,
    fields: Vec<Field>,
    content: Vec<u8>,
    trailers: Option<Vec<Field>>,
}

/// Serves until the connection closes.
async fn serve(mut stream: DuplexStream, plans: &[Plan]) -> Vec<Seen> {
    let start = tokio::time::Instant::now();
    let now = || Instant::ZERO + start.elapsed();
    let mut conn = Connection::new(Config::default());
    let mut all: Vec<Seen> = Vec::new();
    let mut open: Option<(ExchangeId, usize)> = None;
    loop {
        match conn.next_action(now()) {
            Action::Start(id, request) => {
                let number = all.len();
                all.push(Seen {
                    method: request.method().to_owned(),
                    target: request.target().to_vec(),
                    fields: subject::fields(request.headers()),
                    content: Vec::new(),
                    trailers: None,
                });
                open = Some((id, number));
                let plan = &plans[number % plans.len()];
                plan.send_interim(&mut conn, id);
                if plan.mode != Mode::Late {
                    plan.send_start(&mut conn, id);
                }
                if plan.mode == Mode::Early {
                    plan.send_body(&mut conn, id, number);
                }
            }
            Action::Disconnect(_) => open = None,
            Action::Shutdown => stream.shutdown().await.unwrap(),
            Action::Close { .. } => return all,
            Action::Transfer { token, remaining, .. } => {
                let token = usize::try_from(token).unwrap();
                let part = plans[token / 100 % plans.len()].parts[token % 100].bytes();
                let from = part.len() - usize::try_from(remaining).unwrap();
                match stream.write(&part[from..]).await {
                    Ok(written) => conn.handle_written(written),
                    Err(_) => conn.handle_disconnect(),
                }
            }
            Action::Wait(wait) => {
                if let Some((id, number)) = open
                    && receives(&mut conn, id, &mut all[number], &plans[number % plans.len()], number)
                {
                    continue;
                }
                // The receive that waits is demand.
                let Action::Wait(again) = conn.next_action(now()) else { continue };
                assert!(again == wait || open.is_some());
                let left = again.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now()));
                // Where it is too late the next question tells.
                let _ = tokio::time::timeout(left, move_bytes(&mut conn, &mut stream, again)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// True if there was something to receive.
fn receives(conn: &mut Connection, id: ExchangeId, seen: &mut Seen, plan: &Plan, number: usize) -> bool {
    if plan.mode == Mode::Early {
        return false;
    }
    match conn.exchange(id).receive() {
        Poll::Ready(ReceiveEvent::Request { body, more_body }) => {
            seen.content.extend_from_slice(&body);
            if !more_body {
                seen.trailers = conn.exchange(id).trailers().map(subject::fields);
                if plan.mode == Mode::Late {
                    plan.send_start(conn, id);
                }
                plan.send_body(conn, id, number);
                conn.exchange(id).end();
            }
            true
        }
        Poll::Ready(ReceiveEvent::Disconnect) | Poll::Pending => false,
    }
}

async fn move_bytes(conn: &mut Connection, stream: &mut DuplexStream, wait: sansgi::Wait) {
    if wait.write {
        let chunk = conn.outgoing().next().unwrap().to_vec();
        match stream.write(&chunk).await {
            Ok(written) => conn.handle_written(written),
            Err(_) => conn.handle_disconnect(),
        }
    } else {
        assert!(wait.read, "waits for nothing that comes: {conn:?}");
        let mut buffer = conn.read_buffer();
        match stream.read_buf(&mut buffer).await {
            Ok(0) => conn.handle_eof(),
            Ok(_) => conn.handle_read(buffer),
            Err(_) => conn.handle_disconnect(),
        }
    }
}

/// Sends one after the other, as long as hyper keeps the connection; what came of each.
async fn ask(stream: DuplexStream, all: &[Sent]) -> Vec<(ResponseParts, Vec<u8>, Vec<Field>)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut answers = Vec::new();
    for sent in all {
        if sender.ready().await.is_err() {
            break;
        }
        let response = sender.send_request(sent.request()).await.unwrap();
        let (head, incoming) = response.into_parts();
        let (content, trailers) = collect(incoming).await;
        answers.push((head, content, trailers));
    }
    // Behind an early response it may still want to send the rest of its body: it is told to leave.
    driver.abort();
    if let Ok(ended) = driver.await {
        ended.unwrap();
    }
    answers
}

async fn collect(mut incoming: Incoming) -> (Vec<u8>, Vec<Field>) {
    let (mut content, mut trailers) = (Vec::new(), Vec::new());
    while let Some(frame) = poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await {
        match frame.unwrap().into_data() {
            Ok(data) => content.extend_from_slice(&data),
            Err(frame) => trailers = of_map(&frame.into_trailers().unwrap()),
        }
    }
    (content, trailers)
}

#[derive(Clone)]
struct Case {
    sent: Vec<Sent>,
    plans: Vec<Plan>,
    pipe_bytes: usize,
}

/// The applications in the corpus's words; what hyper makes of a request is its own.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "through a pipe of {} bytes", self.pipe_bytes)?;
        for (number, sent) in self.sent.iter().enumerate() {
            let Sent { method, target, has_length, takes_trailers, expects, closes, .. } = sent;
            let told = format!("{has_length} length, {takes_trailers} te, {expects} expect, {closes} close");
            write!(f, "{}", Line::with(format!("{method} {target}: {told}"), sent.fields.clone()))?;
            for part in &sent.parts {
                writeln!(f, "{}", Line::body(part, true))?;
            }
            write!(f, "{}", Line::with("trailers", sent.trailers.clone()))?;
            let script = self.plans[number % self.plans.len()].script(number);
            writeln!(f, "```app\n{}```", script.iter().map(Line::to_string).collect::<String>())?;
        }
        Ok(())
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let method = select(vec!["GET", "HEAD", "POST", "PUT", "DELETE", "M-SEARCH"]);
    let target = "/[a-z0-9/%~._-]{0,12}([?][a-z=&]{0,9})?";
    let trailers = fields().prop_map(|fields| {
        fields.into_iter().map(|(name, value)| ([b"x-t", &name[..]].concat().to_ascii_lowercase(), value)).collect()
    });
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1));
    (method, target, fields(), vec(body(), 0..4), trailers, flags).prop_map(
        |(method, target, fields, parts, trailers, (has_length, takes_trailers, expects, closes))| Sent {
            method,
            target,
            fields,
            parts: parts.into_iter().filter(|part| !part.is_empty()).collect(),
            has_length,
            trailers,
            takes_trailers,
            expects,
            closes,
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let pipe_bytes = prop_oneof![1..64usize, Just(64 * 1024)];
    (vec(sent(), 1..5), vec(plan(), 4), pipe_bytes).prop_map(|(sent, mut plans, pipe_bytes)| {
        for plan in &mut plans {
            // It reads a 205 as any other.
            if plan.status == 205 {
                plan.status = 200;
            }
        }
        Case { sent, plans, pipe_bytes }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_hyper_sends_arrives_and_it_reads_what_is_sent(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (near, far) = tokio::io::duplex(case.pipe_bytes);
        let both = async { tokio::join!(serve(near, &case.plans), ask(far, &case.sent)) };
        let (seen, answers) = runtime.block_on(async { tokio::time::timeout(A_DAY, both).await }).expect("an end");
        assert!(!answers.is_empty());
        assert_eq!(seen.len(), answers.len());
        for (number, (seen, (head, content, trailers))) in seen.iter().zip(&answers).enumerate() {
            let (sent, plan) = (&case.sent[number], &case.plans[number % case.plans.len()]);
            let has_content = sent.method != "HEAD" && ![204, 304].contains(&plan.status);
            // Such a response is whole while hyper still sends, and it is told to leave behind the last one.
            let is_whole_at_once = !has_content || plan.has_length && plan.body().is_empty();
            let is_cut = number + 1 == answers.len() && plan.mode == Mode::Streaming && is_whole_at_once;
            assert_seen(seen, sent, plan, is_cut);

            assert_eq!(head.status.as_u16(), plan.status);
            let own = without(&of_map(&head.headers), &["content-length", "transfer-encoding", "connection"]);
            assert_eq!(by_name(&own), by_name(&plan.fields));
            assert_eq!(content, &if has_content { plan.body() } else { Vec::new() });
            let is_chunked = has_content && !plan.has_length;
            let expected = plan.trailers.as_deref().filter(|_| is_chunked && sent.takes_trailers);
            assert_eq!(by_name(trailers), by_name(expected.unwrap_or_default()));
        }
        // Nothing but a reason ends it early: what either side has said, or a body that nobody wanted.
        if answers.len() < case.sent.len() {
            let (sent, plan) = (&case.sent[answers.len() - 1], &case.plans[(answers.len() - 1) % case.plans.len()]);
            let is_early = matches!(plan.mode, Mode::Early | Mode::Streaming);
            assert!(sent.closes || plan.closes || is_early, "closed behind {}", answers.len());
        }
    }
}

fn assert_seen(seen: &Seen, sent: &Sent, plan: &Plan, is_cut: bool) {
    assert_eq!((seen.method.as_str(), &seen.target[..]), (sent.method, sent.target.as_bytes()));
    let framing = ["host", "te", "expect", "connection", "trailer", "content-length", "transfer-encoding"];
    assert_eq!(by_name(&without(&seen.fields, &framing)), by_name(&sent.fields));
    if plan.mode == Mode::Early {
        assert_eq!(seen.content, b"");
        return;
    }
    if is_cut && seen.trailers.is_none() {
        assert!(sent.content().starts_with(&seen.content));
        return;
    }
    assert_eq!(seen.content, sent.content());
    let trailers = seen.trailers.as_deref().expect("the end of the body was received");
    let is_chunked = seen.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"transfer-encoding"));
    let expected = if is_chunked && sent.sends_trailers() { &sent.trailers[..] } else { &[] };
    assert_eq!(by_name(trailers), by_name(expected));
}

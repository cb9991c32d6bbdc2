//! What the suites of this crate's limits, deadlines and call orders share: virtual time, and a driver that is a loop.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::task::Poll;

use bytes::Bytes;
use sansgi::{Action, Config, Connection, ExchangeId, Instant, Limits, ReceiveEvent, SendEvent, Timeouts, Wait};

/// More questions than this in a row without a `Wait` are a loop without end.
pub(crate) const MOST_ASKS: usize = 32;

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A point of virtual time, in seconds.
pub(crate) fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * SECOND)
}

/// The last point before one.
pub(crate) fn before(time: Instant) -> Instant {
    Instant::from_nanos(time.as_nanos() - 1)
}

/// The first point behind one.
pub(crate) fn after(time: Instant) -> Instant {
    Instant::from_nanos(time.as_nanos() + 1)
}

pub(crate) fn with_limits(limits: Limits) -> Connection {
    Connection::new(Config::builder().limits(limits).build().unwrap())
}

pub(crate) fn with_timeouts(timeouts: Timeouts) -> Connection {
    Connection::new(Config::builder().timeouts(timeouts).build().unwrap())
}

/// Asks until there is something to wait for, or nothing more to come; all the answers.
pub(crate) fn ask(conn: &mut Connection, now: Instant) -> Vec<Action> {
    let mut answers = Vec::new();
    loop {
        assert!(answers.len() < MOST_ASKS, "asked for ever: {:?}", &answers[MOST_ASKS - 4..]);
        let answer = conn.next_action(now);
        let is_last = matches!(answer, Action::Wait(_) | Action::Transfer { .. } | Action::Close { .. });
        answers.push(answer);
        if is_last {
            return answers;
        }
    }
}

/// The answer, which must be a `Wait`, and the same when asked again.
#[track_caller]
pub(crate) fn wait(conn: &mut Connection, now: Instant) -> Wait {
    let answer = conn.next_action(now);
    assert_eq!(conn.next_action(now), answer, "a question repeats itself");
    match answer {
        Action::Wait(wait) => {
            assert!(wait.deadline.is_none_or(|deadline| deadline > now), "a deadline is later than now");
            wait
        }
        other => panic!("expected a wait, got {other:?}"),
    }
}

/// The next request, which must start with these bytes.
#[track_caller]
pub(crate) fn start(conn: &mut Connection, now: Instant, bytes: &[u8]) -> ExchangeId {
    conn.handle_bytes(bytes);
    match conn.next_action(now) {
        Action::Start(id, _) => id,
        other => panic!("expected a start, got {other:?}"),
    }
}

/// What is to be written.
pub(crate) fn output(conn: &Connection) -> Vec<u8> {
    conn.outgoing().flatten().copied().collect()
}

/// What is to be written, and it is written.
pub(crate) fn write(conn: &mut Connection) -> Vec<u8> {
    let bytes = output(conn);
    conn.handle_written(bytes.len());
    bytes
}

/// Receives until there is no more; the parts joined, and whether the last of them was among them.
pub(crate) fn receive_all(conn: &mut Connection, id: ExchangeId) -> (Vec<u8>, bool) {
    let (mut content, mut ended) = (Vec::new(), false);
    while let Poll::Ready(ReceiveEvent::Request { body, more_body }) = conn.exchange(id).receive() {
        content.extend_from_slice(&body);
        ended |= !more_body;
    }
    (content, ended)
}

pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

pub(crate) const fn head<'a>(status: u16, headers: &'a [Pair<'a>]) -> SendEvent<'a> {
    SendEvent::ResponseStart { status, headers, trailers: false }
}

pub(crate) const fn part(body: &'static [u8]) -> SendEvent<'static> {
    SendEvent::ResponseBody { body: Bytes::from_static(body), more_body: true }
}

pub(crate) const fn last(body: &'static [u8]) -> SendEvent<'static> {
    SendEvent::ResponseBody { body: Bytes::from_static(body), more_body: false }
}

/// The smallest whole response.
#[track_caller]
pub(crate) fn respond(conn: &mut Connection, id: ExchangeId) {
    conn.exchange(id).send(head(204, &[])).unwrap();
    conn.exchange(id).send(last(b"")).unwrap();
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Fields of each head in `output` that are named `connection`, by their values.
pub(crate) fn says_close(output: &[u8]) -> bool {
    String::from_utf8_lossy(output).to_ascii_lowercase().contains("\r\nconnection: close\r\n")
}

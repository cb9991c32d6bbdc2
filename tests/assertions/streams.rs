//! Targets whose input is what the peer sends, behind a few bytes that choose the circumstances: `bytes`, `split`,
//! `chunked` and `smuggle`.

use std::time::Duration;

use sansgi::ProtocolError;

use super::input::{Chance, Input};
use super::oracles::recogniser::{self, Stop};
use super::oracles::subject::Subject;
use super::server::{Server, Way};
use super::setup::{Setup, Shared};

/// Bytes of an input that choose, and are not sent.
pub(crate) const CHOICES: usize = 4;

/// Any bytes in any reads, with an end at any point: what [`Server`] asserts.
pub(crate) fn bytes(data: &[u8]) {
    let mut input = Input(data);
    let setup = Setup::of(input.byte());
    let plan = input.byte();
    let way = input.byte();
    let circumstances = input.byte();
    let stream = input.0;

    let mut server = Server::new(setup, plans(plan), Way(way));
    let mut chance = Chance::new(u32::from(way) << 8 | u32::from(circumstances));
    let longest = [1, 3, 40, usize::MAX][usize::from(circumstances & 3)];
    let size = || if longest == usize::MAX { longest } else { 1 + chance.below(longest) };
    match circumstances >> 2 & 7 {
        // What is given unasked is taken too.
        0 => server.feed(stream),
        1 => {
            server.feed_all(stream, size);
            server.feed_eof();
        }
        2 => {
            // The end is seen together with the last bytes.
            server.tell_bytes(stream);
            server.feed_eof();
        }
        3 => {
            let (before, behind) = stream.split_at(stream.len() / 2);
            server.feed_all(before, size);
            server.shut_down();
            server.feed_all(behind, || usize::MAX);
        }
        4 => {
            let (before, behind) = stream.split_at(stream.len() / 2);
            server.feed_all(before, size);
            server.pass();
            server.feed(behind);
        }
        5 => {
            // A byte a second.
            for byte in stream {
                server.feed(std::slice::from_ref(byte));
                server.pass_by(Duration::from_secs(1));
            }
        }
        _ => _ = server.feed_all(stream, size),
    }
    if circumstances >> 5 & 1 == 1 {
        for _ in 0..circumstances >> 6 {
            server.pass();
        }
    } else if circumstances >> 6 == 3 {
        server.lose();
    }
    server.finish();
}

fn plans(number: u8) -> (usize, usize) {
    let number = usize::from(number);
    (number % 32, number / 32)
}

/// P1: however it is cut, the same comes of it.
pub(crate) fn split(data: &[u8]) {
    let mut input = Input(data);
    let setup = Setup::of(input.byte());
    let plan = input.byte();
    let way = input.byte();
    let seed = input.byte();
    let stream = input.0;

    // An end behind a full buffer is seen when there is room again: that depends on the reads.
    let ends = way & 1 == 1 && stream.len() < setup.read_buffer_bytes;
    let run = |way: u8, feed: &mut dyn FnMut(&mut Server)| {
        let mut server = Server::new(setup, plans(plan), Way(way));
        feed(&mut server);
        server.look();
        if ends {
            server.feed_eof();
            server.look();
        }
        // The time of each deadline, and what then happens.
        for _ in 0..8 {
            if !server.pass() {
                break;
            }
            server.look();
        }
        server.finish()
    };
    let whole = run(0, &mut |server| _ = server.feed_all(stream, || usize::MAX));
    let mut chance = Chance::new(u32::from(seed) << 8 | u32::from(way));
    // One of them at a time: an input's next of kin has another seed.
    let other = match seed & 7 {
        // Also what is not asked for.
        0 => run(way, &mut |server| server.feed(stream)),
        1 => run(way, &mut |server| _ = server.feed_all(stream, || 1)),
        2..=4 => run(way, &mut |server| _ = server.feed_all(stream, || 1 + chance.below(20))),
        _ => {
            // At one place, or at few.
            let longest = stream.len().max(1);
            run(way, &mut |server| _ = server.feed_all(stream, || 1 + chance.below(longest)))
        }
    };
    assert_eq!(other, whole, "P1");
}

/// P10: the connection reads what the recogniser reads, neither more nor less.
pub(crate) fn smuggle(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let stream = input.0;
    agrees(Shared::of(choice & 3), stream, choice & 4 == 0);
}

/// Byte by byte both tell at the same byte.
fn agrees(shared: &Shared, stream: &[u8], is_byte_by_byte: bool) {
    let said = recogniser::recognise(stream, &shared.limits);
    let mut subject = Subject::new(&shared.config);
    if is_byte_by_byte {
        subject.feed_byte_by_byte(stream);
    } else {
        subject.feed(stream);
    }
    if let Some(what) = subject.disagreement(&said, is_byte_by_byte) {
        panic!("P10: {what}\nof {}", stream.escape_ascii());
    }
}

/// Heads behind which a chunked body is to come.
const CHUNKED: [&[u8]; 4] = [
    b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
    b"PUT / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\nconnection: x-sum\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: \tchunked \r\n\r\n",
    b"P / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: CHUNKED\r\n\r\n",
];

/// P10 of a chunked body and what is behind it, for an application that receives and for a connection that drains.
pub(crate) fn chunked(data: &[u8]) {
    let mut input = Input(data);
    let choice = usize::from(input.byte());
    let stream = [CHUNKED[choice % CHUNKED.len()], input.0].concat();
    match choice / CHUNKED.len() % 4 {
        way @ 0..=2 => {
            // The heads do not fit the tiny limits.
            let shared = Shared::of([0, 1, 3][choice / 16 % 3]);
            agrees(shared, &stream, way != 2);
        }
        // Those with the usual limits and different budgets.
        _ => drains(Setup::of([0, 4, 5][choice / 16 % 3]), &stream),
    }
}

/// Where an application answers at once and receives nothing, the connection finds the next request where the
/// recogniser does, or closes.
fn drains(setup: &'static Setup, stream: &[u8]) {
    const ANSWERS_AT_ONCE: (usize, usize) = (2, 0);
    let said = recogniser::recognise(stream, &Shared::of(3).limits);
    let mut server = Server::new(setup, ANSWERS_AT_ONCE, Way(0));
    server.feed_all(stream, || usize::MAX);
    let summary = server.finish();

    let ends_with = said.requests.iter().position(|request| {
        let declared = request.content_length.unwrap_or(0).max(u64::try_from(request.body.len()).unwrap());
        !request.is_persistent || request.has_body && request.expects_continue || declared > setup.drain_budget_bytes
    });
    let fault = match said.stop {
        Stop::Refused { status, .. } if ends_with.is_none() => Some(status),
        Stop::Refused { .. } | Stop::Incomplete { .. } | Stop::Finished { .. } => None,
    };
    let requests = ends_with.map_or(said.requests.len(), |last| last + 1);
    assert_eq!(summary.exchanges.len(), requests, "P10: other requests behind what was drained of {said:?}");
    assert_eq!(summary.fault.map(ProtocolError::status), fault, "P10: of what was drained of {said:?}");
    let is_over = ends_with.is_some() || fault.is_some();
    assert_eq!(summary.was_shut_down, is_over, "P10: {summary:?} behind {said:?}");
}

//! Every deadline, in virtual time: while what it runs, from when it is counted, and what happens when it is due; one
//! nanosecond before and at it.

mod common_wire;

use core::time::Duration;
use std::task::Poll;

use bytes::BytesMut;
use common_wire::{
    after, ask, at, before, head, last, output, part, receive_all, respond, says_close, start, text, wait,
    with_timeouts, write,
};
use sansgi::{
    Action, CloseReason, Config, Connection, ExchangeId, Instant, Limits, Outcome, ProtocolError, ReceiveEvent,
    SendError, SendEvent, Timeouts, Wait,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const UPLOAD: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10000\r\n\r\n";
const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
const CLOSE: Action = Action::Close { reset: false };
const RESET: Action = Action::Close { reset: true };

fn new() -> Connection {
    Connection::new(Config::default())
}

#[track_caller]
fn deadline(conn: &mut Connection, now: Instant) -> Option<Instant> {
    wait(conn, now).deadline
}

/// What happens at `due`, where it is told that nothing happens before.
#[track_caller]
fn expire(conn: &mut Connection, due: Instant) -> Vec<Action> {
    assert_eq!(deadline(conn, before(due)), Some(due));
    ask(conn, due)
}

/// The application asks for more and there is nothing.
#[track_caller]
fn demand(conn: &mut Connection, id: ExchangeId) {
    assert_eq!(conn.exchange(id).receive(), Poll::Pending);
}

/// Told at `due`, with no response out: an answer of this status, then a lingering close.
#[track_caller]
fn answered(conn: &mut Connection, due: Instant, status: u16) {
    let answers = expire(conn, due);
    assert!(matches!(answers.last(), Some(Action::Wait(Wait { write: true, .. }))), "{answers:?}");
    let answer = write(conn);
    assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{}", text(&answer));
    assert!(says_close(&answer), "{}", text(&answer));
    assert_eq!(conn.next_action(due), Action::Shutdown);
    let lingering = Wait { read: true, write: false, deadline: Some(due + Duration::from_secs(5)) };
    assert_eq!(wait(conn, due), lingering);
}

#[test]
fn an_idle_connection_is_closed_without_an_answer() {
    let nothing: &[u8] = b"";
    // "a blank line … begins no head … and extends no deadline"
    for given in [nothing, b"\r", b"\r\n"] {
        let mut conn = new();
        assert_eq!(deadline(&mut conn, at(7)), Some(at(82)));
        conn.handle_bytes(given);
        assert_eq!(deadline(&mut conn, at(50)), Some(at(82)), "{}", text(given));
        assert_eq!(expire(&mut conn, at(82)), [CLOSE], "{}", text(given));
        assert_eq!(output(&conn), b"");
        assert_eq!((conn.fault(), conn.close_reason()), (None, Some(CloseReason::Idle)));
    }
}

#[test]
fn idle_is_counted_from_the_turn_in_which_nothing_was_left_unwritten() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(100)), Action::Disconnect(id));
    let unwritten = output(&conn).len();
    assert_eq!(deadline(&mut conn, at(100)), Some(at(160)), "the write's, since something is unwritten");
    conn.handle_written(unwritten - 1);
    assert_eq!(deadline(&mut conn, at(110)), Some(at(170)), "the write's, of one byte");
    conn.handle_written(1);
    assert_eq!(deadline(&mut conn, at(120)), Some(at(195)));
    conn.handle_bytes(b"\r\n");
    assert_eq!(deadline(&mut conn, at(130)), Some(at(195)), "a blank line is no byte of a request");
    assert_eq!(expire(&mut conn, at(195)).last().map(|_| output(&conn)), Some(Vec::new()), "closed without an answer");
    assert_eq!((conn.fault(), conn.close_reason()), (None, Some(CloseReason::Idle)));
}

#[test]
fn an_idle_connection_of_which_a_request_was_answered_closes() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    respond(&mut conn, id);
    write(&mut conn);
    ask(&mut conn, at(0));
    assert_eq!(expire(&mut conn, at(75)), [CLOSE]);
}

#[test]
fn a_head_has_its_time_from_its_first_byte_and_bytes_do_not_extend_it() {
    for blank in [&b""[..], b"\r\n"] {
        let mut conn = new();
        assert_eq!(deadline(&mut conn, at(0)), Some(at(75)));
        conn.handle_bytes(blank);
        assert_eq!(deadline(&mut conn, at(1)), Some(at(75)));
        // All but the last byte, over as many seconds.
        for (seconds, byte) in (5..).zip(GET[..GET.len() - 1].chunks(1)) {
            conn.handle_bytes(byte);
            assert_eq!(deadline(&mut conn, at(seconds)), Some(at(35)));
        }
        answered(&mut conn, at(35), 408);
        assert_eq!(conn.fault(), Some(ProtocolError::HeadTimeout));
        assert_eq!(conn.close_reason(), Some(CloseReason::Fault(ProtocolError::HeadTimeout)));
    }
}

#[test]
fn a_head_that_is_whole_one_nanosecond_before_its_time_starts() {
    let mut conn = new();
    conn.handle_bytes(&GET[..GET.len() - 1]);
    assert_eq!(deadline(&mut conn, at(5)), Some(at(35)));
    start(&mut conn, before(at(35)), b"\n");
}

#[test]
fn a_buffered_head_has_its_time_from_the_turn_in_which_it_became_current() {
    let mut conn = new();
    let id = start(&mut conn, at(0), &[GET, b"GET / HT"].concat());
    assert_eq!(deadline(&mut conn, at(50)), None, "the application holds us back");
    respond(&mut conn, id);
    write(&mut conn);
    assert_eq!(conn.next_action(at(100)), Action::Disconnect(id));
    assert_eq!(deadline(&mut conn, at(100)), Some(at(130)));
    conn.handle_bytes(b"TP/1.1\r\n");
    assert_eq!(deadline(&mut conn, at(110)), Some(at(130)));
    answered(&mut conn, at(130), 408);
}

#[test]
fn a_head_runs_beside_the_write_of_the_response_before() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(10)), Action::Disconnect(id));
    conn.handle_bytes(b"G");
    assert_eq!(deadline(&mut conn, at(20)), Some(at(50)), "head 50, write 70");
    assert!(matches!(expire(&mut conn, at(50))[..], [Action::Wait(Wait { write: true, .. })]));
    let written = output(&conn);
    assert!(written.starts_with(b"HTTP/1.1 204 ") && text(&written).contains("HTTP/1.1 408 "), "{}", text(&written));
}

#[test]
fn nothing_that_is_written_puts_a_head_off() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    conn.handle_bytes(b"G");
    assert_eq!(deadline(&mut conn, at(10)), Some(at(40)), "the head's");
    conn.handle_written(1);
    assert_eq!(deadline(&mut conn, at(20)), Some(at(40)), "and not 30 s from now");
    write(&mut conn);
    assert_eq!(deadline(&mut conn, at(30)), Some(at(40)));
    answered(&mut conn, at(40), 408);
}

/// How far the response is when the body stops coming.
struct Stalled {
    name: &'static str,
    request: &'static [u8],
    sent: fn(&mut Connection, ExchangeId),
    /// Whether no head is out.
    is_answered: bool,
}

const STALLED: [Stalled; 5] = [
    Stalled { name: "nothing sent", request: UPLOAD, sent: |_, _| (), is_answered: true },
    Stalled {
        name: "a head held",
        request: UPLOAD,
        sent: |conn, id| conn.exchange(id).send(head(200, &[(b"x-held", b"1")])).unwrap(),
        is_answered: true,
    },
    Stalled {
        name: "a chunked response begun",
        request: CHUNKED,
        sent: |conn, id| {
            conn.exchange(id).send(head(200, &[])).unwrap();
            conn.exchange(id).send(part(b"begun")).unwrap();
        },
        is_answered: false,
    },
    Stalled {
        name: "a response of a length begun",
        request: UPLOAD,
        sent: |conn, id| {
            conn.exchange(id).send(head(200, &[(b"content-length", b"10")])).unwrap();
            conn.exchange(id).send(part(b"begun")).unwrap();
        },
        is_answered: false,
    },
    Stalled {
        name: "a response that ends with the close begun",
        request: b"POST / HTTP/1.0\r\ncontent-length: 3\r\n\r\n",
        sent: |conn, id| {
            conn.exchange(id).send(head(200, &[])).unwrap();
            conn.exchange(id).send(part(b"begun")).unwrap();
        },
        is_answered: false,
    },
];

impl Stalled {
    /// The exchange is ended for the peer's slowness, or for ours: at `due`, this status or a cut.
    fn ends(&self, conn: &mut Connection, id: ExchangeId, due: Instant, status: u16) {
        let name = self.name;
        assert_eq!(deadline(conn, before(due)), Some(due), "{name}");
        assert_eq!(conn.exchange(id).outcome(), None, "{name}");
        let begun = output(conn);
        assert_eq!(conn.next_action(due), Action::Disconnect(id), "{name}");
        assert_eq!(conn.exchange(id).receive(), Poll::Ready(ReceiveEvent::Disconnect), "{name}");
        assert_eq!(conn.exchange(id).outcome(), Some(Outcome::TimedOut), "{name}");
        if self.is_answered {
            assert!(wait(conn, due).write, "{name}");
            let answer = write(conn);
            assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{name}: {}", text(&answer));
            assert!(says_close(&answer) && !text(&answer).contains("x-held"), "{name}: {}", text(&answer));
            assert_eq!(conn.next_action(due), Action::Shutdown, "{name}");
        } else {
            // "What was accepted is written, before an abort too"; and never a clean end.
            if !begun.is_empty() {
                assert!(wait(conn, due).write, "{name}");
            }
            assert_eq!(text(&write(conn)), text(&begun), "{name}");
            assert_eq!(conn.next_action(due), RESET, "{name}");
        }
        assert!(conn.exchange(id).send(last(b"")).is_err(), "{name}");
        assert_eq!(output(conn), b"", "{name}");
    }
}

#[test]
fn a_body_that_is_waited_for_has_its_time_from_its_last_byte() {
    for stalled in &STALLED {
        for is_written in [true, false] {
            let mut conn = with_timeouts(Timeouts::default().body_rate(0, Duration::ZERO));
            let id = start(&mut conn, at(0), stalled.request);
            (stalled.sent)(&mut conn, id);
            if is_written {
                write(&mut conn);
            }
            demand(&mut conn, id);
            assert_eq!(deadline(&mut conn, at(10)), Some(at(40)), "{}", stalled.name);
            stalled.ends(&mut conn, id, at(40), 408);
            assert_eq!(conn.fault(), Some(ProtocolError::BodyTimeout), "{}", stalled.name);
            assert_eq!(conn.close_reason(), Some(CloseReason::Fault(ProtocolError::BodyTimeout)), "{}", stalled.name);
        }
    }
}

/// "The last body byte": a client that drips lines of chunks, or trailers, has not sent one.
#[test]
fn lines_of_chunks_and_trailers_do_not_renew_the_time_of_a_body() {
    for drips in [["5;", "a=", "b\r"], ["0\r\n", "x: ", "y\r\n"]] {
        for drains in [false, true] {
            let mut conn = with_timeouts(Timeouts::default().body_rate(0, Duration::ZERO));
            let id = start(&mut conn, at(0), CHUNKED);
            if drains {
                respond(&mut conn, id);
                assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
                write(&mut conn);
            } else {
                demand(&mut conn, id);
            }
            assert_eq!(deadline(&mut conn, at(0)), Some(at(30)));
            for (drip, second) in drips.iter().zip([8, 16, 24]) {
                conn.handle_bytes(drip.as_bytes());
                assert_eq!(deadline(&mut conn, at(second)), Some(at(30)), "{drips:?} {drains}");
            }
            assert_eq!(deadline(&mut conn, before(at(30))), Some(at(30)));
            let _ = conn.next_action(at(30));
            assert_eq!(conn.fault(), Some(ProtocolError::BodyTimeout), "{drips:?} {drains}");
        }
    }
}

#[test]
fn the_time_of_a_body_runs_only_with_demand_and_nothing_buffered() {
    let mut conn = with_timeouts(Timeouts::default().body_rate(0, Duration::ZERO));
    let id = start(&mut conn, at(0), UPLOAD);
    assert_eq!(deadline(&mut conn, at(2)), None, "nobody asked");
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(3)), Some(at(33)));
    assert_eq!(deadline(&mut conn, at(20)), Some(at(33)), "its caller may have given up");
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(20)), Some(at(33)), "asking again is no byte");

    conn.handle_bytes(b"ab");
    assert_eq!(deadline(&mut conn, at(30)), None, "something is buffered: the application holds us back");
    assert_eq!(deadline(&mut conn, at(500)), None);
    assert_eq!(receive_all(&mut conn, id), (b"ab".to_vec(), false)); // and it asked once more than there was
    assert_eq!(deadline(&mut conn, at(600)), Some(at(630)), "from the turn in which the wait began");

    conn.handle_bytes(b"cd");
    assert_eq!(receive_all(&mut conn, id), (b"cd".to_vec(), false));
    assert_eq!(deadline(&mut conn, at(620)), Some(at(650)), "from the last byte");

    conn.handle_bytes(b"e");
    assert!(conn.exchange(id).receive().is_ready());
    assert_eq!(deadline(&mut conn, at(640)), None, "delivered, and nobody asked for more");

    conn.handle_bytes(&[b'x'; 9995]);
    assert!(receive_all(&mut conn, id).1);
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(700)), None, "the body has ended");
}

#[test]
fn a_body_that_drips_in_time_goes_on_for_ever() {
    let mut conn = with_timeouts(Timeouts::default().body_rate(0, Duration::ZERO));
    let id = start(&mut conn, at(0), UPLOAD);
    demand(&mut conn, id);
    for turn in 0..100 {
        let now = at(29 * turn);
        assert_eq!(deadline(&mut conn, now), Some(now + Duration::from_secs(30)));
        conn.handle_bytes(b"x");
        receive_all(&mut conn, id);
    }
}

#[test]
fn a_request_without_body_is_not_waited_for() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    assert!(conn.exchange(id).receive().is_ready());
    demand(&mut conn, id);
    assert_eq!(wait(&mut conn, at(5)), Wait { read: true, write: false, deadline: None });
}

#[test]
fn the_time_of_a_body_runs_beside_the_write_of_its_100() {
    let mut conn = new();
    let expecting = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n";
    let id = start(&mut conn, at(0), expecting);
    assert_eq!(deadline(&mut conn, at(5)), None);
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(10)), Some(at(40)), "body 40, write 70");
    assert_eq!(write(&mut conn), b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(deadline(&mut conn, at(20)), Some(at(40)));
}

#[test]
fn a_drain_that_stops_is_closed() {
    let mut conn = with_timeouts(Timeouts::default().body_rate(0, Duration::ZERO));
    let id = start(&mut conn, at(0), UPLOAD);
    respond(&mut conn, id);
    ask(&mut conn, at(5));
    assert_eq!(deadline(&mut conn, at(5)), Some(at(35)), "drain 35, write 65");
    write(&mut conn);
    assert_eq!(deadline(&mut conn, at(8)), Some(at(35)));
    conn.handle_bytes(b"abc");
    assert_eq!(deadline(&mut conn, at(20)), Some(at(50)));

    let mut drained = conn.clone();
    drained.handle_bytes(&[b'x'; 9997]);
    assert_eq!(deadline(&mut drained, before(at(50))), Some(before(at(125))), "idle");

    assert_eq!(deadline(&mut conn, before(at(50))), Some(at(50)));
    assert_eq!(conn.next_action(at(50)), Action::Shutdown, "every close after a response lingers");
    assert_eq!(output(&conn), b"", "nothing behind a complete response");
    assert_eq!(deadline(&mut conn, at(50)), Some(at(55)));
}

#[test]
fn a_body_of_which_nothing_comes_has_stopped_and_is_not_slow() {
    let mut conn = new(); // silence and rate are due at the same time
    let id = start(&mut conn, at(0), UPLOAD);
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(0)), Some(at(30)));
    answered(&mut conn, at(30), 408);
    assert_eq!(conn.fault(), Some(ProtocolError::BodyTimeout));
}

/// A body of which the application wants more, and how fast it must come: 100 bytes a second after 10 seconds.
fn rated() -> (Connection, ExchangeId) {
    let timeouts = Timeouts::default().body(Duration::MAX).body_rate(100, Duration::from_secs(10));
    let mut conn = with_timeouts(timeouts);
    let id = start(&mut conn, at(0), UPLOAD);
    (conn, id)
}

#[test]
fn a_body_slower_than_its_rate_is_too_slow() {
    // Bytes that came, all at once after some seconds, and when they are too few for the time.
    let rows = [
        (0, at(10)),
        (1, at(10)),
        (999, at(10)),
        (1000, after(at(10))), // the rate itself is enough
        (1001, after(Instant::from_nanos(10_010_000_000))),
        (2000, after(at(20))),
        (9999, after(Instant::from_nanos(99_990_000_000))),
    ];
    for (bytes, due) in rows {
        let (mut conn, id) = rated();
        demand(&mut conn, id);
        assert_eq!(deadline(&mut conn, at(0)), Some(at(10)));
        if bytes > 0 {
            conn.handle_bytes(&vec![b'x'; bytes]);
            ask(&mut conn, at(4));
            receive_all(&mut conn, id);
        }
        assert_eq!(deadline(&mut conn, at(4)), Some(due), "{bytes} bytes");
        answered(&mut conn, due, 408);
        assert_eq!(conn.fault(), Some(ProtocolError::BodyRate), "{bytes} bytes");
        assert_eq!(conn.exchange(id).outcome(), Some(Outcome::TimedOut));
    }
}

#[test]
fn only_the_time_spent_waiting_counts_for_the_rate() {
    let (mut conn, id) = rated();
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(0)), Some(at(10)));
    conn.handle_bytes(&[b'x'; 500]);
    assert_eq!(deadline(&mut conn, at(4)), None, "four seconds are spent, and the application holds us back");
    assert_eq!(deadline(&mut conn, at(1000)), None);
    receive_all(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(1000)), Some(at(1006)), "ten seconds of waiting, of which four are over");
    conn.handle_bytes(&[b'x'; 1500]);
    receive_all(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(1005)), Some(after(at(1016))), "2000 bytes are enough for 20, 9 are over");
    answered(&mut conn, after(at(1016)), 408);
    assert_eq!(conn.fault(), Some(ProtocolError::BodyRate));
}

/// "What was told before the question came in time, however late": 1500 bytes that had come when ten seconds were due
/// are enough for 15, however much later the driver asks.
#[test]
fn a_driver_that_asks_late_does_not_make_a_body_slow() {
    let late = at(1000);
    let quick = |conn: &mut Connection| {
        assert_eq!(deadline(conn, before(after(at(1005)))), Some(after(at(1005))), "15 seconds, of which 10 are over");
        assert_eq!((conn.fault(), conn.close_reason()), (None, None));
        ask(conn, after(at(1005)));
        assert_eq!(conn.fault(), Some(ProtocolError::BodyRate));
    };

    let (mut conn, id) = rated();
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(0)), Some(at(10)));
    conn.handle_bytes(&[b'x'; 1500]);
    let mut early = conn.clone();
    assert_eq!(deadline(&mut conn, late), None, "the application holds us back");
    receive_all(&mut conn, id);
    assert_eq!(deadline(&mut conn, late), Some(after(at(1005))));
    quick(&mut conn);

    // Received, and more asked for, before the question.
    receive_all(&mut early, id);
    assert_eq!(deadline(&mut early, late), Some(after(at(1005))));
    quick(&mut early);

    // A drain, which nobody has to ask for more.
    let (mut conn, id) = rated();
    respond(&mut conn, id);
    write(&mut conn);
    assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    assert_eq!(deadline(&mut conn, at(0)), Some(at(10)));
    conn.handle_bytes(&[b'x'; 1500]);
    let mut silent = conn.clone();
    assert_eq!(deadline(&mut conn, late), Some(after(at(1005))));
    quick(&mut conn);

    // Of the next wait all counts again, and lateness without a byte is the peer's.
    assert_eq!(deadline(&mut silent, at(4)), Some(after(at(15))));
    ask(&mut silent, late);
    assert_eq!(silent.fault(), Some(ProtocolError::BodyRate));
}

/// Where a question is answered without a deadline, nothing was late: all the time counts.
#[test]
fn a_wait_that_a_disconnect_was_told_in_counts_whole() {
    let (mut conn, id) = rated();
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(0)), Some(at(10)));
    conn.handle_bytes(&[b'x'; 900]);
    receive_all(&mut conn, id);
    respond(&mut conn, id);
    write(&mut conn);
    assert_eq!(conn.next_action(at(8)), Action::Disconnect(id));
    conn.handle_bytes(&[b'x'; 100]);
    assert_eq!(deadline(&mut conn, at(9)), Some(after(at(10))), "a thousand bytes, and nine seconds of ten");
}

/// What is due by now happens first, though the wait for a body had the later deadline.
#[test]
fn a_write_that_is_due_comes_before_what_a_drain_has_got() {
    let second = Duration::from_secs(1);
    let mut conn = with_timeouts(Timeouts::default().write(second));
    let id = start(&mut conn, at(0), UPLOAD);
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(0)), Some(at(30)));
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    conn.handle_bytes(&[&[b'x'; 10_000], GET].concat());
    assert_eq!(ask(&mut conn, at(1)), [RESET]);
    assert_eq!(conn.close_reason(), Some(CloseReason::WriteTimeout));
}

#[test]
fn a_slow_body_cuts_a_response_that_has_begun() {
    for stalled in &STALLED {
        let timeouts = Timeouts::default().body(Duration::MAX).write(Duration::MAX);
        let mut conn = with_timeouts(timeouts);
        let id = start(&mut conn, at(0), stalled.request);
        (stalled.sent)(&mut conn, id);
        demand(&mut conn, id);
        assert_eq!(deadline(&mut conn, at(10)), Some(at(40)), "{}: 30 s by default", stalled.name);
        stalled.ends(&mut conn, id, at(40), 408);
        assert_eq!(conn.fault(), Some(ProtocolError::BodyRate), "{}", stalled.name);
    }
}

#[test]
fn a_drain_has_the_rate_of_a_body() {
    let (mut conn, id) = rated();
    respond(&mut conn, id);
    write(&mut conn);
    ask(&mut conn, at(0));
    assert_eq!(deadline(&mut conn, at(0)), Some(at(10)));
    conn.handle_bytes(&[b'x'; 2000]);
    assert_eq!(deadline(&mut conn, at(5)), Some(after(at(20))));
    assert_eq!(deadline(&mut conn, at(20)), Some(after(at(20))));
    assert_eq!(conn.next_action(after(at(20))), Action::Shutdown);
    assert_eq!(output(&conn), b"");
}

#[test]
fn each_body_has_its_own_rate() {
    let (mut conn, id) = rated();
    demand(&mut conn, id);
    deadline(&mut conn, at(0));
    conn.handle_bytes(&[b'x'; 10_000]);
    receive_all(&mut conn, id);
    respond(&mut conn, id);
    write(&mut conn);
    ask(&mut conn, at(9));
    let id = start(&mut conn, at(9), UPLOAD);
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(9)), Some(at(19)), "neither the bytes nor the seconds of the first one");
}

#[test]
fn the_smaller_of_a_bodys_two_deadlines_counts() {
    let mut conn = with_timeouts(Timeouts::default().body_rate(100, Duration::from_secs(10)));
    let id = start(&mut conn, at(0), UPLOAD);
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(0)), Some(at(10)), "rate 10, silence 30");
    conn.handle_bytes(&[b'x'; 5000]);
    receive_all(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(5)), Some(at(35)), "rate 50, silence 35");
    answered(&mut conn, at(35), 408);
    assert_eq!(conn.fault(), Some(ProtocolError::BodyTimeout));
}

/// What is unwritten when the peer stops reading.
type Unwritten = fn(&mut Connection, ExchangeId);

#[test]
fn what_is_unwritten_too_long_is_dropped_and_the_connection_reset() {
    let rows: [(&str, Unwritten); 4] = [
        ("a part", |conn, id| {
            conn.exchange(id).send(head(200, &[])).unwrap();
            conn.exchange(id).send(part(b"begun")).unwrap();
        }),
        ("an interim response", |conn, id| {
            conn.exchange(id).send(SendEvent::Informational { status: 103, headers: &[] }).unwrap();
        }),
        ("an interim response, a head held behind it", |conn, id| {
            conn.exchange(id).send(SendEvent::Informational { status: 103, headers: &[] }).unwrap();
            conn.exchange(id).send(head(200, &[])).unwrap();
        }),
        ("a chunk in the hands of the kernel", |conn, id| {
            conn.exchange(id).send(head(200, &[])).unwrap();
            conn.exchange(id).send(part(b"begun")).unwrap();
            while conn.take_outgoing().is_some() {}
        }),
    ];
    for (name, queue) in rows {
        let mut conn = new();
        let id = start(&mut conn, at(0), GET);
        queue(&mut conn, id);
        assert_eq!(deadline(&mut conn, at(5)), Some(at(65)), "{name}");
        conn.handle_written(1);
        assert_eq!(deadline(&mut conn, at(60)), Some(at(120)), "{name}: renewed by a byte");
        assert_eq!(deadline(&mut conn, at(90)), Some(at(120)), "{name}");
        assert_eq!(expire(&mut conn, at(120)), [Action::Disconnect(id), RESET], "{name}");
        assert_eq!(output(&conn), b"", "{name}: dropped");
        assert_eq!(conn.close_reason(), Some(CloseReason::WriteTimeout), "{name}");
        assert_eq!(conn.exchange(id).outcome(), Some(Outcome::TimedOut), "{name}");
        assert_eq!(conn.exchange(id).send(last(b"")), Err(SendError::Disconnected), "{name}");
    }
}

#[test]
fn a_complete_response_that_is_not_read_is_dropped_too() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(10)), Action::Disconnect(id));
    assert_eq!(expire(&mut conn, at(70)), [RESET]);
    assert_eq!(output(&conn), b"");
    assert_eq!(conn.exchange(id).outcome(), Some(Outcome::Complete));
}

#[test]
fn an_error_response_that_is_not_read_is_dropped_too() {
    let mut conn = new();
    conn.handle_bytes(b"?\r\n");
    assert_eq!(deadline(&mut conn, at(10)), Some(at(70)));
    assert_eq!(expire(&mut conn, at(70)), [RESET]);
    assert_eq!(output(&conn), b"");
}

#[test]
fn bytes_that_the_driver_moves_have_the_time_of_a_write() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    conn.exchange(id).send(head(200, &[(b"content-length", b"100")])).unwrap();
    conn.exchange(id).send(SendEvent::ResponsePart { token: 3, len: 100, more_body: false }).unwrap();
    assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    assert_eq!(deadline(&mut conn, at(0)), Some(at(60)));
    write(&mut conn);
    for (seconds, remaining) in [(50, 100), (100, 99), (150, 98)] {
        let wait = Wait { read: true, write: true, deadline: Some(at(seconds + 60)) };
        assert_eq!(conn.next_action(at(seconds)), Action::Transfer { token: 3, remaining, wait });
        assert_eq!(conn.next_action(at(seconds + 10)), Action::Transfer { token: 3, remaining, wait });
        conn.handle_written(1);
    }
    assert!(matches!(conn.next_action(at(200)), Action::Transfer { remaining: 97, .. }));
    assert!(matches!(conn.next_action(before(at(260))), Action::Transfer { remaining: 97, .. }));
    assert_eq!(ask(&mut conn, at(260)), [RESET]);
}

#[test]
fn more_written_than_there_is_renews_nothing_later() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    conn.handle_written(1000);
    assert_eq!(deadline(&mut conn, at(10)), None);
    conn.exchange(id).send(head(200, &[])).unwrap();
    conn.exchange(id).send(part(b"begun")).unwrap();
    assert_eq!(deadline(&mut conn, at(20)), Some(at(80)), "and it was not written before it was there");
}

#[test]
fn nothing_written_and_nothing_read_renews_nothing() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    assert_eq!(deadline(&mut conn, at(0)), Some(at(60)));
    conn.handle_written(0);
    assert_eq!(deadline(&mut conn, at(10)), Some(at(60)));

    let mut conn = lingering(at(100));
    conn.handle_bytes(b"");
    conn.handle_read(BytesMut::new());
    let lent = conn.read_buffer();
    conn.handle_read(lent);
    assert_eq!(deadline(&mut conn, at(102)), Some(at(105)));
}

/// "Equal fingerprints behave the same": where a wait has begun, another deadline runs than where it has not.
#[test]
fn a_wait_that_has_begun_is_in_the_fingerprint() {
    let fresh = new();
    let mut asked = new();
    ask(&mut asked, at(0));
    assert_ne!(deadline(&mut asked.clone(), at(10)), deadline(&mut fresh.clone(), at(10)));
    assert_ne!(asked.fingerprint(), fresh.fingerprint());

    let mut unwritten = new();
    let id = start(&mut unwritten, at(0), GET);
    unwritten.exchange(id).send(head(200, &[])).unwrap();
    unwritten.exchange(id).send(part(b"begun")).unwrap();
    let mut asked = unwritten.clone();
    ask(&mut asked, at(0));
    assert_ne!(deadline(&mut asked.clone(), at(10)), deadline(&mut unwritten.clone(), at(10)));
    assert_ne!(asked.fingerprint(), unwritten.fingerprint());
    assert_eq!(asked.fingerprint(), asked.clone().fingerprint());
}

/// A connection that was shut down at this time, and lingers.
fn lingering(now: Instant) -> Connection {
    let mut conn = new();
    conn.handle_bytes(b"?\r\n");
    ask(&mut conn, now);
    write(&mut conn);
    assert_eq!(conn.next_action(now), Action::Shutdown);
    assert_eq!(wait(&mut conn, now), Wait { read: true, write: false, deadline: Some(now + Duration::from_secs(5)) });
    conn
}

#[test]
fn a_quiet_peer_is_lingered_for_five_seconds() {
    let mut conn = lingering(at(100));
    assert_eq!(expire(&mut conn, at(105)), [CLOSE]);
    assert!(matches!(conn.close_reason(), Some(CloseReason::Fault(_))), "what it lingered for");
}

#[test]
fn a_noisy_peer_is_lingered_for_thirty_seconds() {
    let mut conn = lingering(at(100));
    for seconds in 101..130 {
        conn.handle_bytes(GET);
        let expected = at((seconds + 5).min(130));
        assert_eq!(wait(&mut conn, at(seconds)), Wait { read: true, write: false, deadline: Some(expected) });
    }
    assert_eq!(expire(&mut conn, at(130)), [CLOSE]);
}

#[test]
fn lingering_has_no_limit_of_bytes() {
    let mut conn = lingering(at(0));
    for _ in 0..100 {
        conn.handle_bytes(&vec![b'x'; 100_000]);
        let mut buffer = conn.read_buffer();
        buffer.extend_from_slice(&[b'x'; 1000]);
        conn.handle_read(buffer);
        assert_eq!(wait(&mut conn, at(4)), Wait { read: true, write: false, deadline: Some(at(9)) });
    }
}

#[test]
fn lingering_ends_when_the_peer_closes_or_leaves() {
    let mut conn = lingering(at(0));
    conn.handle_eof();
    assert_eq!(conn.next_action(at(1)), CLOSE);
    let mut conn = lingering(at(0));
    conn.handle_disconnect();
    assert!(matches!(conn.next_action(at(1)), Action::Close { .. }));
}

#[test]
fn nobody_lingers_for_a_peer_that_has_closed() {
    let mut conn = new();
    conn.handle_bytes(b"?\r\n");
    conn.handle_eof();
    ask(&mut conn, at(0));
    write(&mut conn);
    assert_eq!(conn.next_action(at(0)), CLOSE);
}

#[test]
fn an_exchange_that_outlasts_the_shutdown_ends_as_if_its_application_had_crashed() {
    for stalled in &STALLED {
        for is_written in [true, false] {
            let mut conn = new();
            let id = start(&mut conn, at(0), stalled.request);
            (stalled.sent)(&mut conn, id);
            if is_written {
                write(&mut conn);
            }
            conn.handle_shutdown();
            assert_eq!(deadline(&mut conn, at(10)), Some(at(40)), "{}", stalled.name);
            conn.handle_shutdown();
            assert_eq!(deadline(&mut conn, at(20)), Some(at(40)), "{}: twice is once", stalled.name);
            stalled.ends(&mut conn, id, at(40), 500);
            assert_eq!(conn.fault(), None, "{}", stalled.name);
        }
    }
}

/// "Counted from `handle_shutdown`": a response that goes on and is read does not put it off.
#[test]
fn nothing_that_is_written_puts_a_shutdown_off() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    conn.exchange(id).send(head(200, &[])).unwrap();
    conn.handle_shutdown();
    for second in [10, 20, 30] {
        conn.exchange(id).send(part(b"more")).unwrap();
        assert_eq!(deadline(&mut conn, at(second)), Some(at(40)));
        write(&mut conn);
        assert_eq!(deadline(&mut conn, at(second)), Some(at(40)), "written");
    }
    assert_eq!(expire(&mut conn, at(40)), [Action::Disconnect(id), RESET]);
    assert_eq!(conn.close_reason(), Some(CloseReason::ShutdownTimeout));
}

#[test]
fn an_exchange_that_ends_in_time_is_the_last() {
    let mut conn = new();
    let id = start(&mut conn, at(0), &GET.repeat(2));
    conn.handle_shutdown();
    assert_eq!(deadline(&mut conn, at(10)), Some(at(40)));
    respond(&mut conn, id);
    assert!(says_close(&output(&conn)));
    assert_eq!(conn.next_action(before(at(40))), Action::Disconnect(id));
    assert_eq!(deadline(&mut conn, before(at(40))), Some(before(at(100))), "the write's");
    write(&mut conn);
    assert_eq!(conn.next_action(at(50)), Action::Shutdown, "pipelined requests are not served");
    assert_eq!(deadline(&mut conn, at(50)), Some(at(55)));
}

#[test]
fn a_shutdown_without_an_exchange_closes_at_once() {
    for given in [&b""[..], b"\r\n", b"GET / HTTP/1.1\r\nho"] {
        let mut conn = new();
        conn.handle_bytes(given);
        deadline(&mut conn, at(1));
        conn.handle_shutdown();
        assert_eq!(conn.next_action(at(1)), CLOSE, "{}", text(given));
        assert_eq!(output(&conn), b"", "{}: a torn head gets no answer", text(given));
        assert_eq!(conn.close_reason(), Some(CloseReason::Shutdown));
    }
}

/// A connection whose application holds it back.
type Held = fn() -> Connection;

#[test]
fn nothing_is_due_while_the_application_holds_us_back() {
    fn started(bytes: &[u8]) -> (Connection, ExchangeId) {
        let mut conn = new();
        let id = start(&mut conn, at(0), bytes);
        (conn, id)
    }
    let rows: [(&str, bool, Held); 8] = [
        ("a request without body", true, || started(GET).0),
        ("a body that nobody asked for", true, || started(UPLOAD).0),
        ("part of a body that nobody asked for", true, || started(&[UPLOAD, b"abc"].concat()).0),
        ("a whole body that nobody asked for", true, || started(&[CHUNKED, b"1\r\nx\r\n0\r\n\r\n"].concat()).0),
        ("a full read buffer", false, || started(&[UPLOAD, &[b'x'; 16 * 1024]].concat()).0),
        ("pipelined requests and part of one", true, || started(&[GET, GET, b"GET / HT"].concat()).0),
        ("a head held", true, || {
            let (mut conn, id) = started(UPLOAD);
            conn.exchange(id).send(head(200, &[])).unwrap();
            conn
        }),
        ("a response begun and written", true, || {
            let (mut conn, id) = started(GET);
            conn.exchange(id).send(head(200, &[])).unwrap();
            conn.exchange(id).send(part(b"begun")).unwrap();
            write(&mut conn);
            conn
        }),
    ];
    for (name, read, held) in rows {
        let mut conn = held();
        for seconds in [1, 100, 1_000_000] {
            assert_eq!(wait(&mut conn, at(seconds)), Wait { read, write: false, deadline: None }, "{name}");
        }
    }
}

#[test]
fn a_client_that_closed_behind_its_request_is_waited_for_no_more() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    conn.handle_eof();
    assert_eq!(wait(&mut conn, at(1_000_000)), Wait { read: false, write: false, deadline: None });
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(1_000_000)), Action::Disconnect(id));
}

#[test]
fn time_never_runs_backwards() {
    let mut conn = new();
    assert_eq!(deadline(&mut conn, at(100)), Some(at(175)));
    for earlier in [at(0), at(50), before(at(100))] {
        assert_eq!(conn.next_action(earlier), conn.next_action(at(100)), "an earlier now counts as the latest told");
    }
    // A phase that begins at an earlier now begins at the latest told.
    conn.handle_bytes(b"G");
    let Action::Wait(wait) = conn.next_action(at(20)) else { panic!("a head is awaited") };
    assert_eq!(wait.deadline, Some(at(130)));
    assert_eq!(deadline(&mut conn, before(at(130))), Some(at(130)));
    answered(&mut conn, at(130), 408);
    assert_eq!(conn.next_action(at(0)), conn.next_action(at(130)));
}

#[test]
fn a_rate_is_not_fooled_by_time_told_backwards() {
    let (mut conn, id) = rated();
    demand(&mut conn, id);
    for now in [at(5), at(0), at(5), at(1), at(5)] {
        assert!(matches!(conn.next_action(now), Action::Wait(wait) if wait.deadline == Some(at(15))), "{now:?}");
    }
}

/// Something told before a question that comes late.
struct Late {
    name: &'static str,
    /// One of [`phases`], with a deadline that is long over.
    phase: &'static str,
    told: fn(&mut Connection),
    /// The answers at [`LATE`].
    expected: fn(&[Action]) -> bool,
}

const LATE: Instant = Instant::from_nanos(100_000 * common_wire::SECOND);

fn waits(answers: &[Action], deadline_after: u64) -> bool {
    let deadline = Some(LATE + Duration::from_secs(deadline_after));
    matches!(answers.last(), Some(Action::Wait(wait)) if wait.deadline == deadline)
}

fn starts(answers: &[Action]) -> bool {
    matches!(answers, [Action::Start(..), Action::Wait(_)])
}

fn closes(answers: &[Action]) -> bool {
    answers == [CLOSE]
}

/// It is the application that is waited for.
fn is_held_back(answers: &[Action]) -> bool {
    matches!(answers, [Action::Wait(Wait { read: true, write: false, deadline: None })])
}

#[test]
fn what_was_told_before_the_question_came_in_time() {
    let row = |name, phase, told, expected| Late { name, phase, told, expected };
    let rows = [
        row("a request", "idle", |conn| conn.handle_bytes(GET), starts),
        row("the first byte of a request", "idle", |conn| conn.handle_bytes(b"G"), |answers| waits(answers, 30)),
        row("the end", "idle", Connection::handle_eof, closes),
        row("the rest of a head", "head", |conn| conn.handle_bytes(&GET[5..]), starts),
        row("the end in a head", "head", Connection::handle_eof, closes),
        row("a byte of a body", "body", |conn| conn.handle_bytes(b"a"), is_held_back),
        row(
            "the rest of a body that is drained",
            "drain",
            |conn| conn.handle_bytes(&[b'x'; 10_000]),
            |answers| waits(answers, 75),
        ),
        row("all is written", "write", |conn| conn.handle_written(usize::MAX), is_held_back),
        row("something is written", "write", |conn| conn.handle_written(1), |answers| waits(answers, 60)),
        row("the end, that was lingered for", "linger", Connection::handle_eof, closes),
    ];
    for Late { name, phase, told, expected } in rows {
        let phases = phases(Timeouts::default());
        let (_, mut conn) = phases.into_iter().find(|(name, _)| *name == phase).unwrap();
        let answers = ask(&mut conn, at(1));
        let due = answers.iter().find_map(|answer| if let Action::Wait(wait) = answer { wait.deadline } else { None });
        assert!(due.is_some_and(|due| due < LATE), "{name}: {answers:?}");

        let mut untold = conn.clone();
        let missed = ask(&mut untold, LATE);
        told(&mut conn);
        let answers = ask(&mut conn, LATE);
        assert!(expected(&answers), "{name}: {answers:?}");
        if phase != "linger" {
            let (reason, missed_reason) = (conn.close_reason(), untold.close_reason());
            assert!((reason, answers) != (missed_reason, missed), "{name}: it makes no difference");
            assert!(matches!(reason, None | Some(CloseReason::ClientClosed)), "{name}: {reason:?}");
        }
    }
}

/// "What is due by now happens first": what came late does not help against what it has nothing to do with.
#[test]
fn what_is_due_happens_before_what_came_is_looked_at() {
    let mut conn = new();
    let id = start(&mut conn, at(0), GET);
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    assert_eq!(deadline(&mut conn, at(0)), Some(at(60)), "the write's");
    conn.handle_bytes(GET);
    assert_eq!(ask(&mut conn, at(60)), [RESET], "no request is started any more");

    let patient = Timeouts::default().body(Duration::MAX).body_rate(0, Duration::MAX);
    let mut conn = with_timeouts(patient);
    let id = start(&mut conn, at(0), CHUNKED);
    demand(&mut conn, id);
    conn.handle_shutdown();
    assert_eq!(deadline(&mut conn, at(0)), Some(at(30)), "the shutdown's");
    conn.handle_bytes(b"no chunk\r\n");
    ask(&mut conn, at(30));
    assert_eq!((conn.exchange(id).outcome(), conn.fault()), (Some(Outcome::TimedOut), None));
}

#[test]
fn what_the_application_did_before_the_question_came_in_time() {
    // Its shutdown is due at 31.
    let begin = || {
        let mut conn = new();
        let id = start(&mut conn, at(0), GET);
        conn.handle_shutdown();
        assert_eq!(deadline(&mut conn, at(1)), Some(at(31)));
        (conn, id)
    };
    let (mut conn, id) = begin();
    respond(&mut conn, id);
    write(&mut conn);
    assert_eq!(conn.next_action(LATE), Action::Disconnect(id));
    assert_eq!(conn.exchange(id).outcome(), Some(Outcome::Complete));
    assert_eq!(conn.next_action(LATE), Action::Shutdown);
    assert_eq!(output(&conn), b"");

    // Bytes of a body that are delivered, and more is asked for, before the question.
    let mut conn = with_timeouts(Timeouts::default().body_rate(0, Duration::ZERO));
    let id = start(&mut conn, at(0), UPLOAD);
    demand(&mut conn, id);
    assert_eq!(deadline(&mut conn, at(1)), Some(at(31)));
    conn.handle_bytes(b"abc");
    receive_all(&mut conn, id);
    assert_eq!(deadline(&mut conn, LATE), Some(LATE + Duration::from_secs(30)));
}

#[test]
fn bytes_told_late_to_a_lingering_connection_count_but_not_beyond_the_total() {
    let mut conn = lingering(at(0));
    conn.handle_bytes(b"x");
    assert_eq!(deadline(&mut conn, at(20)), Some(at(25)), "told before the question");
    conn.handle_bytes(b"x");
    assert_eq!(ask(&mut conn, at(30)), [CLOSE]);
}

/// A connection in each phase that has a deadline by default, told at 0.
fn phases(timeouts: Timeouts) -> Vec<(&'static str, Connection)> {
    let begin = || with_timeouts(timeouts);
    let mut torn = begin();
    torn.handle_bytes(b"GET /");
    let mut demanding = begin();
    demanding.handle_bytes(UPLOAD);
    if let Action::Start(id, _) = demanding.next_action(at(0)) {
        demand(&mut demanding, id);
    }
    let mut draining = begin();
    draining.handle_bytes(UPLOAD);
    if let Action::Start(id, _) = draining.next_action(at(0)) {
        respond(&mut draining, id);
        write(&mut draining);
    }
    let mut unwritten = begin();
    unwritten.handle_bytes(GET);
    if let Action::Start(id, _) = unwritten.next_action(at(0)) {
        unwritten.exchange(id).send(head(200, &[])).unwrap();
        unwritten.exchange(id).send(part(b"begun")).unwrap();
    }
    let mut answered = begin();
    answered.handle_bytes(b"?\r\n");
    let _ = answered.next_action(at(0));
    write(&mut answered);
    let mut shutting_down = begin();
    shutting_down.handle_bytes(GET);
    let _ = shutting_down.next_action(at(0));
    shutting_down.handle_shutdown();
    vec![
        ("idle", begin()),
        ("head", torn),
        ("body", demanding),
        ("drain", draining),
        ("write", unwritten),
        ("linger", answered),
        ("shutdown", shutting_down),
    ]
}

fn all(time: Duration) -> Timeouts {
    Timeouts::default()
        .idle(time)
        .head(time)
        .body(time)
        .body_rate(128, time)
        .write(time)
        .linger(time, time)
        .shutdown(time)
}

#[test]
fn each_phase_has_a_deadline_by_default() {
    for (name, mut conn) in phases(Timeouts::default()) {
        assert!(matches!(ask(&mut conn, at(0)).last(), Some(Action::Wait(Wait { deadline: Some(_), .. }))), "{name}");
    }
}

#[test]
fn the_longest_duration_switches_a_deadline_off() {
    let off = all(Duration::MAX);
    for (name, mut conn) in phases(off) {
        for now in [at(0), at(1_000_000_000), Instant::from_nanos(u64::MAX - 1), Instant::from_nanos(u64::MAX)] {
            let answers = ask(&mut conn, now);
            let Some(Action::Wait(wait)) = answers.last() else { panic!("{name}: {answers:?}") };
            assert_eq!(wait.deadline, None, "{name}");
        }
        assert!(conn.fault().is_none() || name == "linger", "{name}");
    }
}

#[test]
fn a_deadline_beyond_the_end_of_the_scale_never_comes() {
    for (name, mut conn) in phases(Timeouts::default()) {
        let end = Instant::from_nanos(u64::MAX);
        // What was told at 0 is due, so this only must come to an end.
        ask(&mut conn, end);
        let answers = ask(&mut conn, end);
        if let Some(Action::Wait(wait)) = answers.last() {
            assert_eq!(wait.deadline, None, "{name}");
        }
    }
    let mut conn = new();
    assert_eq!(deadline(&mut conn, Instant::from_nanos(u64::MAX - 5)), None);
    assert_eq!(deadline(&mut conn, Instant::from_nanos(u64::MAX)), None);
}

#[test]
fn no_time_at_all_is_over_at_once_and_does_not_loop() {
    let finished: fn(&[Action]) -> bool =
        |answers| matches!(answers.last(), Some(Action::Close { .. } | Action::Wait(Wait { write: true, .. })));
    for (name, mut conn) in phases(all(Duration::ZERO)) {
        let answers = ask(&mut conn, at(0));
        assert!(finished(&answers), "{name}: {answers:?}");
        write(&mut conn);
        let answers = ask(&mut conn, at(0));
        assert!(matches!(answers.last(), Some(Action::Close { .. })), "{name}: {answers:?}");
    }
}

#[test]
fn no_time_at_all_is_enough_for_what_is_told_before_the_question() {
    let mut conn = with_timeouts(all(Duration::ZERO));
    for _ in 0..3 {
        let id = start(&mut conn, at(0), &[CHUNKED, b"1\r\nx\r\n0\r\n\r\n"].concat());
        assert_eq!(receive_all(&mut conn, id), (b"x".to_vec(), true));
        respond(&mut conn, id);
        write(&mut conn);
        conn.handle_bytes(&[CHUNKED, b"1\r\nx\r\n0\r\n\r\n"].concat());
        assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
        let Action::Start(id, _) = conn.next_action(at(0)) else { panic!("the next request was there") };
        assert_eq!(receive_all(&mut conn, id), (b"x".to_vec(), true));
        respond(&mut conn, id);
        write(&mut conn);
        conn.handle_bytes(b"");
        assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    }
}

#[test]
fn a_nanosecond_is_a_deadline_like_any_other() {
    for (name, mut conn) in phases(all(Duration::from_nanos(1))) {
        let mut now = at(0);
        for _ in 0..common_wire::MOST_ASKS {
            match ask(&mut conn, now).last() {
                Some(Action::Wait(wait)) => match wait.deadline {
                    Some(deadline) => {
                        assert!(deadline > now, "{name}");
                        now = deadline;
                    }
                    None => panic!("{name}: nothing is due, and nobody is awaited"),
                },
                Some(Action::Close { .. }) => break,
                other => panic!("{name}: {other:?}"),
            }
        }
        assert!(matches!(conn.next_action(now), Action::Close { .. }), "{name}");
    }
}

#[test]
fn time_begins_where_the_driver_picked() {
    for origin in [0, 1, 1 << 62] {
        let now = Instant::from_nanos(origin);
        let mut conn =
            Connection::new(Config::builder().limits(Limits::default().read_buffer_bytes(64)).build().unwrap());
        assert_eq!(deadline(&mut conn, now), Some(now + Duration::from_secs(75)));
    }
}

/// That a write was not late is no reason to forgive a body that began to be awaited behind it.
#[test]
fn what_was_due_before_a_body_was_awaited_is_not_forgiven_to_it() {
    let timeouts = Timeouts::default().body(Duration::from_secs(1000)).body_rate(1, Duration::from_secs(30));
    let mut conn = with_timeouts(timeouts);
    let id = start(&mut conn, at(0), b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n");
    conn.exchange(id).send(head(200, &[(b"content-length", b"4")])).unwrap();
    conn.exchange(id).send(part(b"ab")).unwrap();
    assert_eq!(wait(&mut conn, at(0)).deadline, Some(at(60))); // the write
    conn.handle_written(usize::MAX);
    conn.exchange(id).send(last(b"cd")).unwrap();
    // The rest is drained from here on.
    assert_eq!(conn.next_action(at(70)), Action::Disconnect(id));
    conn.handle_written(usize::MAX);
    conn.handle_bytes(b"x");
    // Ten seconds of thirty have passed.
    assert_eq!(wait(&mut conn, at(80)).deadline, Some(at(100)));
}

/// A write that seemed late has its own turn before the body is looked at: the body's lateness is still forgiven then.
#[test]
fn a_late_question_is_forgiven_to_a_body_also_beside_a_write() {
    let timeouts = Timeouts::default().body(Duration::from_secs(1000)).body_rate(1, Duration::from_secs(200));
    let mut conn = with_timeouts(timeouts);
    let id = start(&mut conn, at(0), b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n");
    assert_eq!(conn.exchange(id).receive(), Poll::Pending);
    conn.exchange(id).send(head(200, &[])).unwrap();
    conn.exchange(id).send(part(b"ab")).unwrap();
    assert_eq!(wait(&mut conn, at(0)).deadline, Some(at(60))); // the write
    // Told in time, asked 40 seconds late.
    conn.handle_written(usize::MAX);
    conn.handle_bytes(b"x");
    assert_eq!(wait(&mut conn, at(100)).deadline, None);
    assert!(conn.exchange(id).receive().is_ready());
    assert_eq!(conn.exchange(id).receive(), Poll::Pending);
    // Sixty of two hundred have passed.
    assert_eq!(wait(&mut conn, at(100)).deadline, Some(at(240)));
}

/// While a head drips, the deadline of a write that has gone out in between is not told any more.
#[test]
fn a_write_that_is_done_leaves_the_deadline_of_a_head_alone() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, at(0), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    assert_eq!(wait(&mut conn, at(0)).deadline, Some(at(60)));
    conn.handle_bytes(b"G");
    assert_eq!(wait(&mut conn, at(40)).deadline, Some(at(60)));
    conn.handle_written(usize::MAX);
    conn.handle_bytes(b"E");
    assert_eq!(wait(&mut conn, at(50)).deadline, Some(at(70)));
}

/// Behind a drain that ends in the question which starts the next request, that one's body has all of its time.
#[test]
fn a_body_behind_a_drained_one_is_counted_from_its_own_beginning() {
    let mut conn = Connection::new(Config::default());
    let id = start(&mut conn, at(0), b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n");
    respond(&mut conn, id);
    assert_eq!(conn.next_action(at(0)), Action::Disconnect(id));
    conn.handle_written(usize::MAX);
    assert_eq!(wait(&mut conn, at(0)).deadline, Some(at(30)));
    let next = start(&mut conn, at(20), b"helloPOST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(conn.exchange(next).receive(), Poll::Pending);
    assert_eq!(wait(&mut conn, at(20)).deadline, Some(at(50)));
}

/// A body whose demand becomes a drain in a question that tells `Disconnect`: what was not due yet by then is asked for
/// by the next question, and is not forgiven if that comes late; what was due is.
#[test]
fn what_is_due_in_the_question_that_tells_a_disconnect_is_forgiven_and_what_is_not_is_not() {
    let timeouts = Timeouts::default().body(Duration::from_secs(100)).body_rate(1, Duration::from_secs(200));
    for (told, due) in [(10, 200), (99, 200), (100, 250)] {
        let mut conn = with_timeouts(timeouts);
        let id = start(&mut conn, at(0), b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n");
        assert_eq!(conn.exchange(id).receive(), Poll::Pending);
        assert_eq!(wait(&mut conn, at(0)).deadline, Some(at(100)));
        respond(&mut conn, id);
        assert_eq!(conn.next_action(at(told)), Action::Disconnect(id));
        conn.handle_written(usize::MAX);
        conn.handle_bytes(b"x");
        assert_eq!(wait(&mut conn, at(150)).deadline, Some(at(due)), "told at {told}");
    }
}

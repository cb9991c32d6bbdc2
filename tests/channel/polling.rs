//! What is asked of a channel by `poll` functions, without demand, and by several calls at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sansgi::{Action, Config, Exchange, HalfClose, Instant, Limits, Outcome, ReceiveEvent, SendError, SendEvent, Wait};

use crate::wakers::{Count, START, begin, begin_with, poll, wait};

fn body(more_body: bool) -> SendEvent<'static> {
    SendEvent::ResponseBody { body: "part".into(), more_body }
}

#[test]
fn the_task_that_polled_last_is_woken() {
    let (mut driver, mut channel) = begin(Config::default());
    let ((one, wakes_one), (two, wakes_two)) = (Count::new(), Count::new());
    for _ in 0..3 {
        assert!(channel.poll_receive(&mut Context::from_waker(&wakes_one)).is_pending());
        assert_eq!(one.clones(), 1, "one place, however often it is polled");
    }
    assert!(channel.poll_receive(&mut Context::from_waker(&wakes_two)).is_pending());
    assert_eq!((one.clones(), two.clones()), (0, 1));
    driver.lock().handle_bytes(b"bo");
    wait(&mut driver);
    assert_eq!((one.wakes(), two.wakes()), (0, 1));
    let part = ReceiveEvent::Request { body: "bo".into(), more_body: true };
    assert_eq!(channel.poll_receive(&mut Context::from_waker(&wakes_two)), Poll::Ready(part));
    assert_eq!(two.clones(), 0, "who is ready does not wait");
    assert!(channel.poll_receive(&mut Context::from_waker(&wakes_two)).is_pending());
    driver.lock().handle_disconnect();
    assert_eq!((one.wakes(), two.wakes()), (0, 2));
    assert_eq!(channel.poll_receive(&mut Context::from_waker(&wakes_two)), Poll::Ready(ReceiveEvent::Disconnect));
}

#[test]
fn a_task_may_wait_for_a_part_and_for_room_at_once() {
    let config = Config::builder().limits(Limits::default().high_water_bytes(1)).build().unwrap();
    let (mut driver, mut channel) = begin_with(config, b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n");
    let (task, waker) = Count::new();
    let context = &mut Context::from_waker(&waker);
    assert_eq!(channel.poll_ready(context), Poll::Ready(Ok(())));
    channel.send_now(START).unwrap();
    channel.send_now(body(true)).unwrap();
    assert!(channel.poll_receive(context).is_pending());
    assert!(channel.poll_ready(context).is_pending());
    assert_eq!(task.clones(), 2);
    driver.lock().handle_written(usize::MAX);
    assert_eq!((task.wakes(), task.clones()), (1, 1), "there is room, and no part");
    assert_eq!(channel.poll_ready(context), Poll::Ready(Ok(())));
    driver.lock().handle_bytes(b"body");
    wait(&mut driver);
    assert_eq!((task.wakes(), task.clones()), (2, 0));
    assert!(channel.poll_receive(context).is_ready());
    channel.send_now(body(false)).unwrap();
    assert_eq!(channel.poll_ready(context), Poll::Ready(Err(SendError::Complete)));
}

#[test]
fn who_drops_or_clones_a_channel_takes_no_place() {
    let (driver, mut channel) = begin(Config::default());
    let (task, waker) = Count::new();
    assert!(channel.poll_receive(&mut Context::from_waker(&waker)).is_pending());
    let mut other = channel.clone();
    assert!(other.poll_receive(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(task.clones(), 2, "each has its own");
    drop(channel);
    assert_eq!(task.clones(), 1);
    drop(driver); // the transport is gone
    assert_eq!((task.wakes(), task.clones()), (1, 0));
    drop(other);
}

/// "It takes no part of the body, sends no 100 Continue and starts no timer."
#[test]
fn who_waits_for_the_disconnect_asks_for_nothing() {
    let head = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    let (mut driver, channel) = begin_with(Config::default(), head);
    let (task, waker) = Count::new();
    let mut disconnected = channel.disconnected();
    assert!(poll(&mut disconnected, &waker).is_pending());
    let waits = wait(&mut driver);
    assert_eq!((waits.read, waits.write, waits.deadline), (true, false, None), "as if nobody had asked");
    driver.lock().handle_bytes(b"body");
    wait(&mut driver);
    channel.send_now(START).unwrap();
    channel.send_now(body(true)).unwrap();
    driver.lock().handle_written(usize::MAX);
    assert_eq!((task.wakes(), task.clones()), (0, 1), "nothing of that is what it waits for");
    channel.send_now(body(false)).unwrap();
    assert_eq!((task.wakes(), task.clones()), (1, 0));
    assert_eq!(poll(&mut disconnected, &waker), Poll::Ready(Outcome::Complete));
    assert_eq!(poll(&mut channel.disconnected(), &waker), Poll::Ready(Outcome::Complete), "for ever");
}

#[test]
fn a_client_that_leaves_is_told_to_who_waits_for_it() {
    let get = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".as_slice();
    let put = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbo".as_slice();
    // Policy, request, whether its body is received, and what an end of the stream then is.
    let table = [
        (HalfClose::Disconnect, get, true, Some(Outcome::HalfClosed)),
        (HalfClose::Disconnect, get, false, None),
        (HalfClose::Disconnect, put, false, Some(Outcome::ClientLeft)),
        (HalfClose::Ignore, get, true, None),
        (HalfClose::Abort, get, true, Some(Outcome::ClientLeft)),
        (HalfClose::Abort, get, false, Some(Outcome::ClientLeft)),
    ];
    for (policy, head, is_received, outcome) in table {
        let (mut driver, mut channel) = begin_with(Config::builder().half_close(policy).build().unwrap(), head);
        let (task, waker) = Count::new();
        if is_received {
            assert!(channel.poll_receive(&mut Context::from_waker(&waker)).is_ready());
        }
        let mut disconnected = channel.disconnected();
        assert!(poll(&mut disconnected, &waker).is_pending());
        driver.lock().handle_eof();
        let _ = driver.lock().next_action(Instant::ZERO);
        let told = match poll(&mut disconnected, &waker) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
        assert_eq!(told, outcome, "{policy:?}, received: {is_received}");
        assert_eq!(task.wakes(), usize::from(outcome.is_some()), "{policy:?}, received: {is_received}");
    }
}

#[test]
fn who_has_waited_for_the_disconnect_of_an_older_exchange_is_told() {
    let (mut driver, channel) = begin_with(Config::default(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    channel.send_now(START).unwrap();
    channel.send_now(body(false)).unwrap();
    assert_eq!(driver.lock().next_action(Instant::ZERO), Action::Disconnect(channel.id()));
    driver.lock().handle_written(usize::MAX);
    driver.lock().handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(matches!(driver.lock().next_action(Instant::ZERO), Action::Start(..)));
    assert_eq!(poll(&mut channel.disconnected(), Waker::noop()), Poll::Ready(Outcome::Complete));
}

#[test]
fn several_calls_wake_the_driver_once() {
    let (mut driver, channel) = begin(Config::default());
    let (task, waker) = Count::new();
    assert!(driver.poll_changed(&mut Context::from_waker(&waker)).is_pending());
    let answer = channel.with(|mut exchange| {
        exchange.send(START)?;
        exchange.send(body(true))?;
        exchange.send(body(false))
    });
    assert_eq!(answer, Ok(()));
    assert_eq!(task.wakes(), 1);
    assert!(driver.poll_changed(&mut Context::from_waker(&waker)).is_ready());
    assert!(driver.poll_changed(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(channel.with(|exchange| exchange.outcome()), Some(Outcome::Complete));
    assert!(driver.poll_changed(&mut Context::from_waker(&waker)).is_pending(), "a question changes nothing");
}

#[test]
fn a_panic_between_several_calls_leaves_what_was_done() {
    let (mut driver, channel) = begin(Config::default());
    let (task, waker) = Count::new();
    assert!(driver.poll_changed(&mut Context::from_waker(&waker)).is_pending());
    let calls = |mut exchange: Exchange<'_>| {
        exchange.send(START).unwrap();
        panic!("an application's");
    };
    assert!(catch_unwind(AssertUnwindSafe(|| channel.with(calls))).is_err());
    assert_eq!(task.wakes(), 1);
    assert_eq!(channel.end(), Outcome::Failed);
    assert!(driver.lock().outgoing().flatten().copied().collect::<Vec<_>>().starts_with(b"HTTP/1.1 500 "));
}

#[test]
fn a_body_that_is_not_asked_for_by_its_disconnect_has_no_deadline() {
    let (mut driver, channel) = begin(Config::default());
    assert!(poll(&mut channel.disconnected(), Waker::noop()).is_pending());
    let much_later = Instant::ZERO + Duration::from_secs(1_000_000);
    assert!(matches!(driver.lock().next_action(much_later), Action::Wait(Wait { deadline: None, .. })));
}

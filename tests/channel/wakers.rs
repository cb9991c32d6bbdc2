//! What a waker may do to its channel: run any code when it is woken, cloned or dropped, panic, or be another one at
//! each poll. And what the list of those who wait holds.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use sansgi::{Action, Channel, Config, Connection, Driver, Instant, Limits, Outcome, ReceiveEvent, SendEvent, Wait};

use crate::bounded;

const PUT: &[u8] = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";

pub(crate) const START: SendEvent<'_> = SendEvent::ResponseStart { status: 200, headers: &[], trailers: false };

/// An exchange of which no body has come, and the driver told to wait.
pub(crate) fn begin(config: Config) -> (Driver, Channel) {
    begin_with(config, PUT)
}

/// The exchange of this request.
pub(crate) fn begin_with(config: Config, request: &[u8]) -> (Driver, Channel) {
    let mut driver = Driver::new(Connection::new(config));
    driver.lock().handle_bytes(request);
    let Action::Start(id, _) = driver.lock().next_action(Instant::ZERO) else { panic!("a request") };
    wait(&mut driver);
    let channel = driver.channel(id);
    (driver, channel)
}

pub(crate) fn wait(driver: &mut Driver) -> Wait {
    match driver.lock().next_action(Instant::ZERO) {
        Action::Wait(wait) => wait,
        action => panic!("{action:?}"),
    }
}

/// Of a whole body, and of the driver's turn that finds it.
fn body_comes(driver: &mut Driver) {
    driver.lock().handle_bytes(b"body");
    wait(driver);
}

#[derive(Default)]
pub(crate) struct Count {
    wakes: AtomicUsize,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (Arc::clone(&count), Waker::from(count))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }

    /// How many wakers there are besides that of `new`.
    pub(crate) fn clones(self: &Arc<Self>) -> usize {
        Arc::strong_count(self) - 2
    }
}

pub(crate) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A task that is run by whoever wakes it and ended by whoever drops its last waker, as the simplest executors do: both
/// lock the connection.
struct Reentrant(Channel);

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        assert_ne!(self.0.id().as_u64(), 0);
        let _ = self.0.outcome();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        let _ = self.0.outcome();
    }
}

#[test]
fn a_waker_may_lock_the_connection_when_it_is_woken() {
    bounded(|| {
        let (mut driver, channel) = begin(Config::default());
        let waker = || Waker::from(Arc::new(Reentrant(channel.clone())));
        let mut receive = channel.receive();
        assert!(poll(&mut receive, &waker()).is_pending());
        assert!(driver.poll_changed(&mut Context::from_waker(&waker())).is_ready(), "the demand");
        wait(&mut driver);
        assert!(driver.poll_changed(&mut Context::from_waker(&waker())).is_pending());
        channel.send_now(START).unwrap(); // wakes the driver
        body_comes(&mut driver); // wakes the task
        assert!(poll(&mut receive, &waker()).is_ready());
    });
}

#[test]
fn a_waker_may_lock_the_connection_when_it_is_dropped() {
    bounded(|| {
        let (mut driver, channel) = begin(Config::default());
        let waker = || Waker::from(Arc::new(Reentrant(channel.clone())));
        let mut receive = channel.receive();
        for _ in 0..2 {
            assert!(poll(&mut receive, &waker()).is_pending()); // the second replaces the first
        }
        drop(receive);
        wait(&mut driver);
        for _ in 0..2 {
            assert!(driver.poll_changed(&mut Context::from_waker(&waker())).is_pending());
        }
        drop(driver);
        let mut receive = channel.receive();
        assert_eq!(poll(&mut receive, &waker()), Poll::Ready(ReceiveEvent::Disconnect));
    });
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("this executor is gone");
    }
}

#[test]
fn a_waker_that_panics_costs_nobody_else_his() {
    let (mut driver, channel) = begin(Config::default());
    let (counts, wakers): (Vec<_>, Vec<_>) = (0..3).map(|_| Count::new()).unzip();
    let mut waiting: Vec<_> = (0..4).map(|_| channel.receive()).collect();
    assert!(poll(&mut waiting[0], &Waker::from(Arc::new(Panics))).is_pending());
    for (receive, waker) in waiting[1..].iter_mut().zip(&wakers) {
        assert!(poll(receive, waker).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| driver.lock().handle_disconnect())).is_err());
    assert_eq!(counts.iter().map(|count| count.wakes()).collect::<Vec<_>>(), [1, 1, 1]);
    for (receive, waker) in waiting[1..].iter_mut().zip(&wakers) {
        assert_eq!(poll(receive, waker), Poll::Ready(ReceiveEvent::Disconnect));
    }
}

#[test]
fn a_panic_under_the_lock_leaves_the_connection_usable() {
    let (mut driver, channel) = begin(Config::default());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut conn = driver.lock();
        conn.handle_bytes(b"body");
        panic!("in the driver");
    }));
    assert!(panicked.is_err());
    let part = ReceiveEvent::Request { body: "body".into(), more_body: false };
    assert_eq!(poll(&mut channel.receive(), Waker::noop()), Poll::Ready(part));
}

#[test]
fn the_last_waker_counts() {
    let (mut driver, channel) = begin(Config::default());
    let ((first, one), (second, other)) = (Count::new(), Count::new());
    let mut receive = channel.receive();
    assert!(poll(&mut receive, &one).is_pending());
    assert!(poll(&mut receive, &other).is_pending()); // it has moved to another executor
    assert_eq!((first.clones(), second.clones()), (0, 1));
    body_comes(&mut driver);
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
    assert!(poll(&mut receive, &one).is_ready());
}

#[test]
fn a_waker_is_cloned_once() {
    let (mut driver, channel) = begin(Config::default());
    let (count, waker) = Count::new();
    let mut receive = channel.receive();
    for _ in 0..3 {
        assert!(poll(&mut receive, &waker).is_pending());
        assert_eq!(count.clones(), 1);
    }
    wait(&mut driver);
    for _ in 0..3 {
        assert!(driver.poll_changed(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(count.clones(), 2);
    }
    assert_eq!(count.wakes(), 0, "nobody was woken by a poll that changed nothing");
}

#[test]
fn what_is_ready_or_dropped_is_not_on_the_list() {
    let (mut driver, channel) = begin(Config::default());
    let (count, waker) = Count::new();
    for _ in 0..1000 {
        assert!(poll(&mut channel.receive(), &waker).is_pending());
    }
    assert_eq!(count.clones(), 0);

    let mut waiting: VecDeque<_> = (0..1000).map(|_| channel.receive()).collect();
    for receive in &mut waiting {
        assert!(poll(receive, &waker).is_pending());
    }
    assert_eq!(count.clones(), 1000);
    while waiting.len() > 1 {
        // From both ends and from the middle.
        let _ = (waiting.pop_front(), waiting.pop_back(), waiting.remove(waiting.len() / 2));
        assert_eq!(count.clones(), waiting.len());
    }
    // One that is ready without having been woken.
    let mut ready = channel.receive();
    assert!(poll(&mut ready, &waker).is_pending());
    driver.lock().handle_bytes(b"body");
    assert!(poll(&mut ready, &waker).is_ready());
    assert_eq!(count.clones(), 0);
    drop(driver);
    drop(ready);
}

#[test]
fn a_task_that_waits_does_not_wake_itself_nor_others() {
    let config = Config::builder().limits(Limits::default().high_water_bytes(1)).build().unwrap();
    let (mut driver, channel) = begin(config);
    let ((listener, listens), (sender, sends), (of_driver, to_drive)) = (Count::new(), Count::new(), Count::new());
    let [mut one, mut two] = [channel.receive(), channel.receive()];
    assert!(poll(&mut one, &listens).is_pending());
    assert!(poll(&mut two, &listens).is_pending());
    assert_eq!(listener.wakes(), 0);
    channel.send_now(START).unwrap();
    channel.send_now(SendEvent::ResponseBody { body: "part".into(), more_body: true }).unwrap();
    let mut send = channel.send(SendEvent::ResponseBody { body: "part".into(), more_body: true });
    assert!(poll(&mut send, &sends).is_pending());
    assert_eq!((listener.wakes(), sender.wakes()), (0, 0));
    wait(&mut driver);
    assert!(driver.poll_changed(&mut Context::from_waker(&to_drive)).is_pending());
    driver.lock().handle_written(1);
    assert_eq!(sender.wakes(), 0, "there is no room yet");
    driver.lock().handle_written(usize::MAX);
    assert_eq!((sender.wakes(), of_driver.wakes()), (1, 0));
    assert_eq!(poll(&mut send, &sends), Poll::Ready(Ok(())));
    assert_eq!(of_driver.wakes(), 1);
    // The body's end goes to one of the two; behind it no call but the last wakes the other.
    body_comes(&mut driver);
    assert!(poll(&mut one, &listens).is_ready());
    assert!(poll(&mut two, &listens).is_pending());
    let before = listener.wakes();
    driver.lock().handle_written(usize::MAX);
    driver.lock().handle_bytes(b"GET / HTTP/1.1\r\n");
    channel.send_now(SendEvent::ResponseBody { body: "part".into(), more_body: true }).unwrap();
    assert_eq!(listener.wakes(), before);
    channel.send_now(SendEvent::ResponseBody { body: "part".into(), more_body: false }).unwrap();
    assert_eq!(listener.wakes(), before + 1);
    assert_eq!(poll(&mut two, &listens), Poll::Ready(ReceiveEvent::Disconnect));
}

/// "Those tasks ask again that can go on": one that waits for a body is not woken by each piece of the response that is
/// written, as in an echo. What comes wakes it, also together with that.
#[test]
fn what_is_written_wakes_nobody_who_waits_for_a_body() {
    let (mut driver, channel) = begin(Config::default());
    let (count, waker) = Count::new();
    channel.send_now(START).unwrap();
    channel.send_now(SendEvent::ResponseBody { body: "a part".into(), more_body: true }).unwrap();
    let mut receive = channel.receive();
    assert!(poll(&mut receive, &waker).is_pending());
    for written in [1, 2, usize::MAX] {
        driver.lock().handle_written(written);
        wait(&mut driver);
        assert_eq!(count.wakes(), 0);
        assert_eq!(count.clones(), 1, "it still waits");
    }
    channel.send_now(SendEvent::ResponseBody { body: "a part".into(), more_body: true }).unwrap();
    let mut guard = driver.lock();
    guard.handle_bytes(b"b");
    guard.handle_written(1);
    drop(guard);
    assert_eq!(count.wakes(), 1);
    assert!(poll(&mut receive, &waker).is_ready());

    let mut receive = channel.receive();
    assert!(poll(&mut receive, &waker).is_pending());
    driver.lock().handle_written(1);
    assert_eq!(count.wakes(), 1);
    driver.lock().handle_disconnect();
    assert_eq!(count.wakes(), 2);
    assert_eq!(poll(&mut receive, &waker), Poll::Ready(ReceiveEvent::Disconnect));
}

/// What a driver locks the connection for between its question and its sleep does not make it miss what a task has
/// done.
#[test]
fn a_driver_hears_of_what_happened_since_its_question() {
    let (mut driver, channel) = begin(Config::default());
    let (count, waker) = Count::new();
    let mut context = Context::from_waker(&waker);
    channel.send_now(START).unwrap();
    let _ = driver.lock().read_buffer();
    let _ = driver.lock().fault();
    assert!(driver.poll_changed(&mut context).is_ready());
    assert!(driver.poll_changed(&mut context).is_pending(), "it was told");
    channel.send_now(SendEvent::ResponseBody { body: "part".into(), more_body: true }).unwrap();
    assert_eq!(count.wakes(), 1);
    assert!(wait(&mut driver).write);
    assert!(driver.poll_changed(&mut context).is_pending(), "it has asked since");
    // One who asks through a reference to the connection is told once too often, not for ever.
    channel.send_now(SendEvent::ResponseBody { body: "part".into(), more_body: true }).unwrap();
    assert!(matches!(Connection::next_action(&mut driver.lock(), Instant::ZERO), Action::Wait(_)));
    assert!(driver.poll_changed(&mut context).is_ready());
    assert!(driver.poll_changed(&mut context).is_pending());
}

/// "Send for multi-threaded executors": all of it.
#[test]
fn channels_and_their_futures_may_go_to_other_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn is_sync<T: Sync>(_: &T) {}
    let (mut driver, channel) = begin(Config::default());
    is_send(&channel.receive());
    is_send(&channel.send(START));
    is_send(&driver.changed());
    is_send(&channel.end_on_drop());
    is_send(&driver);
    is_send(&channel);
    is_sync(&channel);
    is_sync(&driver);
}

/// A future need not be `Unpin` to be awaited, but these may be moved between two polls.
#[test]
fn futures_may_be_moved_between_polls() {
    let (mut driver, channel) = begin(Config::default());
    let (count, waker) = Count::new();
    let mut receive = channel.receive();
    assert!(poll(&mut receive, &waker).is_pending());
    let mut moved = Box::new(receive);
    body_comes(&mut driver);
    assert_eq!(count.wakes(), 1);
    assert!(pin!(&mut *moved).poll(&mut Context::from_waker(&waker)).is_ready());
}

/// The memory of the driver's task is not kept by a channel that outlives it.
#[test]
fn a_channel_keeps_no_waker_of_a_driver_that_is_gone() {
    let (mut driver, channel) = begin(Config::default());
    let (count, waker) = Count::new();
    assert!(driver.poll_changed(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(count.clones(), 1);
    drop(driver);
    assert_eq!(count.clones(), 0);
    assert_eq!(poll(&mut channel.receive(), &waker), Poll::Ready(ReceiveEvent::Disconnect));
}

/// Wakes happen in the order in which the futures began to wait.
#[test]
fn who_waits_longest_is_woken_first() {
    struct Named(usize, Arc<Mutex<Vec<usize>>>);
    impl Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let (mut driver, channel) = begin(Config::default());
    let woken = Arc::new(Mutex::new(Vec::new()));
    let mut waiting: Vec<_> = (0..5).map(|_| channel.receive()).collect();
    for (name, receive) in waiting.iter_mut().enumerate() {
        assert!(poll(receive, &Waker::from(Arc::new(Named(name, Arc::clone(&woken))))).is_pending());
    }
    driver.lock().handle_disconnect();
    assert_eq!(*woken.lock().unwrap(), [0, 1, 2, 3, 4]);
}

/// What is asked of a channel beside events is asked of its exchange.
#[test]
fn a_channel_is_its_exchange() {
    let mut driver = Driver::new(Connection::new(Config::default()));
    driver.lock().handle_bytes(b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-sum: 7\r\n\r\n");
    let Action::Start(id, _) = driver.lock().next_action(Instant::ZERO) else { panic!("a request") };
    let channel = driver.channel(id);
    assert_eq!((channel.id(), channel.to_string().as_str()), (id, "exchange 1"));
    assert!(channel.trailers().is_none());
    assert!(poll(&mut channel.receive(), Waker::noop()).is_ready());
    assert_eq!(channel.trailers().unwrap().get("x-sum"), Some(&b"7"[..]));
    assert_eq!(channel.outcome(), None);

    let (count, waker) = Count::new();
    let mut listener = channel.receive();
    assert!(poll(&mut listener, &waker).is_pending());
    drop(channel.end_on_drop());
    assert_eq!((count.wakes(), channel.outcome()), (1, Some(Outcome::Failed)));
    assert_eq!(poll(&mut listener, &waker), Poll::Ready(ReceiveEvent::Disconnect));
    assert_eq!(channel.end(), Outcome::Failed);
    assert_eq!(driver.lock().next_action(Instant::ZERO), Action::Disconnect(id));
}

//! All interleavings of small worlds. At the end of each way: nobody waits, nothing was delivered twice or lost, what
//! was written is the same, and `Disconnect` is the answer for ever.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use sansgi::{Channel, Config, HalfClose, Limits, Outcome, ReceiveEvent, SendError, SendEvent};

use crate::schedule::{Explored, Schedule, Signal, Task, every_way};
use crate::world::{Chances, Input, World};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
const TWO_GETS: &[u8] = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n";
const PUT_AND_HALF: &[u8] = b"PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab";

/// What the tasks of one way have seen.
#[derive(Default)]
struct Seen {
    /// Parts of bodies, in the order in which they were delivered, to whomever.
    body: RefCell<Vec<u8>>,
    /// How many parts said that they were the last.
    lasts: Cell<usize>,
    disconnects: Cell<usize>,
    signals: RefCell<Vec<Arc<Signal>>>,
}

impl Seen {
    fn take(&self, event: &ReceiveEvent) {
        match event {
            ReceiveEvent::Request { body, more_body } => {
                assert_eq!(self.disconnects.get(), 0, "a part behind the disconnect");
                self.body.borrow_mut().extend_from_slice(body);
                self.lasts.set(self.lasts.get() + usize::from(!more_body));
            }
            ReceiveEvent::Disconnect => self.disconnects.set(self.disconnects.get() + 1),
        }
    }

    fn futile(&self) -> usize {
        self.signals.borrow().iter().map(|signal| signal.futile()).sum()
    }
}

/// Begins tasks that share what they see.
#[derive(Clone, Default)]
struct Tasks(Rc<Seen>);

impl Tasks {
    fn begin<F: Future<Output = ()> + 'static>(
        &self,
        name: &'static str,
        task: impl FnOnce(Arc<Signal>, Rc<Seen>) -> F,
    ) -> Task {
        let task = Task::new(name, |signal| task(signal, Rc::clone(&self.0)));
        self.0.signals.borrow_mut().push(Arc::clone(&task.signal));
        task
    }

    /// Receives the body to its end, or until there is none.
    fn reader(&self, channel: &Channel) -> Task {
        let channel = channel.clone();
        self.begin("reader", |signal, seen| async move {
            read(&channel, &signal, &seen).await;
        })
    }

    /// Receives until `Disconnect`, and then asks twice more.
    fn listener(&self, channel: &Channel) -> Task {
        let channel = channel.clone();
        self.begin("listener", |signal, seen| async move {
            while seen.receive(&channel, &signal).await != ReceiveEvent::Disconnect {}
            for _ in 0..2 {
                assert_eq!(channel.receive().await, ReceiveEvent::Disconnect, "for ever");
            }
            assert!(channel.outcome().is_some());
        })
    }

    /// Sends a whole response, whoever has received what.
    fn sender(&self, channel: &Channel, body: &'static str) -> Task {
        let channel = channel.clone();
        self.begin("sender", move |signal, _| async move { respond(&channel, &signal, body).await })
    }
}

impl Seen {
    /// Receives, again where it was cancelled.
    async fn receive(&self, channel: &Channel, signal: &Signal) -> ReceiveEvent {
        loop {
            let event = signal.watch(channel.receive()).await;
            if let Some(event) = &event {
                self.take(event);
            }
            signal.yields().await;
            if let Some(event) = event {
                return event;
            }
        }
    }
}

async fn read(channel: &Channel, signal: &Signal, seen: &Seen) {
    while let ReceiveEvent::Request { more_body: true, .. } = seen.receive(channel, signal).await {}
}

/// Sends, again where it was cancelled: it was not sent then.
async fn send(channel: &Channel, signal: &Signal, event: SendEvent<'_>) -> Result<(), SendError> {
    let answer = loop {
        if let Some(answer) = signal.watch(channel.send(event.clone())).await {
            break answer;
        }
        signal.yields().await;
    };
    signal.yields().await;
    answer
}

const START: SendEvent<'_> =
    SendEvent::ResponseStart { status: 200, headers: &[(b"content-length", b"5")], trailers: false };

fn body(body: &'static str, more_body: bool) -> SendEvent<'static> {
    SendEvent::ResponseBody { body: body.into(), more_body }
}

async fn respond(channel: &Channel, signal: &Signal, text: &'static str) {
    let mut answer = send(channel, signal, START).await;
    if answer.is_ok() {
        answer = send(channel, signal, body(text, false)).await;
    }
    assert!(matches!(answer, Ok(()) | Err(SendError::Disconnected)), "{answer:?}");
}

/// What all ways of a world have in common, and what the printed line says of them.
struct Ways {
    name: &'static str,
    outputs: BTreeSet<Vec<u8>>,
    /// The most polls on one way for which there was no need.
    futile: usize,
}

impl Ways {
    fn of(name: &'static str, mut run: impl FnMut(&mut Self, &mut Schedule)) -> Self {
        let mut ways = Self { name, outputs: BTreeSet::new(), futile: 0 };
        let Explored { ways: count, runs, states } = every_way(true, |schedule| run(&mut ways, schedule));
        let Self { futile, outputs, .. } = &ways;
        println!(
            "{name}: {count} interleavings, by {states} states and {runs} runs; {} outputs, at most {futile} futile polls",
            outputs.len(),
        );
        assert!(count > 1);
        // A reader of a body may be woken by something else that the driver has brought.
        assert!(*futile <= 1, "{name}: {futile} polls for nothing");
        ways
    }

    /// What holds at the end of each way.
    fn end(&mut self, world: &World, seen: &Seen) {
        self.outputs.insert(world.shared.written.borrow().clone());
        self.futile = self.futile.max(seen.futile());
        let (started, over) = (world.shared.started.borrow(), world.shared.over.borrow());
        assert!(over.iter().eq(started.iter().take(over.len())), "one `Disconnect` for each `Start`, in order");
        world.assert_all_done();
    }

    fn assert_output(&self, output: &str) {
        let found: Vec<_> = self.outputs.iter().map(|output| String::from_utf8_lossy(output)).collect();
        assert_eq!(found, [output], "{}", self.name);
    }
}

fn config() -> Arc<Config> {
    Arc::new(Config::default())
}

const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn a_reader_a_listener_and_a_sender() {
    let config = config();
    let ways = Ways::of("reader, listener and sender", |ways, schedule| {
        let tasks = Tasks::default();
        let seen = Rc::clone(&tasks.0);
        let application = Rc::new(move |channel: Channel| {
            vec![tasks.reader(&channel), tasks.listener(&channel), tasks.sender(&channel, "hello")]
        });
        let script = &[Input::Bytes(PUT_AND_HALF), Input::Bytes(b"cd"), Input::Eof];
        let mut world = World::new(&config, true, script, application);
        if !world.run(schedule) {
            return;
        }
        // What nobody received before the response was complete, nobody receives.
        assert!(b"abcd".starts_with(&seen.body.borrow()), "{:?}", seen.body.borrow());
        assert_eq!(seen.lasts.get(), usize::from(seen.body.borrow().len() == 4));
        ways.end(&world, &seen);
    });
    ways.assert_output(RESPONSE);
}

/// "a dropped receive loses nothing": what is cancelled once, anywhere, is as if it had not been; a poll for which
/// there was no reason, anywhere, too.
#[test]
fn a_dropped_receive_loses_nothing() {
    let config = config();
    for (name, chances) in [
        ("dropped anywhere", Chances { cancel: 1, ..Chances::default() }),
        ("polled for nothing", Chances { spurious: 1, ..Chances::default() }),
    ] {
        let ways = Ways::of(name, |ways, schedule| {
            let tasks = Tasks::default();
            let seen = Rc::clone(&tasks.0);
            let application = Rc::new(move |channel: Channel| {
                let echo = tasks.begin("echo", |signal, seen| {
                    let channel = channel.clone();
                    async move {
                        read(&channel, &signal, &seen).await;
                        respond(&channel, &signal, "hello").await;
                    }
                });
                vec![echo, tasks.listener(&channel)]
            });
            let script = &[Input::Bytes(PUT_AND_HALF), Input::Bytes(b"cd"), Input::Eof];
            let mut world = World::new(&config, false, script, application).with(chances);
            if !world.run(schedule) {
                return;
            }
            assert_eq!((&**seen.body.borrow(), seen.lasts.get()), (&b"abcd"[..], 1));
            ways.end(&world, &seen);
        });
        ways.assert_output(RESPONSE);
    }
}

/// A task of the first exchange goes on into the second: it asks, sends and ends, and is answered at once.
#[test]
fn an_old_task_cannot_disturb_the_next_exchange() {
    // Else a client that has closed its half is a `Disconnect` before the response is complete.
    let config = Arc::new(Config::builder().half_close(HalfClose::Ignore).build().unwrap());
    let ways = Ways::of("an old task", |ways, schedule| {
        let tasks = Tasks::default();
        let seen = Rc::clone(&tasks.0);
        let application = Rc::new(move |channel: Channel| match channel.id().as_u64() {
            1 => vec![
                tasks.sender(&channel, "first"),
                tasks.begin("old", move |signal, _| async move {
                    while signal.watch(channel.receive()).await != Some(ReceiveEvent::Disconnect) {}
                    for _ in 0..2 {
                        signal.yields().await;
                        assert_eq!(channel.receive().await, ReceiveEvent::Disconnect, "for ever");
                        assert_eq!(channel.send(START).await, Err(SendError::Complete));
                        assert_eq!((channel.end(), channel.outcome()), (Outcome::Complete, Some(Outcome::Complete)));
                        assert!(channel.trailers().is_none_or(|trailers| trailers.is_empty()));
                    }
                }),
            ],
            2 => vec![tasks.sender(&channel, "other"), tasks.listener(&channel)],
            id => panic!("exchange {id}"),
        });
        let script = &[Input::Bytes(TWO_GETS), Input::Eof];
        let mut world = World::new(&config, true, script, application);
        if !world.run(schedule) {
            return;
        }
        assert_eq!(world.shared.over.borrow().len(), 2);
        ways.end(&world, &seen);
    });
    ways.assert_output(&format!("{}{}", RESPONSE.replace("hello", "first"), RESPONSE.replace("hello", "other")));
}

/// "a dropped send is all or nothing": a sender that waits for room is dropped in the middle, once, anywhere, and sends
/// again; another one waits beside it, and both are served.
#[test]
fn a_dropped_send_sends_all_or_nothing() {
    const FLUSH: SendEvent<'_> =
        SendEvent::ResponseStart { status: 200, headers: &[(b"content-length", b"15")], trailers: false };
    let config = Config::builder().limits(Limits::default().high_water_bytes(4)).build().unwrap();
    let config = Arc::new(config);
    let ways = Ways::of("a sender without room", |ways, schedule| {
        let tasks = Tasks::default();
        let seen = Rc::clone(&tasks.0);
        let application = Rc::new(move |channel: Channel| {
            let sender = tasks.begin("sender", |signal, _| {
                let channel = channel.clone();
                async move {
                    for event in [FLUSH, body("-----", true), body("-----", true), body("-----", false)] {
                        assert_eq!(send(&channel, &signal, event).await, Ok(()));
                    }
                    assert_eq!(send(&channel, &signal, body("more", true)).await, Err(SendError::Complete));
                }
            });
            vec![sender, tasks.listener(&channel)]
        });
        let chances = Chances { cancel: 1, ..Chances::default() };
        let mut world = World::new(&config, true, &[Input::Bytes(GET), Input::Eof], application).with(chances);
        world = world.with_room(30);
        if !world.run(schedule) {
            return;
        }
        ways.end(&world, &seen);
    });
    ways.assert_output("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n---------------");
}

/// Two that wait for room at once: their parts come whole, each once, in one order or the other.
#[test]
fn two_senders_wait_at_once() {
    let config = Config::builder().limits(Limits::default().high_water_bytes(4)).build().unwrap();
    let config = Arc::new(config);
    let ways = Ways::of("two senders without room", |ways, schedule| {
        let tasks = Tasks::default();
        let seen = Rc::clone(&tasks.0);
        let application = Rc::new(move |channel: Channel| {
            let headers: &[(&[u8], &[u8])] = &[(b"content-length", b"15")];
            channel.send_now(SendEvent::ResponseStart { status: 200, headers, trailers: false }).unwrap();
            channel.send_now(body("start", true)).unwrap();
            let left = Rc::new(Cell::new(2));
            let part = |name, text| {
                let channel = channel.clone();
                let left = Rc::clone(&left);
                tasks.begin(name, move |signal, _| async move {
                    assert_eq!(send(&channel, &signal, body(text, true)).await, Ok(()));
                    left.set(left.get() - 1);
                    if left.get() == 0 {
                        assert_eq!(send(&channel, &signal, body("", false)).await, Ok(()));
                    }
                })
            };
            vec![part("one", "-one-"), part("two", "-two-"), tasks.listener(&channel)]
        });
        let script = &[Input::Bytes(GET), Input::Eof];
        let mut world = World::new(&config, true, script, application);
        if !world.run(schedule) {
            return;
        }
        ways.end(&world, &seen);
    });
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\nstart";
    let expected = [format!("{head}-one--two-").into_bytes(), format!("{head}-two--one-").into_bytes()];
    assert!(ways.outputs.iter().eq(&expected), "{:?}", ways.outputs);
}

/// "dropping the driver's side is handle_disconnect so nobody waits for ever", at every step.
#[test]
fn a_driver_that_is_dropped_leaves_nobody_waiting() {
    let config = config();
    let ways = Ways::of("the driver is dropped", |ways, schedule| {
        let tasks = Tasks::default();
        let seen = Rc::clone(&tasks.0);
        let application = Rc::new(move |channel: Channel| {
            let late = tasks.begin("reader, then sender", |signal, seen| {
                let channel = channel.clone();
                async move {
                    read(&channel, &signal, &seen).await;
                    respond(&channel, &signal, "hello").await;
                }
            });
            vec![late, tasks.listener(&channel)]
        });
        let script = &[Input::Bytes(PUT_AND_HALF), Input::Bytes(b"cd"), Input::Eof];
        let chances = Chances { drop_driver: 1, ..Chances::default() };
        let mut world = World::new(&config, false, script, application).with(chances);
        if !world.run(schedule) {
            return;
        }
        assert!(b"abcd".starts_with(&seen.body.borrow()));
        assert!(RESPONSE.as_bytes().starts_with(&world.shared.written.borrow()));
        ways.end(&world, &seen);
    });
    assert_eq!(ways.outputs.len(), 2, "all of it or, as it is written at once, nothing");
}

/// The client stops in mid-body: nobody hears anything until the deadline, and then all do.
#[test]
fn a_deadline_wakes_all() {
    let config = config();
    let ways = Ways::of("a deadline", |ways, schedule| {
        let tasks = Tasks::default();
        let seen = Rc::clone(&tasks.0);
        let application = Rc::new(move |channel: Channel| {
            let late = tasks.begin("reader, then sender", |signal, seen| {
                let channel = channel.clone();
                async move {
                    read(&channel, &signal, &seen).await;
                    assert_eq!(channel.outcome(), Some(Outcome::TimedOut));
                    assert_eq!(send(&channel, &signal, START).await, Err(SendError::Disconnected));
                }
            });
            vec![late, tasks.listener(&channel)]
        });
        // The first for the body, the second for the lingering close, or for the answer, if it is not read before.
        let chances = Chances { deadline: 2, ..Chances::default() };
        let mut world = World::new(&config, false, &[Input::Bytes(PUT_AND_HALF)], application).with(chances);
        if !world.run(schedule) {
            return;
        }
        ways.end(&world, &seen);
    });
    let answer = &b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"[..];
    assert!(ways.outputs.iter().eq([&b""[..], answer]), "{:?}", ways.outputs);
}

/// An application that goes away with nothing but the guard, and a client that resets: at every step of each other.
#[test]
fn an_end_and_a_reset_meet() {
    let config = config();
    let ways = Ways::of("an end and a reset", |ways, schedule| {
        let tasks = Tasks::default();
        let seen = Rc::clone(&tasks.0);
        let application = Rc::new(move |channel: Channel| {
            let crash = tasks.begin("crash", |signal, _| {
                let channel = channel.clone();
                async move {
                    let _ending = channel.end_on_drop();
                    let _ = send(&channel, &signal, START).await;
                    let _ = send(&channel, &signal, body("", true)).await;
                }
            });
            vec![crash, tasks.listener(&channel), tasks.listener(&channel)]
        });
        let mut world = World::new(&config, true, &[Input::Bytes(GET), Input::Lost], application);
        if !world.run(schedule) {
            return;
        }
        ways.end(&world, &seen);
    });
    assert!(ways.outputs.iter().all(|output| b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".starts_with(output)));
}

/// A listener sleeps while a long response is written, and so does a sender while a body arrives.
#[test]
fn nobody_is_woken_for_nothing() {
    let config = Config::builder().limits(Limits::default().high_water_bytes(4)).build().unwrap();
    let config = Arc::new(config);
    let ways = Ways::of("a listener beside a long response", |ways, schedule| {
        let tasks = Tasks::default();
        let seen = Rc::clone(&tasks.0);
        let application =
            Rc::new(move |channel: Channel| vec![tasks.sender(&channel, "hello"), tasks.listener(&channel)]);
        let mut world = World::new(&config, true, &[Input::Bytes(GET), Input::Eof], application).with_room(3);
        if !world.run(schedule) {
            return;
        }
        ways.end(&world, &seen);
    });
    ways.assert_output(RESPONSE);
    assert_eq!(ways.futile, 0);
}

/// Ways that are merged are ways that are taken: their number is the same as when none is merged.
#[test]
fn merging_loses_nothing() {
    let config = config();
    let run = |schedule: &mut Schedule| {
        let tasks = Tasks::default();
        let application =
            Rc::new(move |channel: Channel| vec![tasks.reader(&channel), tasks.sender(&channel, "hello")]);
        let chances = Chances { spurious: 1, cancel: 1, ..Chances::default() };
        let mut world = World::new(&config, false, &[Input::Bytes(GET), Input::Eof], application).with(chances);
        if world.run(schedule) {
            world.assert_all_done();
        }
    };
    let (merged, all) = (every_way(true, run), every_way(false, run));
    println!("a small world: {} interleavings, merged by {} runs", all.runs, merged.runs);
    assert_eq!((all.runs as u128, all.ways), (merged.ways, merged.ways));
    assert!(merged.runs < all.runs / 2);
}

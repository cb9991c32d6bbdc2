//! Real threads: what the enumeration of all polls takes for granted, that each operation is one critical section, and
//! what executors do besides.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use sansgi::{
    Action, Channel, Config, Connection, Driver, HalfClose, Instant, Limits, Outcome, ReceiveEvent, SendError,
    SendEvent,
};
use smol::channel::{Receiver, Sender, unbounded};
use smol::future::{block_on, or};

use crate::bounded;

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 20;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Spawn = Arc<dyn Fn(Task) + Send + Sync>;

/// What all tasks of a runtime share.
#[derive(Clone)]
struct Runtime {
    spawn: Spawn,
    disconnects: Arc<AtomicUsize>,
    /// Held by each task: closed when the last has ended.
    running: Sender<()>,
}

impl Runtime {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let running = self.running.clone();
        (self.spawn)(Box::pin(async move {
            task.await;
            drop(running);
        }));
    }

    /// A driver whose transport is two queues.
    async fn drive(self, mut driver: Driver, input: Receiver<Vec<u8>>, output: Sender<Vec<u8>>) {
        loop {
            let action = driver.lock().next_action(Instant::ZERO);
            match action {
                Action::Start(id, request) => {
                    let length = request.content_length().unwrap();
                    self.application(driver.channel(id), usize::try_from(length).unwrap());
                }
                Action::Wait(wait) if wait.write => {
                    let chunk = driver.lock().take_outgoing().unwrap();
                    driver.lock().handle_written(chunk.len());
                    let _ = output.send(chunk.to_vec()).await;
                }
                Action::Wait(wait) => {
                    let read =
                        async { if wait.read { Some(input.recv().await.ok()) } else { std::future::pending().await } };
                    let changed = async {
                        driver.changed().await;
                        None
                    };
                    match or(read, changed).await {
                        Some(Some(bytes)) => driver.lock().handle_bytes(&bytes),
                        Some(None) => driver.lock().handle_eof(),
                        None => {}
                    }
                }
                Action::Close { .. } => return,
                _ => {}
            }
        }
    }

    /// An echo, and two that listen for the end, of which one makes itself a nuisance afterwards.
    fn application(&self, channel: Channel, length: usize) {
        let this = self.clone();
        self.spawn(async move {
            let mut received = Vec::new();
            while let ReceiveEvent::Request { body, more_body } = channel.receive().await {
                received.extend_from_slice(&body);
                if !more_body {
                    break;
                }
            }
            assert_eq!(received.len(), length);
            for is_nuisance in [false, true] {
                let listener = channel.clone();
                let disconnects = Arc::clone(&this.disconnects);
                this.spawn(async move {
                    assert_eq!(listener.receive().await, ReceiveEvent::Disconnect);
                    disconnects.fetch_add(1, Ordering::SeqCst);
                    for _ in 0..if is_nuisance { 100 } else { 1 } {
                        smol::future::yield_now().await;
                        assert_eq!(listener.receive().await, ReceiveEvent::Disconnect);
                        assert_eq!(listener.send(PART).await, Err(SendError::Complete));
                        assert_eq!(listener.end(), Outcome::Complete);
                    }
                });
            }
            let text = length.to_string();
            let headers: &[(&[u8], &[u8])] = &[(b"content-length", text.as_bytes())];
            channel.send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).await.unwrap();
            let pieces: Vec<_> = received.chunks(7).collect();
            for (at, piece) in pieces.iter().enumerate() {
                let body = piece.to_vec().into();
                channel.send(SendEvent::ResponseBody { body, more_body: at + 1 < pieces.len() }).await.unwrap();
            }
        });
    }
}

const PART: SendEvent<'_> = SendEvent::ResponseBody { body: Bytes::from_static(b"not mine"), more_body: true };

fn body(connection: usize, request: usize) -> String {
    format!("{connection}.{request}.").repeat(1 + request)
}

/// All connections at once, each with pipelined requests that come in small pieces; what the clients read.
async fn run(spawn: Spawn) {
    let limits = Limits::default().high_water_bytes(16).read_buffer_bytes(32);
    let config = Arc::new(Config::builder().limits(limits).half_close(HalfClose::Ignore).build().unwrap());
    let (running, ended) = unbounded();
    let runtime = Runtime { spawn, disconnects: Arc::default(), running };
    let mut outputs = Vec::new();
    for connection in 0..CONNECTIONS {
        let ((input, to_read), (to_write, output)) = (unbounded(), unbounded());
        let driver = Driver::new(Connection::new(Arc::clone(&config)));
        runtime.spawn(runtime.clone().drive(driver, to_read, to_write));
        runtime.spawn(async move {
            for request in 0..REQUESTS {
                let body = body(connection, request);
                let length = body.len();
                let request = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}");
                for piece in request.as_bytes().chunks(11) {
                    input.send(piece.to_vec()).await.unwrap();
                    smol::future::yield_now().await;
                }
            }
        });
        outputs.push(output);
    }
    let disconnects = Arc::clone(&runtime.disconnects);
    drop(runtime);
    for (connection, output) in outputs.iter().enumerate() {
        let mut written = Vec::new();
        while let Ok(bytes) = output.recv().await {
            written.extend(bytes);
        }
        let expected = (0..REQUESTS).fold(String::new(), |expected, request| {
            let body = body(connection, request);
            expected + &format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        });
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
    // Closed when nobody runs any more, nor waits.
    assert!(ended.recv().await.is_err());
    assert_eq!(disconnects.load(Ordering::SeqCst), 2 * CONNECTIONS * REQUESTS);
}

#[test]
fn on_tokio_with_many_threads() {
    bounded(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        runtime.block_on(async {
            let spawn: Spawn = Arc::new(|task| drop(tokio::spawn(task)));
            tokio::spawn(run(spawn)).await.unwrap();
        });
    });
}

#[test]
fn on_smol_with_many_threads() {
    bounded(|| {
        let executor = Arc::new(smol::Executor::new());
        let (stop, stopped) = unbounded::<()>();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
                thread::spawn(move || block_on(executor.run(stopped.recv())))
            })
            .collect();
        let spawner = Arc::clone(&executor);
        let spawn: Spawn = Arc::new(move |task| spawner.spawn(task).detach());
        block_on(executor.spawn(run(spawn)));
        drop(stop);
        for thread in threads {
            assert!(thread.join().unwrap().is_err(), "closed");
        }
    });
}

/// One thread waits while another brings what it waits for: each time they meet somewhere else.
#[test]
fn two_threads_meet() {
    const MEETINGS: usize = 20_000;
    bounded(|| {
        let (hand_over, channels) = std::sync::mpsc::sync_channel::<Channel>(1);
        let receiver = thread::spawn(move || {
            for channel in channels {
                let part = ReceiveEvent::Request { body: "body".into(), more_body: false };
                assert_eq!(block_on(channel.receive()), part);
                channel.end();
            }
        });
        let config = Arc::new(Config::default());
        for _ in 0..MEETINGS {
            let mut driver = Driver::new(Connection::new(Arc::clone(&config)));
            driver.lock().handle_bytes(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n");
            let Action::Start(id, _) = driver.lock().next_action(Instant::ZERO) else { panic!("a request") };
            hand_over.send(driver.channel(id)).unwrap();
            // The demand, or what was there before it.
            driver.lock().handle_bytes(b"body");
            while !matches!(driver.lock().next_action(Instant::ZERO), Action::Disconnect(_)) {
                block_on(driver.changed());
            }
        }
        drop(hand_over);
        receiver.join().unwrap();
    });
}

/// The driver's side of the same: a task ends at the moment at which its driver goes to sleep.
#[test]
fn a_driver_falls_asleep_while_a_task_ends() {
    const MEETINGS: usize = 20_000;
    bounded(|| {
        let (hand_over, channels) = std::sync::mpsc::sync_channel::<Channel>(1);
        let turn = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&turn);
        let task = thread::spawn(move || {
            for (meeting, channel) in channels.iter().enumerate() {
                while seen.load(Ordering::SeqCst) <= meeting {
                    thread::yield_now();
                }
                for _ in 0..meeting % 64 {
                    std::hint::spin_loop();
                }
                channel.end();
            }
        });
        let config = Arc::new(Config::default());
        for meeting in 1..=MEETINGS {
            let mut driver = Driver::new(Connection::new(Arc::clone(&config)));
            driver.lock().handle_bytes(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
            let Action::Start(id, _) = driver.lock().next_action(Instant::ZERO) else { panic!("a request") };
            hand_over.send(driver.channel(id)).unwrap();
            assert!(matches!(driver.lock().next_action(Instant::ZERO), Action::Wait(_)));
            turn.store(meeting, Ordering::SeqCst);
            block_on(driver.changed());
            assert_eq!(driver.lock().next_action(Instant::ZERO), Action::Disconnect(id));
        }
        drop(hand_over);
        task.join().unwrap();
    });
}

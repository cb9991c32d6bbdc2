//! As much of asyncio's event loop as a server needs, under its names: protocols, transports, timers, tasks.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{self, Shutdown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Token};

use super::app::prepare;

/// What the loop calls.
pub(crate) trait Protocol {
    fn connection_made(self: Rc<Self>, transport: Transport);
    fn data_received(self: Rc<Self>, data: &[u8]);
    /// False closes the transport; true leaves that to the protocol.
    fn eof_received(self: Rc<Self>) -> bool;
    /// The transport's buffer is empty again. That it is not (`pause_writing`) its `get_write_buffer_size` tells.
    fn resume_writing(self: Rc<Self>);
    /// The last call. None where it was closed by this side.
    fn connection_lost(self: Rc<Self>, error: Option<io::Error>);
}

#[derive(Clone)]
pub(crate) struct EventLoop(Rc<Inner>);

struct Inner {
    poll: RefCell<mio::Poll>,
    listener: RefCell<Option<TcpListener>>,
    connections: RefCell<HashMap<Token, Connection>>,
    timers: RefCell<BTreeMap<(Instant, usize), Callback>>,
    /// None while it runs.
    tasks: RefCell<HashMap<usize, Option<Coroutine>>>,
    woken: Arc<Woken>,
    last: Cell<usize>,
}

type Connection = (Rc<dyn Protocol>, Transport);
type Callback = Box<dyn FnOnce()>;
type Coroutine = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks to be polled, told from any thread.
struct Woken {
    tasks: Mutex<Vec<usize>>,
    waker: mio::Waker,
}

struct TaskWaker {
    task: usize,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.woken.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(self.task);
        let _ = self.woken.waker.wake();
    }
}

pub(crate) struct TimerHandle {
    inner: Rc<Inner>,
    key: (Instant, usize),
}

impl TimerHandle {
    pub(crate) fn when(&self) -> Instant {
        self.key.0
    }

    pub(crate) fn cancel(self) {
        self.inner.timers.borrow_mut().remove(&self.key);
    }
}

pub(crate) struct Task {
    inner: Rc<Inner>,
    id: usize,
}

impl Task {
    /// It is not run any more. The one that runs is dropped when it waits for something.
    pub(crate) fn cancel(self) {
        let cancelled = self.inner.tasks.borrow_mut().remove(&self.id);
        drop(cancelled); // it may hold the last of what looks at the tasks when it is dropped
    }
}

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);

impl EventLoop {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        Ok(Self(Rc::new(Inner {
            poll: RefCell::new(poll),
            listener: RefCell::default(),
            connections: RefCell::default(),
            timers: RefCell::default(),
            tasks: RefCell::default(),
            woken: Arc::new(Woken { tasks: Mutex::default(), waker }),
            last: Cell::new(WAKER.0),
        })))
    }

    pub(crate) fn create_server(&self, listener: net::TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        self.0.poll.borrow().registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        *self.0.listener.borrow_mut() = Some(listener);
        Ok(())
    }

    pub(crate) fn close_server(&self) {
        *self.0.listener.borrow_mut() = None;
    }

    pub(crate) fn create_task(&self, coroutine: impl Future<Output = ()> + 'static) -> Task {
        let id = self.next();
        self.0.tasks.borrow_mut().insert(id, Some(Box::pin(coroutine)));
        Arc::new(TaskWaker { task: id, woken: Arc::clone(&self.0.woken) }).wake();
        Task { inner: Rc::clone(&self.0), id }
    }

    pub(crate) fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> TimerHandle {
        self.call_at(Instant::now() + delay, callback)
    }

    pub(crate) fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> TimerHandle {
        let key = (when, self.next());
        self.0.timers.borrow_mut().insert(key, Box::new(callback));
        TimerHandle { inner: Rc::clone(&self.0), key }
    }

    pub(crate) fn sleep(&self, delay: Duration) -> impl Future<Output = ()> + use<> {
        let (this, until) = (self.clone(), Instant::now() + delay);
        let mut timer: Option<TimerHandle> = None;
        poll_fn(move |context| {
            if let Some(timer) = timer.take() {
                timer.cancel();
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            timer = Some(this.call_later(left, move || waker.wake()));
            Poll::Pending
        })
    }

    fn next(&self) -> usize {
        self.0.last.set(self.0.last.get() + 1);
        self.0.last.get()
    }

    /// Until it is told to stop, and nothing is left to do.
    pub(crate) fn run<P: Protocol + 'static>(&self, protocol_factory: impl Fn() -> Rc<P>) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while self.0.listener.borrow().is_some()
            || !self.0.connections.borrow().is_empty()
            || !self.0.tasks.borrow().is_empty()
            || !self.0.timers.borrow().is_empty()
        {
            let (now, next_timer) = (Instant::now(), self.0.timers.borrow().first_key_value().map(|(key, _)| key.0));
            let timeout = next_timer.map(|at| at.saturating_duration_since(now));
            match self.0.poll.borrow_mut().poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                let connection = self.0.connections.borrow().get(&event.token()).cloned();
                match (event.token(), connection) {
                    (LISTENER, _) => self.accept(&protocol_factory),
                    (_, Some((protocol, transport))) => {
                        if event.is_writable() {
                            transport.write_ready(&protocol);
                        }
                        if event.is_readable() || event.is_error() {
                            transport.read_ready(&protocol);
                        }
                        transport.update();
                    }
                    _ => {}
                }
            }
            // Only now, as in asyncio: what came before a timer was due is told before it, however late the loop is.
            self.run_timers(now);
            self.run_tasks();
        }
        Ok(())
    }

    fn accept<P: Protocol + 'static>(&self, protocol_factory: &impl Fn() -> Rc<P>) {
        loop {
            let accepted = self.0.listener.borrow().as_ref().map(TcpListener::accept);
            let stream = match accepted {
                Some(Ok((stream, _))) => stream,
                Some(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    // Out of descriptors, most often: some will come back.
                    let this = self.clone();
                    self.call_later(Duration::from_millis(100), move || {
                        if let Some(listener) = &mut *this.0.listener.borrow_mut() {
                            let registry = this.0.poll.borrow();
                            let _ = registry.registry().reregister(listener, LISTENER, Interest::READABLE);
                        }
                    });
                    return;
                }
                Some(Err(_)) | None => return,
            };
            prepare(&stream);
            let token = Token(self.next());
            let protocol: Rc<dyn Protocol> = protocol_factory();
            let state = TransportState {
                stream,
                buffer: Vec::new(),
                is_reading: true,
                ends_when_written: false,
                closes_when_written: false,
                registered: None,
            };
            let transport = Transport { inner: Rc::clone(&self.0), token, state: Rc::new(RefCell::new(Some(state))) };
            self.0.connections.borrow_mut().insert(token, (Rc::clone(&protocol), transport.clone()));
            protocol.connection_made(transport.clone());
            transport.update();
        }
    }

    fn run_tasks(&self) {
        let woken = std::mem::take(&mut *self.0.woken.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for id in woken {
            let Some(mut coroutine) = self.0.tasks.borrow_mut().get_mut(&id).and_then(Option::take) else { continue };
            let waker = Arc::new(TaskWaker { task: id, woken: Arc::clone(&self.0.woken) }).into();
            let mut context = Context::from_waker(&waker);
            // A panic ends its task, and nothing else.
            let answer = catch_unwind(AssertUnwindSafe(|| coroutine.as_mut().poll(&mut context)));
            let is_pending = answer.is_ok_and(|answer| answer.is_pending());
            match self.0.tasks.borrow_mut().entry(id) {
                Entry::Occupied(mut entry) if is_pending => drop(entry.insert(Some(coroutine))),
                Entry::Occupied(entry) => drop(entry.remove()),
                Entry::Vacant(_) => {} // it was cancelled
            }
        }
    }

    /// Those that were due then, before the sockets were looked at.
    fn run_timers(&self, now: Instant) {
        loop {
            let mut timers = self.0.timers.borrow_mut();
            let Some(timer) = timers.first_entry().filter(|timer| timer.key().0 <= now) else { return };
            let callback = timer.remove();
            drop(timers);
            callback();
        }
    }
}

/// A socket with a buffer for what it has not taken yet. Its high-water mark is 0, as with
/// `transport.set_write_buffer_limits(0)`: the connection has a buffer of its own, and counts what has gone.
#[derive(Clone)]
pub(crate) struct Transport {
    inner: Rc<Inner>,
    token: Token,
    /// None once it is closed or detached.
    state: Rc<RefCell<Option<TransportState>>>,
}

struct TransportState {
    stream: TcpStream,
    buffer: Vec<u8>,
    is_reading: bool,
    ends_when_written: bool,
    closes_when_written: bool,
    registered: Option<Interest>,
}

/// As much as the socket takes now. An error is told by the write that meets it, and by no read or event behind it.
fn send(stream: &mut TcpStream, data: &[u8]) -> io::Result<usize> {
    match stream.write(data) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        written => written,
    }
}

impl Transport {
    /// Writes what the socket takes and buffers the rest.
    pub(crate) fn write(&self, data: &[u8]) {
        let failed = self.with(|state| {
            debug_assert!(state.buffer.is_empty(), "nobody writes before `resume_writing`");
            let written = send(&mut state.stream, data)?;
            state.buffer.extend_from_slice(&data[written..]);
            Ok(())
        });
        if let Some(Err(error)) = failed {
            self.lose(Some(error));
        }
        if self.get_write_buffer_size() > 0 {
            self.update();
        }
    }

    pub(crate) fn get_write_buffer_size(&self) -> usize {
        self.with(|state| state.buffer.len()).unwrap_or_default()
    }

    /// It is closed or detached, or will be when all is written.
    pub(crate) fn is_closing(&self) -> bool {
        self.with(|state| state.closes_when_written).unwrap_or(true)
    }

    pub(crate) fn write_eof(&self) {
        self.with(|state| state.ends_when_written = true);
        self.flushed();
    }

    /// Closes once all is written.
    pub(crate) fn close(&self) {
        self.with(|state| state.closes_when_written = true);
        self.flushed();
    }

    /// Closes at once.
    pub(crate) fn abort(&self) {
        self.lose(None);
    }

    pub(crate) fn pause_reading(&self) {
        self.set_reading(false);
    }

    pub(crate) fn resume_reading(&self) {
        self.set_reading(true);
    }

    fn set_reading(&self, is_reading: bool) {
        if self.with(|state| std::mem::replace(&mut state.is_reading, is_reading)) == Some(!is_reading) {
            self.update();
        }
    }

    /// `get_extra_info("socket")`.
    pub(crate) fn socket<T>(&self, with: impl FnOnce(&TcpStream) -> T) -> Option<T> {
        self.with(|state| with(&state.stream))
    }

    /// Takes the socket out of the loop: asyncio would set another protocol.
    pub(crate) fn detach(&self) -> io::Result<net::TcpStream> {
        self.inner.connections.borrow_mut().remove(&self.token);
        let state = self.state.borrow_mut().take().ok_or(io::ErrorKind::NotConnected)?;
        let mut stream = state.stream;
        if state.registered.is_some() {
            self.inner.poll.borrow().registry().deregister(&mut stream)?;
        }
        Ok(stream.into())
    }

    fn with<T>(&self, with: impl FnOnce(&mut TransportState) -> T) -> Option<T> {
        self.state.borrow_mut().as_mut().map(with)
    }

    fn write_ready(&self, protocol: &Rc<dyn Protocol>) {
        let flushed = self.with(|state| {
            if state.buffer.is_empty() {
                return Ok(false);
            }
            let written = send(&mut state.stream, &state.buffer)?;
            state.buffer.drain(..written);
            Ok(state.buffer.is_empty())
        });
        match flushed {
            Some(Ok(true)) => {
                Rc::clone(protocol).resume_writing();
                self.flushed();
            }
            Some(Err(error)) => self.lose(Some(error)),
            Some(Ok(false)) | None => {}
        }
    }

    fn read_ready(&self, protocol: &Rc<dyn Protocol>) {
        let mut data = [0; 16 * 1024];
        match self.with(|state| state.stream.read(&mut data)) {
            Some(Ok(0)) => {
                if self.with(|state| std::mem::take(&mut state.is_reading)) == Some(true)
                    && !Rc::clone(protocol).eof_received()
                {
                    self.close();
                }
            }
            Some(Ok(length)) => Rc::clone(protocol).data_received(&data[..length]),
            Some(Err(error)) if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                self.lose(Some(error));
            }
            Some(Err(_)) | None => {}
        }
    }

    fn flushed(&self) {
        let closes = self.with(|state| {
            let is_written = state.buffer.is_empty();
            if is_written && std::mem::take(&mut state.ends_when_written) {
                let _ = state.stream.shutdown(Shutdown::Write);
            }
            is_written && state.closes_when_written
        });
        if closes == Some(true) {
            self.lose(None);
        }
    }

    /// `connection_lost` is called by the loop, not from within another call.
    fn lose(&self, error: Option<io::Error>) {
        let connection = self.inner.connections.borrow_mut().remove(&self.token);
        drop(self.state.borrow_mut().take());
        if let Some((protocol, _)) = connection {
            EventLoop(Rc::clone(&self.inner)).call_later(Duration::ZERO, move || protocol.connection_lost(error));
        }
    }

    /// To register again tells again what is ready: so an event is repeated until it is acted on.
    fn update(&self) {
        let poll = self.inner.poll.borrow();
        self.with(|state| {
            let reading = state.is_reading.then_some(Interest::READABLE);
            let interest = match (reading, (!state.buffer.is_empty()).then_some(Interest::WRITABLE)) {
                (Some(reading), Some(writing)) => Some(reading | writing),
                (reading, writing) => reading.or(writing),
            };
            let _ = match (state.registered, interest) {
                (None, None) => Ok(()),
                (None, Some(interest)) => poll.registry().register(&mut state.stream, self.token, interest),
                (Some(_), Some(interest)) => poll.registry().reregister(&mut state.stream, self.token, interest),
                (Some(_), None) => poll.registry().deregister(&mut state.stream),
            };
            state.registered = interest;
        });
    }
}

//! On mio: one thread, told what is ready.
//!
//! ```text
//! cargo run --example mio -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake};
use std::time::Duration;
use std::{mem, net, thread};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use sansgi::{Action, Connection, Date, Driver, Instant, Wait};
use socket2::SockRef;

use app::{App, Moving, Server, Tasks};

struct Peer {
    /// None once it is closed or handed over; the tasks may go on.
    stream: Option<TcpStream>,
    driver: Driver,
    tasks: Tasks,
    file: Moving,
    /// What stands in the list of timers.
    timer: Option<Instant>,
}

enum Turn {
    /// Until then, or until something is ready.
    Wait(Option<Instant>),
    /// It could go on, but others want their turn.
    Again,
}

impl Peer {
    /// Readiness is told once, so this goes on until the socket says that it would block.
    fn turn(&mut self, registry: &Registry, server: &Server) -> Turn {
        for _ in 0..64 {
            let action = self.driver.lock().next_action(server.clock.now());
            let (wait, part) = match action {
                Action::Wait(wait) => (wait, None),
                Action::Transfer { token, remaining, wait } => (wait, Some((token, remaining))),
                Action::Start(id, request) => {
                    self.driver.lock().set_date(Date::now());
                    self.tasks.start(&server.app, self.driver.channel(id), request);
                    continue;
                }
                Action::Shutdown => {
                    let _ = self.stream.as_ref().map(|stream| stream.shutdown(net::Shutdown::Write));
                    continue;
                }
                Action::Switch { leftover, .. } => {
                    if let Some(mut stream) = self.stream.take() {
                        app::websocket(registry.deregister(&mut stream).map(|()| stream.into()), &leftover);
                    }
                    continue;
                }
                Action::Close { reset } => {
                    if let Some(stream) = self.stream.take()
                        && reset
                    {
                        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                    }
                    (Wait::default(), None)
                }
                Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
            };
            if self.tasks.poll() {
                continue;
            }
            let written =
                if wait.write { self.write(&server.app, part) } else { Err(io::ErrorKind::WouldBlock.into()) };
            let done = match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && wait.read => self.read(),
                written => written,
            };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Turn::Wait(wait.deadline.into_iter().chain(self.tasks.alarm()).min());
                }
                Err(_) => {
                    if self.file.is_cut() {
                        self.driver.lock().handle_transfer_failed();
                    } else {
                        self.driver.lock().handle_disconnect();
                    }
                }
            }
        }
        Turn::Again
    }

    fn write(&mut self, app: &App, part: Option<(u64, u64)>) -> io::Result<()> {
        let Some(mut stream) = self.stream.as_ref() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let mut conn = self.driver.lock();
        let written = match part {
            Some((token, remaining)) => self.file.send(app, token, remaining, stream)?,
            None => stream.write_vectored(&conn.outgoing().take(16).map(IoSlice::new).collect::<Vec<_>>())?,
        };
        conn.handle_written(written);
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let Some(mut stream) = self.stream.as_ref() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let mut conn = self.driver.lock();
        let mut buffer = conn.read_buffer();
        buffer.resize(buffer.capacity(), 0);
        let read = stream.read(&mut buffer)?;
        buffer.truncate(read);
        match read {
            0 => conn.handle_eof(),
            _ => conn.handle_read(buffer),
        }
        Ok(())
    }
}

struct Reactor {
    server: Server,
    poll: Poll,
    listener: Option<TcpListener>,
    peers: HashMap<Token, Peer>,
    /// Who has the next turn, and whose tasks were woken since.
    turns: Vec<Token>,
    woken: Arc<Mutex<Vec<Token>>>,
    wakeup: Arc<Wakeup>,
    timers: BTreeSet<(Instant, Token)>,
    last: Token,
}

const LISTENER: Token = Token(0);
const WAKEUP: Token = Token(1);

impl Reactor {
    fn new(listener: net::TcpListener, server: Server) -> io::Result<Self> {
        let poll = Poll::new()?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            server,
            listener: Some(listener),
            peers: HashMap::new(),
            turns: Vec::new(),
            woken: Arc::default(),
            wakeup: Arc::new(Wakeup(Waker::new(poll.registry(), WAKEUP)?)),
            timers: BTreeSet::new(),
            last: WAKEUP,
            poll,
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let waker = Arc::clone(&self.wakeup).into();
        let mut shutdown = pin!(self.server.shutdown.requested());
        while self.listener.is_some() || !self.peers.is_empty() {
            if self.listener.is_some() && shutdown.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.listener = None;
                self.peers.values_mut().for_each(|peer| peer.driver.lock().handle_shutdown());
                self.turns.extend(self.peers.keys());
                continue; // there may be none left
            }
            let woken = mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
            let is_woken = |token: &Token| self.peers.get(token).is_some_and(|peer| peer.tasks.is_woken());
            self.turns.extend(woken.into_iter().filter(is_woken));
            let timeout = match self.timers.first() {
                _ if !self.turns.is_empty() => Some(Duration::ZERO),
                Some((deadline, _)) => Some(deadline.saturating_duration_since(self.server.clock.now())),
                None => None,
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                if let Some(peer) = self.peers.get_mut(&event.token()).filter(|_| event.is_error()) {
                    peer.driver.lock().handle_disconnect();
                }
                self.turns.push(event.token());
            }
            while let Some(&(deadline, token)) = self.timers.first()
                && deadline <= self.server.clock.now()
            {
                self.timers.pop_first();
                self.turns.push(token);
            }
            for token in mem::take(&mut self.turns) {
                match token {
                    LISTENER => self.accept(),
                    token => self.turn(token),
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        let clock = self.server.clock;
        while let Some(listener) = &self.listener {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // Out of descriptors, most often: some will come back.
                    self.timers.insert((clock.now() + Duration::from_millis(100), LISTENER));
                    break;
                }
            };
            let _ = stream.set_nodelay(true);
            self.last.0 += 1;
            let token = self.last;
            if self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).is_err() {
                continue;
            }
            let (woken, wakeup, home) = (Arc::clone(&self.woken), Arc::clone(&self.wakeup), thread::current().id());
            let notify = move || {
                woken.lock().unwrap_or_else(PoisonError::into_inner).push(token);
                if thread::current().id() != home {
                    let _ = wakeup.0.wake();
                }
            };
            let peer = Peer {
                stream: Some(stream),
                driver: Driver::new(Connection::new(Arc::clone(&self.server.config))),
                tasks: Tasks::new(move || clock.now(), notify),
                file: Moving::default(),
                timer: None,
            };
            self.peers.insert(token, peer);
            self.turns.push(token);
        }
    }

    fn turn(&mut self, token: Token) {
        let Some(peer) = self.peers.get_mut(&token) else { return };
        if let Some(deadline) = peer.timer.take() {
            self.timers.remove(&(deadline, token));
        }
        match peer.turn(self.poll.registry(), &self.server) {
            Turn::Again => self.turns.push(token),
            Turn::Wait(deadline) => {
                peer.timer = deadline;
                self.timers.extend(deadline.map(|deadline| (deadline, token)));
                if peer.stream.is_none() && peer.tasks.is_empty() {
                    self.peers.remove(&token);
                }
            }
        }
    }
}

/// Ends the wait for events, from any thread.
struct Wakeup(Waker);

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        let _ = self.0.wake();
    }
}

pub(crate) fn serve(listener: net::TcpListener, server: &Server) -> io::Result<()> {
    Reactor::new(listener, server.clone())?.run()
}

fn main() -> ExitCode {
    app::main("mio", serve)
}

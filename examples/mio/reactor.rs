//! What a program on mio has already: who is ready, who is late, whose tasks were woken, and a turn for each of them.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use std::{net, thread};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use sansgi::Instant;

use super::Peer;
use super::app::{Server, prepare};

/// All connections, each with the token by which its events are known.
pub(crate) struct Reactor {
    server: Server,
    poll: Poll,
    /// None once the server shuts down.
    listener: Option<TcpListener>,
    peers: HashMap<Token, Slot>,
    last: Token,
    timers: BTreeSet<(Instant, Token)>,
    /// To read into.
    room: Vec<u8>,
    /// Whose tasks were woken, by any thread; one that is not ours must end the wait for events too.
    woken: Receiver<Token>,
    wake: Sender<Token>,
    waker: Arc<Waker>,
}

struct Slot {
    peer: Peer,
    /// What stands for it in the list of timers: it may be too early, which costs a turn, but less than to move it in
    /// each.
    timer: Option<Instant>,
}

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);

impl Reactor {
    pub(crate) fn new(listener: net::TcpListener, server: Server) -> io::Result<Self> {
        let poll = Poll::new()?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let on_request = Arc::clone(&waker);
        server.shutdown.on_request(move || drop(on_request.wake()));
        let (wake, woken) = mpsc::channel();
        let (listener, peers, timers, room) = (Some(listener), HashMap::new(), BTreeSet::new(), vec![0; 16 * 1024]);
        Ok(Self { server, poll, listener, peers, last: WAKER, timers, room, woken, wake, waker })
    }

    /// Until shutdown is requested and the last connection has ended.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while self.listener.is_some() || !self.peers.is_empty() {
            let is_woken = |token: &Token| self.peers.get(token).is_some_and(|slot| slot.peer.is_woken());
            let mut turns: Vec<_> = self.woken.try_iter().filter(is_woken).collect();
            let next = self.timers.first().map(|(next, _)| next.saturating_duration_since(self.server.clock.now()));
            let timeout = if turns.is_empty() { next } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                if let Some(slot) = self.peers.get_mut(&event.token()).filter(|_| event.is_error()) {
                    slot.peer.hang_up();
                }
                turns.push(event.token());
            }
            while let Some(&(due, token)) = self.timers.first()
                && due <= self.server.clock.now()
            {
                self.timers.pop_first();
                if let Some(slot) = self.peers.get_mut(&token) {
                    slot.timer = None;
                }
                turns.push(token);
            }
            if self.server.shutdown.is_requested() && self.listener.take().is_some() {
                self.peers.values_mut().for_each(|slot| slot.peer.shut_down());
                turns.extend(self.peers.keys());
            }
            for token in turns {
                match token {
                    LISTENER => self.accept(),
                    token => self.turn(token),
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Some(listener) = &self.listener {
            match listener.accept() {
                Ok((stream, _)) => self.add(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    // Out of descriptors, most often: some will come back.
                    self.timers.insert((self.server.clock.now() + Duration::from_millis(100), LISTENER));
                    return;
                }
            }
        }
    }

    fn add(&mut self, mut stream: TcpStream) {
        prepare(&stream);
        self.last.0 += 1;
        let token = self.last;
        if self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).is_err() {
            return;
        }
        let (wake, waker, home) = (self.wake.clone(), Arc::clone(&self.waker), thread::current().id());
        let notify = move || {
            let _ = wake.send(token);
            if thread::current().id() != home {
                let _ = waker.wake();
            }
        };
        self.peers.insert(token, Slot { peer: Peer::new(stream, &self.server, notify), timer: None });
        self.turn(token);
    }

    fn turn(&mut self, token: Token) {
        let Some(Slot { peer, timer }) = self.peers.get_mut(&token) else { return };
        let due = peer.turn(self.poll.registry(), &self.server, &mut self.room);
        if let Some(due) = due.filter(|due| timer.is_none_or(|timer| *due < timer)) {
            self.timers.insert((due, token));
            if let Some(late) = timer.replace(due) {
                self.timers.remove(&(late, token));
            }
        }
        if peer.is_over() {
            if let Some(timer) = *timer {
                self.timers.remove(&(timer, token));
            }
            self.peers.remove(&token);
        }
    }
}

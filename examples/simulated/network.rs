//! What the real world has in place of this file: time, chance, and a network with clients at its other end.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use sansgi::{Instant, Wait};

/// What is drawn by lot, the time, and what is said of it.
#[derive(Clone)]
pub(crate) struct World {
    random: Arc<AtomicU64>,
    now: Arc<AtomicU64>,
    transcript: Arc<Mutex<String>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Arc::new(seed.into()), now: Arc::default(), transcript: Arc::default() }
    }

    /// Less than `end`: SplitMix64.
    pub(crate) fn below(&self, end: usize) -> usize {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.random.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap_or(0)
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::SeqCst))
    }

    pub(crate) fn sleep_until(&self, time: Instant) {
        self.now.store(time.as_nanos(), Ordering::SeqCst);
    }

    pub(crate) fn say(&self, who: &str, what: &str) {
        let seconds = Duration::from_nanos(self.now().as_nanos()).as_secs_f64();
        let _ = writeln!(self.lock(), "{seconds:8.3} {who}: {what}");
    }

    pub(crate) fn transcript(&self) -> String {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket, the bytes that are on their way, and the client behind them.
pub(crate) struct Socket {
    name: &'static str,
    world: World,
    is_open: bool,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// What the client has still to send, and whether it has closed its half then.
    script: VecDeque<Vec<u8>>,
    is_finished: bool,
    /// Until then the client does nothing.
    stalls_until: Instant,
}

/// What happens next.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    Readable,
    Writable,
    Reset,
    Client(Step),
}

#[derive(Clone, Copy)]
pub(crate) enum Step {
    Sends,
    Finishes,
    Reads,
    Stalls,
}

/// How many bytes the network takes before they are read.
const WINDOW: usize = 4096;

impl Socket {
    pub(crate) fn new(name: &'static str, world: &World) -> Self {
        let script = (0..=world.below(3)).map(|_| REQUESTS[world.below(REQUESTS.len())].as_bytes().to_vec()).collect();
        Self {
            name,
            world: world.clone(),
            is_open: true,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            script,
            is_finished: false,
            stalls_until: Instant::ZERO,
        }
    }

    pub(crate) fn say(&self, what: &str) {
        self.world.say(self.name, what);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(crate) fn close(&mut self, why: &str) {
        if std::mem::take(&mut self.is_open) {
            self.say(why);
        }
    }

    /// What could happen, to a server that waits for this.
    pub(crate) fn events(&self, wait: Wait) -> Vec<Event> {
        let is_awake = self.stalls_until <= self.world.now();
        let mut events = Vec::new();
        let mut may = |condition, event| events.extend(Some(event).filter(|_| condition && self.is_open));
        may(is_awake && !self.script.is_empty() && self.to_server.len() < WINDOW, Event::Client(Step::Sends));
        may(is_awake && self.script.is_empty() && !self.is_finished, Event::Client(Step::Finishes));
        may(is_awake && !self.to_client.is_empty(), Event::Client(Step::Reads));
        may(wait.read && (!self.to_server.is_empty() || self.is_finished), Event::Readable);
        may(wait.write && self.to_client.len() < WINDOW, Event::Writable);
        may(is_awake && self.world.below(12) == 0, Event::Client(Step::Stalls));
        may(is_awake && self.world.below(60) == 0, Event::Reset);
        events
    }

    /// Reads less than there is, often. Nothing: the client has closed its half.
    pub(crate) fn read(&mut self, buffer: &mut BytesMut) -> usize {
        if self.to_server.is_empty() {
            return 0;
        }
        let count = 1 + self.world.below(self.to_server.len().min(buffer.capacity()));
        buffer.extend(self.to_server.drain(..count));
        self.say(&format!("server reads {count}"));
        count
    }

    /// Writes less than there is, often.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let written = 1 + self.world.below(bytes.len().min(WINDOW - self.to_client.len()));
        self.to_client.extend(&bytes[..written]);
        self.say(&format!("server writes {written} of {}", bytes.len()));
        written
    }

    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Sends => {
                let Some(mut bytes) = self.script.pop_front() else { return };
                let rest = bytes.split_off(1 + self.world.below(bytes.len()));
                if !rest.is_empty() {
                    self.script.push_front(rest);
                }
                self.say(&format!("client sends {}", bytes.len()));
                self.to_server.extend(bytes);
            }
            Step::Finishes => {
                self.say("client shuts its half down");
                self.is_finished = true;
            }
            Step::Reads => {
                let count = 1 + self.world.below(self.to_client.len());
                self.say(&format!("client reads {count}"));
                self.to_client.drain(..count);
            }
            Step::Stalls => {
                let seconds = 1 + self.world.below(100) as u64;
                self.say(&format!("client stalls for {seconds} s"));
                self.stalls_until = self.world.now() + Duration::from_secs(seconds);
            }
        }
    }

    pub(crate) fn stalls_until(&self) -> Option<Instant> {
        Some(self.stalls_until).filter(|until| self.is_open && *until > self.world.now())
    }
}

const REQUESTS: [&str; 8] = [
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\n\r\nnothing is as slow as a client",
    "POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /large?bytes=20000 HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /file?bytes=5000 HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /websocket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
];

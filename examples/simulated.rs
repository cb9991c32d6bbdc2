//! Two connections over a network in memory, in virtual time, with faults: short reads and writes, stalls, resets. The
//! same seed gives the same transcript, so what goes wrong once can be looked at as often as it takes.
//!
//! ```text
//! cargo run --example simulated -- --seed 7
//! ```

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sansgi::{Action, Config, Connection, Date, Driver, Instant, Wait};

use app::{App, Moving, Tasks};

/// What is drawn by lot, the time, and what is said of it.
#[derive(Clone)]
struct World {
    random: Arc<AtomicU64>,
    now: Arc<AtomicU64>,
    transcript: Arc<Mutex<String>>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self { random: Arc::new(seed.into()), now: Arc::default(), transcript: Arc::default() }
    }

    /// Less than `end`: SplitMix64.
    fn below(&self, end: usize) -> usize {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.random.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap_or(0)
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::SeqCst))
    }

    fn say(&self, who: &str, what: &str) {
        let mut transcript = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = Duration::from_nanos(self.now().as_nanos()).as_secs_f64();
        let _ = writeln!(transcript, "{seconds:8.3} {who}: {what}");
    }
}

/// A connection: its driver at one end, a client at the other, and the bytes that are on their way.
struct Peer {
    name: &'static str,
    world: World,
    app: App,
    driver: Driver,
    tasks: Tasks,
    file: Moving,
    wait: Wait,
    part: Option<(u64, u64)>,
    is_open: bool,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// What the client has still to send, and whether it has closed its half then.
    script: VecDeque<Vec<u8>>,
    is_finished: bool,
    /// Until then the client does nothing.
    stalls_until: Instant,
}

#[derive(Clone, Copy)]
enum Move {
    ClientSends,
    ClientFinishes,
    ClientReads,
    ClientStalls,
    ClientResets,
    ServerReads,
    ServerWrites,
}

/// How many bytes the network takes before they are read.
const WINDOW: usize = 4096;

impl Peer {
    fn new(name: &'static str, world: &World, config: &Arc<Config>) -> Self {
        let (reporting, clock) = (world.clone(), world.clone());
        let script = (0..=world.below(3)).map(|_| REQUESTS[world.below(REQUESTS.len())].as_bytes().to_vec()).collect();
        Self {
            name,
            world: world.clone(),
            app: App::reporting(move |line| reporting.say(name, &format!("application: {line}"))),
            driver: Driver::new(Connection::new(Arc::clone(config))),
            tasks: Tasks::new(move || clock.now(), || {}),
            file: Moving::default(),
            wait: Wait::default(),
            part: None,
            is_open: true,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            script,
            is_finished: false,
            stalls_until: Instant::ZERO,
        }
    }

    fn say(&self, what: &str) {
        self.world.say(self.name, what);
    }

    /// The driver: does what the connection asks for until it waits.
    fn turn(&mut self) {
        loop {
            let action = self.driver.lock().next_action(self.world.now());
            (self.wait, self.part) = match action {
                Action::Wait(wait) => (wait, None),
                Action::Transfer { token, remaining, wait } => (wait, Some((token, remaining))),
                Action::Start(id, request) => {
                    self.say(&format!("start {id}: {} {}", request.method(), request.path()));
                    let seconds = Duration::from_nanos(self.world.now().as_nanos()).as_secs();
                    self.driver.lock().set_date(Date::from_unix(seconds));
                    self.tasks.start(&self.app, self.driver.channel(id), request);
                    continue;
                }
                Action::Disconnect(id) => {
                    self.say(&format!("disconnect {id}"));
                    continue;
                }
                Action::Shutdown => {
                    self.say("shuts its half down");
                    continue;
                }
                Action::Switch { leftover, .. } => {
                    self.say(&format!("switched, with {} bytes left over", leftover.len()));
                    self.is_open = false;
                    (Wait::default(), None)
                }
                Action::Close { reset } => {
                    if self.is_open {
                        self.say(if reset { "closed by a reset" } else { "closed" });
                        self.is_open = false;
                    }
                    (Wait::default(), None)
                }
                _ => continue,
            };
            if !self.tasks.poll() {
                return;
            }
        }
    }

    /// What could happen next.
    fn moves(&self) -> Vec<Move> {
        let (is_open, is_awake) = (self.is_open, self.stalls_until <= self.world.now());
        let mut moves = Vec::new();
        let mut may = |condition, this| moves.extend(Some(this).filter(|_| condition && is_open));
        may(is_awake && !self.script.is_empty() && self.to_server.len() < WINDOW, Move::ClientSends);
        may(is_awake && self.script.is_empty() && !self.is_finished, Move::ClientFinishes);
        may(is_awake && !self.to_client.is_empty(), Move::ClientReads);
        may(self.wait.read && (!self.to_server.is_empty() || self.is_finished), Move::ServerReads);
        may(self.wait.write && self.to_client.len() < WINDOW, Move::ServerWrites);
        may(is_awake && self.world.below(12) == 0, Move::ClientStalls);
        may(is_awake && self.world.below(60) == 0, Move::ClientResets);
        moves
    }

    fn act(&mut self, this: Move) {
        match this {
            Move::ClientSends => {
                let Some(mut bytes) = self.script.pop_front() else { return };
                let rest = bytes.split_off(1 + self.world.below(bytes.len()));
                if !rest.is_empty() {
                    self.script.push_front(rest);
                }
                self.say(&format!("client sends {}", bytes.len()));
                self.to_server.extend(bytes);
            }
            Move::ClientFinishes => {
                self.say("client shuts its half down");
                self.is_finished = true;
            }
            Move::ClientReads => {
                let count = 1 + self.world.below(self.to_client.len());
                self.say(&format!("client reads {count}"));
                self.to_client.drain(..count);
            }
            Move::ClientStalls => {
                let seconds = 1 + self.world.below(100) as u64;
                self.say(&format!("client stalls for {seconds} s"));
                self.stalls_until = self.world.now() + Duration::from_secs(seconds);
            }
            Move::ClientResets => {
                self.say("client resets");
                self.driver.lock().handle_disconnect();
            }
            Move::ServerReads if self.to_server.is_empty() => self.driver.lock().handle_eof(),
            Move::ServerReads => {
                let mut buffer = self.driver.lock().read_buffer();
                let count = 1 + self.world.below(self.to_server.len().min(buffer.capacity()));
                buffer.extend(self.to_server.drain(..count));
                self.say(&format!("server reads {count}"));
                self.driver.lock().handle_read(buffer);
            }
            Move::ServerWrites => self.write(),
        }
    }

    fn write(&mut self) {
        let mut conn = self.driver.lock();
        let chunk = match self.part {
            Some((token, remaining)) => self.file.read(&self.app, token, remaining),
            None => Ok(conn.outgoing().next().unwrap_or_default()),
        };
        let Ok(chunk) = chunk else {
            conn.handle_transfer_failed();
            return;
        };
        let (length, room) = (chunk.len(), WINDOW - self.to_client.len());
        let written = 1 + self.world.below(length.min(room));
        self.to_client.extend(&chunk[..written]);
        conn.handle_written(written);
        drop(conn);
        if let Some((_, remaining)) = self.part {
            self.file.has_moved(written, remaining);
        }
        self.say(&format!("server writes {written} of {length}"));
    }

    /// When something happens although nothing moves.
    fn next_time(&self) -> Option<Instant> {
        let stall = Some(self.stalls_until).filter(|until| self.is_open && *until > self.world.now());
        self.wait.deadline.into_iter().chain(self.tasks.alarm()).chain(stall).min()
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

/// The transcript of a run, until both connections have ended.
pub(crate) fn run(seed: u64) -> String {
    let world = World::new(seed);
    let config = Arc::new(Config::default());
    let mut peers = ["a", "b"].map(|name| Peer::new(name, &world, &config));
    let mut shuts_down_at = Some(Instant::ZERO + Duration::from_secs(60 + world.below(240) as u64));
    loop {
        peers.iter_mut().for_each(Peer::turn);
        let moves: Vec<_> = peers
            .iter()
            .enumerate()
            .flat_map(|(index, peer)| peer.moves().into_iter().map(move |this| (index, this)))
            .collect();
        if !moves.is_empty() {
            let (index, this) = moves[world.below(moves.len())];
            peers[index].act(this);
            continue;
        }
        if peers.iter().all(|peer| !peer.is_open && peer.tasks.is_empty()) {
            break;
        }
        let Some(next) = peers.iter().filter_map(Peer::next_time).chain(shuts_down_at).min() else { break };
        world.now.store(next.as_nanos(), Ordering::SeqCst);
        if shuts_down_at.take_if(|at| *at <= next).is_some() {
            world.say("-", "graceful shutdown");
            for peer in &mut peers {
                peer.driver.lock().handle_shutdown();
            }
        }
    }
    std::mem::take(&mut *world.transcript.lock().unwrap_or_else(PoisonError::into_inner))
}

fn main() -> ExitCode {
    match app::seed() {
        Ok(seed) => {
            print!("{}", run(seed));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("simulated: {message}");
            ExitCode::from(2)
        }
    }
}

//! Two connections over a network in memory, in virtual time, with faults: short reads and writes, stalls, resets. The
//! same seed gives the same transcript, so what goes wrong once can be looked at as often as it takes.
//!
//! ```text
//! cargo run --example simulated -- --seed 7
//! ```

#[path = "app/mod.rs"]
pub(crate) mod app;
#[path = "simulated/network.rs"]
mod network;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use sansgi::{Action, Config, Connection, Date, Driver, Instant, Wait};

use app::{App, Moving, Part, Tasks};
use network::{Event, Socket, World};

/// A connection, and what it waits for.
struct Peer {
    world: World,
    socket: Socket,
    app: App,
    driver: Driver,
    tasks: Tasks,
    file: Moving,
    unsent: Bytes,
    wait: Wait,
    part: Option<Part>,
}

impl Peer {
    fn new(name: &'static str, world: &World, config: &Arc<Config>) -> Self {
        let (reporting, clock) = (world.clone(), world.clone());
        let app = App::reporting(move |line| reporting.say(name, &format!("application: {line}")));
        Self {
            world: world.clone(),
            socket: Socket::new(name, world),
            driver: Driver::new(Connection::new(Arc::clone(config))),
            tasks: Tasks::new(move || clock.now(), || {}),
            file: Moving::new(&app),
            app,
            unsent: Bytes::new(),
            wait: Wait::default(),
            part: None,
        }
    }

    /// Does what the connection asks for until it waits.
    fn turn(&mut self) {
        loop {
            self.driver.lock().set_date(Date::from_unix(self.world.now().as_nanos() / 1_000_000_000));
            let action = self.driver.lock().next_action(self.world.now());
            (self.wait, self.part) = match action {
                Action::Wait(wait) => (wait, None),
                Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
                Action::Start(id, request) => {
                    self.socket.say(&format!("start {id}: {} {}", request.method(), request.path()));
                    self.tasks.start(&self.app, self.driver.channel(id), request);
                    continue;
                }
                Action::Disconnect(id) => {
                    self.socket.say(&format!("disconnect {id}"));
                    continue;
                }
                Action::Shutdown => {
                    self.socket.say("shuts its half down");
                    continue;
                }
                Action::Switch { leftover, .. } => {
                    self.socket.close(&format!("switched, with {} bytes left over", leftover.len()));
                    continue;
                }
                Action::Close { reset } => {
                    self.socket.close(if reset { "closed by a reset" } else { "closed" });
                    Default::default() // only the tasks go on
                }
                _ => continue,
            };
            if !self.tasks.poll() {
                return;
            }
        }
    }

    /// What the network has let happen.
    fn act(&mut self, event: Event) {
        let mut conn = self.driver.lock();
        match event {
            Event::Readable => {
                let mut buffer = conn.read_buffer();
                match self.socket.read(&mut buffer) {
                    0 => conn.handle_eof(),
                    _ => conn.handle_read(buffer),
                }
            }
            Event::Writable => {
                if self.unsent.is_empty() {
                    let chunk = match self.part {
                        Some(part) => self.file.read(&mut conn, part),
                        None => conn.take_outgoing(),
                    };
                    let Some(chunk) = chunk else { return };
                    self.unsent = chunk;
                }
                let written = self.socket.write(&self.unsent);
                self.unsent.advance(written);
                conn.handle_written(written);
            }
            Event::Reset => {
                self.socket.say("client resets");
                conn.handle_disconnect();
            }
            Event::Client(step) => self.socket.step(step),
        }
    }

    /// When something happens although the network is still.
    fn next_time(&self) -> Option<Instant> {
        self.wait.deadline.into_iter().chain(self.tasks.alarm()).chain(self.socket.stalls_until()).min()
    }
}

/// The transcript of a run, until both connections have ended.
pub(crate) fn run(seed: u64) -> String {
    let world = World::new(seed);
    let config = Arc::new(Config::default());
    let mut peers = ["a", "b"].map(|name| Peer::new(name, &world, &config));
    let mut shuts_down_at = Some(Instant::ZERO + Duration::from_secs(60 + world.below(240) as u64));
    loop {
        peers.iter_mut().for_each(Peer::turn);
        let events =
            |(index, peer): (usize, &Peer)| peer.socket.events(peer.wait).into_iter().map(move |it| (index, it));
        let mut events: Vec<_> = peers.iter().enumerate().flat_map(events).collect();
        if !events.is_empty() {
            let (index, event) = events.swap_remove(world.below(events.len()));
            peers[index].act(event);
            continue;
        }
        if peers.iter().all(|peer| !peer.socket.is_open() && peer.tasks.is_empty()) {
            return world.transcript();
        }
        // Nothing moves, so time does.
        let Some(next) = peers.iter().filter_map(Peer::next_time).chain(shuts_down_at).min() else {
            return world.transcript();
        };
        world.sleep_until(next);
        if shuts_down_at.take_if(|at| *at <= next).is_some() {
            world.say("-", "graceful shutdown");
            for peer in &mut peers {
                peer.driver.lock().handle_shutdown();
            }
        }
    }
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

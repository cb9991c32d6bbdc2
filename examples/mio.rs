//! On mio: one thread, told what is ready.
//!
//! ```text
//! cargo run --example mio -- --host 127.0.0.1 --port 8000
//! ```
//!
//! Ctrl-C, SIGTERM or a line on standard input shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;
#[path = "mio/reactor.rs"]
mod reactor;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::{self, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Context;

use mio::Registry;
use mio::net::TcpStream;
use sansgi::{Action, Connection, Driver, Instant, Wait};

use app::{Moving, Part, Server, Tasks};
use reactor::Reactor;

/// One connection, as the reactor knows it.
pub(crate) struct Peer {
    /// None once it is closed or handed over; the tasks may go on.
    stream: Option<TcpStream>,
    driver: Driver,
    tasks: Tasks,
    file: Moving,
    /// What it was last told to wait for.
    wait: Wait,
    part: Option<Part>,
}

impl Peer {
    /// `notify` gives it another turn, from any thread.
    pub(crate) fn new(stream: TcpStream, server: &Server, notify: impl Fn() + Send + Sync + 'static) -> Self {
        let (driver, clock) = (Driver::new(Connection::new(Arc::clone(&server.config))), server.clock);
        let (tasks, file) = (Tasks::new(move || clock.now(), notify), Moving::new(&server.app));
        Self { stream: Some(stream), driver, tasks, file, wait: Wait::default(), part: None }
    }

    /// Reads into `room`, which serves all of them: to copy a request out of it costs less than to clear a buffer for
    /// each read. Readiness is told once, so this goes on until the socket says that it would block, but only so far:
    /// others want their turn too. Its next one is due at the time that it returns, if nothing happens before.
    pub(crate) fn turn(&mut self, registry: &Registry, server: &Server, room: &mut [u8]) -> Option<Instant> {
        self.driver.lock().set_date(app::date());
        for _ in 0..64 {
            let now = server.clock.now();
            if let Some(stream) = self.stream.as_ref().filter(|_| app::is_late(self.wait, now)) {
                let wait = mem::take(&mut self.wait);
                app::look_again(stream, &mut self.driver.lock(), &mut self.file, wait, self.part);
            }
            let action = self.driver.lock().next_action(now);
            let (wait, part) = match action {
                Action::Wait(wait) => (wait, None),
                Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
                Action::Start(id, request) => {
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
                    if let Some(stream) = self.stream.take() {
                        app::close(stream, reset);
                    }
                    Default::default() // only the tasks go on
                }
                Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
            };
            (self.wait, self.part) = (wait, part);
            if self.tasks.poll() {
                continue;
            }
            let Some(stream) = &self.stream else { return self.tasks.alarm() };
            let mut conn = self.driver.lock();
            let written = if wait.write {
                write(stream, &mut conn, &mut self.file, part)
            } else {
                Err(ErrorKind::WouldBlock.into())
            };
            let done = match written {
                Err(error) if error.kind() == ErrorKind::WouldBlock && wait.read => read(stream, &mut conn, room),
                written => written,
            };
            match done.map_err(|error| error.kind()) {
                Ok(()) | Err(ErrorKind::Interrupted) => {}
                Err(ErrorKind::WouldBlock) => {
                    drop(conn);
                    // What an application changes from another thread is told by this waker.
                    let waker = self.tasks.waker();
                    if self.tasks.is_empty() || self.driver.poll_changed(&mut Context::from_waker(&waker)).is_pending()
                    {
                        return wait.deadline.into_iter().chain(self.tasks.alarm()).min();
                    }
                }
                Err(_) => conn.handle_disconnect(),
            }
        }
        Some(server.clock.now())
    }

    pub(crate) fn shut_down(&mut self) {
        self.driver.lock().handle_shutdown();
    }

    /// It was reset, which is seen so also while it does not read.
    pub(crate) fn hang_up(&mut self) {
        self.driver.lock().handle_disconnect();
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.tasks.is_woken()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stream.is_none() && self.tasks.is_empty()
    }
}

fn write(mut stream: &TcpStream, conn: &mut Connection, file: &mut Moving, part: Option<Part>) -> io::Result<()> {
    if let Some(part) = part {
        return file.send(conn, part, stream);
    }
    let chunks: Vec<_> = conn.outgoing().take(16).map(IoSlice::new).collect();
    let written = stream.write_vectored(&chunks)?;
    conn.handle_written(written);
    Ok(())
}

fn read(mut stream: &TcpStream, conn: &mut Connection, room: &mut [u8]) -> io::Result<()> {
    match stream.read(room)? {
        0 => conn.handle_eof(),
        read => conn.handle_bytes(&room[..read]),
    }
    Ok(())
}

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    Reactor::new(listener, server.clone())?.run()
}

fn main() -> ExitCode {
    app::main("mio", serve)
}

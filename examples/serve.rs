//! A server with nothing but the standard library: a thread for each connection, every protocol decision by `sansgi`.
//!
//! ```text
//! cargo run --example serve -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use sansgi::{Action, Connection, Date, Driver, Wait};

use app::{Moving, Server, Tasks};

/// A blocking read ends only by its timeout, so a shutdown is noticed within half a second.
const TICK: Duration = Duration::from_millis(500);

/// Serves one connection. The application's futures are polled here, whenever something may have changed for them.
fn drive(mut stream: TcpStream, server: &Server) {
    let (clock, this_thread) = (server.clock, thread::current());
    // A parked thread is woken so; a blocking read nothing can interrupt. But all that this application waits for
    // happens on its connection's thread.
    let mut tasks = Tasks::new(move || clock.now(), move || this_thread.unpark());
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    let mut file = Moving::default();
    loop {
        if server.shutdown.is_requested() {
            driver.lock().handle_shutdown();
        }
        let action = driver.lock().next_action(server.clock.now());
        let (mut wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some((token, remaining))),
            Action::Start(id, request) => {
                driver.lock().set_date(Date::now());
                tasks.start(&server.app, driver.channel(id), request);
                continue;
            }
            Action::Shutdown => {
                let _ = stream.shutdown(net::Shutdown::Write);
                continue;
            }
            Action::Switch { leftover, .. } => {
                app::websocket(Ok(stream), &leftover);
                break;
            }
            // The standard library cannot reset a connection. Chunked and sized bodies show by themselves that they were
            // cut, and this server sends no others to HTTP/1.1 clients.
            Action::Close { reset: _ } => {
                drop(stream);
                break;
            }
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        // The application goes on as far as it can; only then is there something to wait for.
        if tasks.poll() {
            continue;
        }
        wait.deadline = wait.deadline.into_iter().chain(tasks.alarm()).min();
        let result = wait_for(wait, part, &mut driver, &mut stream, server, &mut file);
        // When the time is up, the next question says what follows.
        let is_late = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
        };
        if result.is_err_and(|error| !is_late(&error)) {
            if file.is_cut() {
                driver.lock().handle_transfer_failed();
            } else {
                driver.lock().handle_disconnect();
            }
        }
    }
    drop(driver);
    while !tasks.is_empty() {
        tasks.poll();
        thread::park_timeout(tasks.alarm().map_or(TICK, |alarm| alarm.saturating_duration_since(server.clock.now())));
    }
}

/// Writes, or else reads, or else sleeps.
fn wait_for(
    wait: Wait,
    part: Option<(u64, u64)>,
    driver: &mut Driver,
    stream: &mut TcpStream,
    server: &Server,
    file: &mut Moving,
) -> io::Result<()> {
    let left = wait.deadline.map(|deadline| deadline.saturating_duration_since(server.clock.now()));
    let timeout = left.unwrap_or(TICK).clamp(Duration::from_millis(1), TICK);
    if wait.write {
        stream.set_write_timeout(Some(timeout))?;
        let mut conn = driver.lock(); // the application runs on this thread, so it does not miss it
        let written = match part {
            Some((token, remaining)) => {
                let written = stream.write(file.read(&server.app, token, remaining)?)?;
                file.has_moved(written, remaining);
                written
            }
            None => stream.write_vectored(&conn.outgoing().take(16).map(IoSlice::new).collect::<Vec<_>>())?,
        };
        conn.handle_written(written);
    } else if wait.read {
        stream.set_read_timeout(Some(timeout))?;
        let mut buffer = driver.lock().read_buffer();
        buffer.resize(buffer.capacity(), 0);
        match stream.read(&mut buffer)? {
            0 => driver.lock().handle_eof(),
            read => {
                buffer.truncate(read);
                driver.lock().handle_read(buffer);
            }
        }
    } else {
        thread::park_timeout(timeout);
    }
    Ok(())
}

/// Wakes the thread that accepts.
struct Connect(SocketAddr);

impl Wake for Connect {
    fn wake(self: Arc<Self>) {
        let _ = TcpStream::connect(self.0);
    }
}

const MAX_CONNECTIONS: usize = 512;

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    let waker = Waker::from(Arc::new(Connect(listener.local_addr()?)));
    let mut requested = pin!(server.shutdown.requested());
    if requested.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
        return Ok(());
    }
    // A place for each connection: one more waits here until another has ended.
    let (places, ended) = sync_channel(MAX_CONNECTIONS);
    let ended = Mutex::new(ended);
    let leave = || ended.lock().unwrap_or_else(PoisonError::into_inner).recv();
    thread::scope(|scope| {
        for stream in listener.incoming() {
            if server.shutdown.is_requested() {
                break;
            }
            let Ok(stream) = stream else {
                thread::sleep(Duration::from_millis(100)); // out of descriptors, most often: some will come back
                continue;
            };
            let _ = stream.set_nodelay(true);
            let _ = places.send(());
            let serving = thread::Builder::new().spawn_scoped(scope, move || {
                drive(stream, server);
                let _ = leave();
            });
            if serving.is_err() {
                let _ = leave();
            }
        }
        drop(listener);
    }); // waits for the last connection
    Ok(())
}

fn main() -> ExitCode {
    app::main("serve", serve)
}

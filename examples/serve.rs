//! On threads, with the standard library's sockets: one for each connection, every protocol decision by `sansgi`.
//!
//! ```text
//! cargo run --example serve -- --host 127.0.0.1 --port 8000
//! ```
//!
//! Ctrl-C, SIGTERM or a line on standard input shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::{self, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sansgi::{Action, Connection, Driver, Wait};

use app::{Moving, Part, Server, Tasks};

/// A blocking read ends only by its timeout, so a shutdown is noticed within half a second.
const TICK: Duration = Duration::from_millis(500);

/// Of none at all the standard library makes an error.
const SHORTEST: Duration = Duration::from_millis(1);

/// Each is a thread and a descriptor, of which most systems allow a process a thousand.
const MOST_CONNECTIONS: usize = 512;

/// Serves one connection. The application's futures are polled here, whenever something may have changed for them.
fn drive(mut stream: TcpStream, server: &Server) {
    let (clock, this_thread) = (server.clock, thread::current());
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    // A parked thread is woken so; a blocking read nothing can interrupt. But all that this application waits for
    // happens on its connection's thread.
    let mut tasks = Tasks::new(move || clock.now(), move || this_thread.unpark());
    let mut file = Moving::new(&server.app);
    let mut timeout = Duration::ZERO;
    let (mut wait, mut part) = (Wait::default(), None);
    loop {
        if server.shutdown.is_requested() {
            driver.lock().handle_shutdown();
        }
        let now = clock.now();
        if app::is_late(wait, now) {
            let _ = set_timeout(&stream, &mut timeout, SHORTEST); // where that fails, so does what follows
            app::look_again(&stream, &mut driver.lock(), &mut file, mem::take(&mut wait), part);
        }
        let action = {
            let mut conn = driver.lock();
            conn.set_date(app::date());
            conn.next_action(now)
        };
        (wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
            Action::Start(id, request) => {
                tasks.start(&server.app, driver.channel(id), request);
                continue;
            }
            Action::Shutdown => {
                let _ = stream.shutdown(net::Shutdown::Write);
                continue;
            }
            Action::Switch { leftover, .. } => break app::websocket(Ok(stream), &leftover),
            Action::Close { reset } => break app::close(stream, reset),
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        // The application goes on as far as it can; only then is there something to wait for.
        if tasks.poll() {
            continue;
        }
        let deadline = wait.deadline.into_iter().chain(tasks.alarm()).min();
        let left = deadline.map_or(TICK, |deadline| deadline.saturating_duration_since(clock.now()));
        let done = set_timeout(&stream, &mut timeout, left.clamp(SHORTEST, TICK));
        let done = done.and_then(|()| {
            if wait.write {
                write(&mut stream, &mut driver, &mut file, part)
            } else if wait.read {
                read(&mut stream, &mut driver)
            } else {
                thread::park_timeout(timeout);
                Ok(())
            }
        });
        match done.map_err(|error| error.kind()) {
            // When the time is up, the next question says what follows.
            Ok(()) | Err(ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => driver.lock().handle_disconnect(),
        }
    }
    while !tasks.is_empty() {
        tasks.poll();
        thread::park_timeout(tasks.alarm().map_or(TICK, |alarm| alarm.saturating_duration_since(clock.now())));
    }
}

/// Mostly it is a tick, as it was before: then this costs nothing.
fn set_timeout(stream: &TcpStream, last: &mut Duration, timeout: Duration) -> io::Result<()> {
    if *last != timeout {
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        *last = timeout;
    }
    Ok(())
}

fn write(stream: &mut TcpStream, driver: &mut Driver, file: &mut Moving, part: Option<Part>) -> io::Result<()> {
    let mut conn = driver.lock(); // the application runs on this thread, so it does not miss it
    if let Some(part) = part {
        return file.send(&mut conn, part, stream);
    }
    let chunks: Vec<_> = conn.outgoing().take(16).map(IoSlice::new).collect();
    let written = stream.write_vectored(&chunks)?;
    conn.handle_written(written);
    Ok(())
}

fn read(stream: &mut TcpStream, driver: &mut Driver) -> io::Result<()> {
    let mut buffer = driver.lock().read_buffer();
    buffer.resize(buffer.capacity(), 0);
    let read = stream.read(&mut buffer)?;
    buffer.truncate(read);
    match read {
        0 => driver.lock().handle_eof(),
        _ => driver.lock().handle_read(buffer),
    }
    Ok(())
}

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    let address = listener.local_addr()?;
    // Wakes the thread that accepts, with a descriptor that is kept for it: there may be no other.
    let kept = listener.try_clone()?;
    server.shutdown.on_request(move || {
        drop(kept);
        let _ = TcpStream::connect(address);
    });
    let (enter, leave) = sync_channel(MOST_CONNECTIONS);
    let leave = &Mutex::new(leave);
    thread::scope(|scope| {
        // Others wait in the kernel's queue.
        while enter.send(()).is_ok() {
            let accepted = listener.accept();
            if server.shutdown.is_requested() {
                break;
            }
            let release = move || leave.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((stream, _)) = accepted else {
                thread::sleep(Duration::from_millis(100)); // out of descriptors, most often: some will come back
                let _ = release();
                continue;
            };
            app::prepare(&stream);
            let connection = move || {
                drive(stream, server);
                let _ = release();
            };
            // A connection for which there is no thread is closed.
            if thread::Builder::new().spawn_scoped(scope, connection).is_err() {
                let _ = release();
            }
        }
        drop(listener);
    }); // waits for the last connection
    Ok(())
}

fn main() -> ExitCode {
    app::main("serve", serve)
}

//! On completions (io_uring, through compio): one thread, and buffers that belong to the kernel while it has them.
//!
//! ```text
//! cargo run --example completion -- --host 127.0.0.1 --port 8000
//! ```
//!
//! Ctrl-C, SIGTERM or a line on standard input shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{self, TcpListener};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use compio::buf::BufResult;
use compio::io::{AsyncRead, AsyncWrite};
use compio::net::TcpStream;
use compio::runtime::{self, Runtime};
use compio::time;
use futures_lite::future::or;
use sansgi::{Action, Connection, Date, Driver};
use socket2::SockRef;

use app::{Moving, Part, Server, maybe};

/// What the kernel was asked to do, with the buffer that it gives back. It is never dropped to be asked again: what has
/// been read would be lost with it.
type Submitted<B> = Pin<Box<dyn Future<Output = BufResult<usize, B>>>>;

enum Completed {
    Readable,
    Read(BufResult<usize, BytesMut>),
    Write(BufResult<usize, Bytes>),
    Neither,
}

async fn drive(stream: TcpStream, server: Server) {
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    let mut file = Moving::new(&server.app);
    let mut shutdown = server.shutdown.requested();
    let (mut reading, mut writing): (Option<Submitted<BytesMut>>, Option<Submitted<Bytes>>) = (None, None);
    let mut unsent = Bytes::new();
    let Ok(arrival) = stream.to_poll_fd() else { return };
    let mut now = server.clock.now();
    loop {
        if server.shutdown.is_requested() {
            driver.lock().handle_shutdown();
        }
        driver.lock().set_date(Date::now());
        let action = driver.lock().next_action(now);
        let (mut wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
            Action::Start(id, request) => {
                runtime::spawn(server.run(driver.channel(id), request, time::sleep)).detach();
                continue;
            }
            Action::Shutdown => {
                let _ = SockRef::from(&stream).shutdown(net::Shutdown::Write);
                continue;
            }
            Action::Switch { leftover, .. } => {
                let mut leftover = Vec::from(leftover);
                // The read that is under way has got the first bytes of the next protocol, or is about to.
                if let Some(reading) = reading
                    && let BufResult(Ok(_), more) = reading.await
                {
                    leftover.extend_from_slice(&more);
                }
                break app::websocket(SockRef::from(&stream).try_clone().map(Into::into), &leftover);
            }
            // It is closed once the kernel has given the buffers back.
            Action::Close { reset } => break app::close(stream, reset),
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        // What the kernel has not taken of a chunk is ours to write, "whatever `write` says".
        if (wait.write || !unsent.is_empty()) && writing.is_none() {
            if unsent.is_empty() {
                let mut conn = driver.lock();
                let chunk = match part {
                    Some(part) => file.read(&mut conn, part),
                    None => conn.take_outgoing(),
                };
                let Some(chunk) = chunk else { continue };
                unsent = chunk;
            }
            let (mut stream, chunk) = (stream.clone(), unsent.clone());
            writing = Some(Box::pin(async move { stream.write(chunk).await }));
        }
        // Until the next question is in time; or late, but behind all that the kernel has done by then (`app/late.rs`).
        loop {
            let is_late = app::is_late(wait, now);
            // A read is submitted when there is something to read. One that waited for it would have to be cancelled at
            // a `Switch`, without a loss, and compio's `CancelToken` is deaf in an optimised build (0.19.2).
            let is_awaited = wait.read && reading.is_none();
            let readable = async {
                let _ = maybe(is_awaited.then(|| arrival.read_ready())).await; // what is wrong is told by the read
                Completed::Readable
            };
            let read = async {
                let done = maybe(reading.as_mut()).await;
                (reading, wait.read) = (None, false);
                Completed::Read(done)
            };
            let write = async {
                let done = maybe(writing.as_mut()).await;
                writing = None;
                Completed::Write(done)
            };
            let late = maybe(wait.deadline.map(|deadline| time::sleep_until(server.clock.to_std(deadline))));
            let other = async {
                if is_late {
                    // Meanwhile the runtime asks the kernel.
                    time::sleep(Duration::from_millis(1)).await;
                } else {
                    or(or(driver.changed(), &mut shutdown), late).await;
                }
                Completed::Neither
            };
            let completed = or(or(readable, or(read, write)), other).await;
            let mut conn = driver.lock();
            match completed {
                Completed::Readable => {
                    let (mut stream, buffer) = (stream.clone(), conn.read_buffer());
                    reading = Some(Box::pin(async move { stream.read(buffer).await }));
                }
                Completed::Read(done) => after_read(done, &mut conn),
                Completed::Write(done) => after_write(done, &mut conn, &mut unsent),
                Completed::Neither if is_late => break,
                Completed::Neither => {}
            }
            now = server.clock.now();
            if !app::is_late(wait, now) {
                break;
            }
        }
    }
}

fn after_read(BufResult(done, buffer): BufResult<usize, BytesMut>, conn: &mut Connection) {
    match done {
        Ok(0) => conn.handle_eof(),
        Ok(_) => conn.handle_read(buffer),
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(_) => conn.handle_disconnect(),
    }
}

fn after_write(BufResult(done, _): BufResult<usize, Bytes>, conn: &mut Connection, unsent: &mut Bytes) {
    match done {
        Ok(written) => {
            unsent.advance(written);
            conn.handle_written(written);
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(_) => conn.handle_disconnect(),
    }
}

/// Fails where the kernel has no io_uring, or keeps it from this process.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Runtime::new().map_err(|error| io::Error::new(error.kind(), format!("io_uring is not to be had here: {error}")))
}

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    runtime()?.block_on(async {
        let listener = compio::net::TcpListener::from_std(listener)?;
        let mut shutdown = server.shutdown.requested();
        loop {
            let accept = async { Some(listener.accept().await) };
            let stop = async {
                (&mut shutdown).await;
                None
            };
            let Some(accepted) = or(stop, accept).await else { break };
            let Ok((stream, _)) = accepted else {
                time::sleep(Duration::from_millis(100)).await; // out of descriptors, most often: some will come back
                continue;
            };
            app::prepare(&stream);
            runtime::spawn(server.tasks.track(drive(stream, server.clone()))).detach();
        }
        let _ = listener.close().await;
        server.tasks.all_ended().await;
        Ok(())
    })
}

fn main() -> ExitCode {
    app::main("completion", serve)
}

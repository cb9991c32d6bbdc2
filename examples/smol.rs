//! On smol: a task for each connection and one for each request.
//!
//! ```text
//! cargo run --example smol -- --host 127.0.0.1 --port 8000
//! ```
//!
//! Ctrl-C, SIGTERM or a line on standard input shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::{self, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sansgi::{Action, Connection, Date, Driver, Wait};
use smol::future::or;
use smol::{Async, Timer};

use app::{Moving, Part, Server, maybe};

enum Woken {
    Writable,
    Readable,
    Otherwise,
}

async fn drive(stream: Async<TcpStream>, server: Server) {
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    let mut file = Moving::new(&server.app);
    let mut shutdown = server.shutdown.requested();
    let (mut wait, mut part) = (Wait::default(), None);
    loop {
        if server.shutdown.is_requested() {
            driver.lock().handle_shutdown();
        }
        driver.lock().set_date(Date::now());
        let now = server.clock.now();
        if app::is_late(wait, now) {
            app::look_again(stream.get_ref(), &mut driver.lock(), &mut file, mem::take(&mut wait), part);
        }
        let action = driver.lock().next_action(now);
        (wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
            Action::Start(id, request) => {
                smol::spawn(server.run(driver.channel(id), request, sleep)).detach();
                continue;
            }
            Action::Shutdown => {
                let _ = stream.get_ref().shutdown(net::Shutdown::Write);
                continue;
            }
            Action::Switch { leftover, .. } => break app::websocket(stream.into_inner(), &leftover),
            Action::Close { reset } => break app::close(stream, reset),
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        let writable = async { maybe(wait.write.then(|| stream.writable())).await.map(|()| Woken::Writable) };
        let readable = async { maybe(wait.read.then(|| stream.readable())).await.map(|()| Woken::Readable) };
        let late = maybe(wait.deadline.map(|deadline| sleep_until(server.clock.to_std(deadline))));
        let other = async {
            or(or(driver.changed(), &mut shutdown), late).await;
            Ok(Woken::Otherwise)
        };
        let woken = or(or(writable, readable), other).await;
        let mut conn = driver.lock(); // for a call that does not block
        let done = match woken {
            Ok(Woken::Writable) => write(stream.get_ref(), &mut conn, &mut file, part),
            Ok(Woken::Readable) => read(stream.get_ref(), &mut conn),
            Ok(Woken::Otherwise) => Ok(()),
            Err(error) => Err(error),
        };
        if done.is_err_and(|error| !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)) {
            conn.handle_disconnect();
        }
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

fn read(mut stream: &TcpStream, conn: &mut Connection) -> io::Result<()> {
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

async fn sleep(duration: Duration) {
    Timer::after(duration).await;
}

async fn sleep_until(time: Instant) {
    Timer::at(time).await;
}

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    smol::block_on(async {
        let listener = Async::new(listener)?;
        let mut shutdown = server.shutdown.requested();
        loop {
            let accept = async { Some(listener.accept().await) };
            let stop = async {
                (&mut shutdown).await;
                None
            };
            let Some(accepted) = or(stop, accept).await else { break };
            let Ok((stream, _)) = accepted else {
                sleep(Duration::from_millis(100)).await; // out of descriptors, most often: some will come back
                continue;
            };
            app::prepare(stream.get_ref());
            smol::spawn(server.tasks.track(drive(stream, server.clone()))).detach();
        }
        drop(listener);
        server.tasks.all_ended().await;
        Ok(())
    })
}

fn main() -> ExitCode {
    app::main("smol", serve)
}

//! On tokio: a task for each connection and one for each request.
//!
//! ```text
//! cargo run --example tokio -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::io::{self, IoSlice};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sansgi::{Action, Connection, Date, Driver};
use socket2::SockRef;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

use app::{Moving, Part, Server};

async fn drive(mut stream: TcpStream, server: Server) {
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    let mut file = Moving::new(&server.app);
    let mut shutdown = server.shutdown.requested();
    loop {
        driver.lock().set_date(Date::now());
        let action = driver.lock().next_action(server.clock.now());
        let (wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
            Action::Start(id, request) => {
                tokio::spawn(server.run(driver.channel(id), request, time::sleep));
                continue;
            }
            Action::Shutdown => {
                let _ = stream.shutdown().await;
                continue;
            }
            Action::Switch { leftover, .. } => break app::websocket(stream.into_std(), &leftover),
            Action::Close { reset } => break app::close(stream, reset),
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        // Errors are always awaited: a reset is seen also while nothing is to be read or written.
        let mut interest = Interest::ERROR;
        if wait.read {
            interest |= Interest::READABLE;
        }
        if wait.write {
            interest |= Interest::WRITABLE;
        }
        let deadline = wait.deadline.map(|deadline| time::sleep_until(server.clock.to_std(deadline).into()));
        tokio::select! {
            ready = stream.ready(interest) => {
                let mut conn = driver.lock(); // for a call that does not block
                let done = match ready {
                    Ok(ready) if ready.is_error() => Err(io::ErrorKind::ConnectionReset.into()),
                    Ok(ready) if ready.is_writable() => write(&stream, &mut conn, &mut file, part),
                    Ok(ready) if ready.is_readable() => read(&stream, &mut conn),
                    answer => answer.map(drop),
                };
                if done.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
                    conn.handle_disconnect();
                }
            }
            () = driver.changed() => {}
            () = app::maybe(deadline) => {}
            () = &mut shutdown => driver.lock().handle_shutdown(),
        }
    }
}

fn write(stream: &TcpStream, conn: &mut Connection, file: &mut Moving, part: Option<Part>) -> io::Result<()> {
    if let Some(part) = part {
        return stream.try_io(Interest::WRITABLE, || file.send(conn, part, &*SockRef::from(stream)));
    }
    let chunks: Vec<_> = conn.outgoing().take(16).map(IoSlice::new).collect();
    let written = stream.try_write_vectored(&chunks)?;
    conn.handle_written(written);
    Ok(())
}

fn read(stream: &TcpStream, conn: &mut Connection) -> io::Result<()> {
    let mut buffer = conn.read_buffer();
    match stream.try_read_buf(&mut buffer)? {
        0 => conn.handle_eof(),
        _ => conn.handle_read(buffer),
    }
    Ok(())
}

pub(crate) fn serve(listener: std::net::TcpListener, server: &Server) -> io::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut shutdown = server.shutdown.requested();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            let Ok((stream, _)) = accepted else {
                time::sleep(Duration::from_millis(100)).await; // out of descriptors, most often: some will come back
                continue;
            };
            let _ = stream.set_nodelay(true);
            tokio::spawn(server.tasks.track(drive(stream, server.clone())));
        }
        drop(listener);
        server.tasks.all_ended().await;
        Ok(())
    })
}

fn main() -> ExitCode {
    app::main("tokio", serve)
}

//! On tokio: a task for each connection and one for each request.
//!
//! ```text
//! cargo run --example tokio -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::future::pending;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sansgi::{Action, Connection, Date, Driver};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time;

use app::{App, Moving, Server};

async fn drive(stream: TcpStream, server: Server) {
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    let mut tasks = JoinSet::new();
    let mut file = Moving::default();
    let (mut shutdown, mut is_shutting_down) = (pin!(server.shutdown.requested()), false);
    loop {
        let action = driver.lock().next_action(server.clock.now());
        let (wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some((token, remaining))),
            Action::Start(id, request) => {
                driver.lock().set_date(Date::now());
                while tasks.try_join_next().is_some() {} // those that have ended
                tasks.spawn(server.app.clone().run(driver.channel(id), request, time::sleep));
                continue;
            }
            Action::Shutdown => {
                let _ = SockRef::from(&stream).shutdown(std::net::Shutdown::Write);
                continue;
            }
            Action::Switch { leftover, .. } => {
                app::websocket(stream.into_std(), &leftover);
                break;
            }
            Action::Close { reset } => {
                if reset {
                    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                }
                drop(stream);
                break;
            }
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        // Errors are always awaited: a reset is seen also while nothing is to be read or written.
        let mut interest = Interest::ERROR;
        for (is_wanted, wanted) in [(wait.read, Interest::READABLE), (wait.write, Interest::WRITABLE)] {
            interest = if is_wanted { interest.add(wanted) } else { interest };
        }
        let deadline = async {
            match wait.deadline {
                Some(deadline) => time::sleep_until(server.clock.to_std(deadline).into()).await,
                None => pending().await,
            }
        };
        let done = tokio::select! {
            ready = stream.ready(interest) => match ready {
                Ok(ready) if ready.is_error() => Err(io::ErrorKind::ConnectionReset.into()),
                Ok(ready) if ready.is_writable() && wait.write => write(&stream, &mut driver, &server.app, &mut file, part),
                Ok(_) if wait.read => read(&stream, &mut driver),
                answer => answer.map(drop),
            },
            () = driver.changed() => Ok(()),
            () = deadline => Ok(()),
            () = &mut shutdown, if !is_shutting_down => {
                is_shutting_down = true;
                driver.lock().handle_shutdown();
                Ok(())
            }
        };
        if let Err(error) = done
            && error.kind() != io::ErrorKind::WouldBlock
        {
            if file.is_cut() {
                driver.lock().handle_transfer_failed();
            } else {
                driver.lock().handle_disconnect();
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

fn write(
    stream: &TcpStream,
    driver: &mut Driver,
    app: &App,
    file: &mut Moving,
    part: Option<(u64, u64)>,
) -> io::Result<()> {
    let mut conn = driver.lock(); // for a call that does not block
    let written = match part {
        Some((token, remaining)) => {
            stream.try_io(Interest::WRITABLE, || file.send(app, token, remaining, &*SockRef::from(stream)))?
        }
        None => stream.try_write_vectored(&conn.outgoing().take(16).map(IoSlice::new).collect::<Vec<_>>())?,
    };
    conn.handle_written(written);
    Ok(())
}

fn read(stream: &TcpStream, driver: &mut Driver) -> io::Result<()> {
    let mut conn = driver.lock();
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
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(server.shutdown.requested());
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let _ = stream.set_nodelay(true);
                        connections.spawn(drive(stream, server.clone()));
                    }
                    // Out of descriptors, most often: some will come back.
                    Err(_) => time::sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
                () = &mut shutdown => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
        Ok(())
    })
}

fn main() -> ExitCode {
    app::main("tokio", serve)
}

//! On smol: a task for each connection and one for each request.
//!
//! ```text
//! cargo run --example smol -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::future::pending;
use std::io::{self, IoSlice, Read, Write};
use std::net::{self, TcpListener, TcpStream};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sansgi::{Action, Connection, Date, Driver};
use smol::future::{FutureExt, or};
use smol::{Async, Timer};
use socket2::SockRef;

use app::{Alive, App, Moving, Server};

enum Woken {
    Writable,
    Readable,
    ShutDown,
    AskAgain,
}

async fn drive(stream: Async<TcpStream>, server: Server) {
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    let mut tasks = Vec::new();
    let mut file = Moving::default();
    let mut shutdown = Some(server.shutdown.requested());
    loop {
        let action = driver.lock().next_action(server.clock.now());
        let (wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some((token, remaining))),
            Action::Start(id, request) => {
                driver.lock().set_date(Date::now());
                tasks.retain(|task: &smol::Task<_>| !task.is_finished());
                let running = server.app.clone().run(driver.channel(id), request, sleep);
                // A panic has ended its exchange already; nobody else needs to know.
                tasks.push(smol::spawn(AssertUnwindSafe(running).catch_unwind()));
                continue;
            }
            Action::Shutdown => {
                let _ = stream.get_ref().shutdown(net::Shutdown::Write);
                continue;
            }
            Action::Switch { leftover, .. } => {
                app::websocket(stream.into_inner(), &leftover);
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
        let woken = {
            let to_write = when(wait.write, async { stream.writable().await.map(|()| Woken::Writable) });
            let to_read = when(wait.read, async { stream.readable().await.map(|()| Woken::Readable) });
            let deadline = async {
                match wait.deadline {
                    Some(deadline) => Timer::at(server.clock.to_std(deadline)).await,
                    None => pending().await,
                };
                Ok(Woken::AskAgain)
            };
            let changed = async {
                driver.changed().await;
                Ok(Woken::AskAgain)
            };
            let to_shut_down = async {
                match &mut shutdown {
                    Some(requested) => requested.await,
                    None => pending().await,
                }
                Ok(Woken::ShutDown)
            };
            or(or(to_write, to_read), or(changed, or(deadline, to_shut_down))).await
        };
        let done = match woken {
            Ok(Woken::Writable) => write(stream.get_ref(), &mut driver, &server.app, &mut file, part),
            Ok(Woken::Readable) => read(stream.get_ref(), &mut driver),
            Ok(Woken::AskAgain) => Ok(()),
            Ok(Woken::ShutDown) => {
                shutdown = None;
                driver.lock().handle_shutdown();
                Ok(())
            }
            Err(error) => Err(error),
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
    for task in tasks {
        let _ = task.await;
    }
}

async fn when<T>(is_wanted: bool, future: impl Future<Output = T>) -> T {
    if is_wanted { future.await } else { pending().await }
}

async fn sleep(duration: Duration) {
    Timer::after(duration).await;
}

fn write(
    mut stream: &TcpStream,
    driver: &mut Driver,
    app: &App,
    file: &mut Moving,
    part: Option<(u64, u64)>,
) -> io::Result<()> {
    let mut conn = driver.lock(); // for a call that does not block
    let written = match part {
        Some((token, remaining)) => file.send(app, token, remaining, stream)?,
        None => stream.write_vectored(&conn.outgoing().take(16).map(IoSlice::new).collect::<Vec<_>>())?,
    };
    conn.handle_written(written);
    Ok(())
}

fn read(mut stream: &TcpStream, driver: &mut Driver) -> io::Result<()> {
    let mut conn = driver.lock();
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

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    smol::block_on(async {
        let listener = Async::new(listener)?;
        let (alive, last_has_ended) = Alive::new();
        let accept = async || Some(listener.accept().await);
        let until = async || {
            server.shutdown.requested().await;
            None
        };
        while let Some(accepted) = or(until(), accept()).await {
            let Ok((stream, _)) = accepted else {
                sleep(Duration::from_millis(100)).await; // out of descriptors, most often: some will come back
                continue;
            };
            let _ = stream.get_ref().set_nodelay(true);
            let (server, alive) = (server.clone(), alive.clone());
            smol::spawn(async move {
                drive(stream, server).await;
                drop(alive);
            })
            .detach();
        }
        drop((listener, alive));
        last_has_ended.await;
        Ok(())
    })
}

fn main() -> ExitCode {
    app::main("smol", serve)
}

//! As on a microcontroller: `embedded-io-async`, a fixed number of sockets, and an executor that needs no std
//! (`embassy-futures`). It is run on the host, where `embedded/network.rs` stands for the network stack.
//!
//! ```text
//! cargo run --example embedded -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;
#[path = "embedded/network.rs"]
mod network;

use core::array;
use core::future::{pending, poll_fn};
use core::task::Poll;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use embassy_futures::join::join_array;
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_futures::{block_on, yield_now};
use embedded_io_async::{Read, Write};
use sansgi::{Action, Connection, Date, Driver};

use app::{Moving, Server, Tasks};
use network::{Network, TcpSocket};

/// How many connections there can be: each has its buffers from the start to the end.
const SOCKETS: usize = 8;

async fn drive(socket: TcpSocket<'_>, server: &Server) {
    let clock = server.clock;
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    // Whoever is woken, all are polled: nobody needs to be notified.
    let mut tasks = Tasks::new(move || clock.now(), || {});
    let mut file = Moving::default();
    let mut received = [0; 2048];
    // What was taken to be sent, and whether it is of a file.
    let (mut sending, mut moving) = (Bytes::new(), None);
    let mut is_shutting_down = false;
    loop {
        if !is_shutting_down && server.shutdown.is_requested() {
            is_shutting_down = true;
            driver.lock().handle_shutdown();
        }
        let action = driver.lock().next_action(clock.now());
        let (wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some((token, remaining))),
            Action::Start(id, request) => {
                driver.lock().set_date(Date::now());
                tasks.start(&server.app, driver.channel(id), request);
                continue;
            }
            Action::Shutdown => {
                socket.close();
                continue;
            }
            Action::Switch { leftover, .. } => {
                app::websocket(socket.into_host(), &leftover);
                break;
            }
            Action::Close { reset } => {
                if reset {
                    socket.abort();
                }
                break;
            }
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        if tasks.poll() {
            continue;
        }
        if wait.write && sending.is_empty() {
            let chunk = match part {
                Some((token, remaining)) => file.read(&server.app, token, remaining).map(Bytes::copy_from_slice),
                None => Ok(driver.lock().take_outgoing().unwrap_or_default()),
            };
            let Ok(chunk) = chunk else {
                driver.lock().handle_transfer_failed();
                continue;
            };
            (sending, moving) = (chunk, part);
        }
        let (mut reader, mut writer) = socket.split();
        let write = async { if sending.is_empty() { pending().await } else { writer.write(&sending).await } };
        let read = async { if wait.read { reader.read(&mut received).await } else { pending().await } };
        let deadline = wait.deadline.into_iter().chain(tasks.alarm()).min();
        let news = poll_fn(|context| {
            let is_late = deadline.is_some_and(|deadline| deadline <= clock.now());
            let is_new = tasks.is_woken() || (!is_shutting_down && server.shutdown.is_requested());
            if is_late || is_new { Poll::Ready(()) } else { driver.poll_changed(context) }
        });
        match select3(write, read, news).await {
            Either3::First(Ok(written)) => {
                driver.lock().handle_written(written);
                match moving {
                    // What is left of it is read again.
                    Some((_, remaining)) => {
                        file.has_moved(written, remaining);
                        sending.clear();
                    }
                    None => sending.advance(written),
                }
            }
            Either3::Second(Ok(0)) => driver.lock().handle_eof(),
            Either3::Second(Ok(length)) => driver.lock().handle_bytes(&received[..length]),
            Either3::First(Err(_)) | Either3::Second(Err(_)) => driver.lock().handle_disconnect(),
            Either3::Third(()) => {}
        }
    }
    drop(driver);
    while !tasks.is_empty() {
        tasks.poll();
        yield_now().await;
    }
}

/// One socket, for one connection after the other.
async fn serve_socket(network: &Network, server: &Server) {
    while let Some(socket) = network.accept().await {
        drive(socket, server).await;
    }
}

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    let network = Network::listen(listener)?;
    let sockets = join_array(array::from_fn::<_, SOCKETS, _>(|_| serve_socket(&network, server)));
    let background = async {
        let requested = poll_fn(|_| if server.shutdown.is_requested() { Poll::Ready(()) } else { Poll::Pending });
        if let Either::First(()) = select(requested, network.idle()).await {
            network.close();
        }
        network.idle().await;
    };
    block_on(select(sockets, background));
    Ok(())
}

fn main() -> ExitCode {
    app::main("embedded", serve)
}

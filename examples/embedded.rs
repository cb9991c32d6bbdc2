//! As on a microcontroller: `embedded-io-async`, a fixed number of sockets, and an executor that needs no std
//! (`embassy-futures`). It is run on the host, where `embedded/network.rs` stands for the network stack.
//!
//! ```text
//! cargo run --example embedded -- --host 127.0.0.1 --port 8000
//! ```
//!
//! Ctrl-C, SIGTERM or a line on standard input shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;
#[path = "embedded/network.rs"]
mod network;

use core::array;
use core::future::poll_fn;
use core::mem;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use embassy_futures::join::join_array;
use embassy_futures::select::{Either, Either3, select, select3, select4};
use embassy_futures::{block_on, poll_once, yield_now};
use embedded_io_async::{ErrorKind, Read, Write};
use sansgi::{Action, Connection, Date, Driver, Wait};

use app::{Moving, Part, Server, Tasks, maybe};
use network::{Network, TcpSocket};

/// How many connections there can be: each has its buffers from the start to the end.
const SOCKETS: usize = 8;

/// How long an application may go on after its connection has ended. Then it is dropped: the socket is another
/// client's.
const GRACE: Duration = Duration::from_secs(5);

async fn drive(socket: TcpSocket<'_>, server: &Server) {
    let clock = server.clock;
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    // Whoever is woken, all are polled: nobody needs to be notified.
    let mut tasks = Tasks::new(move || clock.now(), || {});
    let mut file = Moving::new(&server.app);
    let mut shutdown = server.shutdown.requested();
    let (mut received, mut sending) = ([0; 2048], Bytes::new());
    let mut wait = Wait::default();
    loop {
        if server.shutdown.is_requested() {
            driver.lock().handle_shutdown();
        }
        driver.lock().set_date(Date::now());
        let now = clock.now();
        if app::is_late(wait, now) {
            // As `look_again` of the other drivers, on a socket that can only be awaited.
            let (mut reader, mut writer) = socket.split();
            if let Poll::Ready(done) = poll_once(maybe((!sending.is_empty()).then(|| writer.write(&sending)))) {
                after_write(done, &mut sending, &mut driver);
            }
            if let Poll::Ready(done) = poll_once(maybe(mem::take(&mut wait).read.then(|| reader.read(&mut received)))) {
                after_read(done, &received, &mut driver);
            }
        }
        let action = driver.lock().next_action(now);
        let part;
        (wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
            Action::Start(id, request) => {
                tasks.start(&server.app, driver.channel(id), request);
                continue;
            }
            Action::Shutdown => {
                socket.close();
                continue;
            }
            Action::Switch { leftover, .. } => break app::websocket(socket.into_host(), &leftover),
            Action::Close { reset: true } => break socket.abort(),
            Action::Close { reset: false } => break drop(socket),
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        if tasks.poll() {
            continue;
        }
        if wait.write && sending.is_empty() {
            let mut conn = driver.lock();
            let chunk = match part {
                Some(part) => file.read(&mut conn, part),
                None => conn.take_outgoing(),
            };
            let Some(chunk) = chunk else { continue };
            sending = chunk;
        }
        let (mut reader, mut writer) = socket.split();
        let write = maybe((!sending.is_empty()).then(|| writer.write(&sending)));
        let read = maybe(wait.read.then(|| reader.read(&mut received)));
        let deadline = wait.deadline.into_iter().chain(tasks.alarm()).min();
        let late =
            poll_fn(|_| if deadline.is_some_and(|at| at <= clock.now()) { Poll::Ready(()) } else { Poll::Pending });
        let woken = poll_fn(|_| if tasks.is_woken() { Poll::Ready(()) } else { Poll::Pending });
        match select3(write, read, select4(driver.changed(), woken, &mut shutdown, late)).await {
            Either3::First(done) => after_write(done, &mut sending, &mut driver),
            Either3::Second(done) => after_read(done, &received, &mut driver),
            Either3::Third(_) => {}
        }
    }
    let until = clock.now() + GRACE;
    while !tasks.is_empty() && clock.now() < until {
        tasks.poll();
        yield_now().await;
    }
}

fn after_write(done: Result<usize, ErrorKind>, sending: &mut Bytes, driver: &mut Driver) {
    match done {
        Ok(length) => {
            sending.advance(length);
            driver.lock().handle_written(length);
        }
        Err(_) => driver.lock().handle_disconnect(),
    }
}

fn after_read(done: Result<usize, ErrorKind>, received: &[u8], driver: &mut Driver) {
    match done {
        Ok(0) => driver.lock().handle_eof(),
        Ok(length) => driver.lock().handle_bytes(&received[..length]),
        Err(_) => driver.lock().handle_disconnect(),
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
        if let Either::First(()) = select(server.shutdown.requested(), network.idle()).await {
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

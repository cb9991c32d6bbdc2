//! On tokio: a task for each connection, in which its application runs too.
//!
//! ```text
//! cargo run --example tokio -- --host 127.0.0.1 --port 8000
//! ```
//!
//! Ctrl-C, SIGTERM or a line on standard input shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem;
use std::net;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sansgi::{Action, Connection, Driver, Wait};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::tcp::ReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

use app::{Applications, Moving, Part, Server};

async fn drive(mut stream: TcpStream, server: Server) {
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    let mut applications = Applications::default();
    match turns(&mut stream, &mut driver, &mut applications, &server).await {
        Action::Switch { leftover, .. } => app::websocket(stream.into_std(), &leftover),
        end => app::close(stream, matches!(end, Action::Close { reset: true })),
    }
    drop(driver);
    applications.ended().await;
}

/// Until the socket is to be closed, or is another protocol's. One `poll` for all that happens in the meantime: within
/// it nobody needs to be woken, and a request costs no turn of the runtime.
async fn turns(
    stream: &mut TcpStream,
    driver: &mut Driver,
    applications: &mut Applications,
    server: &Server,
) -> Action {
    let mut file = Moving::new(&server.app);
    let mut shutdown = pin!(server.shutdown.requested());
    let mut alarm = pin!(time::sleep(Duration::MAX));
    let (mut reader, writer) = stream.split();
    let mut error = pin!(writer.ready(Interest::ERROR));
    let (mut wait, mut part) = (Wait::default(), None);
    poll_fn(|context| {
        driver.lock().set_date(app::date());
        if shutdown.as_mut().poll(context).is_ready() {
            driver.lock().handle_shutdown();
        }
        let mut now = server.clock.now();
        loop {
            if applications.poll(context) || part.is_some() {
                now = server.clock.now(); // nothing but an application or a file takes its time in here
            }
            if app::is_late(wait, now) {
                app::look_again(writer.as_ref(), &mut driver.lock(), &mut file, mem::take(&mut wait), part);
            }
            let action = driver.lock().next_action(now);
            (wait, part) = match action {
                Action::Wait(wait) => (wait, None),
                Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
                Action::Start(id, request) => {
                    applications.start(server.app.clone().run(driver.channel(id), request, time::sleep));
                    continue;
                }
                Action::Shutdown => {
                    let _ = SockRef::from(writer.as_ref()).shutdown(net::Shutdown::Write);
                    continue;
                }
                Action::Switch { .. } | Action::Close { .. } => return Poll::Ready(action),
                Action::Disconnect(_) | _ => continue, // its application holds all that an exchange has
            };
            let mut conn = driver.lock(); // for calls that do not block
            let mut done = Poll::Pending;
            if wait.write {
                done = poll_write(writer.as_ref(), context, &mut conn, &mut file, part);
            }
            if wait.read && done.is_pending() {
                done = poll_read(&mut reader, context, &mut conn);
            }
            // A reset is seen also while nothing is to be read.
            if !wait.read && error.as_mut().poll(context).is_ready() {
                error.set(writer.ready(Interest::ERROR));
                done = Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if let Poll::Ready(done) = done {
                if done.is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
                    conn.handle_disconnect();
                }
                continue;
            }
            drop(conn);
            // Without an application nobody else changes anything.
            if !applications.is_empty() && driver.poll_changed(context).is_ready() {
                continue;
            }
            let Some(deadline) = wait.deadline else { return Poll::Pending };
            // A timer is moved only where it would ring too late: it costs more than a question that is asked early.
            let deadline = server.clock.to_std(deadline).into();
            if deadline < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(context));
        }
    })
    .await
}

fn poll_write(
    stream: &TcpStream,
    context: &mut Context<'_>,
    conn: &mut Connection,
    file: &mut Moving,
    part: Option<Part>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_write_ready(context))?;
        let done = if let Some(part) = part {
            stream.try_io(Interest::WRITABLE, || file.send(conn, part, &*SockRef::from(stream)))
        } else {
            let chunks: Vec<_> = conn.outgoing().take(16).map(IoSlice::new).collect();
            stream.try_write_vectored(&chunks).map(|written| conn.handle_written(written))
        };
        if !done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return Poll::Ready(done);
        }
    }
}

/// By `AsyncRead`, which knows of a read that does not fill the buffer that there is no more, and need not ask again.
fn poll_read(reader: &mut ReadHalf<'_>, context: &mut Context<'_>, conn: &mut Connection) -> Poll<io::Result<()>> {
    ready!(reader.as_ref().poll_read_ready(context))?;
    let mut buffer = conn.read_buffer();
    match ready!(pin!(reader.read_buf(&mut buffer)).poll(context))? {
        0 => conn.handle_eof(),
        _ => conn.handle_read(buffer),
    }
    Poll::Ready(Ok(()))
}

pub(crate) fn serve(listener: net::TcpListener, server: &Server) -> io::Result<()> {
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
            app::prepare(&stream);
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

//! On completions (io_uring, through compio): one thread, and buffers that belong to the kernel while it has them.
//!
//! ```text
//! cargo run --example completion -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;

use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::{self, TcpListener};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use compio::buf::BufResult;
use compio::io::{AsyncRead, AsyncWrite};
use compio::net::TcpStream;
use compio::runtime::{self, CancelToken, FutureExt, Runtime};
use compio::time;
use sansgi::{Action, Connection, Date, Driver, Wait};
use socket2::SockRef;

use app::{Alive, App, Moving, Server};

/// What the kernel was asked to do. It is never dropped to be asked again: what has been read would be lost with it.
type Submitted<B> = Option<Pin<Box<dyn Future<Output = BufResult<usize, B>>>>>;

struct Operations {
    stream: TcpStream,
    reading: Submitted<BytesMut>,
    writing: Submitted<Bytes>,
    /// Ends the read.
    cancel: CancelToken,
    file: Moving,
}

impl Operations {
    fn submit(&mut self, wait: Wait, part: Option<(u64, u64)>, driver: &mut Driver, app: &App) -> io::Result<()> {
        if wait.read && self.reading.is_none() {
            let (mut stream, buffer) = (self.stream.clone(), driver.lock().read_buffer());
            self.cancel = CancelToken::new(); // it remembers all that it was given, so there is one for each
            let read = async move { stream.read(buffer).await };
            self.reading = Some(Box::pin(read.with_cancel(self.cancel.clone())));
        }
        if wait.write && self.writing.is_none() {
            let chunk = match part {
                Some((token, remaining)) => Bytes::copy_from_slice(self.file.read(app, token, remaining)?),
                None => driver.lock().take_outgoing().unwrap_or_default(),
            };
            self.write(chunk);
        }
        Ok(())
    }

    fn write(&mut self, chunk: Bytes) {
        let mut stream = self.stream.clone();
        self.writing = Some(Box::pin(async move { stream.write(chunk).await }));
    }

    /// Ready when one of them is complete, and was told.
    fn poll(&mut self, part: Option<(u64, u64)>, driver: &mut Driver, context: &mut Context<'_>) -> Poll<()> {
        if let Some(Poll::Ready(BufResult(result, buffer))) =
            self.reading.as_mut().map(|read| read.as_mut().poll(context))
        {
            self.reading = None;
            match result {
                Ok(0) => driver.lock().handle_eof(),
                Ok(_) => driver.lock().handle_read(buffer),
                Err(_) => driver.lock().handle_disconnect(),
            }
            return Poll::Ready(());
        }
        if let Some(Poll::Ready(BufResult(result, mut chunk))) =
            self.writing.as_mut().map(|write| write.as_mut().poll(context))
        {
            self.writing = None;
            match (result, part) {
                (Err(_), _) => driver.lock().handle_disconnect(),
                (Ok(written), Some((_, remaining))) => {
                    driver.lock().handle_written(written);
                    self.file.has_moved(written, remaining);
                }
                (Ok(written), None) => {
                    driver.lock().handle_written(written);
                    chunk.advance(written);
                    if !chunk.is_empty() {
                        self.write(chunk);
                    }
                }
            }
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

async fn drive(stream: TcpStream, server: Server) {
    let mut driver = Driver::new(Connection::new(Arc::clone(&server.config)));
    let mut tasks = Vec::new();
    let (cancel, file) = (CancelToken::new(), Moving::default());
    let mut operations = Operations { stream, reading: None, writing: None, cancel, file };
    let (mut shutdown, mut is_shutting_down) = (pin!(server.shutdown.requested()), false);
    loop {
        let action = driver.lock().next_action(server.clock.now());
        let (wait, part) = match action {
            Action::Wait(wait) => (wait, None),
            Action::Transfer { token, remaining, wait } => (wait, Some((token, remaining))),
            Action::Start(id, request) => {
                driver.lock().set_date(Date::now());
                tasks.retain(|task: &runtime::JoinHandle<_>| !task.is_finished());
                tasks.push(runtime::spawn(server.app.clone().run(driver.channel(id), request, time::sleep)));
                continue;
            }
            Action::Shutdown => {
                let _ = SockRef::from(&operations.stream).shutdown(net::Shutdown::Write);
                continue;
            }
            Action::Switch { leftover, .. } => {
                let mut leftover = Vec::from(leftover);
                operations.cancel.cancel();
                // The read that waited for the client to leave may have got the first bytes of the next protocol.
                if let Some(reading) = operations.reading
                    && let BufResult(Ok(_), more) = reading.await
                {
                    leftover.extend_from_slice(&more);
                }
                app::websocket(SockRef::from(&operations.stream).try_clone().map(Into::into), &leftover);
                break;
            }
            Action::Close { reset } => {
                if reset {
                    let _ = SockRef::from(&operations.stream).set_linger(Some(Duration::ZERO));
                }
                drop((operations.reading, operations.writing));
                let _ = operations.stream.close().await; // once the kernel has given the buffers back
                break;
            }
            Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
        };
        if operations.submit(wait, part, &mut driver, &server.app).is_err() {
            driver.lock().handle_transfer_failed();
            continue;
        }
        let mut deadline = pin!(async {
            match wait.deadline {
                Some(deadline) => time::sleep_until(server.clock.to_std(deadline)).await,
                None => pending().await,
            }
        });
        poll_fn(|context| {
            if operations.poll(part, &mut driver, context).is_ready() || driver.poll_changed(context).is_ready() {
                return Poll::Ready(());
            }
            if !is_shutting_down && shutdown.as_mut().poll(context).is_ready() {
                is_shutting_down = true;
                driver.lock().handle_shutdown();
                return Poll::Ready(());
            }
            deadline.as_mut().poll(context)
        })
        .await;
    }
    for task in tasks {
        let _ = task.await;
    }
}

/// Fails where the kernel has no io_uring, or keeps it from this process.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Runtime::new().map_err(|error| io::Error::new(error.kind(), format!("io_uring is not to be had here: {error}")))
}

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    runtime()?.block_on(async {
        let listener = compio::net::TcpListener::from_std(listener)?;
        let (alive, last_has_ended) = Alive::new();
        let mut shutdown = pin!(server.shutdown.requested());
        loop {
            let mut accept = pin!(listener.accept());
            let accepted = poll_fn(|context| match shutdown.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => accept.as_mut().poll(context).map(Some),
            });
            let stream = match accepted.await {
                None => break,
                Some(Ok((stream, _))) => stream,
                Some(Err(_)) => {
                    time::sleep(Duration::from_millis(100)).await; // out of descriptors, most often: some will come back
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let (server, alive) = (server.clone(), alive.clone());
            runtime::spawn(async move {
                drive(stream, server).await;
                drop(alive);
            })
            .detach();
        }
        let _ = listener.close().await;
        drop(alive);
        last_has_ended.await;
        Ok(())
    })
}

fn main() -> ExitCode {
    app::main("completion", serve)
}

//! For those who know uvicorn: a protocol class with asyncio's callbacks, on a small event loop with asyncio's names.
//!
//! ```text
//! cargo run --example asyncio_shaped -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;
#[path = "asyncio_shaped/event_loop.rs"]
mod event_loop;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sansgi::{Action, Connection, Date, Driver, Instant};
use socket2::SockRef;

use app::{Moving, Server};
use event_loop::{EventLoop, Protocol, TimerHandle, Transport};

struct HttpProtocol {
    event_loop: EventLoop,
    server: Server,
    driver: RefCell<Driver>,
    transport: RefCell<Option<Transport>>,
    /// With the transport, which has not got rid of all of it.
    unsent: Cell<usize>,
    is_paused: Cell<bool>,
    timer: RefCell<Option<(Instant, TimerHandle)>>,
    /// Of the task that notices what the application has changed.
    watcher: RefCell<Option<Waker>>,
    file: RefCell<Moving>,
}

impl Protocol for HttpProtocol {
    fn connection_made(self: Rc<Self>, transport: Transport) {
        *self.transport.borrow_mut() = Some(transport);
        let this = Rc::clone(&self);
        self.event_loop.create_task(async move {
            while this.transport().is_some() {
                poll_fn(|context| this.poll_changed(context)).await;
                this.turn();
            }
        });
        self.turn();
    }

    fn data_received(self: Rc<Self>, data: &[u8]) {
        self.driver.borrow_mut().lock().handle_bytes(data);
        self.turn();
    }

    fn eof_received(self: Rc<Self>) -> bool {
        self.driver.borrow_mut().lock().handle_eof();
        self.turn();
        true
    }

    fn pause_writing(&self) {
        self.is_paused.set(true);
    }

    fn resume_writing(self: Rc<Self>) {
        self.is_paused.set(false);
        self.driver.borrow_mut().lock().handle_written(self.unsent.take());
        self.turn();
    }

    fn connection_lost(self: Rc<Self>, _: Option<io::Error>) {
        self.driver.borrow_mut().lock().handle_disconnect();
        self.turn();
    }
}

impl HttpProtocol {
    fn shutdown(self: &Rc<Self>) {
        self.driver.borrow_mut().lock().handle_shutdown();
        self.turn();
    }

    /// Asks what to do until there is nothing to do: after every callback, and after every change by the application.
    fn turn(self: &Rc<Self>) {
        while let Some(transport) = self.transport() {
            let action = self.driver.borrow_mut().lock().next_action(self.server.clock.now());
            let (wait, part) = match action {
                Action::Wait(wait) => (wait, None),
                Action::Transfer { token, remaining, wait } => (wait, Some((token, remaining))),
                Action::Start(id, request) => {
                    self.driver.borrow_mut().lock().set_date(Date::now());
                    let (channel, event_loop) = (self.driver.borrow().channel(id), self.event_loop.clone());
                    let sleep = move |duration| event_loop.sleep(duration);
                    self.event_loop.create_task(self.server.app.clone().run(channel, request, sleep));
                    continue;
                }
                Action::Shutdown => {
                    transport.write_eof();
                    continue;
                }
                Action::Switch { leftover, .. } => {
                    app::websocket(transport.detach(), &leftover);
                    self.release();
                    return;
                }
                Action::Close { reset } => {
                    if reset {
                        transport.socket(|socket| SockRef::from(socket).set_linger(Some(Duration::ZERO)));
                        transport.abort();
                    }
                    transport.close();
                    self.release();
                    return;
                }
                Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
            };
            if wait.write && !self.is_paused.get() {
                self.write(&transport, part);
                continue;
            }
            if wait.read {
                transport.resume_reading();
            } else {
                transport.pause_reading();
            }
            self.wake_at(wait.deadline);
            return;
        }
    }

    /// What the transport has sent is with the kernel; of what it buffers we hear by `resume_writing`.
    fn write(&self, transport: &Transport, part: Option<(u64, u64)>) {
        let mut file = self.file.borrow_mut();
        let chunk = match part {
            Some((token, remaining)) => file.read(&self.server.app, token, remaining).map(<[u8]>::to_vec),
            None => Ok(self.driver.borrow_mut().lock().take_outgoing().unwrap_or_default().into()),
        };
        let Ok(chunk) = chunk else {
            self.driver.borrow_mut().lock().handle_transfer_failed();
            return;
        };
        transport.write(&chunk, self);
        if let Some((_, remaining)) = part {
            file.has_moved(chunk.len(), remaining);
        }
        if self.is_paused.get() {
            self.unsent.set(chunk.len());
        } else {
            self.driver.borrow_mut().lock().handle_written(chunk.len());
        }
    }

    fn wake_at(self: &Rc<Self>, deadline: Option<Instant>) {
        if self.timer.borrow().as_ref().map(|(deadline, _)| *deadline) == deadline {
            return;
        }
        let timer = deadline.map(|deadline| {
            let this = Rc::clone(self);
            let delay = deadline.saturating_duration_since(self.server.clock.now());
            (deadline, self.event_loop.call_later(delay, move || this.late()))
        });
        if let Some((_, timer)) = self.timer.replace(timer) {
            timer.cancel();
        }
    }

    fn late(self: &Rc<Self>) {
        self.timer.take();
        self.turn();
    }

    fn transport(&self) -> Option<Transport> {
        self.transport.borrow().clone()
    }

    fn poll_changed(&self, context: &mut Context<'_>) -> Poll<()> {
        *self.watcher.borrow_mut() = Some(context.waker().clone());
        if self.transport().is_none() { Poll::Ready(()) } else { self.driver.borrow_mut().poll_changed(context) }
    }

    /// Nothing keeps alive what is over.
    fn release(self: &Rc<Self>) {
        self.wake_at(None);
        self.transport.take();
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }
}

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    let protocols: Rc<RefCell<Vec<Weak<HttpProtocol>>>> = Rc::default();
    event_loop.create_server(listener)?;
    let (this, all, requested) = (event_loop.clone(), Rc::clone(&protocols), server.shutdown.requested());
    event_loop.create_task(async move {
        requested.await;
        this.close_server();
        for protocol in all.take().iter().filter_map(Weak::upgrade) {
            protocol.shutdown();
        }
    });
    let (this, server) = (event_loop.clone(), server.clone());
    event_loop.run(move || {
        let protocol = Rc::new(HttpProtocol {
            event_loop: this.clone(),
            server: server.clone(),
            driver: RefCell::new(Driver::new(Connection::new(Arc::clone(&server.config)))),
            transport: RefCell::default(),
            unsent: Cell::default(),
            is_paused: Cell::default(),
            timer: RefCell::default(),
            watcher: RefCell::default(),
            file: RefCell::default(),
        });
        let mut protocols = protocols.borrow_mut();
        protocols.retain(|protocol| protocol.strong_count() > 0);
        protocols.push(Rc::downgrade(&protocol));
        protocol
    })
}

fn main() -> ExitCode {
    app::main("asyncio_shaped", serve)
}

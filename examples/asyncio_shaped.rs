//! For those who know uvicorn: a protocol class with asyncio's callbacks, on a small event loop with asyncio's names.
//!
//! ```text
//! cargo run --example asyncio_shaped -- --host 127.0.0.1 --port 8000
//! ```
//!
//! Ctrl-C, SIGTERM or a line on standard input shuts it down gracefully.

#[path = "app/mod.rs"]
pub(crate) mod app;
#[path = "asyncio_shaped/event_loop.rs"]
mod event_loop;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;
use sansgi::{Action, Connection, Date, Driver, Instant, Wait};
use socket2::SockRef;

use app::{Moving, Part, Server};
use event_loop::{EventLoop, Protocol, Task, TimerHandle, Transport};

struct HttpProtocol {
    event_loop: EventLoop,
    server: Server,
    driver: RefCell<Driver>,
    file: RefCell<Moving>,
    transport: OnceCell<Transport>,
    /// What it was last told to wait for.
    wait: Cell<Wait>,
    /// In the transport's buffer.
    unsent: Cell<usize>,
    timer: RefCell<Option<TimerHandle>>,
    /// Notices what the application has changed, and the wish to shut down.
    watcher: RefCell<Option<Task>>,
}

impl Protocol for HttpProtocol {
    fn connection_made(self: Rc<Self>, transport: Transport) {
        let _ = self.transport.set(transport.clone());
        let (this, mut shutdown) = (Rc::clone(&self), self.server.shutdown.requested());
        let watcher = self.event_loop.create_task(async move {
            while !transport.is_closing() {
                or(poll_fn(|context| this.driver.borrow_mut().poll_changed(context)), &mut shutdown).await;
                this.turn();
            }
        });
        *self.watcher.borrow_mut() = Some(watcher);
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

    /// asyncio's own loop calls this from within a write. There it may only `call_soon` a turn: the guide says why.
    fn resume_writing(self: Rc<Self>) {
        self.driver.borrow_mut().lock().handle_written(self.unsent.take());
        self.turn();
    }

    fn connection_lost(self: Rc<Self>, _: Option<io::Error>) {
        self.driver.borrow_mut().lock().handle_disconnect();
        self.turn();
    }
}

impl HttpProtocol {
    fn new(event_loop: EventLoop, server: Server) -> Self {
        let driver = RefCell::new(Driver::new(Connection::new(Arc::clone(&server.config))));
        let (file, transport, unsent) = (RefCell::new(Moving::new(&server.app)), OnceCell::new(), Cell::new(0));
        let (wait, timer, watcher) = (Cell::default(), RefCell::new(None), RefCell::new(None));
        Self { event_loop, server, driver, file, transport, wait, unsent, timer, watcher }
    }

    /// Asks what to do until there is nothing to do: after every callback, and after every change by the application.
    fn turn(self: &Rc<Self>) {
        let Some(transport) = self.transport.get() else { return };
        if self.server.shutdown.is_requested() {
            self.driver.borrow_mut().lock().handle_shutdown();
        }
        while !transport.is_closing() {
            self.driver.borrow_mut().lock().set_date(Date::now());
            let now = self.server.clock.now();
            if app::is_late(self.wait.get(), now) {
                return self.look_again(transport);
            }
            let action = self.driver.borrow_mut().lock().next_action(now);
            let (wait, part) = match action {
                Action::Wait(wait) => (wait, None),
                Action::Transfer { token, remaining, wait } => (wait, Some(Part { token, remaining })),
                Action::Start(id, request) => {
                    let (channel, event_loop) = (self.driver.borrow().channel(id), self.event_loop.clone());
                    let sleep = move |duration| event_loop.sleep(duration);
                    self.event_loop.create_task(self.server.run(channel, request, sleep));
                    continue;
                }
                Action::Shutdown => {
                    transport.write_eof();
                    continue;
                }
                Action::Switch { leftover, .. } => {
                    app::websocket(transport.detach(), &leftover);
                    continue;
                }
                Action::Close { reset } => {
                    if reset {
                        transport.socket(|socket| SockRef::from(socket).set_linger(Some(Duration::ZERO)));
                    }
                    transport.abort(); // all is written, or will not be
                    continue;
                }
                Action::Disconnect(_) | _ => continue, // the task holds all that its exchange has
            };
            self.wait.set(wait);
            if wait.write && self.unsent.get() == 0 {
                let mut driver = self.driver.borrow_mut();
                let mut conn = driver.lock();
                let given = match part {
                    Some(part) => {
                        let Some(chunk) = self.file.borrow_mut().read(&mut conn, part) else { continue };
                        transport.write(&chunk);
                        chunk.len()
                    }
                    // So much at once, since the transport tells only when all of it has gone: to a slow client a long
                    // chunk would take longer than the write timeout.
                    None => conn.outgoing().next().map_or(0, |chunk| {
                        let chunk = &chunk[..chunk.len().min(64 * 1024)];
                        transport.write(chunk);
                        chunk.len()
                    }),
                };
                // What it could not send is lost with the connection, of which we hear by `connection_lost`.
                if transport.is_closing() {
                    continue;
                }
                // What it has sent is with the kernel; of what it buffers we hear by `resume_writing`.
                self.unsent.set(transport.get_write_buffer_size());
                conn.handle_written(given - self.unsent.get());
                continue;
            }
            self.read_or_pause(transport);
            return self.wake_at(wait.deadline);
        }
        // It is over: nothing keeps this alive.
        self.wake_at(None);
        self.watcher.take().into_iter().for_each(Task::cancel);
    }

    fn read_or_pause(&self, transport: &Transport) {
        if self.wait.get().read {
            transport.resume_reading();
        } else {
            transport.pause_reading();
        }
    }

    /// A protocol cannot read by itself. But what is called later is called when the loop has looked at the sockets.
    fn look_again(self: &Rc<Self>, transport: &Transport) {
        self.read_or_pause(transport);
        let this = Rc::clone(self);
        self.event_loop.call_later(Duration::ZERO, move || {
            this.wait.take();
            this.turn();
        });
    }

    fn wake_at(self: &Rc<Self>, deadline: Option<Instant>) {
        let when = deadline.map(|deadline| self.server.clock.to_std(deadline));
        let mut timer = self.timer.borrow_mut();
        if timer.as_ref().map(TimerHandle::when) == when {
            return;
        }
        timer.take().into_iter().for_each(TimerHandle::cancel);
        let this = Rc::clone(self);
        *timer = when.map(|when| self.event_loop.call_at(when, move || this.turn()));
    }
}

pub(crate) fn serve(listener: TcpListener, server: &Server) -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    event_loop.create_server(listener)?;
    let (this, requested) = (event_loop.clone(), server.shutdown.requested());
    event_loop.create_task(async move {
        requested.await;
        this.close_server();
    });
    event_loop.run(|| Rc::new(HttpProtocol::new(event_loop.clone(), server.clone())))
}

fn main() -> ExitCode {
    app::main("asyncio_shaped", serve)
}

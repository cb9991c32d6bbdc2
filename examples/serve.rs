//! A server with nothing but the standard library: a thread for each connection, every protocol decision by `sansgi`.
//!
//! ```text
//! cargo run --example serve -- --host 127.0.0.1 --port 8000
//! ```
//!
//! A line on standard input (press Enter) shuts it down gracefully.

use std::io::{self, Read, Write};
use std::net::{self, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use std::{env, thread};

use sansgi::{
    Action, Clock, Config, Connection, Date, ExchangeId, Instant, Outcome, ReceiveEvent, Request, SendEvent, Wait,
};

// The driver.

/// One connection and its socket. Everything happens in calls of the application: there is no other thread.
struct Driver<'a> {
    conn: Connection,
    stream: TcpStream,
    server: &'a Server,
    is_closed: bool,
}

impl Driver<'_> {
    /// Serves requests until the connection is closed.
    fn run(mut self) {
        while !self.is_closed {
            if let Some((id, request)) = self.turn(None) {
                application(&mut Channel { driver: &mut self, id }, &request);
                self.conn.exchange(id).end();
            }
        }
    }

    /// Does the next thing that the connection asks for; waits no longer than `until`.
    fn turn(&mut self, until: Option<Instant>) -> Option<(ExchangeId, Request)> {
        if self.server.is_shutting_down.load(Ordering::Relaxed) {
            self.conn.handle_shutdown();
        }
        match self.conn.next_action(self.server.clock.now()) {
            Action::Start(id, request) => {
                self.conn.set_date(Date::now());
                return Some((id, request));
            }
            Action::Wait(wait) => {
                let deadline = wait.deadline.into_iter().chain(until).min();
                if let Err(error) = self.wait(Wait { deadline, ..wait })
                    // The time is up: the next question says what follows.
                    && !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
                {
                    self.conn.handle_disconnect();
                }
            }
            Action::Shutdown => drop(self.stream.shutdown(net::Shutdown::Write)),
            // The standard library cannot reset a connection. Chunked and sized bodies show by themselves that they were
            // cut, and this server sends no others to HTTP/1.1 clients.
            Action::Close { reset: _ } => self.is_closed = true,
            // Told to those who keep something for an exchange, or send parts and switch protocols: not here.
            Action::Disconnect(_) | Action::Transfer { .. } | Action::Switch { .. } | _ => {}
        }
        None
    }

    /// Writes, or else reads, or else sleeps.
    fn wait(&mut self, wait: Wait) -> io::Result<()> {
        // A blocking read ends only by its timeout, so a shutdown is noticed within half a second.
        let left = wait.deadline.map(|deadline| deadline.saturating_duration_since(self.server.clock.now()));
        let timeout = left.unwrap_or(TICK).min(TICK).max(Duration::from_millis(1));
        if wait.write {
            self.stream.set_write_timeout(Some(timeout))?;
            let slices: Vec<_> = self.conn.outgoing().take(16).map(io::IoSlice::new).collect();
            match self.stream.write_vectored(&slices)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.conn.handle_written(written),
            }
        } else if wait.read {
            self.stream.set_read_timeout(Some(timeout))?;
            let mut buffer = self.conn.read_buffer();
            buffer.resize(buffer.capacity(), 0);
            match self.stream.read(&mut buffer)? {
                0 => self.conn.handle_eof(),
                read => {
                    buffer.truncate(read);
                    self.conn.handle_read(buffer);
                }
            }
        } else {
            thread::sleep(timeout);
        }
        Ok(())
    }
}

const TICK: Duration = Duration::from_millis(500);

/// The application's view of its exchange: ASGI's `receive` and `send`, blocking.
struct Channel<'a, 'b> {
    driver: &'a mut Driver<'b>,
    id: ExchangeId,
}

impl Channel<'_, '_> {
    fn receive(&mut self) -> ReceiveEvent {
        loop {
            match self.driver.conn.exchange(self.id).receive() {
                Poll::Ready(event) => return event,
                Poll::Pending => drop(self.driver.turn(None)),
            }
        }
    }

    /// False once nobody takes it any more.
    fn send(&mut self, event: SendEvent<'_>) -> bool {
        while self.driver.conn.exchange(self.id).ready().is_pending() {
            self.driver.turn(None);
        }
        match self.driver.conn.exchange(self.id).send(event) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("{}: {error}", self.id);
                false
            }
        }
    }

    fn sleep(&mut self, duration: Duration) {
        let until = self.driver.server.clock.now() + duration;
        while self.driver.server.clock.now() < until && self.outcome().is_none() {
            self.driver.turn(Some(until));
        }
    }

    fn outcome(&mut self) -> Option<Outcome> {
        self.driver.conn.exchange(self.id).outcome()
    }

    fn respond(&mut self, status: u16, content_type: &str, body: &'static str) {
        let length = body.len().to_string();
        let headers: &[(&[u8], &[u8])] =
            &[(b"content-type", content_type.as_bytes()), (b"content-length", length.as_bytes())];
        let _ = self.send(SendEvent::ResponseStart { status, headers, trailers: false })
            && self.send(SendEvent::ResponseBody { body: body.into(), more_body: false });
    }
}

// The application.

const PAGE: &str = "<!doctype html>
<html lang=en>
<meta charset=utf-8>
<title>sansgi</title>
<style>body { font: 1.1em/1.5 sans-serif; max-width: 36em; margin: 3em auto; padding: 0 1em }</style>
<h1>It works</h1>
<p>Every protocol decision of this server is made by <code>sansgi</code>; its I/O is a few dozen lines of <code>std::net</code>.
<ul>
<li><a href=/echo>/echo</a> streams the request's body back as it arrives
<li><a href=/stream>/stream</a> sends a piece a second
<li><a href=/wait>/wait</a> waits for you to leave, and tells the terminal why it was woken
</ul>
<form method=post action=/echo enctype=text/plain><input name=say value=hello> <button>Echo</button></form>
";

fn application(channel: &mut Channel<'_, '_>, request: &Request) {
    match request.raw_path() {
        b"/" => channel.respond(200, "text/html; charset=utf-8", PAGE),
        b"/echo" => echo(channel, request),
        b"/stream" => stream(channel),
        b"/wait" => wait(channel),
        _ => channel.respond(404, "text/plain", "There is nothing here.\n"),
    }
}

fn echo(channel: &mut Channel<'_, '_>, request: &Request) {
    let content_type = request.headers().get("content-type").unwrap_or(b"text/plain");
    let headers: &[(&[u8], &[u8])] = &[(b"content-type", content_type)];
    let mut is_going = channel.send(SendEvent::ResponseStart { status: 200, headers, trailers: false });
    while is_going && let ReceiveEvent::Request { body, more_body } = channel.receive() {
        is_going = channel.send(SendEvent::ResponseBody { body, more_body }) && more_body;
    }
}

fn stream(channel: &mut Channel<'_, '_>) {
    let headers: &[(&[u8], &[u8])] = &[(b"content-type", b"text/plain")];
    let mut is_going = channel.send(SendEvent::ResponseStart { status: 200, headers, trailers: false });
    for piece in 1..=5 {
        let body = format!("piece {piece}\n").into();
        is_going = is_going && channel.send(SendEvent::ResponseBody { body, more_body: piece < 5 });
        if is_going && piece < 5 {
            channel.sleep(Duration::from_secs(1));
        }
    }
}

fn wait(channel: &mut Channel<'_, '_>) {
    while channel.receive() != ReceiveEvent::Disconnect {}
    println!(
        "/wait: {}",
        match channel.outcome() {
            Some(Outcome::Complete) => "the response was complete",
            Some(Outcome::HalfClosed | Outcome::ClientLeft) => "the client left",
            Some(Outcome::TimedOut) => "timed out",
            _ => "the exchange is over",
        }
    );
    channel.respond(200, "text/plain", "You have left, and still read this.\n");
}

// The server.

const MAX_CONNECTIONS: usize = 512;

struct Server {
    config: Arc<Config>,
    clock: Clock,
    is_shutting_down: AtomicBool,
    connections: AtomicUsize,
    /// Signals that a connection has ended.
    ended: (Mutex<()>, Condvar),
}

impl Server {
    /// Waits until fewer than so many connections are left.
    fn wait_for_fewer_than(&self, count: usize) {
        let (lock, signal) = &self.ended;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(signal.wait_while(guard, |()| self.connections.load(Ordering::SeqCst) >= count));
    }

    fn connection_ended(&self) {
        let _guard = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.connections.fetch_sub(1, Ordering::SeqCst);
        self.ended.1.notify_all();
    }
}

fn serve(listener: &TcpListener, server: &Arc<Server>) {
    for stream in listener.incoming() {
        if server.is_shutting_down.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        server.wait_for_fewer_than(MAX_CONNECTIONS);
        server.connections.fetch_add(1, Ordering::SeqCst);
        let server = Arc::clone(server);
        thread::spawn(move || {
            let conn = Connection::new(Arc::clone(&server.config));
            Driver { conn, stream, server: &server, is_closed: false }.run();
            server.connection_ended();
        });
    }
    server.wait_for_fewer_than(1);
}

fn main() -> ExitCode {
    let result = listen().and_then(|(listener, config)| {
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        Ok((listener, address, config))
    });
    let (listener, address, config) = match result {
        Ok(server) => server,
        Err(message) => {
            eprintln!("serve: {message}");
            return ExitCode::from(2);
        }
    };
    println!("http://{address}/");
    let server = Arc::new(Server {
        config: Arc::new(config),
        clock: Clock::new(),
        is_shutting_down: AtomicBool::new(false),
        connections: AtomicUsize::new(0),
        ended: (Mutex::new(()), Condvar::new()),
    });
    let at_exit = Arc::clone(&server);
    thread::spawn(move || {
        // Standard input that is closed, as of a service, asks for nothing.
        if io::stdin().read_line(&mut String::new()).is_ok_and(|length| length > 0) {
            at_exit.is_shutting_down.store(true, Ordering::SeqCst);
            let _ = TcpStream::connect(address); // wakes `accept`
        }
    });
    serve(&listener, &server);
    ExitCode::SUCCESS
}

fn listen() -> Result<(TcpListener, Config), String> {
    let (mut host, mut port) = ("127.0.0.1".to_owned(), 8000_u16);
    let mut arguments = env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next();
        match (flag.as_str(), value) {
            ("--host", Some(value)) => host = value,
            ("--port", Some(value)) => port = value.parse().map_err(|_| format!("no port: {value}"))?,
            _ => return Err(format!("bad flag {flag}; it takes --host ADDRESS and --port NUMBER (0 picks one)")),
        }
    }
    let listener = TcpListener::bind((host.as_str(), port)).map_err(|error| format!("{host}:{port}: {error}"))?;
    let config = Config::builder().default_header("server", "sansgi").build().map_err(|error| error.to_string())?;
    Ok((listener, config))
}

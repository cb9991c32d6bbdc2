//! The application that all drivers serve: ASGI in Rust, on a `Channel` and nothing else. It knows no runtime; what it
//! needs of one, a sleep, each driver passes in.

#![allow(dead_code, unused_imports, reason = "each driver uses a part of it")]

mod cli;
mod late;
mod moving;
mod shutdown;
mod tasks;

use std::cell::Cell;
use std::fs::{self, File};
use std::future::{Future, pending};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use std::{io, thread};

use bytes::Bytes;
use sansgi::{Channel, Clock, Config, Date, Outcome, ReceiveEvent, Request, SendError, SendEvent};
use socket2::SockRef;
use tungstenite::protocol::{Role, WebSocket};

pub(crate) use cli::{main, seed};
pub(crate) use late::{is_late, look_again};
pub(crate) use moving::{Moving, Part};
pub(crate) use shutdown::{Shutdown, Tracker};
pub(crate) use tasks::{Applications, Tasks};

/// What all connections of a server share.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) app: App,
    pub(crate) shutdown: Shutdown,
    /// Of the drivers that spawn them: connections and requests.
    pub(crate) tasks: Tracker,
}

impl Server {
    pub(crate) fn new(config: Config, app: App) -> Self {
        let (shutdown, release) = (Shutdown::default(), app.0.release.clone());
        // "The connection tells the application nothing of a shutdown": this one goes on behind its responses, and
        // nobody can ask for `/release` any more.
        shutdown.on_request(move || release.request());
        Self { config: Arc::new(config), clock: Clock::new(), app, shutdown, tasks: Tracker::default() }
    }

    /// A request and its response, as a task.
    pub(crate) fn run<S, F>(&self, channel: Channel, request: Request, sleep: S) -> impl Future<Output = ()> + use<S, F>
    where
        S: Fn(Duration) -> F,
        F: Future<Output = ()>,
    {
        self.tasks.track(self.app.clone().run(channel, request, sleep))
    }
}

/// The date of now. It is written once a second and thread, which costs less than once a turn.
pub(crate) fn date() -> Date {
    thread_local! { static LAST: Cell<(u64, Date)> = Cell::new((0, Date::from_unix(0))) }
    let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let (second, date) = LAST.get();
    if second == now {
        return date;
    }
    let date = Date::from_unix(now);
    LAST.set((now, date));
    date
}

/// Waits for it; if there is none, for ever.
pub(crate) async fn maybe<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// For each socket that is accepted.
pub(crate) fn prepare<S>(socket: &S)
where
    for<'a> SockRef<'a>: From<&'a S>,
{
    let socket = SockRef::from(socket);
    let _ = socket.set_tcp_nodelay(true);
    // Else a kernel tells of room when a third of its buffer is free. It may be megabytes, for which a client that
    // reads slowly takes longer than the write deadline.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(128 * 1024);
}

/// Closes the socket. To reset it is all that can tell some clients that a response was cut: those that read it until
/// the end of the connection.
pub(crate) fn close<S>(socket: S, reset: bool)
where
    for<'a> SockRef<'a>: From<&'a S>,
{
    if reset {
        let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }
    drop(socket);
}

/// A clone for each request.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

struct Shared {
    report: Box<dyn Fn(&str) + Send + Sync>,
    file: PathBuf,
    started: AtomicUsize,
    /// What `/thread` waits for.
    release: Shutdown,
}

const PAGE: &str = "<!doctype html>
<html lang=en>
<meta charset=utf-8>
<title>sansgi</title>
<style>body { font: 1.1em/1.5 sans-serif; max-width: 36em; margin: 3em auto; padding: 0 1em }</style>
<h1>It works</h1>
<p>Every protocol decision of this server is made by <code>sansgi</code>; its I/O is a hundred lines of the driver that you
have started.
<ul>
<li><a href=/echo>/echo</a> streams the request's body back as it arrives
<li><a href=/stream>/stream</a> sends a piece a second
<li><a href=/wait>/wait</a> waits for you to leave, and tells the terminal why it was woken
<li><a href=/large?bytes=100000000>/large?bytes=100000000</a> is a download, made no faster than you read
<li><a href=/piece>/piece</a> is 16 MiB in one piece, which no socket takes at once
<li>/count reads a body and says how long it was
<li><a href=/file>/file</a> is moved by the driver, without a copy where it can
<li>/early answers without reading the body, <a href=/thread>/thread</a> is answered by a thread and goes on until
<a href=/release>/release</a> is asked for, /hold?milliseconds=2000 holds up whatever runs it, /websocket echoes, <a href=/crash>/crash</a> and
<a href=/crash-late>/crash-late</a> panic before and after the head
</ul>
<form method=post action=/echo enctype=text/plain><input name=say value=hello> <button>Echo</button></form>
";

const PLAIN: (&[u8], &[u8]) = (b"content-type", b"text/plain");

/// The driver's name of the one file that there is.
const FILE: u64 = 1;

impl App {
    /// Reports to standard output.
    pub(crate) fn new() -> Self {
        Self::reporting(|line| println!("{line}"))
    }

    /// Reports how each `/wait` ended, and every other request whose response was not completed.
    pub(crate) fn reporting(report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self::with_file(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"), report)
    }

    pub(crate) fn with_file(file: impl Into<PathBuf>, report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let (report, file) = (Box::new(report), file.into());
        Self(Arc::new(Shared { report, file, started: AtomicUsize::new(0), release: Shutdown::default() }))
    }

    /// How many requests it was given.
    pub(crate) fn started(&self) -> usize {
        self.0.started.load(Ordering::SeqCst)
    }

    /// The file that a driver moves for a `ResponsePart`.
    pub(crate) fn open(&self, token: u64) -> io::Result<File> {
        if token == FILE { File::open(&self.0.file) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// One request and its response.
    pub(crate) async fn run<S, F>(self, channel: Channel, request: Request, sleep: S)
    where
        S: Fn(Duration) -> F,
        F: Future<Output = ()>,
    {
        // However this ends, by a panic too, the connection learns that it has.
        let _ending = channel.end_on_drop();
        self.0.started.fetch_add(1, Ordering::SeqCst);
        let result = match request.raw_path() {
            b"/" => respond(&channel, 200, &[(b"content-type", b"text/html; charset=utf-8")], PAGE).await,
            b"/echo" => echo(&channel, &request).await,
            b"/stream" => stream(&channel, &request, sleep).await,
            b"/wait" => self.wait(&channel, &request).await,
            b"/large" => large(&channel, &request).await,
            b"/early" => respond(&channel, 200, &[PLAIN], "I have read none of it.\n").await,
            b"/piece" => piece(&channel).await,
            b"/count" => count(&channel).await,
            b"/file" => self.file(&channel, &request).await,
            b"/thread" => self.thread(&channel).await,
            b"/release" => self.release(&channel).await,
            b"/hold" => hold(&channel, &request).await,
            b"/websocket" => upgrade(&channel, &request).await,
            b"/crash" => panic!("/crash, as asked"),
            b"/crash-late" => crash_late(&channel).await,
            _ => respond(&channel, 404, &[PLAIN], "There is nothing here.\n").await,
        };
        if let Err(SendError::Misuse(misuse)) = result {
            eprintln!("{}: {misuse}", request.path());
        }
        if !matches!(channel.end(), Outcome::Complete | Outcome::HalfClosed | Outcome::Switched) {
            self.report(&channel, &request);
        }
    }

    fn report(&self, channel: &Channel, request: &Request) {
        let outcome = match channel.outcome() {
            None => "waits",
            Some(Outcome::Complete) => "the response was complete",
            Some(Outcome::HalfClosed | Outcome::ClientLeft) => "the client left",
            Some(Outcome::TimedOut) => "timed out",
            Some(_) => "failed",
        };
        (self.0.report)(&format!("{}: {outcome}", request.path()));
    }

    /// A long poll that nothing ever happens to, but its end.
    async fn wait(&self, channel: &Channel, request: &Request) -> Result<(), SendError> {
        let empty = channel.receive().await;
        self.report(channel, request);
        if empty != ReceiveEvent::Disconnect {
            while channel.receive().await != ReceiveEvent::Disconnect {}
            self.report(channel, request);
        }
        respond(channel, 200, &[PLAIN], "You have left, and still read this.\n").await
    }

    /// `?bytes=` announces another length than the file has.
    async fn file(&self, channel: &Channel, request: &Request) -> Result<(), SendError> {
        let len = number(request, "bytes").or_else(|| fs::metadata(&self.0.file).ok().map(|metadata| metadata.len()));
        let Some(len) = len else { return respond(channel, 404, &[PLAIN], "There is no such file.\n").await };
        let length = len.to_string();
        let headers: &[(&[u8], &[u8])] = &[PLAIN, (b"content-length", length.as_bytes())];
        channel.send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).await?;
        channel.send(SendEvent::ResponsePart { token: FILE, len, more_body: false }).await
    }

    /// A thread makes the response while this task waits for something else, so that the driver hears of it from nobody
    /// but the connection.
    async fn thread(&self, channel: &Channel) -> Result<(), SendError> {
        let channel = channel.clone();
        thread::spawn(move || {
            let headers: &[(&[u8], &[u8])] = &[PLAIN, (b"content-length", b"21")];
            channel.send_now(SendEvent::ResponseStart { status: 200, headers, trailers: false })?;
            channel.send_now(SendEvent::ResponseBody { body: "I come from a thread.".into(), more_body: false })
        });
        self.0.release.requested().await;
        Ok(())
    }

    async fn release(&self, channel: &Channel) -> Result<(), SendError> {
        self.0.release.request();
        respond(channel, 200, &[PLAIN], "Whoever asked for /thread may go.\n").await
    }
}

async fn respond(
    channel: &Channel,
    status: u16,
    headers: &[(&[u8], &[u8])],
    body: &'static str,
) -> Result<(), SendError> {
    let length = body.len().to_string();
    let headers = &[headers, &[(b"content-length", length.as_bytes())]].concat();
    channel.send(SendEvent::ResponseStart { status, headers, trailers: false }).await?;
    channel.send(SendEvent::ResponseBody { body: body.into(), more_body: false }).await
}

async fn echo(channel: &Channel, request: &Request) -> Result<(), SendError> {
    let content_type = request.headers().get("content-type").unwrap_or(b"text/plain");
    let headers: &[(&[u8], &[u8])] = &[(b"content-type", content_type)];
    channel.send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).await?;
    while let ReceiveEvent::Request { body, more_body } = channel.receive().await {
        channel.send(SendEvent::ResponseBody { body, more_body }).await?;
        if !more_body {
            break;
        }
    }
    Ok(())
}

async fn count(channel: &Channel) -> Result<(), SendError> {
    let mut count = 0;
    while let ReceiveEvent::Request { body, more_body } = channel.receive().await {
        count += body.len() as u64;
        if !more_body {
            let text = format!("{count}\n");
            let length = text.len().to_string();
            let headers: &[(&[u8], &[u8])] = &[PLAIN, (b"content-length", length.as_bytes())];
            channel.send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).await?;
            return channel.send(SendEvent::ResponseBody { body: text.into(), more_body: false }).await;
        }
    }
    Ok(())
}

/// `?every=` says how many milliseconds lie between the pieces.
async fn stream<S, F>(channel: &Channel, request: &Request, sleep: S) -> Result<(), SendError>
where
    S: Fn(Duration) -> F,
    F: Future<Output = ()>,
{
    let every = Duration::from_millis(number(request, "every").unwrap_or(1000));
    channel.send(SendEvent::ResponseStart { status: 200, headers: &[PLAIN], trailers: false }).await?;
    for piece in 1..=5 {
        let body = format!("piece {piece}\n").into();
        channel.send(SendEvent::ResponseBody { body, more_body: piece < 5 }).await?;
        if piece < 5 {
            sleep(every).await;
        }
    }
    Ok(())
}

/// `send` waits for the client to read, so one part after the other is in memory, never all of it.
async fn large(channel: &Channel, request: &Request) -> Result<(), SendError> {
    let Some(mut left) = number(request, "bytes") else {
        return respond(channel, 400, &[PLAIN], "How much? Say ?bytes=NUMBER.\n").await;
    };
    let length = left.to_string();
    let headers: &[(&[u8], &[u8])] = &[PLAIN, (b"content-length", length.as_bytes())];
    channel.send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).await?;
    let part = Bytes::from(vec![b'.'; 64 * 1024]);
    loop {
        let size = usize::try_from(left).map_or(part.len(), |left| left.min(part.len()));
        left -= size as u64;
        channel.send(SendEvent::ResponseBody { body: part.slice(..size), more_body: left > 0 }).await?;
        if left == 0 {
            return Ok(());
        }
    }
}

/// More than sockets take at once.
async fn piece(channel: &Channel) -> Result<(), SendError> {
    static PIECE: [u8; 16 << 20] = [0; 16 << 20];
    let length = PIECE.len().to_string();
    let headers: &[(&[u8], &[u8])] = &[PLAIN, (b"content-length", length.as_bytes())];
    channel.send(SendEvent::ResponseStart { status: 200, headers, trailers: false }).await?;
    channel.send(SendEvent::ResponseBody { body: Bytes::from_static(&PIECE), more_body: false }).await
}

/// Holds its thread up for `?milliseconds=`, as no task should, and many do.
async fn hold(channel: &Channel, request: &Request) -> Result<(), SendError> {
    thread::sleep(Duration::from_millis(number(request, "milliseconds").unwrap_or_default()));
    respond(channel, 200, &[PLAIN], "Nobody else on this thread went on.\n").await
}

fn number(request: &Request, name: &str) -> Option<u64> {
    str::from_utf8(request.query()).ok()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()
}

/// The client learns from the connection that this is not all.
async fn crash_late(channel: &Channel) -> Result<(), SendError> {
    channel.send(SendEvent::ResponseStart { status: 200, headers: &[PLAIN], trailers: false }).await?;
    channel.send(SendEvent::ResponseBody { body: "This is not".into(), more_body: true }).await?;
    panic!("/crash-late, as asked");
}

/// Answers 101 to an offered WebSocket (RFC 6455 §4.2.2); then the driver is told to hand its socket over.
async fn upgrade(channel: &Channel, request: &Request) -> Result<(), SendError> {
    let is_offered = request.upgrades().any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && request.headers().get("sec-websocket-version") == Some(b"13");
    let Some(key) = request.headers().get("sec-websocket-key").filter(|_| is_offered) else {
        let headers: &[(&[u8], &[u8])] = &[(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"), PLAIN];
        return respond(channel, 426, headers, "This speaks WebSocket, version 13.\n").await;
    };
    let accept = tungstenite::handshake::derive_accept_key(key);
    let headers: &[(&[u8], &[u8])] = &[(b"upgrade", b"websocket"), (b"sec-websocket-accept", accept.as_bytes())];
    channel.send(SendEvent::ResponseStart { status: 101, headers, trailers: false }).await
}

/// What comes after `Action::Switch`: `tungstenite` takes the socket and what was read of it already. A thread of its
/// own suits every driver; one on tokio would rather use `tokio-tungstenite`. It is no connection of the server any
/// more, so a graceful shutdown does not wait for it.
pub(crate) fn websocket(stream: io::Result<TcpStream>, leftover: &[u8]) {
    let leftover = leftover.to_vec();
    let echo = move || -> Result<(), Box<dyn std::error::Error>> {
        let stream = stream?;
        stream.set_nonblocking(false)?;
        // A blocking driver has set some; this protocol may be silent.
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        let mut socket = WebSocket::from_partially_read(stream, leftover, Role::Server, None);
        loop {
            let message = socket.read()?; // an error once it is closed
            if message.is_text() || message.is_binary() {
                socket.send(message)?;
            }
        }
    };
    thread::spawn(move || drop(echo()));
}

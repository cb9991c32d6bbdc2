//! What every driver must do. Each case is a behaviour, seen from the other end of a socket.

use std::fmt::Debug;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, thread};

use sansgi::{Config, Timeouts};
use tungstenite::Message;

use crate::client::{Client, End};
use crate::running::{BOUND, Lack, Running, Subject};

/// What the application serves as `/file`.
const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

pub(crate) fn with_timeouts(timeouts: Timeouts) -> Config {
    Config::builder().timeouts(timeouts).build().expect("valid")
}

// Requests and responses.

pub(crate) fn keep_alive(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    for _ in 0..3 {
        client.get("/");
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.head.contains("\r\ndate: "), "{}", response.head);
        assert!(response.text().contains("<h1>It works</h1>"));
    }
    client.get("/nowhere");
    assert_eq!(client.response().status, 404);
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let last = client.response();
    assert!(last.head.contains("\r\nconnection: close\r\n"), "{}", last.head);
    client.is_closed();
}

pub(crate) fn http_1_0(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send("POST /echo HTTP/1.0\r\ncontent-length: 5\r\n\r\nhello");
    let response = client.response(); // until the end of the connection
    assert_eq!((response.status, response.text()), (200, "hello"));
    client.is_closed();
}

pub(crate) fn pipelining(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    let request = |n| format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n{n:04}");
    client.send((0..50).map(request).collect::<Vec<_>>().concat());
    for n in 0..50 {
        assert_eq!(client.response().text(), format!("{n:04}"));
    }
    // More than is read ahead, while the application sleeps and there is nothing to write.
    client.get("/stream?every=20");
    let request = |n| format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n{n:02000}");
    client.send((0..50).map(request).collect::<Vec<_>>().concat());
    assert_eq!(client.response().text().lines().count(), 5);
    for n in 0..50 {
        assert_eq!(client.response().text(), format!("{n:02000}"));
    }
}

pub(crate) fn expectation(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    let expecting =
        |path| format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    client.send(expecting("/echo"));
    let (status, _) = client.head().expect("a head").expect("not the end");
    assert_eq!(status, 100);
    client.send("hi");
    assert_eq!(client.response().text(), "hi");
    // Nobody asks for this body, so it is not asked for.
    client.send(expecting("/early"));
    assert_eq!(client.response().status, 200);
    client.finish();
    client.is_closed();
}

pub(crate) fn echo_while_it_arrives(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-type: x/y\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut parts = ["one", "two", "three"].into_iter();
    let mut stream = client.stream.try_clone().expect("a second handle");
    let mut send = move || {
        let part = parts.next().map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
        io::Write::write_all(&mut stream, part.as_deref().unwrap_or("0\r\n\r\n").as_bytes()).expect("it is read");
    };
    send();
    let (status, head) = client.head().expect("a head").expect("not the end");
    assert_eq!(status, 200);
    assert!(head.contains("\r\ncontent-type: x/y\r\n"), "{head}");
    // The next part is sent when the one before has come back.
    let mut echo = Vec::new();
    let mut awaited = ["one", "onetwo", "onetwothree"].into_iter().peekable();
    client
        .body(&head, |part| {
            echo.extend_from_slice(part);
            if awaited.next_if(|awaited| awaited.as_bytes() == echo).is_some() {
                send();
            }
        })
        .expect("a whole body");
    assert_eq!(echo, b"onetwothree");
}

pub(crate) fn sleeps(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    for _ in 0..2 {
        client.get("/stream?every=20");
        assert_eq!(client.response().text(), "piece 1\npiece 2\npiece 3\npiece 4\npiece 5\n");
    }
}

/// Whatever of it the socket takes, the rest follows, also where nothing is behind it.
pub(crate) fn piece_that_no_socket_takes_at_once(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::slow(running.address);
    for _ in 0..2 {
        client.get("/piece");
        assert!(client.response().body == vec![0; 16 << 20]);
    }
}

/// What another thread does with the connection is seen by a driver that waits, and whose tasks wait for something
/// else.
pub(crate) fn response_of_a_thread(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.get("/thread");
    assert_eq!(client.response().text(), "I come from a thread.");
    let mut other = Client::connect(&running);
    other.get("/release");
    assert_eq!(other.response().status, 200);
}

/// Eight are all that the embedded one can serve at a time. They go on when their connections have ended, and nobody
/// releases them; others are served all the same.
pub(crate) fn applications_that_go_on(subject: &Subject) {
    let running = subject.start(Config::default());
    for _ in 0..8 {
        let mut client = Client::connect(&running);
        client.send("GET /thread HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        assert_eq!(client.response().text(), "I come from a thread.");
        client.is_closed();
    }
    is_alive(&running);
}

/// A server that closes with unread bytes resets, and "the reset packet might erase the client's unacknowledged input
/// buffers before they can be read" (RFC 9112 §9.6): the client that writes everything before it reads gets its answer
/// all the same.
pub(crate) fn early_response_is_read(subject: &Subject) {
    let running = subject.start(Config::default());
    let part = vec![b'.'; 64 * 1024];
    let mut client = Client::connect(&running);
    client.send("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 8388608\r\n\r\n");
    for _ in 0..128 {
        client.send(&part);
    }
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "I have read none of it.\n"));
    client.finish();
    client.is_closed();

    let mut client = Client::connect(&running);
    client.send("POST /early HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..128 {
        client.send("10000\r\n");
        client.send(&part);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client.finish();
    client.is_closed();
}

pub(crate) fn early_response_keeps_alive(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client.send(vec![b'.'; 60000]);
    client.get("/");
    assert_eq!(client.response().status, 200);
}

// The client leaves.

pub(crate) fn client_closes(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send(WAIT);
    assert_eq!(running.report(), "/wait: waits");
    drop(client);
    assert_eq!(running.report(), "/wait: the client left");
}

pub(crate) fn client_half_closes(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send(WAIT);
    assert_eq!(running.report(), "/wait: waits");
    client.finish();
    assert_eq!(running.report(), "/wait: the client left");
    assert_eq!(client.response().text(), "You have left, and still read this.\n");
    client.is_closed();
}

pub(crate) fn client_resets(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send(WAIT);
    assert_eq!(running.report(), "/wait: waits");
    reset(client);
    assert_eq!(running.report(), "/wait: the client left");
}

/// There it is a write that tells, or a wait for one.
pub(crate) fn client_resets_while_it_is_written_to(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::slow(running.address);
    client.get("/large?bytes=100000000");
    assert_eq!(client.head().expect("a head").expect("not the end").0, 200);
    reset(client);
    assert_eq!(running.report(), "/large: the client left");
}

/// More is pipelined than is read ahead, so that no read can tell.
pub(crate) fn client_resets_behind_a_full_buffer(subject: &Subject) {
    if subject.lacks(Lack::HangUp) {
        return;
    }
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send(WAIT);
    assert_eq!(running.report(), "/wait: waits");
    client.send("x".repeat(64 * 1024));
    reset(client);
    assert_eq!(running.report(), "/wait: the client left");
}

fn reset(client: Client) {
    socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("an option");
    drop(client);
}

/// "requests that arrived whole before it are served, then close".
pub(crate) fn half_close(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nonePOST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\ntwo");
    client.finish();
    assert_eq!(client.response().text(), "one");
    assert_eq!(client.response().text(), "two");
    client.is_closed();
    // The end is seen while the first of two is in flight.
    let mut client = Client::connect(&running);
    client.send(WAIT);
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\ntwo");
    assert_eq!(running.report(), "/wait: waits");
    client.finish();
    assert_eq!(client.response().text(), "You have left, and still read this.\n");
    assert_eq!(client.response().text(), "two");
    client.is_closed();
}

/// The end of the stream is not the end of a body.
pub(crate) fn torn_request(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
    let (_, head) = client.head().expect("a head").expect("not the end");
    client.finish();
    let mut echo = Vec::new();
    is_cut(&client.body(&head, |part| echo.extend_from_slice(part)));
    assert_eq!(echo, b"hello");
    assert_eq!(running.report(), "/echo: the client left");
}

pub(crate) fn malformed(subject: &Subject) {
    let running = subject.start(Config::default());
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(9000));
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(40_000));
    for (request, status) in [
        ("?\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nhost: a\n\n", 400),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        ("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (long.as_str(), 414),
        ("POST / HTTP/1.1\r\nhost: a\r\nexpect: cake\r\ncontent-length: 1\r\n\r\n", 417),
        (large.as_str(), 431),
        ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", 501),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ] {
        let mut client = Client::connect(&running);
        client.send(request);
        let response = client.response();
        assert_eq!(response.status, status, "{request}");
        client.finish();
        client.is_closed();
    }
}

// Deadlines.

pub(crate) fn idle_deadline(subject: &Subject) {
    let running = subject.start(with_timeouts(Timeouts::default().idle(Duration::from_millis(100))));
    let mut client = Client::connect(&running);
    client.is_closed();
    let mut client = Client::connect(&running);
    client.get("/");
    assert_eq!(client.response().status, 200);
    client.is_closed();
}

pub(crate) fn head_deadline(subject: &Subject) {
    let running = subject.start(with_timeouts(Timeouts::default().head(Duration::from_millis(100))));
    let mut client = Client::connect(&running);
    client.send("GET / HT");
    assert_eq!(client.response().status, 408);
    client.finish();
    client.is_closed();
}

pub(crate) fn body_deadline(subject: &Subject) {
    let running = subject.start(with_timeouts(Timeouts::default().body(Duration::from_millis(100))));
    let mut client = Client::connect(&running);
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n");
    assert_eq!(client.response().status, 408);
    client.finish();
    client.is_closed();
    assert_eq!(running.report(), "/echo: timed out");
    // The head is out, so the response can only be cut.
    let mut client = Client::connect(&running);
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
    is_cut(&client.try_response());
    assert_eq!(running.report(), "/echo: timed out");
}

pub(crate) fn write_deadline(subject: &Subject) {
    let running = subject.start(with_timeouts(Timeouts::default().write(Duration::from_millis(100))));
    let mut client = Client::connect(&running);
    client.get("/large?bytes=100000000");
    assert_eq!(running.report(), "/large: timed out");
    is_cut(&client.try_response());
}

/// It never stops reading. But a third of what a kernel buffers, after which it tells that there is room, takes it
/// longer than the write deadline.
pub(crate) fn client_that_reads_slowly(subject: &Subject) {
    let running = subject.start(with_timeouts(Timeouts::default().write(Duration::from_secs(1))));
    let mut client = Client::connect(&running);
    client.get("/large?bytes=100000000");
    let mut part = vec![0; 40_000];
    for _ in 0..30 {
        io::Read::read_exact(&mut client.stream, &mut part).expect("it is not cut");
        thread::sleep(Duration::from_millis(100));
    }
}

/// It asks in time. But another application holds the thread up until its deadline is over.
pub(crate) fn deadline_while_the_thread_is_held_up(subject: &Subject) {
    let running = subject.start(with_timeouts(Timeouts::default().idle(Duration::from_secs(3))));
    let (mut client, mut other) = (Client::connect(&running), Client::connect(&running));
    client.get("/");
    assert_eq!(client.response().status, 200);
    other.get("/hold?milliseconds=4000");
    while (running.started)() < 2 {
        thread::yield_now();
    }
    client.get("/");
    assert_eq!(client.response().status, 200);
    assert_eq!(other.response().status, 200);
}

// Shutdown.

/// Each request that was begun is answered in full; the others were not begun.
pub(crate) fn shutdown_under_load(subject: &Subject) {
    let mut running = subject.start(Config::default());
    let answered = Arc::new(AtomicUsize::new(0));
    let (enough, is_enough) = std::sync::mpsc::channel();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, answered, enough) = (running.address, Arc::clone(&answered), enough.clone());
            thread::spawn(move || {
                // A connection that waits to be accepted when the listener closes is refused, or reset.
                while let Ok(stream) = TcpStream::connect(address) {
                    let mut client = Client::from(stream);
                    let request = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nhey";
                    while io::Write::write_all(&mut client.stream, request.as_bytes()).is_ok() {
                        match client.try_response() {
                            Ok(Some(response)) => assert_eq!(response.text(), "hey"),
                            Ok(None) => break,
                            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                            Err(error) => panic!("a torn response: {error}"),
                        }
                        if answered.fetch_add(1, Ordering::SeqCst) == 200 {
                            enough.send(()).expect("awaited");
                        }
                    }
                }
            })
        })
        .collect();
    is_enough.recv_timeout(BOUND).expect("requests are answered");
    (running.shutdown)();
    running.wait();
    for client in clients {
        client.join().expect("no torn response");
    }
    assert_eq!(answered.load(Ordering::SeqCst), (running.started)());
    TcpStream::connect(running.address).expect_err("the listener is closed");
}

pub(crate) fn shutdown_completes_what_is_in_flight(subject: &Subject) {
    let mut running = subject.start(Config::default());
    let mut idle = Client::connect(&running);
    idle.get("/");
    assert_eq!(idle.response().status, 200);
    let mut busy = Client::connect(&running);
    busy.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
    let (_, head) = busy.head().expect("a head").expect("not the end");
    (running.shutdown)();
    idle.is_closed();
    busy.send("wor");
    let mut echo = Vec::new();
    let mut stream = busy.stream.try_clone().expect("a second handle");
    busy.body(&head, |part| {
        echo.extend_from_slice(part);
        if echo == b"hellowor" {
            running.ended.try_recv().expect_err("it waits for this response");
            io::Write::write_all(&mut stream, b"ld").expect("it is read");
        }
    })
    .expect("a whole body");
    assert_eq!(echo, b"helloworld");
    busy.finish();
    busy.is_closed();
    running.wait();
}

/// An application that goes on behind its response, and that nobody will release: the listener is gone.
pub(crate) fn shutdown_behind_a_response_of_a_thread(subject: &Subject) {
    let mut running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.get("/thread");
    assert_eq!(client.response().text(), "I come from a thread.");
    (running.shutdown)();
    running.wait();
}

pub(crate) fn shutdown_deadline(subject: &Subject) {
    let mut running = subject.start(with_timeouts(Timeouts::default().shutdown(Duration::from_millis(100))));
    let mut client = Client::connect(&running);
    client.send(WAIT);
    assert_eq!(running.report(), "/wait: waits");
    (running.shutdown)();
    assert_eq!(running.report(), "/wait: timed out");
    assert_eq!(client.response().status, 500);
    client.finish();
    client.is_closed();
    running.wait();
}

// WebSocket.

pub(crate) fn websocket(subject: &Subject) {
    let running = subject.start(Config::default());
    let stream = TcpStream::connect(running.address).expect("a connection");
    stream.set_read_timeout(Some(BOUND)).expect("a bound");
    let url = format!("ws://{}/websocket", running.address);
    let (mut socket, response) = tungstenite::client(url, stream).expect("a handshake");
    assert_eq!(response.status(), 101);
    for message in [Message::text("hello"), Message::binary(vec![7; 100_000])] {
        socket.send(message.clone()).expect("it is read");
        assert_eq!(socket.read().expect("an echo"), message);
    }
    socket.close(None).expect("it is read");
    while let Ok(message) = socket.read() {
        assert!(message.is_close());
    }
    let mut client = Client::connect(&running);
    client.get("/websocket");
    assert_eq!(client.response().status, 426);
}

/// The timeouts that a driver has on its socket are not the next protocol's.
pub(crate) fn websocket_of_few_words(subject: &Subject) {
    let running = subject.start(Config::default());
    let stream = TcpStream::connect(running.address).expect("a connection");
    let url = format!("ws://{}/websocket", running.address);
    let (mut socket, _) = tungstenite::client(url, stream).expect("a handshake");
    let silence = Some(Duration::from_millis(700));
    socket.get_ref().set_read_timeout(silence).expect("a bound");
    let silent = socket.read().expect_err("nothing was sent");
    assert!(matches!(&silent, tungstenite::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock), "{silent}");
    socket.get_ref().set_read_timeout(Some(BOUND)).expect("a bound");
    socket.send(Message::text("hello")).expect("it is read");
    assert_eq!(socket.read().expect("an echo"), Message::text("hello"));
}

/// "It is no connection of the server any more, so a graceful shutdown does not wait for it", nor the switch for the
/// client.
pub(crate) fn shutdown_beside_a_websocket(subject: &Subject) {
    let mut running = subject.start(Config::default());
    let stream = TcpStream::connect(running.address).expect("a connection");
    let url = format!("ws://{}/websocket", running.address);
    let (mut socket, _) = tungstenite::client(url, stream).expect("a handshake");
    (running.shutdown)();
    running.wait();
    socket.get_ref().set_read_timeout(Some(BOUND)).expect("a bound");
    socket.send(Message::text("hello")).expect("it is read");
    assert_eq!(socket.read().expect("an echo"), Message::text("hello"));
}

/// What a client sends right behind its request belongs to the next protocol.
pub(crate) fn websocket_with_the_first_frame(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send(b"GET /websocket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\x00\x00\x00\x00hi");
    let (status, head) = client.head().expect("a head").expect("not the end");
    assert_eq!(status, 101);
    assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    let mut echo = [0; 4];
    io::Read::read_exact(&mut client.reader, &mut echo).expect("an echo");
    assert_eq!(&echo, b"\x81\x02hi");
    client.send(b"\x81\x83\x00\x00\x00\x00you");
    let mut echo = [0; 5];
    io::Read::read_exact(&mut client.reader, &mut echo).expect("an echo");
    assert_eq!(&echo, b"\x81\x03you");
}

// Crashes.

pub(crate) fn crash(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.get("/crash");
    assert_eq!(client.response().status, 500);
    client.finish();
    client.is_closed();
    is_alive(&running);
}

pub(crate) fn late_crash(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.get("/crash-late");
    let kind = is_cut(&client.try_response());
    if !subject.lacks(Lack::Reset) {
        assert_eq!(kind, io::ErrorKind::ConnectionReset);
    }
    is_alive(&running);
}

/// Only a reset tells this client that it has not got all.
pub(crate) fn late_crash_of_an_unframed_response(subject: &Subject) {
    let running = subject.start(Config::default());
    let mut client = Client::connect(&running);
    client.send("GET /crash-late HTTP/1.0\r\n\r\n");
    let (_, end) = client.rest();
    if !subject.lacks(Lack::Reset) {
        assert_eq!(end, End::Reset);
    }
    is_alive(&running);
}

/// The connection has ended within a response; a client that waits for more is something else.
pub(crate) fn is_cut<T: Debug>(response: &io::Result<T>) -> io::ErrorKind {
    let kind = response.as_ref().expect_err("a cut").kind();
    assert!(matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset), "{kind}");
    kind
}

pub(crate) fn is_alive(running: &Running) {
    let mut client = Client::connect(running);
    client.get("/");
    assert_eq!(client.response().status, 200);
}

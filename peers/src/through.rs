//! What only a proxy brings up: long transfers, idle connections to the driver, retries, framing that changes.

use std::io::Write as _;
use std::net::Shutdown;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sansgi::{Config, Limits, Timeouts};

use crate::client::Client;
use crate::proxy::{Front, Idle, driver, keeping};
use crate::relay::{Relay, Side};
use crate::running::Running;

const LARGE: usize = 100_000_000;

static PART: [u8; 50_000] = [b'.'; 50_000];

fn start(front: &Front) -> Running {
    front.subject().start(Config::default())
}

/// A relay between the front and the driver.
fn watched(front: &Front, config: Config, idle: Idle) -> (Running, Rc<Relay>) {
    let running = driver(config, PathBuf::new());
    let relay = Rc::new(Relay::to(running.address));
    let running = front.behind(running, relay.address, idle);
    (keeping(running, Rc::clone(&relay)), relay)
}

// Requests and responses.

pub(crate) fn head(front: &Front) {
    let running = start(front);
    let mut client = Client::connect(&running);
    for target in ["/", "/stream?every=1", "/file"] {
        client.send(format!("HEAD {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let (status, head) = client.head().expect("a head").expect("not the end");
        assert_eq!((status, head.contains("\r\ncontent-length: ")), (200, target != "/stream?every=1"), "{head}");
    }
    // What follows is the next response, not a body.
    client.get("/nowhere");
    assert_eq!(client.response().text(), "There is nothing here.\n");
}

pub(crate) fn download_100_mb(front: &Front) {
    let running = start(front);
    let mut client = Client::connect(&running);
    client.get(&format!("/large?bytes={LARGE}"));
    let (status, head) = client.head().expect("a head").expect("not the end");
    assert_eq!(status, 200);
    let mut count = 0;
    client.body(&head, |part| count += part.len()).expect("a whole body");
    assert_eq!(count, LARGE);
    client.get("/nowhere");
    assert_eq!(client.response().status, 404);
}

pub(crate) fn upload_100_mb(front: &Front) {
    let running = start(front);
    let mut client = Client::connect(&running);
    client.send(format!("POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n"));
    for _ in 0..LARGE / PART.len() {
        client.send(PART);
    }
    assert_eq!(client.response().text(), format!("{LARGE}\n"));
    client.get("/nowhere");
    assert_eq!(client.response().status, 404);
}

pub(crate) fn chunked_upload_100_mb(front: &Front) {
    let running = start(front);
    let mut client = Client::connect(&running);
    client.send("POST /count HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..LARGE / PART.len() {
        send_chunk(&mut client, &PART);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), format!("{LARGE}\n"));
    client.get("/nowhere");
    assert_eq!(client.response().status, 404);
}

fn send_chunk(client: &mut Client, part: &[u8]) {
    client.send(format!("{:x}\r\n", part.len()));
    client.send(part);
    client.send("\r\n");
}

/// The client reads while it writes, as the driver does.
pub(crate) fn echo_of_100_mb(front: &Front) {
    let running = start(front);
    let mut client = Client::connect(&running);
    client.send(format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n"));
    let mut stream = client.stream.try_clone().expect("a second handle");
    let writer = thread::spawn(move || {
        for _ in 0..LARGE / PART.len() {
            stream.write_all(&PART).expect("it is read");
        }
    });
    let (status, head) = client.head().expect("a head").expect("not the end");
    assert_eq!(status, 200);
    let mut count = 0;
    client.body(&head, |part| count += part.len()).expect("a whole body");
    assert_eq!(count, LARGE);
    writer.join().expect("all is written");
}

/// A body that ends when it is asked for more than was sent: nginx drops what it could not yet pass on when the head of
/// the response has come, and leaves the driver waiting until its deadline.
pub(crate) fn long_echo_is_cut(front: &Front) {
    let timeouts = Timeouts::default().body(Duration::from_secs(1));
    let running = front.subject().start(Config::builder().timeouts(timeouts).build().expect("valid"));
    let mut client = Client::connect(&running);
    client.send(format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n"));
    let mut stream = client.stream.try_clone().expect("a second handle");
    let writer = thread::spawn(move || while stream.write_all(&PART).is_ok() {});
    let (status, head) = client.head().expect("a head").expect("not the end");
    assert_eq!(status, 200);
    client.body(&head, |_| ()).expect_err("a cut");
    assert_eq!(running.report(), "/echo: timed out");
    // nginx goes on to read for a while, and throws it away.
    client.stream.shutdown(Shutdown::Both).expect("an end");
    writer.join().expect("it fails to write");
}

/// A body of unknown length: passed on in chunks as it comes, or collected and then declared.
pub(crate) fn chunked_upload_is_framed_anew(front: &Front) {
    let (running, relay) = watched(front, Config::default(), Idle::Default);
    let mut client = Client::connect(&running);
    let is_collected = front.kind.is_nginx() && front.kind.collects();
    for _ in 0..2 {
        client.send("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;name=value\r\none\r\n");
        if !front.kind.collects() {
            relay.wait_for_text(Side::Proxy, "one");
        }
        client.send("03\r\ntwo\r\n0\r\n\r\n");
        assert_eq!(client.response().text(), "onetwo");
    }
    let sent = relay.text(Side::Proxy);
    let framings = ["\r\ncontent-length: 6\r\n", "\r\ntransfer-encoding: chunked\r\n"];
    assert_eq!(framings.map(|framing| sent.contains(framing)), [is_collected, !is_collected], "{sent}");
}

/// The proxy answers the expectation itself, and the driver hears nothing of it.
pub(crate) fn expectation_is_met_by_the_proxy(front: &Front) {
    let (running, relay) = watched(front, Config::default(), Idle::Default);
    let mut client = Client::connect(&running);
    client.send("POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    let (status, _) = client.head().expect("a head").expect("not the end");
    assert_eq!(status, 100);
    client.send("hi");
    assert_eq!(client.response().text(), "hi");
    assert!(!relay.text(Side::Driver).contains("http/1.1 100"), "{}", relay.text(Side::Driver));
}

/// What the driver refuses without reading it is answered, by the driver's own answer, and the proxy lives on.
pub(crate) fn refused_upload_is_answered(front: &Front) {
    let limits = Limits::default().max_body_bytes(Some(1000));
    let running = front.subject().start(Config::builder().limits(limits).build().expect("valid"));
    let mut client = Client::connect(&running);
    client.send("POST /count HTTP/1.1\r\nhost: a\r\ncontent-length: 8000000\r\n\r\n");
    // The proxy may close as soon as it has answered: then not all is taken.
    for _ in 0..160 {
        if client.stream.write_all(&PART).is_err() {
            break;
        }
    }
    assert_eq!(client.response().status, 413);
    let mut client = Client::connect(&running);
    client.get("/nowhere");
    assert_eq!(client.response().status, 404);
}

/// A request that only the driver finds fault with.
pub(crate) fn refusal_is_passed_on(front: &Front) {
    let running = start(front);
    let mut client = Client::connect(&running);
    client.get("/a`b");
    assert_eq!(client.response().status, 400);
}

// Idle connections between the proxy and the driver.

/// The proxy closes first: nothing can cross.
pub(crate) fn idle_shorter_than_the_drivers(front: &Front) {
    let (running, relay) = watched(front, Config::default(), Idle::Short);
    let mut client = Client::connect(&running);
    for connection in 1..4 {
        client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
        assert_eq!(client.response().text(), "hi");
        relay.wait_for_end(connection, Side::Proxy);
    }
    assert_eq!(relay.connections(), 3);
}

/// The driver closes first, and the proxy has heard of it when the next request comes.
pub(crate) fn idle_longer_than_the_drivers(front: &Front) {
    let timeouts = Timeouts::default().idle(Duration::from_millis(200));
    let config = Config::builder().timeouts(timeouts).build().expect("valid");
    let (running, relay) = watched(front, config, Idle::Default);
    let mut client = Client::connect(&running);
    for connection in 1..4 {
        client.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
        assert_eq!(client.response().text(), "hi");
        relay.wait_for_end(connection, Side::Driver);
        relay.wait_for_end(connection, Side::Proxy); // which has heard of it by then
    }
}

/// The driver closes while the request is on its way: who sees only the close cannot know whether it was served.
fn close_crosses(front: &Front, request: &str) -> Option<u16> {
    let timeouts = Timeouts::default().idle(Duration::from_millis(200));
    let config = Config::builder().timeouts(timeouts).build().expect("valid");
    let (running, relay) = watched(front, config, Idle::Default);
    relay.hold_ends();
    let mut client = Client::connect(&running);
    client.get("/");
    assert_eq!(client.response().status, 200);
    relay.wait_for_end(1, Side::Driver);
    client.send(request);
    client.try_response().expect("whole, or none").map(|response| response.status)
}

/// A GET is sent again, by nginx by itself, by haproxy when it is told to.
pub(crate) fn close_crosses_a_get(front: &Front) {
    assert_eq!(close_crosses(front, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"), Some(200));
}

/// A POST is not, and this is why the driver's idle time must be the longer one. nginx answers for the driver; haproxy
/// closes the client's connection, which the client takes for an idle one that was closed.
pub(crate) fn close_crosses_a_post(front: &Front) {
    let request = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
    let answer = if front.kind.is_nginx() { Some(502) } else { None };
    assert_eq!(close_crosses(front, request), answer);
}

// Retries.

/// Of two drivers one shuts down under load: no client sees anything of it.
pub(crate) fn one_of_two_shuts_down(front: &Front) {
    let (mut first, second) = (driver(Config::default(), PathBuf::new()), driver(Config::default(), PathBuf::new()));
    let proxy = front.proxy(&[first.address, second.address], Idle::Default);
    let address = proxy.address;
    let answered = Arc::new(AtomicUsize::new(0));
    let (enough, is_enough) = std::sync::mpsc::channel();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (answered, enough) = (Arc::clone(&answered), enough.clone());
            thread::spawn(move || {
                let mut client = Client::from(std::net::TcpStream::connect(address).expect("a connection"));
                for _ in 0..400 {
                    client.get("/");
                    assert_eq!(client.response().status, 200);
                    if answered.fetch_add(1, Ordering::SeqCst) == 400 {
                        enough.send(()).expect("awaited");
                    }
                }
            })
        })
        .collect();
    is_enough.recv_timeout(crate::running::BOUND).expect("requests are answered");
    (first.shutdown)();
    first.wait();
    for client in clients {
        client.join().expect("all are answered");
    }
    assert!((first.started)() > 0 && (second.started)() > 0);
    assert!((first.started)() + (second.started)() >= 1600);
}

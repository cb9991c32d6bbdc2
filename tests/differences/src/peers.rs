//! What each server takes a stream for.

use std::cell::RefCell;
use std::future::Future as _;
use std::io::{self, Write as _};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use sansgi::{Action, Config, Connection, Instant, ReceiveEvent, SendEvent};

/// A request that came whole: method, target as sent, content.
pub type Taken = (String, Vec<u8>, Vec<u8>);

/// What a server took a stream for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// `None` is one that did not come whole.
    pub requests: Vec<Option<Taken>>,
    pub end: End,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It waits for more.
    #[default]
    Open,
    /// It has answered its last request.
    Closed,
    /// Why, in its own words.
    Refused(String),
}

/// An application that takes all and answers 200.
pub fn sansgi(stream: &[u8]) -> Verdict {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(stream);
    let mut verdict = Verdict::default();
    let mut running = None;
    loop {
        match conn.next_action(Instant::ZERO) {
            Action::Start(id, request) => {
                running = Some((id, request.method().to_owned(), request.target().to_vec(), Vec::new()));
                verdict.requests.push(None);
            }
            Action::Wait(_) => {
                if conn.outgoing().next().is_some() {
                    conn.handle_written(usize::MAX);
                    continue;
                }
                let Some((id, method, target, mut body)) = running.take() else { break };
                let mut exchange = conn.exchange(id);
                match exchange.receive() {
                    Poll::Ready(ReceiveEvent::Request { body: part, more_body }) => {
                        body.extend_from_slice(&part);
                        if more_body {
                            running = Some((id, method, target, body));
                            continue;
                        }
                        let headers: &[(&[u8], &[u8])] = &[(b"content-length", b"0")];
                        let start = SendEvent::ResponseStart { status: 200, headers, trailers: false };
                        exchange.send(start).expect("a response");
                        let last = SendEvent::ResponseBody { body: Bytes::new(), more_body: false };
                        exchange.send(last).expect("a response");
                        *verdict.requests.last_mut().expect("it has started") = Some((method, target, body));
                    }
                    Poll::Ready(ReceiveEvent::Disconnect) => {}
                    Poll::Pending => break,
                }
            }
            Action::Disconnect(_) => {}
            _ => {
                verdict.end = End::Closed;
                break;
            }
        }
    }
    if let Some(fault) = conn.fault() {
        let name = format!("{fault:?}");
        verdict.end = End::Refused(name.split([' ', '(', '{']).next().unwrap_or_default().to_owned());
    }
    verdict
}

/// A socket of which all that comes is here at once, and that takes all that goes.
struct Wire {
    input: Vec<u8>,
    output: Rc<RefCell<Vec<u8>>>,
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.input.is_empty() {
            return Poll::Pending;
        }
        let size = self.input.len().min(buf.remaining());
        buf.put_slice(&self.input[..size]);
        self.input.drain(..size);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output.borrow_mut().write(bytes).into()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The same with hyper.
pub fn hyper(stream: &[u8]) -> Verdict {
    let found = Rc::new(RefCell::new(Verdict::default()));
    let output = Rc::default();
    let wire = Wire { input: stream.to_vec(), output: Rc::clone(&output) };
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let found = Rc::clone(&found);
        async move {
            found.borrow_mut().requests.push(None);
            let (method, target) = (request.method().to_string(), request.uri().to_string().into_bytes());
            match request.into_body().collect().await {
                Ok(body) => {
                    let whole = Some((method, target, body.to_bytes().to_vec()));
                    *found.borrow_mut().requests.last_mut().expect("it was put there") = whole;
                }
                Err(error) => found.borrow_mut().end = End::Refused(why(&error)),
            }
            Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(wire, service));
    let mut context = Context::from_waker(Waker::noop());
    // It may wake itself to go on.
    let end = (0..32).find_map(|_| match connection.as_mut().poll(&mut context) {
        Poll::Ready(Ok(())) => Some(End::Closed),
        Poll::Ready(Err(error)) => Some(End::Refused(why(&error))),
        Poll::Pending => None,
    });
    let mut verdict = found.borrow().clone();
    if let (Some(end), End::Open) = (end, &verdict.end) {
        verdict.end = end;
    }
    verdict
}

/// What went wrong at the root.
fn why(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => why(source),
        None => error.to_string(),
    }
}

/// What httparse says of the first head: it is no server.
pub fn httparse(stream: &[u8]) -> Verdict {
    let mut table = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut table);
    let (requests, end) = match request.parse(stream) {
        Ok(httparse::Status::Complete(_)) => (vec![None], End::Open),
        Ok(httparse::Status::Partial) => (Vec::new(), End::Open),
        Err(error) => (Vec::new(), End::Refused(error.to_string())),
    };
    Verdict { requests, end }
}

/// h11, if this machine has a Python with it (`PYTHON` says which): its version, and all streams at once.
pub fn h11(streams: &[Vec<u8>]) -> Option<(String, Vec<Verdict>)> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let asked = Command::new(&python).args(["-c", "import h11; print(h11.__version__)"]).stderr(Stdio::null()).output();
    let version = String::from_utf8(asked.ok().filter(|output| output.status.success())?.stdout).ok()?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/h11_peer.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python that has h11");
    let mut input = child.stdin.take().expect("piped");
    let text = std::thread::scope(|scope| {
        scope.spawn(move || {
            for stream in streams {
                let length = u32::try_from(stream.len()).expect("a short stream");
                input.write_all(&length.to_le_bytes()).and_then(|()| input.write_all(stream)).expect("h11 reads");
            }
        });
        io::read_to_string(child.stdout.take().expect("piped")).expect("h11 writes")
    });
    child.wait().expect("h11 ends");
    Some((version.trim().to_owned(), text.lines().map(parse).collect()))
}

fn parse(line: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for part in line.split('\t') {
        let (kind, rest) = part.split_once(' ').unwrap_or((part, ""));
        match kind {
            "r" => {
                let mut bytes = rest.split(' ').map(from_hex);
                let mut next = || bytes.next().unwrap_or_default();
                let method = String::from_utf8_lossy(&next()).into_owned();
                verdict.requests.push(Some((method, next(), next())));
            }
            "p" => verdict.requests.push(None),
            "refused" => verdict.end = End::Refused(rest.to_owned()),
            "closed" => verdict.end = End::Closed,
            _ => verdict.end = End::Open,
        }
    }
    verdict
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).filter_map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

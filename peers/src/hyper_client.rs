//! hyper as a client.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc::Receiver;
use std::task::{Context, Poll};

use ::tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use ::tokio::net::TcpStream;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;

type Answer<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Sender = SendRequest<BoxBody<Bytes, Infallible>>;

const LARGE: u64 = 100_000_000;

static PART: [u8; 50_000] = [b'.'; 50_000];

/// Equal parts, declared or not.
struct Parts {
    left: u64,
    part: Bytes,
    is_declared: bool,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= self.part.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(self.part.clone()))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_declared { SizeHint::with_exact(self.left) } else { SizeHint::new() }
    }
}

fn large() -> BoxBody<Bytes, Infallible> {
    Parts { left: LARGE, part: Bytes::from_static(&PART), is_declared: true }.boxed()
}

fn full(text: &'static str) -> BoxBody<Bytes, Infallible> {
    Full::from(text).boxed()
}

/// `leave` says when to.
pub(crate) fn run(case: &str, address: SocketAddr, leave: &Receiver<()>) -> Result<Option<&'static str>, String> {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(one(case, address, leave)).map_err(|error| format!("{error:?}"))
}

async fn one(case: &str, address: SocketAddr, leave: &Receiver<()>) -> Answer<Option<&'static str>> {
    let (mut sender, connection) = handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    let connection = ::tokio::spawn(connection.with_upgrades());
    let get = |method, target| request(method, target, Empty::new().boxed());
    match case {
        "get" => {
            let response = sender.send_request(get(Method::GET, "/")).await?;
            assert!(response.status() == 200 && response.headers().contains_key("date"), "{response:?}");
            assert!(text(response).await?.contains("<h1>It works</h1>"));
        }
        "keep_alive" => {
            for _ in 0..3 {
                sender.ready().await?;
                let response = sender.send_request(get(Method::GET, "/nowhere")).await?;
                assert_eq!(text(response).await?, "There is nothing here.\n");
            }
        }
        "head" => {
            for target in ["/", "/stream?every=1", "/nowhere"] {
                sender.ready().await?;
                let response = sender.send_request(get(Method::HEAD, target)).await?;
                assert_eq!(text(response).await?, "");
            }
        }
        "echo" => {
            let response = sender.send_request(request(Method::POST, "/echo", full("hello"))).await?;
            assert_eq!(text(response).await?, "hello");
        }
        "chunked_echo" => {
            let body = Parts { left: 15, part: Bytes::from_static(b"piece"), is_declared: false };
            let response = sender.send_request(request(Method::POST, "/echo", body.boxed())).await?;
            assert_eq!(text(response).await?, "piecepiecepiece");
        }
        "expectation" => return Ok(Some("hyper does not wait for a 100")),
        "stream" => {
            let response = sender.send_request(get(Method::GET, "/stream?every=20")).await?;
            assert_eq!(text(response).await?, "piece 1\npiece 2\npiece 3\npiece 4\npiece 5\n");
        }
        "download_100_mb" => {
            let response = sender.send_request(get(Method::GET, "/large?bytes=100000000")).await?;
            assert_eq!(count(response).await?, LARGE);
        }
        "upload_100_mb" => {
            let response = sender.send_request(request(Method::POST, "/count", large())).await?;
            assert_eq!(text(response).await?, format!("{LARGE}\n"));
        }
        "echo_of_100_mb" => {
            let response = sender.send_request(request(Method::POST, "/echo", large())).await?;
            assert_eq!(count(response).await?, LARGE);
        }
        "early_response" => {
            let response = sender.send_request(request(Method::POST, "/early", large())).await?;
            assert_eq!(text(response).await?, "I have read none of it.\n");
        }
        "leaves" => {
            let waiting = sender.send_request(get(Method::GET, "/wait"));
            // The request goes out before the runner can see that the application waits.
            let waiting = ::tokio::spawn(waiting);
            while leave.try_recv().is_err() {
                ::tokio::task::yield_now().await;
            }
            waiting.abort();
            drop(sender);
            connection.abort();
        }
        "websocket" => websocket(sender, address).await?,
        case => return Err(format!("what is {case}?").into()),
    }
    Ok(None)
}

/// hyper gives the socket away; what is said on it is one frame.
async fn websocket(mut sender: Sender, address: SocketAddr) -> Answer<()> {
    let request = Request::get("/websocket")
        .header("host", address.to_string())
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Empty::new().boxed())?;
    let response = sender.send_request(request).await?;
    assert_eq!(response.status(), 101);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await?);
    stream.write_all(b"\x81\x85\x00\x00\x00\x00hello").await?;
    let mut echo = [0; 7];
    stream.read_exact(&mut echo).await?;
    assert_eq!(&echo, b"\x81\x05hello");
    Ok(())
}

fn request(method: Method, target: &str, body: BoxBody<Bytes, Infallible>) -> Request<BoxBody<Bytes, Infallible>> {
    Request::builder().method(method).uri(target).header("host", "a").body(body).expect("a request")
}

async fn text(response: Response<Incoming>) -> Answer<String> {
    Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?)
}

async fn count(response: Response<Incoming>) -> Answer<u64> {
    let (mut body, mut count) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        count += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(count)
}

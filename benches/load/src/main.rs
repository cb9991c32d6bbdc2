//! A server on hyper and tokio that answers what the examples of `sansgi` answer to `GET /early`, for
//! `benches/load.sh`: on a thread for each core, as tokio does by itself, or on one, with `--one-thread`.

use std::convert::Infallible;
use std::{env, io};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

const ANSWER: &[u8] = b"I have read none of it.\n";

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(SERVER, HeaderValue::from_static("sansgi"));
    Ok(response)
}

fn main() -> io::Result<()> {
    let has_one_thread = env::args().any(|argument| argument == "--one-thread");
    let mut builder = if has_one_thread { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // With a timer, hyper watches how long a head takes (30 s), as the examples do, which also watch idle
            // connections, bodies and writes.
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(connection);
        }
    })
}

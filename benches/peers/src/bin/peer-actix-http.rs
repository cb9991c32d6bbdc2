//! `actix-http`'s dispatcher, with the timers that it has by default, on its own runtime: it cannot do without. It
//! writes a `date` that cannot be turned off.

use std::any::Any;
use std::convert::Infallible;
use std::future::poll_fn;
use std::hint::black_box;
use std::io::{Error, IoSlice};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

use actix_http::body::{BodySize, MessageBody};
use actix_http::error::DispatchError;
use actix_http::h1::Payload;
use actix_http::header::{CONTENT_TYPE as CONTENT_TYPE_NAME, HeaderName, HeaderValue};
use actix_http::{HttpService, Request, Response, StatusCode};
use actix_service::{Service, ServiceFactory, fn_service};
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use harness::{BODY, CONTENT_TYPE, PAGE, PAGE_FIELDS, PART, PARTS, Server, Task, Wire};
use peers::{Executor, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

struct Io(Transport);

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        match self.0.read(room.remaining()) {
            [] => Poll::Pending,
            read => {
                room.put_slice(read);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        chunks: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        for chunk in chunks {
            self.0.write(chunk);
        }
        Poll::Ready(Ok(chunks.iter().map(|chunk| chunk.len()).sum()))
    }
}

async fn respond(mut request: Request, transport: Transport, task: Task) -> Result<Response<Answer>, Infallible> {
    black_box((request.method().as_str(), request.path()));
    let body = match request.take_payload() {
        actix_http::Payload::None => Bytes::new(),
        actix_http::Payload::H1 { payload } => receive(payload, &transport, task == Task::Echo).await,
        actix_http::Payload::Stream { .. } => panic!("a body comes from the connection"),
    };
    let status = if task == Task::NoContent { StatusCode::NO_CONTENT } else { StatusCode::OK };
    let mut head = Response::build(black_box(status));
    if task == Task::Page {
        for (name, value) in black_box(PAGE_FIELDS) {
            head.insert_header((HeaderName::from_static(name), HeaderValue::from_static(value)));
        }
    } else if task != Task::NoContent {
        head.insert_header((CONTENT_TYPE_NAME, HeaderValue::from_static(black_box(CONTENT_TYPE))));
    }
    let answer = match task {
        Task::Answer => Answer::Whole(Bytes::from_static(black_box(BODY))),
        Task::Page => Answer::Whole(Bytes::from_static(black_box(PAGE))),
        Task::Echo => Answer::Whole(body),
        Task::NoContent => Answer::None,
        Task::Stream => Answer::Parts(PARTS),
    };
    Ok(head.message_body(answer).expect("a head that is right"))
}

/// The body to its end, and all of it if it is to be kept: a single part without copying it.
async fn receive(mut payload: Payload, transport: &Transport, keeps: bool) -> Bytes {
    let mut whole = Bytes::new();
    while let Some(part) = poll_fn(|context| Pin::new(&mut payload).poll_next(context)).await {
        let part = part.expect("a body that is right");
        transport.received(&part);
        if keeps && whole.is_empty() {
            whole = part;
        } else if keeps {
            let mut longer = BytesMut::from(whole);
            longer.extend_from_slice(&part);
            whole = longer.freeze();
        }
    }
    whole
}

enum Answer {
    None,
    Whole(Bytes),
    Parts(usize),
}

impl MessageBody for Answer {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        match self {
            Self::None => BodySize::None,
            Self::Whole(body) => BodySize::Sized(body.len() as u64),
            Self::Parts(_) => BodySize::Stream,
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(match &mut *self {
            Self::None | Self::Parts(0) => None,
            Self::Whole(body) if body.is_empty() => None,
            Self::Whole(body) => Some(Ok(std::mem::take(body))),
            Self::Parts(left) => {
                *left -= 1;
                Some(Ok(Bytes::from_static(black_box(PART))))
            }
        })
    }
}

struct Actix {
    conn: Pin<Box<dyn Future<Output = Result<(), DispatchError>>>>,
    /// One serves all connections.
    service: Box<dyn Any>,
    executor: Executor,
    transport: Transport,
}

impl Server for Actix {
    const IS_BOXED: bool = true;

    fn accept(task: Task) -> Self {
        let transport = Transport::default();
        let of_application = transport.clone();
        let application = fn_service(move |request| respond(request, of_application.clone(), task));
        let made =
            pin!(HttpService::build().h1(application).new_service(())).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(service)) = made else { panic!("nothing keeps the service waiting") };
        let conn = Box::pin(service.call((Io(transport.clone()), None)));
        Self { conn, service: Box::new(service), executor: Executor::default(), transport }
    }

    fn arrive(&mut self, bytes: &'static [u8]) {
        self.transport.arrive(bytes);
        self.executor.run(|context| {
            let polled = self.conn.as_mut().poll(context);
            assert!(polled.is_pending(), "{polled:?}");
        });
    }

    fn size(&self) -> usize {
        size_of_val(&*self.conn)
    }

    fn with_wire<R>(&mut self, look: impl FnOnce(&mut Wire) -> R) -> R {
        self.transport.with_wire(look)
    }

    fn hang_up(self) -> impl Sized {
        drop(self.conn);
        (self.service, self.executor, self.transport)
    }
}

fn main() -> ExitCode {
    actix_rt::System::new().block_on(async { harness::main::<Actix>() })
}

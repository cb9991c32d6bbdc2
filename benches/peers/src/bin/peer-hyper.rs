//! `hyper`'s server connection, as its documentation has it, without the `date` that it would add: the others write
//! none. It has no timer, so unlike `sansgi` it watches no deadline.

use std::convert::Infallible;
use std::hint::black_box;
use std::io::{Error, IoSlice};
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};

use bytes::Bytes;
use harness::{BODY, CONTENT_TYPE, PAGE, PAGE_FIELDS, PART, PARTS, Server, Task, Wire};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE as CONTENT_TYPE_NAME, HeaderName, HeaderValue};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use peers::{Executor, Transport};

struct Io(Transport);

impl Read for Io {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<Result<(), Error>> {
        match self.0.read(room.remaining()) {
            [] => Poll::Pending,
            read => {
                room.put_slice(read);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl Write for Io {
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

struct Application(Transport, Task);

/// The request, until its body has ended.
struct Responding(Option<Request<Incoming>>, Transport, Task);

impl Service<Request<Incoming>> for Application {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Responding;

    fn call(&self, request: Request<Incoming>) -> Responding {
        black_box((request.method().as_str(), request.uri().path()));
        Responding(Some(request), self.0.clone(), self.1)
    }
}

impl Future for Responding {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self(request, transport, task) = &mut *self;
        let body = request.as_mut().expect("it is not polled once it is ready").body_mut();
        // An echo needs not wait: the body goes back as it comes.
        while *task != Task::Echo && !body.is_end_stream() {
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(frame)) => {
                    transport.received(frame.expect("a body that is right").data_ref().expect("no trailers"));
                }
                Poll::Ready(None) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        let status = if *task == Task::NoContent { StatusCode::NO_CONTENT } else { StatusCode::OK };
        let mut head = Response::builder().status(black_box(status));
        if *task == Task::Page {
            for (name, value) in black_box(PAGE_FIELDS) {
                head = head.header(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        } else if *task != Task::NoContent {
            head = head.header(CONTENT_TYPE_NAME, HeaderValue::from_static(black_box(CONTENT_TYPE)));
        }
        let answer = match task {
            Task::Answer => Answer::Whole(Some(Bytes::from_static(black_box(BODY)))),
            Task::Page => Answer::Whole(Some(Bytes::from_static(black_box(PAGE)))),
            Task::Echo => {
                let body = request.take().expect("it is not polled once it is ready").into_body();
                Answer::Echo(body, transport.clone())
            }
            Task::NoContent => Answer::Whole(None),
            Task::Stream => Answer::Parts(PARTS),
        };
        Poll::Ready(Ok(head.body(answer).expect("a head that is right")))
    }
}

enum Answer {
    Whole(Option<Bytes>),
    Parts(usize),
    Echo(Incoming, Transport),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Parts(0) => Poll::Ready(None),
            Self::Parts(left) => {
                *left -= 1;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(black_box(PART))))))
            }
            Self::Echo(body, transport) => {
                let frame = Pin::new(body).poll_frame(context);
                if let Poll::Ready(Some(Ok(frame))) = &frame {
                    transport.received(frame.data_ref().expect("no trailers"));
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_none(),
            Self::Parts(left) => *left == 0,
            Self::Echo(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Parts(_) => SizeHint::default(),
            Self::Echo(body, _) => body.size_hint(),
        }
    }
}

struct Hyper {
    conn: Pin<Box<Connection<Io, Application>>>,
    executor: Executor,
    transport: Transport,
}

impl Server for Hyper {
    const IS_BOXED: bool = true;

    fn accept(task: Task) -> Self {
        let transport = Transport::default();
        let application = Application(transport.clone(), task);
        let conn = Builder::new().auto_date_header(false).serve_connection(Io(transport.clone()), application);
        Self { conn: Box::pin(conn), executor: Executor::default(), transport }
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
        (self.executor, self.transport)
    }
}

fn main() -> ExitCode {
    harness::main::<Hyper>()
}

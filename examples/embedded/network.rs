//! What a board would have in place of this file: a network stack whose sockets speak `embedded-io-async`, shaped like
//! `embassy-net`'s. Here it is the host's loopback.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, Read as _, Write as _};
use std::net::{self, Shutdown};
use std::task::Poll;
use std::time::Duration;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Token};
use socket2::SockRef;

pub(crate) struct Network {
    poll: RefCell<mio::Poll>,
    events: RefCell<Events>,
    listener: RefCell<Option<TcpListener>>,
    /// Something was done since the last time that there was nothing to do.
    is_busy: Cell<bool>,
}

impl Network {
    pub(crate) fn listen(listener: net::TcpListener) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
        Ok(Self {
            poll: RefCell::new(poll),
            events: RefCell::new(Events::with_capacity(64)),
            listener: RefCell::new(Some(listener)),
            is_busy: Cell::new(true),
        })
    }

    pub(crate) fn close(&self) {
        *self.listener.borrow_mut() = None;
    }

    /// None once the network is closed.
    pub(crate) async fn accept(&self) -> Option<TcpSocket<'_>> {
        poll_fn(|_| {
            let Some(listener) = &*self.listener.borrow() else { return Poll::Ready(None) };
            let Ok((mut stream, _)) = listener.accept() else { return Poll::Pending };
            self.is_busy.set(true);
            let _ = stream.set_nodelay(true);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.borrow().registry().register(&mut stream, Token(1), interest);
            registered.map_or(Poll::Pending, |()| Poll::Ready(Some(TcpSocket { stream, network: self })))
        })
        .await
    }

    /// As `wfi` does on a processor: sleeps until an interrupt, here of the network or of a timer.
    pub(crate) async fn idle(&self) {
        poll_fn(|_| {
            if !self.is_busy.replace(false) {
                let _ = self.poll.borrow_mut().poll(&mut self.events.borrow_mut(), Some(Duration::from_millis(10)));
            }
            Poll::<()>::Pending
        })
        .await;
    }
}

pub(crate) struct TcpSocket<'a> {
    stream: TcpStream,
    network: &'a Network,
}

pub(crate) struct TcpReader<'a>(&'a TcpSocket<'a>);
pub(crate) struct TcpWriter<'a>(&'a TcpSocket<'a>);

impl TcpSocket<'_> {
    pub(crate) fn split(&self) -> (TcpReader<'_>, TcpWriter<'_>) {
        (TcpReader(self), TcpWriter(self))
    }

    /// Closes the sending half.
    pub(crate) fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Resets.
    pub(crate) fn abort(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    pub(crate) fn into_host(mut self) -> io::Result<net::TcpStream> {
        self.network.poll.borrow().registry().deregister(&mut self.stream)?;
        Ok(self.stream.into())
    }

    /// Tries again whenever it is polled: this executor polls all it has whenever something has happened.
    async fn retry<T>(&self, mut call: impl FnMut(&TcpStream) -> io::Result<T>) -> Result<T, ErrorKind> {
        poll_fn(|_| match call(&self.stream) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Poll::Pending
            }
            result => {
                self.network.is_busy.set(true);
                Poll::Ready(result.map_err(|_| ErrorKind::ConnectionReset))
            }
        })
        .await
    }
}

impl ErrorType for TcpReader<'_> {
    type Error = ErrorKind;
}

impl Read for TcpReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, ErrorKind>> {
        self.0.retry(|mut stream| stream.read(buffer))
    }
}

impl ErrorType for TcpWriter<'_> {
    type Error = ErrorKind;
}

impl Write for TcpWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, ErrorKind>> {
        self.0.retry(|mut stream| stream.write(bytes))
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

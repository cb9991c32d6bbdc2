//! A client, blocking and plain.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::running::{BOUND, Running};

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) reader: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }
}

/// How the stream ends, behind all that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

impl Client {
    pub(crate) fn connect(running: &Running) -> Self {
        Self::from(TcpStream::connect(running.address).expect("a connection"))
    }

    /// One that is slower than any server: it takes little at a time, through a small buffer.
    pub(crate) fn slow(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(8 * 1024).expect("a small buffer");
        socket.connect(&address.into()).expect("a connection");
        Self::from(socket.into())
    }

    pub(crate) fn from(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(BOUND)).expect("a bound");
        stream.set_write_timeout(Some(BOUND)).expect("a bound");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        Self { stream, reader }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("it is read");
    }

    pub(crate) fn get(&mut self, target: &str) {
        self.send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
    }

    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("half a close");
    }

    /// A whole response, or a panic.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().expect("a whole response").expect("not the end")
    }

    /// `None` where the stream ends before a response has begun; an error where it ends within.
    pub(crate) fn try_response(&mut self) -> io::Result<Option<Response>> {
        let Some((status, head)) = self.head()? else { return Ok(None) };
        let mut body = Vec::new();
        let done = self.body(&head, |part| body.extend_from_slice(part));
        done.map(|()| Some(Response { status, head, body }))
    }

    /// The status, and the fields in lower case.
    pub(crate) fn head(&mut self) -> io::Result<Option<(u16, String)>> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.reader.read_line(&mut head)? == 0 {
                return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            if &head[before..] == "\r\n" {
                break;
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Ok(Some((status, head.to_ascii_lowercase())))
    }

    pub(crate) fn body(&mut self, head: &str, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        if head.contains("\r\ntransfer-encoding: chunked\r\n") {
            loop {
                let mut line = String::new();
                if self.reader.read_line(&mut line)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let size = u64::from_str_radix(line.trim_end(), 16).expect("a size");
                self.take(size, &mut take)?;
                let mut end = [0; 2];
                self.reader.read_exact(&mut end)?;
                assert_eq!(&end, b"\r\n");
                if size == 0 {
                    return Ok(());
                }
            }
        }
        match head.split("\r\n").find_map(|line| line.strip_prefix("content-length: ")) {
            Some(length) => self.take(length.parse().expect("a length"), &mut take),
            None => self.take(u64::MAX, &mut take).or_else(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Ok(()),
                _ => Err(error),
            }),
        }
    }

    pub(crate) fn take(&mut self, mut size: u64, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while size > 0 {
            let part = self.reader.fill_buf()?;
            if part.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = usize::try_from(size).unwrap_or(usize::MAX).min(part.len());
            take(&part[..count]);
            self.reader.consume(count);
            size -= count as u64;
        }
        Ok(())
    }

    /// All that comes until the end, and which end it is.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => (rest, End::Closed),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (rest, End::Reset),
            Err(error) => panic!("neither closed nor reset: {error}"),
        }
    }

    /// Nothing comes but the end.
    pub(crate) fn is_closed(&mut self) {
        assert_eq!(self.rest(), (Vec::new(), End::Closed));
    }
}

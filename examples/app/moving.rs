//! Files without copies: what a driver does for `Action::Transfer`.

use std::fs::File;
use std::io::{self, Read, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;

use super::App;

/// The file that is being moved, and what was read of it and is not written yet.
#[derive(Default)]
pub(crate) struct Moving {
    file: Option<(u64, File)>,
    buffer: Vec<u8>,
    written: usize,
    is_cut: bool,
}

/// What a file can be moved to.
#[cfg(target_os = "linux")]
pub(crate) trait Target: Write + AsFd {}
#[cfg(target_os = "linux")]
impl<T: Write + AsFd> Target for T {}
#[cfg(not(target_os = "linux"))]
pub(crate) trait Target: Write {}
#[cfg(not(target_os = "linux"))]
impl<T: Write> Target for T {}

impl Moving {
    /// Moves as much as the socket takes: with `sendfile` where there is one, else by reading and writing.
    ///
    /// # Errors
    /// Those of the file and of the socket. A file that is shorter than announced is `UnexpectedEof`: the response can
    /// only be cut.
    pub(crate) fn send(&mut self, app: &App, token: u64, remaining: u64, mut socket: impl Target) -> io::Result<usize> {
        let sent = self.try_send(app, token, remaining, &mut socket);
        match &sent {
            Ok(sent) => self.has_moved(*sent, remaining),
            Err(error) => self.is_cut |= error.kind() != io::ErrorKind::WouldBlock,
        }
        sent
    }

    fn try_send(&mut self, app: &App, token: u64, remaining: u64, socket: &mut impl Target) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if self.buffer.is_empty() {
            let count = usize::try_from(remaining).unwrap_or(usize::MAX).min(256 * 1024);
            let file = self.open(app, token)?;
            match rustix::io::retry_on_intr(|| rustix::fs::sendfile(&*socket, file, None, count)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => return Ok(sent),
                // Not every file system can do it.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        socket.write(self.read(app, token, remaining)?)
    }

    /// The next bytes, for a driver that reads and writes. What it has written it tells to `has_moved`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn read(&mut self, app: &App, token: u64, remaining: u64) -> io::Result<&[u8]> {
        if self.written == self.buffer.len() {
            self.is_cut = true; // unless it goes well
            self.written = 0;
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            self.open(app, token)?.take(remaining.min(64 * 1024)).read_to_end(&mut buffer)?;
            self.buffer = buffer;
            if self.buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.is_cut = false;
        }
        Ok(&self.buffer[self.written..])
    }

    /// Whether it was the part that failed, being shorter than announced or unreadable: then the connection is told of a
    /// failed transfer, else that the transport is gone.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// So many of the `remaining` bytes are with the kernel.
    pub(crate) fn has_moved(&mut self, count: usize, remaining: u64) {
        self.written = (self.written + count).min(self.buffer.len());
        if count as u64 == remaining {
            *self = Self::default();
        }
    }

    fn open(&mut self, app: &App, token: u64) -> io::Result<&File> {
        let file = match self.file.take() {
            Some((known, file)) if known == token => file,
            _ => app.open(token)?,
        };
        Ok(&self.file.insert((token, file)).1)
    }
}

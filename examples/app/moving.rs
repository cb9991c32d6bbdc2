//! Files without copies: what a driver does for `Action::Transfer`.
//!
//! A read of a file blocks, as `sendfile` does. Where disks are slow, a thread pool would do it.

use std::fs::File;
use std::io::{self, Read, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;

use bytes::{Buf, Bytes};
use sansgi::Connection;

use super::App;

/// What `Action::Transfer` asks for: so many bytes are left of what the application has named so.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) token: u64,
    pub(crate) remaining: u64,
}

/// The file that a connection is moving.
pub(crate) struct Moving {
    app: App,
    file: Option<(u64, File)>,
    /// Read by `send`, which has not got rid of it yet.
    unsent: Bytes,
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
    pub(crate) fn new(app: &App) -> Self {
        Self { app: app.clone(), file: None, unsent: Bytes::new() }
    }

    /// Moves as much as the socket takes, with `sendfile` where that is possible, and tells the connection how much.
    ///
    /// # Errors
    /// Those of the socket. What is wrong with the file is told to the connection: one that is shorter than announced
    /// cuts the response.
    pub(crate) fn send(&mut self, conn: &mut Connection, part: Part, mut socket: impl Target) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if self.unsent.is_empty()
            && let Ok(file) = self.open(part.token)
        {
            let count = usize::try_from(part.remaining).unwrap_or(usize::MAX).min(256 * 1024);
            match rustix::io::retry_on_intr(|| rustix::fs::sendfile(&socket, file, None, count)) {
                Ok(sent) if sent > 0 => {
                    self.close_after(sent, part);
                    conn.handle_written(sent);
                    return Ok(());
                }
                Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
                // The file has ended, or cannot be sent so (not every one can), or the socket fails: to read and to
                // write tells which.
                Ok(_) | Err(_) => {}
            }
        }
        if self.unsent.is_empty() {
            let Some(bytes) = self.read(conn, part) else { return Ok(()) };
            self.unsent = bytes;
        }
        let written = socket.write(&self.unsent)?;
        self.unsent.advance(written);
        conn.handle_written(written);
        Ok(())
    }

    /// The next bytes, for a driver that has written the last ones before it asks again. None: they cannot be had, and
    /// the connection has been told.
    pub(crate) fn read(&mut self, conn: &mut Connection, part: Part) -> Option<Bytes> {
        let mut bytes = Vec::new();
        let read =
            self.open(part.token).and_then(|file| file.take(part.remaining.min(64 * 1024)).read_to_end(&mut bytes));
        if read.is_err() || bytes.is_empty() {
            conn.handle_transfer_failed();
            return None;
        }
        self.close_after(bytes.len(), part);
        Some(bytes.into())
    }

    fn open(&mut self, token: u64) -> io::Result<&File> {
        let file = match self.file.take() {
            Some((known, file)) if known == token => file,
            _ => self.app.open(token)?,
        };
        Ok(&self.file.insert((token, file)).1)
    }

    fn close_after(&mut self, count: usize, part: Part) {
        if count as u64 == part.remaining {
            self.file = None;
        }
    }
}

//! "What was told before the question came in time, however late" (rule 1). So where a deadline has passed, a driver
//! tries its socket once more before it asks: the process may have been stopped, or had no processor, and a runtime
//! that finds its timer due need not have looked yet whether bytes have come in time. The time of that question is from
//! before the try, or the process could be stopped between the two.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use sansgi::{Connection, Instant, Wait};
use socket2::SockRef;

use super::{Moving, Part};

/// Whether a question of `now` is a late one, for a driver that was told to wait so.
pub(crate) fn is_late(wait: Wait, now: Instant) -> bool {
    wait.deadline.is_some_and(|deadline| deadline <= now)
}

/// Writes and reads what the socket takes and has, where it was waited for. Both, since either may be what is late; and
/// not by a runtime, which tries only where the kernel has told it that there is something.
///
/// What is read is as much as may be read at a time. A head that had begun, and of which more than that has come, is
/// late all the same.
pub(crate) fn look_again<S>(socket: &S, conn: &mut Connection, file: &mut Moving, wait: Wait, part: Option<Part>)
where
    for<'a> SockRef<'a>: From<&'a S>,
{
    let socket = &*SockRef::from(socket);
    let written = if wait.write { write(socket, conn, file, part) } else { Ok(()) };
    let read = if wait.read { read(socket, conn) } else { Ok(()) };
    for error in [written, read].into_iter().filter_map(Result::err) {
        if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) {
            conn.handle_disconnect();
        }
    }
}

fn write(mut socket: &socket2::Socket, conn: &mut Connection, file: &mut Moving, part: Option<Part>) -> io::Result<()> {
    if let Some(part) = part {
        return file.send(conn, part, socket);
    }
    let chunks: Vec<_> = conn.outgoing().take(16).map(IoSlice::new).collect();
    let written = socket.write_vectored(&chunks)?;
    conn.handle_written(written);
    Ok(())
}

fn read(mut socket: &socket2::Socket, conn: &mut Connection) -> io::Result<()> {
    let mut buffer = conn.read_buffer();
    buffer.resize(buffer.capacity(), 0);
    let read = socket.read(&mut buffer)?;
    buffer.truncate(read);
    match read {
        0 => conn.handle_eof(),
        _ => conn.handle_read(buffer),
    }
    Ok(())
}

//! The smallest program that shows what the crate is for: one task sends a response two seconds from now, another asks
//! `receive` again and again. There is no socket, and the seconds are virtual.
//!
//! ```text
//! cargo run --example response_sent
//! ```

use std::task::Poll;
use std::time::Duration;

use sansgi::{Action, Config, Connection, ExchangeId, Instant, ReceiveEvent, SendError, SendEvent};

fn main() -> Result<(), SendError> {
    let mut conn = Connection::new(Config::default());
    conn.handle_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

    let mut now = Instant::ZERO;
    let Action::Start(id, _request) = conn.next_action(now) else { unreachable!("a whole request came") };
    let send_at = now + Duration::from_secs(2);
    let mut is_sent = false;

    while !listen(&mut conn, id) {
        // A driver asks after every call. Here it is told to sleep, until the time that is for the client to be heard
        // of.
        let _ = conn.next_action(now);
        now += Duration::from_millis(100);
        if now >= send_at && !is_sent {
            send_response(&mut conn, id)?;
            is_sent = true;
        }
    }
    Ok(())
}

/// One task: it knows nothing of the other.
fn send_response(conn: &mut Connection, id: ExchangeId) -> Result<(), SendError> {
    println!("Sending response...");
    let headers: &[(&[u8], &[u8])] = &[(b"content-type", b"text/plain"), (b"content-length", b"6")];
    let mut exchange = conn.exchange(id);
    exchange.send(SendEvent::ResponseStart { status: 200, headers, trailers: false })?;
    exchange.send(SendEvent::ResponseBody { body: "hello\n".into(), more_body: false })?;
    println!("Response sent.");
    Ok(())
}

/// The other task: true when it has heard that the exchange is over. Nobody read or wrote a byte for that.
fn listen(conn: &mut Connection, id: ExchangeId) -> bool {
    match conn.exchange(id).receive() {
        Poll::Ready(ReceiveEvent::Request { .. }) | Poll::Pending => false,
        Poll::Ready(ReceiveEvent::Disconnect) => {
            println!("Connection disconnected.");
            true
        }
    }
}

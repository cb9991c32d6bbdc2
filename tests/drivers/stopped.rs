//! "What was told before the question came in time, however late": a process that is stopped longer than its deadlines,
//! by a signal, with its machine or in a debugger, blames no client for that.

use std::io::{self, Read as _};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::process::Process;
use crate::running::{BOUND, Subject};

/// Clients that a server waits for: one that has asked before, one within a head, one within a body, and one that does
/// not read.
struct Clients {
    idle: Client,
    head: Client,
    body: Client,
    reader: Client,
    /// What `body` gets an echo of.
    echo: (String, Vec<u8>),
}

/// More than sockets hold.
const BYTES: usize = 16_000_000;

pub(crate) fn stopped_for_too_long(subject: &Subject) {
    // They must have done their part before the first deadline. Where they have not, all get more time.
    for timeout in (0..4).map(|n| Duration::from_secs(1 << n)) {
        let server = Process::start(subject, Some(timeout));
        let since = Instant::now();
        let mut clients = Clients::begin(&server);
        let stopped = server.stop();
        clients.idle.get("/");
        clients.head.send("TP/1.1\r\nhost: a\r\n\r\n");
        clients.body.send("you");
        let in_time = since.elapsed() < timeout;
        let read = in_time.then(|| {
            let read = read_all_there_is(&mut clients.reader);
            thread::sleep((timeout + Duration::from_millis(100)).saturating_sub(since.elapsed()));
            read
        });
        drop(stopped);
        if let Some(read) = read {
            clients.end(read);
            return server.end();
        }
    }
    panic!("the machine is too slow for this case");
}

impl Clients {
    fn begin(server: &Process) -> Self {
        let connect = || Client::slow(server.address);
        let mut reader = connect();
        reader.get(&format!("/large?bytes={BYTES}"));
        let mut idle = connect();
        idle.get("/");
        assert_eq!(idle.response().status, 200);
        // What comes with a request is read with it, and what has come back was read.
        let mut head = connect();
        head.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT");
        assert_eq!(head.response().status, 200);
        let mut body = connect();
        body.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhi");
        let (_, echo_head) = body.head().expect("a head").expect("not the end");
        let mut chunk = [0; 7];
        body.reader.read_exact(&mut chunk).expect("an echo");
        assert_eq!(&chunk, b"2\r\nhi\r\n");
        Self { idle, head, body, reader, echo: (echo_head, b"hi".to_vec()) }
    }

    /// They get what they have asked for.
    fn end(mut self, read: usize) {
        let status = |client: &mut Client| client.try_response().map(|response| response.map(|it| it.status)).ok();
        assert!(read < BYTES, "it was stopped while it wrote");
        let more = self.reader.take(1_000_000, &mut |_| {}).is_ok();
        let (head, mut echo) = self.echo;
        let is_echoed = self.body.body(&head, |part| echo.extend_from_slice(part)).is_ok() && echo == b"hiyou";
        let all = (status(&mut self.idle), status(&mut self.head), is_echoed, more);
        assert_eq!(all, (Some(Some(200)), Some(Some(200)), true, true), "idle, head, body, write");
    }
}

/// So the server may write more.
fn read_all_there_is(client: &mut Client) -> usize {
    client.stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a bound");
    let (mut read, mut part) = (0, [0; 4096]);
    let end = loop {
        match client.stream.read(&mut part) {
            Ok(length) if length > 0 => read += length,
            end => break end,
        }
    };
    assert_eq!(end.expect_err("not the end").kind(), io::ErrorKind::WouldBlock);
    client.stream.set_read_timeout(Some(BOUND)).expect("a bound");
    read
}

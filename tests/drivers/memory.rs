//! Memory over long transfers and many connections, measured in a process that holds nothing but the server.

use std::env;
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::client::Client;
use crate::process::Process;
use crate::running::Subject;

/// Far less than is moved: a driver that queues would hold megabytes.
const MAX_GROWTH: usize = 512 * 1024;

const LITTLE: usize = 32 * 1024;

static PART: [u8; 64 * 1024] = [b'.'; 64 * 1024];

fn is_full() -> bool {
    env::var_os("SANSGI_FULL").is_some()
}

pub(crate) fn is_flat(subject: &Subject) {
    let mut server = Process::start(subject, None);
    let address = server.address;
    let (bytes, connections) = if is_full() { (100_000_000, 10_000) } else { (8_000_000, 200) };
    // The first of each pays for what is set up once.
    upload(address, 1_000_000);
    download(address, 1_000_000);
    open_and_close(address, 50);
    let (base, resident) = server.peak();
    println!("{}: at first {base} B of heap, {resident} KiB resident", subject.name);
    for (what, run) in [
        ("upload", Box::new(|| upload(address, bytes)) as Box<dyn Fn()>),
        ("download", Box::new(|| download(address, bytes))),
        ("connections", Box::new(|| open_and_close(address, connections))),
    ] {
        run();
        let (heap, resident) = server.peak();
        println!("{}: {what}: at most {heap} B of heap, {resident} KiB resident", subject.name);
        assert!(heap < base + MAX_GROWTH, "{what}: {heap} B of heap, after {base} B");
    }
    server.end();
}

/// An echo, so that there is something to hold back on both sides: before it reads anything, and whenever it has read a
/// little, the client writes until it has to wait. A driver that does not hold back gets nearly all of it at once.
fn upload(address: SocketAddr, bytes: usize) {
    let mut client = Client::slow(address);
    client.send(format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {bytes}\r\n\r\n"));
    let mut stream = client.stream.try_clone().expect("a second handle");
    stream.set_write_timeout(Some(Duration::from_millis(200))).expect("an option");
    let (mut unsent, mut read) = (bytes, 0);
    let mut write = move |received| {
        read += received;
        // Less than is on its way back by then, or both would wait.
        if read < LITTLE {
            return;
        }
        read = 0;
        while unsent > 0 {
            match stream.write(&PART[..unsent.min(PART.len())]) {
                Ok(written) => unsent -= written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("it is read: {error}"),
            }
        }
        stream.set_write_timeout(Some(Duration::from_millis(1))).expect("an option");
    };
    write(LITTLE);
    assert_eq!(count(&mut client, write), bytes);
}

fn download(address: SocketAddr, bytes: usize) {
    let mut client = Client::slow(address);
    client.get(&format!("/large?bytes={bytes}"));
    assert_eq!(count(&mut client, drop), bytes);
}

fn count(client: &mut Client, mut then: impl FnMut(usize)) -> usize {
    let (status, head) = client.head().expect("a head").expect("a response");
    assert_eq!(status, 200);
    let mut count = 0;
    client
        .body(&head, |part| {
            assert!(part.iter().all(|&byte| byte == b'.'));
            count += part.len();
            then(part.len());
        })
        .expect("a whole body");
    count
}

fn open_and_close(address: SocketAddr, connections: usize) {
    for _ in 0..connections {
        let mut client = Client::from(TcpStream::connect(address).expect("a connection"));
        client.get("/");
        assert_eq!(client.response().status, 200);
        // The server closes first or second, but has closed when this returns.
        client.stream.shutdown(Shutdown::Write).expect("half a close");
        client.is_closed();
    }
}

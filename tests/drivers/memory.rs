//! Memory over long transfers and many connections, measured in a process that holds nothing but the server.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use sansgi::Config;

use crate::allocator;
use crate::client::Client;
use crate::running::{Start, Subject};

/// Far less than is moved: a driver that queues would hold megabytes.
const MAX_GROWTH: usize = 512 * 1024;

const LITTLE: usize = 32 * 1024;

static PART: [u8; 64 * 1024] = [b'.'; 64 * 1024];

fn is_full() -> bool {
    env::var_os("SANSGI_FULL").is_some()
}

struct Server {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(subject: &Subject) -> (Self, SocketAddr) {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "server_process", "--ignored", "--nocapture"])
            .env("SANSGI_DRIVER", subject.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut server = Self { child, stdin, stdout: BufReader::new(stdout) };
        let address = server.line("address ").parse().expect("an address");
        (server, address)
    }

    /// What follows this word, which stands behind the name of the test on the first line.
    fn line(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).expect("a line") > 0, "the server's process has ended");
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim_end().to_owned();
            }
        }
    }

    /// The most bytes on the heap since the last question, and the most that were resident ever, in KiB.
    fn peak(&mut self) -> (usize, String) {
        self.stdin.write_all(b"peak\n").expect("it listens");
        let line = self.line("peak ");
        let (heap, resident) = line.split_once(' ').expect("two figures");
        (heap.parse().expect("a number"), resident.to_owned())
    }
}

pub(crate) fn is_flat(subject: &Subject) {
    let (mut server, address) = Server::start(subject);
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
    drop(server.stdin);
    assert!(server.child.wait().expect("an end").success());
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

/// Serves the driver that the environment names, and answers what is asked on standard input until that ends.
pub(crate) fn serve(start_of: impl Fn(&str) -> Option<Start>) {
    let name = env::var("SANSGI_DRIVER").expect("flat_memory names it");
    let start = start_of(&name).expect("a driver");
    let running = start(Config::default(), PathBuf::new());
    println!("address {}", running.address);
    for line in io::stdin().lines() {
        assert_eq!(line.expect("text"), "peak");
        println!("peak {} {}", allocator::take_peak(), most_resident().unwrap_or_else(|| "?".to_owned()));
    }
}

/// `VmHWM`, where the system tells.
fn most_resident() -> Option<String> {
    let mut status = String::new();
    fs::File::open("/proc/self/status").ok()?.read_to_string(&mut status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").to_owned())
}

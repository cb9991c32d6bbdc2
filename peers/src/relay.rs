//! Stands between a proxy and the driver, passes every byte and every end on, and remembers them.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use crate::running::BOUND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Proxy,
    Driver,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Opened,
    Bytes(Vec<u8>),
    Ended,
    Reset,
}

/// Connections count from 1, in the order in which the proxy opened them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) from: Side,
    pub(crate) what: What,
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    seen: Receiver<Seen>,
    shared: Arc<Shared>,
}

struct Shared {
    log: Mutex<Vec<Seen>>,
    holds_ends: AtomicBool,
}

impl Relay {
    pub(crate) fn to(driver: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (tell, seen) = channel();
        let shared = Arc::new(Shared { log: Mutex::default(), holds_ends: AtomicBool::new(false) });
        let of_connections = Arc::clone(&shared);
        thread::spawn(move || {
            for (number, proxy) in listener.incoming().enumerate() {
                let pass = Pass { connection: number + 1, tell: tell.clone(), shared: Arc::clone(&of_connections) };
                let Ok(proxy) = proxy else { continue };
                pass.has_seen(Side::Proxy, What::Opened);
                // A driver that refuses is a proxy's connection that ends.
                let Ok(driver) = TcpStream::connect(driver) else { continue };
                pass.both_ways(proxy, driver);
            }
        });
        Self { address, seen, shared }
    }

    /// The driver's ends are not passed on before the proxy has sent more: its request and the end have crossed.
    pub(crate) fn hold_ends(&self) {
        self.shared.holds_ends.store(true, Ordering::SeqCst);
    }

    /// Or its reset: haproxy closes so too.
    pub(crate) fn wait_for_end(&self, connection: usize, from: Side) {
        loop {
            let seen = self.seen.recv_timeout(BOUND);
            let seen = seen.unwrap_or_else(|_| panic!("no end from {from:?} on connection {connection}"));
            if (seen.connection, seen.from) == (connection, from) && matches!(seen.what, What::Ended | What::Reset) {
                return;
            }
        }
    }

    /// Bytes that contain it, in one read.
    pub(crate) fn wait_for_text(&self, from: Side, text: &str) {
        loop {
            let seen = self.seen.recv_timeout(BOUND).unwrap_or_else(|_| panic!("no {text} from {from:?}"));
            if let What::Bytes(bytes) = seen.what
                && seen.from == from
                && String::from_utf8_lossy(&bytes).contains(text)
            {
                return;
            }
        }
    }

    /// How many connections the proxy has opened.
    pub(crate) fn connections(&self) -> usize {
        self.shared.log().iter().map(|seen| seen.connection).max().unwrap_or_default()
    }

    /// All that came from there on all connections, in lower case where it is ASCII.
    pub(crate) fn text(&self, from: Side) -> String {
        let mut text = Vec::new();
        for seen in self.shared.log().iter().filter(|seen| seen.from == from) {
            if let What::Bytes(bytes) = &seen.what {
                text.extend_from_slice(bytes);
            }
        }
        String::from_utf8_lossy(&text).to_ascii_lowercase()
    }
}

/// With `PEERS_BYTES` all that was seen is written to a file there, named by the thread: the peer and the case.
impl Drop for Relay {
    fn drop(&mut self) {
        let (Some(folder), thread) = (env::var_os("PEERS_BYTES"), thread::current()) else { return };
        let mut text = String::new();
        for Seen { connection, from, what } in self.shared.log().iter() {
            let _ = match what {
                What::Bytes(bytes) if bytes.len() > 2000 => {
                    writeln!(text, "{connection} {from:?} {}… {} bytes", bytes[..400].escape_ascii(), bytes.len())
                }
                What::Bytes(bytes) => writeln!(text, "{connection} {from:?} {}", bytes.escape_ascii()),
                what => writeln!(text, "{connection} {from:?} {what:?}"),
            };
        }
        let name = format!("{}.txt", thread.name().unwrap_or("unnamed").replace([' ', '/'], "_"));
        let path = std::path::Path::new(&folder).join(name);
        if let Err(error) = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, text)) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

impl Shared {
    fn log(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct Pass {
    connection: usize,
    tell: Sender<Seen>,
    shared: Arc<Shared>,
}

impl Pass {
    fn has_seen(&self, from: Side, what: What) {
        let seen = Seen { connection: self.connection, from, what };
        self.shared.log().push(seen.clone());
        let _ = self.tell.send(seen); // nobody waits any more
    }

    fn both_ways(self, proxy: TcpStream, driver: TcpStream) {
        let (proxy, driver, driver_ended) = (Arc::new(proxy), Arc::new(driver), Arc::new(AtomicBool::new(false)));
        for side in [&proxy, &driver] {
            let _ = side.set_nodelay(true);
        }
        let other = (self.clone(), Arc::clone(&driver), Arc::clone(&proxy), Arc::clone(&driver_ended));
        thread::spawn(move || self.one_way(Side::Proxy, &proxy, &driver, &driver_ended));
        thread::spawn(move || other.0.one_way(Side::Driver, &other.1, &other.2, &other.3));
    }

    fn one_way(&self, from: Side, source: &TcpStream, sink: &TcpStream, driver_ended: &AtomicBool) {
        let mut buffer = vec![0; 64 * 1024];
        let (mut source, mut sink) = (source, sink);
        let is_held = || self.shared.holds_ends.load(Ordering::SeqCst) && driver_ended.load(Ordering::SeqCst);
        loop {
            match source.read(&mut buffer) {
                Ok(0) => {
                    if from == Side::Driver {
                        driver_ended.store(true, Ordering::SeqCst);
                    }
                    self.has_seen(from, What::Ended);
                    if !(from == Side::Driver && is_held()) {
                        let _ = sink.shutdown(Shutdown::Write);
                    }
                    return;
                }
                Ok(count) => {
                    self.has_seen(from, What::Bytes(buffer[..count].to_vec()));
                    if from == Side::Proxy && is_held() {
                        let _ = source.shutdown(Shutdown::Both);
                        return;
                    }
                    if let Err(error) = sink.write_all(&buffer[..count]) {
                        pass_reset_on(source, &error);
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.has_seen(from, What::Reset);
                    pass_reset_on(sink, &error);
                    return;
                }
            }
        }
    }
}

/// The socket is closed when the thread of the other direction lets go of it too; its read is ended for that.
fn pass_reset_on(other: &TcpStream, _: &io::Error) {
    let _ = socket2::SockRef::from(other).set_linger(Some(Duration::ZERO));
    let _ = other.shutdown(Shutdown::Read);
}

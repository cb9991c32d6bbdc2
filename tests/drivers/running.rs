//! A driver that runs, and what a case may know of it.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Once;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use sansgi::Config;

/// Only what hangs reaches it.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// Starts a driver, whose application has this file.
pub(crate) type Start = fn(Config, PathBuf) -> Running;

/// A driver under test.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) start: Start,
    pub(crate) lacks: &'static [Lack],
    /// Why it cannot run here.
    pub(crate) missing: fn() -> Option<String>,
}

/// What a driver cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// See a reset while it is not reading.
    HangUp,
    /// Reset what is cut; a proxy in front of a driver only closes.
    #[allow(dead_code, reason = "`peers` has such")]
    Reset,
}

impl Subject {
    pub(crate) fn run(&self, case: fn(&Self)) {
        // On a thread of its own: what a kernel does to clean up behind a ring interrupts the reads of its thread.
        match thread::spawn(self.missing).join().expect("an answer") {
            Some(reason) => {
                // Not by `println!`, which is kept back where a test passes.
                static SAID: Once = Once::new();
                SAID.call_once(|| drop(writeln!(io::stderr(), "\nskipped: all cases of {}: {reason}", self.name)));
            }
            None => case(self),
        }
    }

    pub(crate) fn start(&self, config: Config) -> Running {
        self.start_with_file(config, concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
    }

    pub(crate) fn start_with_file(&self, config: Config, file: impl Into<PathBuf>) -> Running {
        (self.start)(config, file.into())
    }

    /// Says so where it does.
    pub(crate) fn lacks(&self, lack: Lack) -> bool {
        let lacks = self.lacks.contains(&lack);
        if lacks {
            println!("skipped in part: {} lacks {lack:?}", self.name);
        }
        lacks
    }
}

/// Dropped, it shuts down gracefully and waits for the end.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) reports: Receiver<String>,
    pub(crate) started: Box<dyn Fn() -> usize>,
    pub(crate) shutdown: Box<dyn Fn()>,
    pub(crate) ended: Receiver<io::Result<()>>,
    pub(crate) is_over: bool,
}

impl Running {
    pub(crate) fn report(&self) -> String {
        self.reports.recv_timeout(BOUND).expect("the application reports")
    }

    /// Waits for the last connection, after `shutdown`.
    pub(crate) fn wait(&mut self) {
        self.is_over = true;
        self.ended.recv_timeout(BOUND).expect("the driver ends").expect("without an error");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A case that has failed leaves it running: compio aborts the process when a thread that panics wakes its
        // tasks.
        if !thread::panicking() {
            (self.shutdown)();
            if !self.is_over {
                self.wait();
            }
        }
    }
}

macro_rules! start {
    ($driver:ident) => {
        |config, file| {
            use crate::$driver::{app::App, app::Server, serve};
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("its address");
            let (report, reports) = std::sync::mpsc::channel();
            let app = App::with_file(file, move |line| drop(report.send(line.to_owned())));
            let server = Server::new(config, app.clone());
            let shutdown = server.shutdown.clone();
            let (end, ended) = std::sync::mpsc::channel();
            std::thread::spawn(move || drop(end.send(serve(listener, &server))));
            crate::running::Running {
                address,
                reports,
                started: Box::new(move || app.started()),
                shutdown: Box::new(move || shutdown.request()),
                ended,
                is_over: false,
            }
        }
    };
}
pub(crate) use start;

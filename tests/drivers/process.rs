//! A driver in a process of its own: it holds nothing but the server, and can be stopped.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use sansgi::Timeouts;

use crate::allocator;
use crate::cases::with_timeouts;
use crate::running::{Start, Subject};

pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// With one timeout for all that a client may be too late with, or the usual ones.
    pub(crate) fn start(subject: &Subject, timeout: Option<Duration>) -> Self {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "server_process", "--ignored", "--nocapture"])
            .env("SANSGI_DRIVER", subject.name)
            .env("SANSGI_TIMEOUT", timeout.map_or_else(String::new, |timeout| timeout.as_millis().to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut stdout = BufReader::new(stdout);
        let address = line(&mut stdout, "address ").parse().expect("an address");
        Self { address, child, stdin, stdout }
    }

    /// The most bytes on the heap since the last question, and the most that were resident ever, in KiB.
    pub(crate) fn peak(&mut self) -> (usize, String) {
        self.stdin.write_all(b"peak\n").expect("it listens");
        let line = line(&mut self.stdout, "peak ");
        let (heap, resident) = line.split_once(' ').expect("two figures");
        (heap.parse().expect("a number"), resident.to_owned())
    }

    /// Until the guard is dropped it does nothing at all.
    #[cfg(target_os = "linux")]
    pub(crate) fn stop(&self) -> Stopped {
        use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::STOP).expect("it runs");
        let (_, status) = waitpid(Some(process), WaitOptions::UNTRACED).expect("it is ours").expect("it changed");
        assert!(status.stopped(), "{status:?}");
        Stopped(process)
    }

    /// Shuts down gracefully.
    pub(crate) fn end(self) {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        assert!(child.wait().expect("an end").success());
    }
}

#[cfg(target_os = "linux")]
pub(crate) struct Stopped(rustix::process::Pid);

#[cfg(target_os = "linux")]
impl Drop for Stopped {
    fn drop(&mut self) {
        rustix::process::kill_process(self.0, rustix::process::Signal::CONT).expect("it is there");
    }
}

/// What follows this word, which stands behind the name of the test on the first line.
fn line(stdout: &mut BufReader<ChildStdout>, word: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).expect("a line") > 0, "the server's process has ended");
        if let Some((_, rest)) = line.split_once(word) {
            return rest.trim_end().to_owned();
        }
    }
}

/// Serves the driver that the environment names, and answers what is asked on standard input until that ends.
pub(crate) fn serve(start_of: impl Fn(&str) -> Option<Start>) {
    let name = env::var("SANSGI_DRIVER").expect("the parent names it");
    let start = start_of(&name).expect("a driver");
    let timeout = env::var("SANSGI_TIMEOUT").ok().and_then(|millis| millis.parse().ok()).map(Duration::from_millis);
    let timeouts = timeout.map_or_else(Timeouts::default, |timeout| {
        Timeouts::default().idle(timeout).head(timeout).body(timeout).write(timeout)
    });
    let running = start(with_timeouts(timeouts), PathBuf::new());
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

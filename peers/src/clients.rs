//! The clients against the driver itself, and behind proxies those of whom one may expect surprises.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::{env, fs, thread};

use sansgi::Config;

use crate::proxy::{FRONTS, Front, Kind};
use crate::running::Running;
use crate::table::{NOT_ASKED_FOR, Outcome, Table};
use crate::{hyper_client, outcome};

struct Client {
    name: &'static str,
    /// A program in `clients/`; hyper is a part of this one.
    script: Option<&'static str>,
    /// A program, and the package that has it.
    needs: Option<(&'static str, &'static str)>,
    /// The one case that it is for.
    only: Option<&'static str>,
}

const CLIENTS: [Client; 6] = [
    Client { name: "curl", script: Some("curl.py"), needs: Some(("/usr/bin/curl", "curl")), only: None },
    Client { name: "hyper", script: None, needs: None, only: None },
    Client { name: "h11", script: Some("h11_client.py"), needs: None, only: None },
    Client { name: "httpx", script: Some("httpx_client.py"), needs: None, only: None },
    Client { name: "websockets", script: Some("websockets_client.py"), needs: None, only: Some("websocket") },
    Client { name: "chromium", script: Some("browser.py"), needs: Some(("/usr/bin/chromium", "chromium")), only: None },
];

const CASES: [&str; 13] = [
    "get",
    "keep_alive",
    "head",
    "echo",
    "chunked_echo",
    "expectation",
    "stream",
    "download_100_mb",
    "upload_100_mb",
    "echo_of_100_mb",
    "early_response",
    "leaves",
    "websocket",
];

/// Alone, through nginx as it comes, through haproxy as it comes.
const FRONTS_OF_CLIENTS: [usize; 3] = [0, 1, 3];

/// A table for each front.
pub(crate) fn run(is_chosen: impl Fn(&str, &str) -> bool) -> Vec<Table> {
    let table = |front: &'static Front| {
        let row = |case: &'static str| {
            let cell = |client: &'static Client| {
                if let Some(reason) = client.missing().or_else(|| front.missing()) {
                    return Outcome::Skipped(reason);
                }
                let peer = format!("{} through {}", client.name, front.name);
                if front.kind.is_nginx() && case == "echo_of_100_mb" {
                    return Outcome::Skipped("nginx stops passing the body on: see long echo is cut".into());
                }
                if client.only.is_some_and(|only| only != case) {
                    return Outcome::Skipped("it speaks WebSocket only".into());
                }
                if !is_chosen(&peer, case) {
                    return Outcome::Skipped(NOT_ASKED_FOR.into());
                }
                outcome(&peer, case, move || client.run(case, &front.subject().start(Config::default())))
            };
            (case, CLIENTS.iter().map(cell).collect())
        };
        let title = match front.kind {
            Kind::Direct => "Clients of the driver".to_owned(),
            Kind::PlainNginx | Kind::Nginx { .. } | Kind::Haproxy { .. } => format!("Clients through {}", front.name),
        };
        let peers = CLIENTS.iter().map(|client| client.name).collect();
        Table { title, peers, rows: CASES.into_iter().map(row).collect() }
    };
    FRONTS_OF_CLIENTS.iter().map(|front| table(&FRONTS[*front])).collect()
}

/// What each says of itself.
pub(crate) fn versions() -> Vec<String> {
    let mut versions = Vec::new();
    for client in &CLIENTS {
        if let Some((path, _)) = client.needs {
            versions.extend(first_line(Command::new(path).arg("--version")));
        }
    }
    let tree = Command::new("cargo").args(["tree", "--quiet", "--offline", "--depth=0", "--package=hyper"]).output();
    let tree = tree.map(|output| String::from_utf8_lossy(&output.stdout).trim().replace(" v", " "));
    versions.extend(tree.ok().filter(|line| !line.is_empty()));
    if env::var_os("PEERS_PYTHON").is_some() {
        versions.extend(first_line(Command::new(python()).arg("--version")));
        let requirements = include_str!("../requirements.txt");
        versions.extend(requirements.lines().map(|line| line.replace("==", " ")));
    }
    versions
}

pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(|line| line.trim().to_owned())
}

impl Client {
    fn missing(&self) -> Option<String> {
        if self.script.is_some() && env::var_os("PEERS_PYTHON").is_none() {
            return Some("needs apt-get install python3-venv, and the packages of requirements.txt".into());
        }
        let (path, package) = self.needs?;
        (!fs::exists(path).is_ok_and(|is| is)).then(|| format!("needs apt-get install {package}"))
    }

    /// Why it cannot, if so; a panic tells a failure.
    fn run(&self, case: &'static str, running: &Running) -> Option<String> {
        let Some(script) = self.script else { return run_hyper(case, running) };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
        let mut command = Command::new("timeout");
        // What hangs is ended, far beyond what any of them takes.
        command.args(["--foreground", "120"]).arg(python()).arg("-B").arg(path);
        command.arg(case).arg(running.address.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let mut stdin = child.stdin.take().expect("piped");
        if case == "leaves" {
            // One that has ended already has left too.
            has_left(running, || drop(stdin.write_all(b"\n")));
        }
        let output = child.wait_with_output().expect("its end");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().lines().last().unwrap_or_default().to_owned();
        match output.status.code() {
            Some(0) => None,
            Some(77) => Some(text(&output.stdout)),
            _ => panic!("{}: {}", output.status, text(&output.stderr)),
        }
    }
}

fn has_left(running: &Running, mut leave: impl FnMut()) {
    assert_eq!(running.report(), "/wait: waits");
    leave();
    assert_eq!(running.report(), "/wait: the client left");
    leave();
}

fn run_hyper(case: &'static str, running: &Running) -> Option<String> {
    let (leave, is_to_leave) = channel();
    let address: SocketAddr = running.address;
    let client = thread::spawn(move || hyper_client::run(case, address, &is_to_leave));
    if case == "leaves" {
        has_left(running, || {
            let _ = leave.send(()); // it may have left, and ended
        });
    }
    let answer = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    answer.unwrap_or_else(|error| panic!("{error}")).map(Into::into)
}

fn python() -> PathBuf {
    env::var_os("PEERS_PYTHON").expect("PEERS_PYTHON names an interpreter").into()
}

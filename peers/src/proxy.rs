//! nginx and haproxy as children of this program, each started for one case and gone behind it.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use sansgi::Config;

use crate::relay::Relay;
use crate::running::{BOUND, Lack, Running, Subject, start};

/// What stands in front of the driver.
pub(crate) struct Front {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// For `Subject`, which takes a function that knows by itself which front it is.
    pub(crate) start: fn(Config, PathBuf) -> Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: the cases against the driver itself, so that what a proxy changes is told from what the driver does.
    Direct,
    /// With nothing said but where the driver is: HTTP/1.0, a connection for each request, both bodies collected.
    PlainNginx,
    Nginx {
        buffers: bool,
    },
    Haproxy {
        buffers: bool,
    },
}

/// How long the proxy keeps an unused connection to the driver: as it does by itself, or not for long.
#[derive(Clone, Copy)]
pub(crate) enum Idle {
    Default,
    Short,
}

pub(crate) static FRONTS: [Front; 6] = [
    Front { name: "direct", kind: Kind::Direct, start: |config, file| FRONTS[0].start(config, file) },
    Front { name: "nginx", kind: Kind::Nginx { buffers: true }, start: |config, file| FRONTS[1].start(config, file) },
    Front {
        name: "nginx unbuffered",
        kind: Kind::Nginx { buffers: false },
        start: |config, file| FRONTS[2].start(config, file),
    },
    Front {
        name: "haproxy",
        kind: Kind::Haproxy { buffers: false },
        start: |config, file| FRONTS[3].start(config, file),
    },
    Front {
        name: "haproxy buffered",
        kind: Kind::Haproxy { buffers: true },
        start: |config, file| FRONTS[4].start(config, file),
    },
    Front { name: "nginx by itself", kind: Kind::PlainNginx, start: |config, file| FRONTS[5].start(config, file) },
];

impl Kind {
    pub(crate) fn is_nginx(self) -> bool {
        matches!(self, Self::PlainNginx | Self::Nginx { .. })
    }

    /// Whether the driver hears of a request when its body is there.
    pub(crate) fn collects(self) -> bool {
        matches!(self, Self::PlainNginx | Self::Nginx { buffers: true } | Self::Haproxy { buffers: true })
    }
}

impl Front {
    pub(crate) fn subject(&self) -> Subject {
        let lacks: &[Lack] = match self.kind {
            Kind::Direct => &[],
            // A response that was cut ends, for the client, with a close.
            Kind::PlainNginx | Kind::Nginx { .. } | Kind::Haproxy { .. } => &[Lack::Reset],
        };
        Subject { name: "tokio", start: self.start, lacks, missing: || None }
    }

    fn program(&self) -> Option<(&'static str, &'static str)> {
        match self.kind {
            Kind::Direct => None,
            Kind::PlainNginx | Kind::Nginx { .. } => Some(("nginx", "/usr/sbin/nginx")),
            Kind::Haproxy { .. } => Some(("haproxy", "/usr/sbin/haproxy")),
        }
    }

    pub(crate) fn missing(&self) -> Option<String> {
        let (name, path) = self.program()?;
        (!fs::exists(path).is_ok_and(|is| is)).then(|| format!("needs apt-get install {name}"))
    }

    /// As the program tells it; nothing for what is not there.
    pub(crate) fn version(&self) -> Option<String> {
        let (_, path) = self.program()?;
        let output = Command::new(path).arg("-v").output().ok()?;
        let said = [output.stdout, output.stderr].concat();
        let line = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned();
        Some(line.trim_start_matches("nginx version: ").replace(" - https://haproxy.org/", ""))
    }

    /// The tokio driver with the shared application, behind this front.
    fn start(&self, config: Config, file: PathBuf) -> Running {
        let running = driver(config, file);
        if env::var_os("PEERS_BYTES").is_some() {
            let relay = Relay::to(running.address);
            return keeping(self.behind(running, relay.address, Idle::Default), relay);
        }
        let address = running.address;
        self.behind(running, address, Idle::Default)
    }

    /// Where it is asked at `address`, be it the driver's own or a relay's.
    pub(crate) fn behind(&self, mut running: Running, address: SocketAddr, idle: Idle) -> Running {
        if self.kind == Kind::Direct {
            running.address = address;
            return running;
        }
        let proxy = self.proxy(&[address], idle);
        running.address = proxy.address;
        keeping(running, proxy)
    }

    /// In front of all of these.
    pub(crate) fn proxy(&self, drivers: &[SocketAddr], idle: Idle) -> Proxy {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::SeqCst);
        let folder = PathBuf::from(env::var_os("PEERS_TEMPORARY").expect("PEERS_TEMPORARY names a folder"));
        let folder = folder.join(format!("proxy-{number}"));
        fs::create_dir(&folder).expect("a folder");
        let address = free_address();
        let (_, path) = self.program().expect("a proxy");
        let mut command = Command::new(path);
        let config = folder.join("config");
        match self.kind {
            Kind::Direct => unreachable!("it has no program"),
            Kind::PlainNginx | Kind::Nginx { .. } => {
                fs::write(&config, nginx(self.kind, address, drivers, idle)).expect("a file");
                command.args(["-e", "stderr", "-p"]).arg(&folder).arg("-c").arg(&config);
            }
            Kind::Haproxy { buffers } => {
                fs::write(&config, haproxy(address, drivers, buffers, idle)).expect("a file");
                command.arg("-db").arg("-f").arg(&config);
            }
        }
        let log = fs::File::create(folder.join("log")).expect("a file");
        let also = log.try_clone().expect("a second handle");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(also).spawn().expect("a process");
        let mut proxy = Proxy { address, child, folder };
        proxy.wait_until_it_listens();
        proxy
    }
}

/// The tokio driver alone.
pub(crate) fn driver(config: Config, file: PathBuf) -> Running {
    (start!(tokio))(config, file)
}

/// Ends with it, behind the driver's last connection.
pub(crate) fn keeping<T: 'static>(mut running: Running, kept: T) -> Running {
    let shutdown = std::mem::replace(&mut running.shutdown, Box::new(|| ()));
    running.shutdown = Box::new(move || {
        let _ = &kept;
        shutdown();
    });
    running
}

/// Dropped, it is killed.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Proxy {
    fn wait_until_it_listens(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let has_ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            assert!(!has_ended && begun.elapsed() < BOUND, "it does not start: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprint!("{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Free a moment ago: neither proxy can say which port it was given.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn nginx(kind: Kind, address: SocketAddr, drivers: &[SocketAddr], idle: Idle) -> String {
    let servers = drivers.iter().fold(String::new(), |mut text, driver| {
        let _ = write!(text, "server {driver} max_fails=0; ");
        text
    });
    let idle = match idle {
        Idle::Default => "60s",
        Idle::Short => "200ms",
    };
    let (keep, settings) = match kind {
        Kind::Nginx { buffers } => {
            let buffering = if buffers { "on" } else { "off" };
            let settings = format!(
                "proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_request_buffering {buffering};
            proxy_buffering {buffering};"
            );
            (format!("keepalive 16; keepalive_timeout {idle};"), settings)
        }
        Kind::Direct | Kind::PlainNginx | Kind::Haproxy { .. } => (String::new(), String::new()),
    };
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    client_max_body_size 0;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream driver {{ {servers} {keep} }}
    server {{
        listen {address};
        # What `$host` is for a client of HTTP/1.0 that names none: without it the driver would get no Host, and refuse.
        server_name localhost;
        location / {{
            proxy_pass http://driver;
            {settings}
        }}
    }}
}}
"
    )
}

fn haproxy(address: SocketAddr, drivers: &[SocketAddr], buffers: bool, idle: Idle) -> String {
    // It has no time for them: they live while the client's connection does. So each ends with its response.
    let keep = match idle {
        Idle::Default => "",
        Idle::Short => "    option http-server-close\n",
    };
    let servers = drivers.iter().enumerate().fold(String::new(), |mut text, (number, driver)| {
        let _ = writeln!(text, "    server driver{number} {driver}");
        text
    });
    let buffering = if buffers { "    option http-buffer-request\n" } else { "" };
    format!(
        "global
    maxconn 256
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
{buffering}{keep}    option abortonclose
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
listen driver
    bind {address}
    http-request disable-l7-retry unless METH_GET or METH_HEAD
    balance roundrobin
{servers}"
    )
}

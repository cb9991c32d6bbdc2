//! What every driver's `main` does: flags, the listener, and a graceful shutdown by a line on standard input or a
//! signal.

use std::env;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::thread;

use sansgi::Config;

use super::{App, Server};

/// Serves until shutdown is requested and the last connection has ended.
pub(crate) type Serve = fn(TcpListener, &Server) -> io::Result<()>;

/// `--host ADDRESS --port NUMBER`. What cannot be started is one line and exit code 2.
pub(crate) fn main(name: &str, serve: Serve) -> ExitCode {
    let (listener, address, config) = match listen() {
        Ok(start) => start,
        Err(message) => {
            eprintln!("{name}: {message}");
            return ExitCode::from(2);
        }
    };
    println!("http://{address}/");
    let server = Server::new(config, App::new());
    let shutdown = server.shutdown.clone();
    #[cfg(unix)]
    on_signal(shutdown.clone());
    thread::spawn(move || {
        // Standard input that is closed, as of a service, asks for nothing.
        if io::stdin().read_line(&mut String::new()).is_ok_and(|length| length > 0) {
            shutdown.request();
        }
    });
    match serve(listener, &server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// By the first Ctrl-C or `kill`. The second one ends the process, whatever is in flight.
#[cfg(unix)]
fn on_signal(shutdown: super::Shutdown) {
    use signal_hook::consts::{SIGINT, SIGTERM};

    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
    thread::spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            shutdown.request();
        }
        signals.for_each(|signal| drop(signal_hook::low_level::emulate_default_handler(signal)));
    });
}

fn listen() -> Result<(TcpListener, String, Config), String> {
    let (mut host, mut port) = ("127.0.0.1".to_owned(), 8000_u16);
    each_flag("--host ADDRESS and --port NUMBER (0 picks one)", |flag, value| {
        match flag {
            "--host" => value.clone_into(&mut host),
            "--port" => port = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    })?;
    let listener = TcpListener::bind((host.as_str(), port)).map_err(|error| format!("{host}:{port}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
    let config = Config::builder().default_header("server", "sansgi").build().map_err(|error| error.to_string())?;
    Ok((listener, address, config))
}

/// `--seed NUMBER`, of the simulation; 1 if it is not given.
pub(crate) fn seed() -> Result<u64, String> {
    let mut seed = 1;
    each_flag("--seed NUMBER", |flag, value| {
        seed = value.parse().ok().filter(|_| flag == "--seed")?;
        Some(())
    })?;
    Ok(seed)
}

fn each_flag(usage: &str, mut take: impl FnMut(&str, &str) -> Option<()>) -> Result<(), String> {
    let mut arguments = env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        take(&flag, &value).ok_or_else(|| format!("bad flag {flag} {value}; it takes {usage}"))?;
    }
    Ok(())
}

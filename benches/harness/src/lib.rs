//! What every measured server has in common: the same bytes in, the same answers out, the same way of counting.
//!
//! A program for one server is `harness::main::<ThatServer>()`; what it is asked for is its first argument:
//!
//! - `check`: every workload, each answer compared with what it must be;
//! - `cannot`: the workloads that the server has no way to do, and why;
//! - `run WORKLOAD N`: the workload, a few times to warm up and then `N` times, so that the difference of two runs is
//!   what one time costs;
//! - `allocations WORKLOAD`: of the heap, for one time of the workload in steady state;
//! - `idle`: heap bytes that a connection holds after one get-browser, and the size of the connection itself.

mod answers;
mod counting;
mod workloads;

use std::hint::black_box;
use std::process::ExitCode;

pub use workloads::{BODY, CONTENT_TYPE, NAMES, PAGE, PAGE_FIELDS, PAGE_HEADERS, PART, PARTS, Task, Workload};

/// Times that a workload runs before anything is counted: buffers have their size, caches are filled.
const WARM_UP: u32 = 20;

/// Times that allocations are counted, so that one which comes now and then is seen.
const COUNTED: u32 = 400;

/// A server with one connection, whose transport is memory.
pub trait Server: Sized {
    /// Workloads that it has no way to do, and why.
    const CANNOT: &'static [(&'static str, &'static str)] = &[];

    /// Whether it answers at all, or only looks at requests.
    const ANSWERS: bool = true;

    /// Whether the value that is the connection is itself on the heap, where it is no part of what the connection
    /// holds.
    const IS_BOXED: bool = false;

    /// A new connection, whose application does this.
    fn accept(task: Task) -> Self;

    /// These bytes came, all at once. Everything that can be done now is done when it returns.
    fn arrive(&mut self, bytes: &'static [u8]);

    /// Of the value that is the connection.
    fn size(&self) -> usize;

    /// The client's side.
    fn with_wire<R>(&mut self, look: impl FnOnce(&mut Wire) -> R) -> R;

    /// Drops the connection, and gives back all that is not part of it: the driver's buffers, the configuration.
    fn hang_up(self) -> impl Sized;
}

/// The client's side: what was written to it, and what the application received of it.
#[derive(Debug, Default)]
pub struct Wire {
    kept: Option<Vec<u8>>,
    written: u64,
    received: u64,
}

impl Wire {
    /// The kernel takes these bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        black_box(bytes);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }

    /// The application received this part of a body.
    pub fn received(&mut self, part: &[u8]) {
        self.received += part.len() as u64;
        black_box(part);
    }
}

/// A workload in progress. The first time is checked byte by byte, all later ones by how many bytes they were.
struct Session<S> {
    server: S,
    workload: Workload,
    times: u64,
    bytes_each: u64,
}

impl<S: Server> Session<S> {
    fn begin(workload: Workload) -> Result<Self, String> {
        let mut server = S::accept(workload.task);
        server.with_wire(|wire| wire.kept = Some(Vec::new()));
        for bytes in &workload.arrivals {
            server.arrive(bytes);
        }
        let (kept, received) = server.with_wire(|wire| (wire.kept.take().unwrap_or_default(), wire.received));
        let named = |error: String| format!("{}: {error}", workload.name);
        if S::ANSWERS {
            answers::check(&kept, &workload).map_err(named)?;
        }
        if received != workload.body_bytes {
            return Err(named(format!("{received} bytes of body were received, {} were sent", workload.body_bytes)));
        }
        Ok(Self { server, workload, times: 1, bytes_each: kept.len() as u64 })
    }

    #[inline(never)] // a name to look for in a profile
    fn repeat(&mut self, times: u32) {
        for _ in 0..times {
            for bytes in &self.workload.arrivals {
                self.server.arrive(black_box(bytes));
            }
        }
        self.times += u64::from(times);
    }

    /// Checks that all of it was served.
    fn end(mut self) -> Result<S, String> {
        let (written, received) = self.server.with_wire(|wire| (wire.written, wire.received));
        let expected = (self.times * self.bytes_each, self.times * self.workload.body_bytes);
        if (written, received) != expected {
            return Err(format!("{}: {:?} instead of {expected:?}", self.workload.name, (written, received)));
        }
        Ok(self.server)
    }
}

/// The program.
pub fn main<S: Server>() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match answer::<S>(&arguments) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer<S: Server>(arguments: &[&str]) -> Result<String, String> {
    let named = |name: &str| Workload::named(name).ok_or_else(|| format!("there is no workload {name:?}"));
    match *arguments {
        ["check"] => {
            let can = NAMES.iter().filter(|name| !S::CANNOT.iter().any(|(cannot, _)| cannot == *name));
            for name in can.clone() {
                let mut session = Session::<S>::begin(named(name)?)?;
                session.repeat(3);
                session.end()?;
            }
            Ok(format!("{} workloads answered right", can.count()))
        }
        ["cannot"] => Ok(S::CANNOT.iter().map(|(name, why)| format!("{name}\t{why}")).collect::<Vec<_>>().join("\n")),
        ["run", name, times] => {
            let times: u32 = times.parse().map_err(|_| format!("{times:?} is no number"))?;
            let mut session = Session::<S>::begin(named(name)?)?;
            session.repeat(WARM_UP + times);
            session.end().map(|_| "answered right".into())
        }
        ["allocations", name] => {
            let mut session = Session::<S>::begin(named(name)?)?;
            session.repeat(WARM_UP);
            let before = counting::allocations();
            session.repeat(COUNTED);
            let allocations = counting::allocations() - before;
            session.end()?;
            Ok(format!("{}", f64::from(u32::try_from(allocations).unwrap_or(u32::MAX)) / f64::from(COUNTED)))
        }
        ["idle"] => {
            let server = Session::<S>::begin(named("get-browser")?)?.end()?;
            let size = server.size();
            let before = counting::held();
            let rest = server.hang_up();
            let freed = before - counting::held();
            drop(rest);
            let held = if S::IS_BOXED { freed.saturating_sub(size) } else { freed };
            Ok(format!("{held} {size}"))
        }
        _ => Err("check | cannot | run WORKLOAD N | allocations WORKLOAD | idle".into()),
    }
}

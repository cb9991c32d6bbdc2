//! The comparison: all servers on all workloads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use harness::{NAMES, Workload};

use crate::measure;

/// A column: its title, its program, and the package whose version is given.
const COLUMNS: [(&str, &str, &str); 9] = [
    ("httparse alone", "peer-httparse", "httparse"),
    ("sansgi, `handle_read`", "sansgi-read", "sansgi"),
    ("sansgi, `read_buffer`", "sansgi-lent", "sansgi"),
    ("sansgi, `handle_bytes`", "sansgi-bytes", "sansgi"),
    ("http-net", "peer-http-net", "http-net"),
    ("hyper", "peer-hyper", "hyper"),
    ("actix-http", "peer-actix-http", "actix-http"),
    ("ureq-proto", "peer-ureq-proto", "ureq-proto"),
    ("shiguredo_http11", "peer-shiguredo-http11", "shiguredo_http11"),
];

#[derive(Clone, Copy)]
struct Figures {
    instructions: f64,
    allocations: f64,
}

/// Measures everything, prints it, and writes it into `RESULTS.md`.
pub(crate) fn write() -> Result<(), String> {
    let mut cannot = BTreeMap::new();
    for (title, program, _) in COLUMNS {
        eprintln!("{title}: {}", measure::ask(program, &["check"])?);
        for line in measure::ask(program, &["cannot"])?.lines() {
            let (workload, why) = line.split_once('\t').unwrap_or((line, ""));
            cannot.insert((program, workload.to_owned()), why.to_owned());
        }
    }
    let pairs = COLUMNS.into_iter().flat_map(|(_, program, _)| NAMES.map(|workload| (program, workload)));
    let figures =
        measure_all(pairs.filter(|(program, name)| !cannot.contains_key(&(program, (*name).into()))).collect())?;

    let titles = COLUMNS.map(|(title, ..)| title);
    let cell = |program: &'static str, name: &'static str, show: &dyn Fn(Figures) -> String| {
        figures.get(&(program, name)).map_or_else(|| "–".into(), |&figures| show(figures))
    };
    let mut instructions = heading("instructions per request", &titles);
    let mut allocations = heading("allocations per request", &titles);
    for name in NAMES {
        let workload = Workload::named(name).ok_or("a workload that is known")?;
        let requests = measure::float(workload.requests as u64);
        let is_growth = name.starts_with("growth");
        let (label, unit) = match name {
            _ if is_growth => (format!("{name}, per byte"), measure::float(workload.bytes() as u64)),
            "pipelined-16" => (format!("{name}, each"), requests),
            _ => (name.to_owned(), requests),
        };
        row(&mut instructions, &label, |program| {
            cell(program, name, &|of| {
                if is_growth { format!("{:.1}", of.instructions / unit) } else { thousands(of.instructions / unit) }
            })
        });
        let label = if name == "pipelined-16" { format!("{name}, each") } else { name.to_owned() };
        row(&mut allocations, &label, |program| cell(program, name, &|of| decimals(of.allocations / requests)));
    }
    let mut memory = heading("bytes of an idle connection", &titles);
    let mut idle = Vec::new();
    for (_, program, _) in COLUMNS {
        let text = measure::ask(program, &["idle"])?;
        let figure = |text: &str| text.parse::<u32>().map_or_else(|_| text.to_owned(), |bytes| thousands(bytes.into()));
        let (held, size) = text.split_once(' ').ok_or("two figures")?;
        let is_server = program != "peer-httparse";
        idle.push(if is_server { (figure(held), figure(size)) } else { ("–".into(), "–".into()) });
    }
    let mut of_column = idle.iter();
    row(&mut memory, "held on the heap", |_| of_column.next().map_or_else(String::new, |(held, _)| held.clone()));
    let mut of_column = idle.iter();
    row(&mut memory, "size of the connection itself", |_| {
        of_column.next().map_or_else(String::new, |(_, size)| size.clone())
    });

    let mut notes = String::new();
    for (title, program, _) in COLUMNS {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for ((_, workload), why) in cannot.iter().filter(|((of, _), _)| *of == program) {
            reasons.entry(why).or_default().push(workload);
        }
        for (why, workloads) in reasons {
            let _ = writeln!(notes, "- –: {title} cannot do {}: {why}.", workloads.join(", "));
        }
    }
    let report = format!("{}\n{instructions}\n{allocations}\n{memory}\n{EXPLANATION}{notes}", preface()?);
    println!("{report}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("RESULTS.md");
    std::fs::write(&file, report).map_err(|error| format!("{}: {error}", file.display()))
}

/// On as many cores as there are: instructions do not mind.
fn measure_all(
    mut jobs: Vec<(&'static str, &'static str)>,
) -> Result<BTreeMap<(&'static str, &'static str), Figures>, String> {
    jobs.reverse();
    let (jobs, figures) = (Mutex::new(jobs), Mutex::new(BTreeMap::new()));
    let work = || -> Result<(), String> {
        loop {
            let Some((program, name)) = jobs.lock().map_err(|error| error.to_string())?.pop() else { return Ok(()) };
            let instructions = measure::instructions(program, name)?;
            let allocations = measure::ask(program, &["allocations", name])?;
            let allocations = allocations.parse().map_err(|_| format!("{allocations:?} is no number"))?;
            eprintln!("{program} {name}: {instructions}, {allocations}");
            figures
                .lock()
                .map_err(|error| error.to_string())?
                .insert((program, name), Figures { instructions, allocations });
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a worker panicked".into())))
    })?;
    figures.into_inner().map_err(|error| error.to_string())
}

fn heading(first: &str, titles: &[&str]) -> String {
    format!("| {first} | {} |\n|---|{}\n", titles.join(" | "), "---:|".repeat(titles.len()))
}

fn row(table: &mut String, label: &str, mut cell: impl FnMut(&'static str) -> String) {
    let cells = COLUMNS.map(|(_, program, _)| cell(program));
    let _ = writeln!(table, "| {label} | {} |", cells.join(" | "));
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Without a fraction that says nothing.
fn decimals(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn preface() -> Result<String, String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.lock");
    let lock = std::fs::read_to_string(lock).map_err(|error| error.to_string())?;
    let version = |package: &str| {
        let entry = format!("name = \"{package}\"\nversion = \"");
        let found = lock.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
        found.map(|version| format!("{package} {version}")).ok_or_else(|| format!("{package} is not in Cargo.lock"))
    };
    let mut versions = Vec::new();
    for (_, _, package) in COLUMNS {
        let version = version(package)?;
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    Ok(format!(
        "# Results\n\nWritten by `benches/run` on {}, with {} and {}, on {}; release, fat LTO, one codegen unit.\n\n{}.\n",
        date(),
        measure::version("rustc")?,
        measure::version("valgrind")?,
        std::env::consts::ARCH,
        versions.join(", "),
    ))
}

/// Today, in UTC.
fn date() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut days = now.as_secs() / 86_400;
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

const EXPLANATION: &str = "\
What is counted: all that a request costs a process on this side of the kernel, the driver's part included. Bytes come
out of memory, the application receives the body to its end and makes a response, whose head is built and validated anew,
and its bytes are taken; with `sansgi` the application then asks once more and is told `Disconnect`. Each answer is
checked, byte by byte once before anything is counted, and by its length ever after. Instructions are the difference of
two runs under callgrind, divided by the requests between them. Copying is counted too, as if it were done by vectors
whatever its length: about one instruction for ten bytes. Allocations are those of a counting allocator, in steady
state.

- get-min: 35 bytes, one field; answered with 200, `text/plain`, 13 bytes. get-browser: 850 bytes, 14 fields; the same answer.
  get-proxied: the same with 13 fields that two proxies have added. get-page: get-browser, answered with 200, 8 fields of
  352 bytes, and 700 bytes.
- post-1k: 1 KiB by length, echoed. post-chunked-64k: 16 chunks of 4 KiB, there at once, as read by each server; 204.
- pipelined-16: sixteen get-min in one read. stream-1m: 64 parts of 16 KiB, chunked.
- drip: get-browser, one byte at a time. drip-16k: a head of 16 KiB and 91 fields, in pieces of 64 bytes.
- growth: heads of 1, 4 and 16 KiB in pieces of 16 bytes, per byte of the head. line-8k: one field line of 8 KiB in such
  pieces.
- An idle connection has answered one get-browser; what all connections share, what their thread keeps for them, and what
  belongs to the driver is not counted.

How each is used:

- httparse alone parses heads into 100 uninitialised fields and answers nothing: the floor.
- sansgi: reads of at most 16 KiB, its default. `handle_read` is from a buffer of 64 KiB that the driver uses again, from
  its start as soon as half of it is used and nobody holds any of it. `read_buffer` is `handle_read` from the buffer of
  16 KiB that the connection gives, once for each read. Deadlines are computed, with a clock that stands.
- http-net reads into its own buffer and writes heads from borrowed fields.
- hyper has no timer, so it watches no deadline, and adds no `date`.
- actix-http has its default timers and adds a `date`, which cannot be turned off.
- ureq-proto leaves all buffers to its driver, which has them here for all connections; what it holds itself between two
  requests is nothing.
- shiguredo_http11 is fed reads of 16 KiB at most and encodes into a vector for each response.
";

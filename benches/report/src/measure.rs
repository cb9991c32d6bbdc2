//! One figure at a time.

use std::path::PathBuf;
use std::process::Command;

/// The C library copies what is large by one `rep movsb`, which callgrind counts once for every byte: nine KiB would
/// seem to cost thirty times as much as eight. With this it copies by vectors whatever the length.
const COPIES_BY_LOADS_AND_STORES: &str =
    "glibc.cpu.x86_rep_movsb_threshold=0x10000000:glibc.cpu.x86_rep_stosb_threshold=0x10000000";

/// What a program prints.
pub(crate) fn ask(program: &str, arguments: &[&str]) -> Result<String, String> {
    output(Command::new(path(program)?).args(arguments)).map(|(text, _)| text.trim().into())
}

/// Instructions of one time of the workload: the difference of two runs, so that whatever both of them do to begin and
/// to end is not in it.
pub(crate) fn instructions(program: &str, workload: &str) -> Result<f64, String> {
    // Of the long ones fewer: each of them takes a hundred times as long.
    let times: u32 = match workload {
        "get-min" | "get-browser" | "get-proxied" | "get-page" | "post-1k" | "pipelined-16" => 200,
        "post-chunked-64k" | "stream-1m" => 40,
        _ => 10,
    };
    let run = |times: u32| -> Result<u64, String> {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(path(program)?);
        valgrind.env("GLIBC_TUNABLES", COPIES_BY_LOADS_AND_STORES);
        let (_, log) = output(valgrind.args(["run", workload, &times.to_string()]))?;
        let line = log.lines().find_map(|line| line.split_once("refs:"));
        let count = line.and_then(|(_, count)| count.trim().replace(',', "").parse().ok());
        count.ok_or_else(|| format!("callgrind counted nothing:\n{log}"))
    };
    let more = run(times)?.saturating_sub(run(0)?);
    Ok(float(more) / f64::from(times))
}

/// The first line of what a tool says of itself.
pub(crate) fn version(tool: &str) -> Result<String, String> {
    output(Command::new(tool).arg("--version")).map(|(text, _)| text.trim().into())
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2⁵²")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// The programs lie where this one does.
fn path(program: &str) -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(this.with_file_name(program))
}

fn output(command: &mut Command) -> Result<(String, String), String> {
    let run = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let [text, log] = [run.stdout, run.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if run.status.success() { Ok((text, log)) } else { Err(format!("{command:?}: {}\n{log}", run.status)) }
}

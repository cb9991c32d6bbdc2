//! Whether a server answered right.

use crate::workloads::{CONTENT_TYPE, PAGE_FIELDS, Task, Workload};

/// Checks all that was written in answer to one time of the workload.
pub(crate) fn check(mut written: &[u8], workload: &Workload) -> Result<(), String> {
    let expected = workload.answer();
    for _ in 0..workload.requests {
        written = check_one(written, workload.task, &expected)?;
    }
    if written.is_empty() { Ok(()) } else { Err(format!("more than the answer: {:?}", written.escape_ascii())) }
}

/// Checks the first response, and gives what follows it.
fn check_one<'a>(written: &'a [u8], task: Task, expected: &[u8]) -> Result<&'a [u8], String> {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = response.parse(written).map_err(|error| error.to_string())? else {
        return Err(format!("no whole response: {:?}", written.escape_ascii().to_string()));
    };
    let field = |name: &str| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| String::from_utf8_lossy(field.value).into_owned())
    };
    let status = if task == Task::NoContent { 204 } else { 200 };
    if response.code != Some(status) {
        return Err(format!("{:?} instead of {status}", response.code));
    }
    if field("connection").is_some_and(|options| options.contains("close")) {
        return Err("the connection is not kept".into());
    }
    let fields: &[(&str, &str)] = match task {
        Task::NoContent => &[],
        Task::Page => &PAGE_FIELDS,
        Task::Answer | Task::Echo | Task::Stream => &[("content-type", CONTENT_TYPE)],
    };
    for (name, value) in fields {
        if field(name).as_deref() != Some(value) {
            return Err(format!("no {name}"));
        }
    }
    let rest = &written[length..];
    let (body, rest) = match (field("content-length"), field("transfer-encoding")) {
        (None, None) if status == 204 => (Vec::new(), rest),
        (Some(length), None) if status == 200 => {
            let length = length.parse().map_err(|_| format!("a length of {length:?}"))?;
            let (body, rest) = rest.split_at_checked(length).ok_or("too short a body")?;
            (body.to_vec(), rest)
        }
        (None, Some(coding)) if coding == "chunked" => chunked(rest)?,
        framing => return Err(format!("framed by {framing:?}")),
    };
    if body != expected {
        return Err(format!("another body, of {} bytes", body.len()));
    }
    Ok(rest)
}

fn chunked(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let mut body = Vec::new();
    loop {
        let (line, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((line, size))) => (line, usize::try_from(size).unwrap_or(usize::MAX)),
            Ok(httparse::Status::Partial) | Err(_) => return Err("no chunk".into()),
        };
        let (chunk, after) = rest[line..].split_at_checked(size).ok_or("too short a chunk")?;
        rest = after.strip_prefix(b"\r\n").ok_or("no end of a chunk")?;
        if size == 0 {
            return Ok((body, rest));
        }
        body.extend_from_slice(chunk);
    }
}

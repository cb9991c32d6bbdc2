//! The classes that disagreements fall into.

use crate::peers::{End, Taken, Verdict};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    pub here: &'static str,
    pub there: &'static str,
    pub name: String,
}

impl Class {
    pub fn is_unnamed(&self) -> bool {
        self.name.starts_with("unnamed")
    }
}

/// How the two differ; `None` if they do not.
pub fn of(peer: &str, ours: &Verdict, theirs: &Verdict, stream: &[u8]) -> Option<Class> {
    let only_heads = peer == "httparse";
    let here = if only_heads { head_only(ours) } else { ours.clone() };
    let common = here.requests.iter().zip(&theirs.requests).take_while(|(ours, theirs)| ours == theirs).count();
    let (only_ours, only_theirs) = (&here.requests[common..], &theirs.requests[common..]);
    match (&here.end, &theirs.end) {
        _ if only_ours.is_empty() && only_theirs.is_empty() && same_end(&here.end, &theirs.end) => None,
        // Both refuse the same request, the one before and the other behind the bytes of it that came.
        (End::Refused(_), End::Refused(_)) if only_ours.iter().chain(only_theirs).all(Option::is_none) => None,
        (End::Refused(why), End::Refused(_)) if only_theirs.iter().any(Option::is_some) => {
            Some(Class { here: "refused", there: "taken, the next refused", name: name_of_ours(why) })
        }
        (End::Refused(_), End::Refused(why)) => Some(Class {
            here: "taken, the next refused",
            there: "refused",
            name: name_of_theirs(peer, why, only_ours, stream),
        }),
        (End::Refused(why), _) => {
            let there = if only_theirs.is_empty() { at_rest(&theirs.end) } else { "taken" };
            Some(Class { here: "refused", there, name: name_of_ours(why) })
        }
        (_, End::Refused(why)) => {
            let here = if only_ours.is_empty() { at_rest(&here.end) } else { "taken" };
            Some(Class { here, there: "refused", name: name_of_theirs(peer, why, only_ours, stream) })
        }
        _ => Some(Class { here: "taken", there: "taken", name: name_of_both(peer, only_ours, only_theirs, stream) }),
    }
}

/// Where nothing more was taken.
fn at_rest(end: &End) -> &'static str {
    if *end == End::Closed { "has closed" } else { "waits" }
}

/// Of the first head alone.
fn head_only(verdict: &Verdict) -> Verdict {
    if verdict.requests.is_empty() {
        return Verdict { requests: Vec::new(), end: verdict.end.clone() };
    }
    Verdict { requests: vec![None], end: End::Open }
}

fn same_end(ours: &End, theirs: &End) -> bool {
    matches!((ours, theirs), (End::Open, End::Open) | (End::Closed, End::Closed) | (End::Refused(_), End::Refused(_)))
}

/// By the variant of `ProtocolError`.
fn name_of_ours(why: &str) -> String {
    let name = match why {
        "BareLineFeed" => "a line feed without a carriage return",
        "RequestLine" => "white space, or blank lines, where one SP or one CRLF is",
        "Method" => "no method",
        "ConnectDisabled" => "CONNECT",
        "Target" => "no form of a target, or not of this method",
        "Version" => "no version",
        "VersionNotSupported" => "another version",
        "Field" => "the grammar of fields",
        "Host" => "Host missing, twice or malformed",
        "Connection" => "Connection is no list of tokens",
        "ContentLength" => "Content-Length twice, a list, or no number",
        "TransferEncoding" => "Transfer-Encoding twice, on 1.0, or not `chunked`",
        "ContentLengthAndTransferEncoding" => "Content-Length and Transfer-Encoding",
        "TransferCoding" => "a coding before `chunked`",
        "Expectation" => "an expectation other than one 100-continue",
        "ChunkLine" => "the grammar of a chunk's line",
        "ChunkEnd" => "no CRLF behind a chunk",
        "Trailer" => "trailers that frame, route or authenticate, or their grammar",
        "LimitExceeded" => "a limit",
        other => return format!("unnamed: {other}"),
    };
    name.to_owned()
}

/// By what they say, where it can be seen in the stream that this is why.
fn name_of_theirs(peer: &str, why: &str, taken_here: &[Option<Taken>], stream: &[u8]) -> String {
    let target = taken_here.first().and_then(Option::as_ref).map(|(_, target, _)| &target[..]).unwrap_or_default();
    let name = match (peer, why) {
        ("hyper", "invalid URI") if target.iter().any(|byte| b"<>\\^`{|}\"[]".contains(byte)) => {
            "bytes in a target that no URI has"
        }
        ("h11", "no request line received") if has_blank_line(stream) => "a blank line before a request",
        ("h11", _) if why.starts_with("illegal chunk header") && has_white_space_before_extension(stream) => {
            "white space before a chunk extension, which the grammar has (BWS)"
        }
        _ => return format!("unnamed: {why}"),
    };
    name.to_owned()
}

fn has_white_space_before_extension(stream: &[u8]) -> bool {
    stream.windows(2).any(|bytes| bytes == b" ;" || bytes == b"\t;")
}

/// Before the first request, or behind another.
fn has_blank_line(stream: &[u8]) -> bool {
    stream.starts_with(b"\r\n") || stream.windows(4).any(|bytes| bytes == b"\r\n\r\n")
}

fn name_of_both(peer: &str, ours: &[Option<Taken>], theirs: &[Option<Taken>], stream: &[u8]) -> String {
    let is_old = stream.windows(8).any(|bytes| bytes == b"HTTP/1.0");
    let name = match (ours.first(), theirs.first()) {
        (Some(Some(ours)), Some(Some(theirs))) if (&ours.0, &ours.2) == (&theirs.0, &theirs.2) => {
            if peer == "hyper" && with_root(&ours.1) == theirs.1 {
                "an absolute target without a path, shown with one"
            } else {
                "unnamed: the target"
            }
        }
        (Some(Some(_)), Some(Some(_))) => "unnamed: method or content",
        (Some(_), None) if peer == "h11" && is_old => "keep-alive on HTTP/1.0, which is not kept there",
        (None, None) => "unnamed: whether the connection is kept",
        _ => "unnamed: one more request",
    };
    name.to_owned()
}

/// `http://a?b` as `http://a/?b`.
fn with_root(target: &[u8]) -> Vec<u8> {
    let mut shown = target.to_vec();
    if let Some(scheme) = target.windows(3).position(|bytes| bytes == b"://") {
        let authority = &target[scheme + 3..];
        let end = authority.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(authority.len());
        shown[..scheme].make_ascii_lowercase();
        if authority.get(end) != Some(&b'/') {
            shown.insert(scheme + 3 + end, b'/');
        }
    }
    shown
}

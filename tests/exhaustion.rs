//! All short byte strings over small alphabets after fixed prefixes, the connection against the recogniser both ways
//! (P10 in `SECURITY.md`): what one accepts the other accepts too, with the same method, target, fields, body and end;
//! what one refuses the other refuses too, with the same status and at the same byte. There is no list of exceptions.
//!
//! `cargo test` tries the strings up to a short length. All of them, 2.8 thousand million, of which 66 million had to
//! be tried one by one (a refused one stands for all that begin with it), in 13 minutes of one core:
//! `SANSGI_EXHAUST=full cargo test --release --test exhaustion -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "a test may fail"
)]

mod oracles;

use std::env;
use std::time::Instant;

use oracles::recogniser::{Limits, Stop, recognise};
use oracles::subject::{self, Subject};

/// A place in the grammar, and the strings that are tried there.
struct Place {
    name: &'static str,
    prefix: &'static [u8],
    /// What the strings are made of; not all of them are single bytes, so that a few reach far.
    symbols: &'static [&'static [u8]],
    /// Behind each string, each of these: most faults are told at the end of a line or of a section.
    suffixes: &'static [&'static [u8]],
    limits: Limits,
    /// Most symbols of a string, by default and in full.
    short: u32,
    full: u32,
}

struct Search<'a> {
    place: &'a Place,
    longest: u32,
    fresh: Subject,
    /// Strings that were compared, with each suffix.
    compared: u64,
    /// Those that were compared, and those that begin with a refused one.
    decided: u64,
    /// Compared ones that hold a whole request, and that are refused: a place where there are none of either shows
    /// nothing.
    accepted: u64,
    refused: u64,
    divergences: u64,
    report: Vec<String>,
}

impl Search<'_> {
    /// A string is `bytes` without the prefix; `subject` has been fed all of `bytes`.
    fn visit(&mut self, bytes: &mut Vec<u8>, subject: &Subject, length: u32) {
        self.compared += 1;
        self.decided += 1;
        let string_end = bytes.len();
        for suffix in self.place.suffixes {
            let mut whole = subject.clone();
            whole.feed_byte_by_byte(suffix);
            bytes.extend_from_slice(suffix);
            self.compare(bytes, &whole);
            bytes.truncate(string_end);
        }
        if length == self.longest {
            return;
        }
        for symbol in self.place.symbols {
            let mut longer = subject.clone();
            longer.feed_byte_by_byte(symbol);
            bytes.extend_from_slice(symbol);
            if longer.is_over() {
                self.refuse(bytes, &longer);
                let behind = self.longest - length - 1;
                self.decided += (0..=behind).map(|more| (self.place.symbols.len() as u64).pow(more)).sum::<u64>();
            } else {
                self.visit(bytes, &longer, length + 1);
            }
            bytes.truncate(string_end);
        }
    }

    /// "The bytes behind it are not looked at": so a string that is refused stands for all that begin with it.
    fn refuse(&mut self, bytes: &mut Vec<u8>, subject: &Subject) {
        self.compared += 1;
        self.compare(bytes, subject);
        let end = bytes.len();
        let mut longer = subject.clone();
        let behind = b"\r\n\r\n0\r\n\r\nG / HTTP/1.1\r\nhost: a\r\n\r\n";
        longer.feed_byte_by_byte(behind);
        bytes.extend_from_slice(behind);
        if longer.extent() != subject.extent() {
            self.diverge(bytes, "moved behind its end");
        }
        self.compare(bytes, &longer);
        bytes.truncate(end);
    }

    fn compare(&mut self, bytes: &[u8], subject: &Subject) {
        let said = recognise(bytes, &self.place.limits);
        self.accepted +=
            u64::from(said.requests.iter().any(|request| request.end.is_some_and(|end| end > self.place.prefix.len())));
        self.refused += u64::from(matches!(said.stop, Stop::Refused { .. }));
        if let Some(what) = subject.disagreement(&said, true) {
            self.diverge(bytes, &what);
        }
        let mut whole = self.fresh.clone();
        whole.feed(bytes);
        if let Some(what) = whole.disagreement(&said, false) {
            self.diverge(bytes, &format!("in one read: {what}"));
        }
    }

    fn diverge(&mut self, bytes: &[u8], what: &str) {
        self.divergences += 1;
        if self.divergences <= 20 {
            let stop = recognise(bytes, &self.place.limits).stop;
            self.report.push(format!("\"{}\": {what} ({stop:?})", bytes.escape_ascii()));
        }
    }
}

fn search(place: &Place) {
    let started = Instant::now();
    let is_full = env::var("SANSGI_EXHAUST").is_ok_and(|mode| mode == "full");
    let fresh = Subject::new(&subject::config(&place.limits));
    let mut subject = fresh.clone();
    let mut bytes = place.prefix.to_vec();
    subject.feed_byte_by_byte(&bytes);
    let longest = if is_full { place.full } else { place.short };
    let mut search = Search {
        place,
        longest,
        fresh,
        compared: 0,
        decided: 0,
        accepted: 0,
        refused: 0,
        divergences: 0,
        report: Vec::new(),
    };
    search.visit(&mut bytes, &subject, 0);
    let symbols = place.symbols.len() as u64;
    assert_eq!(search.decided, (0..=longest).map(|length| symbols.pow(length)).sum::<u64>(), "a string was left out");
    println!(
        "{}: {} strings of up to {longest} of {symbols} symbols, {} compared, {} accepted, {} refused, in {:.1} s",
        place.name,
        search.decided,
        search.compared,
        search.accepted,
        search.refused,
        started.elapsed().as_secs_f32(),
    );
    assert!(search.accepted > 0 && search.refused > 0, "{}: nothing is accepted, or nothing is refused", place.name);
    assert_eq!(search.divergences, 0, "{}\n{}", place.name, search.report.join("\n"));
}

/// The head of a request whose body is to follow.
const POST_CHUNKED: &[u8] = b"P / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:chunked\r\n\r\n";

#[test]
fn request_lines() {
    search(&Place {
        name: "request line",
        prefix: b"",
        symbols: &[b"G", b" ", b"/", b"\r", b"\n", b"\t", b"?", b"#", b"*", b":", b"\x00", b"\xff"],
        suffixes: &[b" HTTP/1.1\r\nhost:a\r\n\r\n", b"\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
    search(&Place {
        name: "blank lines",
        prefix: b"",
        symbols: &[b"\r", b"\n", b"\r\n", b"G", b" ", b"/", b" / HTTP/1.1\r\nhost:a\r\n\r\n"],
        suffixes: &[b"", b"\r\n", b"G / HTTP/1.0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 5,
        full: 9,
    });
}

#[test]
fn targets() {
    search(&Place {
        name: "target of GET",
        prefix: b"GET ",
        symbols: &[b"http:", b"//", b"a", b"/", b"?", b"#", b":", b"@", b"%", b"80", b"[::1]", b"*", b"`"],
        suffixes: &[b" HTTP/1.1\r\nhost:b\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 6,
    });
    search(&Place {
        name: "target of OPTIONS",
        prefix: b"OPTIONS ",
        symbols: &[b"HTTPS:", b"http://a", b"//", b"a", b"/", b"?", b":", b"*", b"70000", b"\x7f"],
        suffixes: &[b" HTTP/1.0\r\na:\r\n\r\n", b" HTTP/1.1\r\nHost:\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 6,
    });
    search(&Place {
        name: "target of CONNECT",
        prefix: b"CONNECT ",
        symbols: &[b"http://", b"a", b"/", b"?", b":", b"@", b"0", b"9", b"[::1]", b"*", b"."],
        suffixes: &[b" HTTP/1.1\r\nhost:b\r\n\r\n"],
        limits: Limits { connect: true, ..Limits::DEFAULT },
        short: 3,
        full: 6,
    });
}

#[test]
fn versions_and_line_ends() {
    search(&Place {
        name: "version",
        prefix: b"G / ",
        symbols: &[b"HTTP/", b"1", b".", b"0", b"2", b"\r", b"\n", b" ", b"http", b"/"],
        suffixes: &[b"\r\n", b"\r\nhost:a\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
    search(&Place {
        name: "line end",
        prefix: b"G / HTTP/1.",
        symbols: &[b"0", b"1", b"\r", b"\n", b" ", b"\t", b"h", b":", b"\x0b"],
        suffixes: &[b"\r\n\r\n", b"\nhost:a\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
    search(&Place {
        name: "method",
        prefix: b"",
        symbols: &[b"P", b"R", b"I", b"PRI", b"CONNECT", b" ", b"g", b"!", b"(", b"/", b"\x80"],
        suffixes: &[b" * HTTP/1.1\r\n", b" a:1 HTTP/3.0\r\n", b" / HTTP/1.0\r\n\r\n", b"  HTTP/3.0\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 5,
    });
}

#[test]
fn header_blocks() {
    search(&Place {
        name: "header block",
        prefix: b"G / HTTP/1.1\r\nhost:a\r\n",
        symbols: &[b"a", b":", b" ", b"\t", b"\r", b"\n", b"\x00", b"\x80", b"\x0b", b"_"],
        suffixes: &[b"\r\n\r\n", b"\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 6,
    });
    search(&Place {
        name: "header lines",
        prefix: b"G / HTTP/1.1\r\n",
        symbols: &[b"host", b"x", b":", b"a", b" ", b"\r\n", b"\r", b"\xa0", b"connection"],
        suffixes: &[b"\r\n\r\n", b"\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
}

#[test]
fn host_values() {
    search(&Place {
        name: "Host",
        prefix: b"G / HTTP/1.1\r\nHost:",
        symbols: &[b"a", b":", b"[", b"]", b"1", b"%", b"6F", b"@", b"/", b".", b"::", b" ", b"\r\nhost:"],
        suffixes: &[b"\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 5,
    });
    search(&Place {
        name: "Host address",
        prefix: b"G / HTTP/1.1\r\nhost:[",
        symbols: &[b"::", b":", b"1", b"00ff", b":1:2:3", b"1.2.3.4", b"1.2.3.256", b".", b"V1.", b"01.2.3.4"],
        suffixes: &[b"]:65536\r\n\r\n", b"]\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 6,
    });
}

#[test]
fn content_lengths() {
    search(&Place {
        name: "Content-Length",
        prefix: b"G / HTTP/1.1\r\nhost:a\r\nContent-Length:",
        symbols: &[
            b"0",
            b"1",
            b"9",
            b" ",
            b"\t",
            b"+",
            b"-",
            b",",
            b"x",
            b"_",
            b"\r",
            b"\n",
            b"\x0b",
            b"\r\ncontent-length:",
        ],
        suffixes: &[b"\r\n\r\nG / HTTP/1.1\r\nhost:b\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 6,
    });
    search(&Place {
        name: "size of Content-Length",
        prefix: b"G / HTTP/1.1\r\nhost:a\r\ncontent-length:",
        symbols: &[b"922337203685477580", b"7", b"8", b"0", b"99999"],
        suffixes: &[b"\r\n\r\nabcdefghi"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 8,
    });
}

#[test]
fn transfer_encodings() {
    search(&Place {
        name: "Transfer-Encoding",
        prefix: b"G / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:",
        symbols: &[
            b"chunked",
            b"Gzip",
            b",",
            b" ",
            b"\t",
            b";",
            b"=",
            b"\"",
            b"x",
            b"\r",
            b"\n",
            b"\x0b",
            b"\r\nTransfer-Encoding:",
            b"\r\ncontent-length:1",
        ],
        suffixes: &[b"\r\n\r\n0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 6,
    });
    search(&Place {
        name: "Transfer-Encoding on 1.0",
        prefix: b"G / HTTP/1.0\r\n",
        symbols: &[b"transfer-encoding:", b"chunked", b"x", b",", b" ", b"\r\n", b"content-length:1", b"host:"],
        suffixes: &[b"\r\n\r\n0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 6,
    });
}

#[test]
fn connections_and_expectations() {
    search(&Place {
        name: "Connection",
        prefix: b"G / HTTP/1.1\r\nhost:a\r\nconnection:",
        symbols: &[
            b"close",
            b"Keep-Alive",
            b"upgrade",
            b",",
            b" ",
            b";",
            b"\r\nConnection:",
            b"\r\nupgrade:",
            b"h2c",
            b"a/1",
        ],
        suffixes: &[b"\r\n\r\nG / HTTP/1.1\r\nhost:b\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 6,
    });
    search(&Place {
        name: "Connection on 1.0",
        prefix: b"G / HTTP/1.0\r\nconnection:",
        symbols: &[b"close", b"Keep-Alive", b"upgrade", b",", b" ", b"\t", b"\r\nConnection:"],
        suffixes: &[b"\r\n\r\nG / HTTP/1.1\r\nhost:b\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
    search(&Place {
        name: "Expect",
        prefix: b"G / HTTP/1.1\r\nhost:a\r\nexpect:",
        symbols: &[
            b"100-continue",
            b"100-Continue",
            b",",
            b" ",
            b";a=b",
            b"\r\nExpect:",
            b"\r\ncontent-length:0",
            b"\r\ncontent-length:1",
            b"\r\ntransfer-encoding:chunked",
            b"\r\ntransfer-encoding:x,chunked",
        ],
        suffixes: &[b"\r\n\r\n1\r\nx\r\n0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 6,
    });
    search(&Place {
        name: "Expect on 1.0",
        prefix: b"G / HTTP/1.0\r\n",
        symbols: &[b"expect:", b"100-continue", b"x", b",", b"\r\n", b"content-length:", b"1"],
        suffixes: &[b"\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
    search(&Place {
        name: "Upgrade",
        prefix: b"G / HTTP/1.",
        symbols: &[
            b"0\r\n",
            b"1\r\nhost:a\r\n",
            b"connection:Upgrade\r\n",
            b"upgrade:",
            b"H2C",
            b"a/1",
            b",",
            b"\r\n",
            b"content-length:1\r\n",
            b"content-length:0\r\n",
            b"transfer-encoding:chunked\r\n",
        ],
        suffixes: &[b"\r\n", b"\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
}

#[test]
fn chunk_lines() {
    search(&Place {
        name: "chunk line",
        prefix: POST_CHUNKED,
        symbols: &[b"0", b"1", b"f", b" ", b"\t", b";", b"a", b"=", b"\"", b"\\", b"\r", b"\n", b"\x80", b"\x7f"],
        suffixes: &[b"\r\nx\r\n0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
    search(&Place {
        name: "extension",
        prefix: b"P / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:chunked\r\n\r\n1;a",
        symbols: &[b" ", b"\t", b";", b"a", b"=", b"\"", b"\\", b"\r", b"\n", b"\x80", b"\x00", b"(", b",\""],
        suffixes: &[b"\r\nx\r\n0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 8,
    });
    search(&Place {
        name: "chunk size",
        prefix: POST_CHUNKED,
        symbols: &[b"1", b"7", b"8", b"F", b"g", b"00000", b"fffffffffff", b"+"],
        suffixes: &[b"\r\nx\r\n0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 8,
    });
}

#[test]
fn chunk_bodies() {
    search(&Place {
        name: "chunk body",
        prefix: POST_CHUNKED,
        symbols: &[b"1\r\n", b"2\r\n", b"0\r\n", b"x", b"\r", b"\n", b"\r\n", b"0", b";a\r\n"],
        suffixes: &[b"", b"\r\n0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 8,
    });
    search(&Place {
        name: "chunk data",
        prefix: b"P / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:chunked\r\n\r\n2\r\n",
        symbols: &[b"x", b"\r", b"\n", b"0", b"2", b" ", b";", b"\xff"],
        suffixes: &[b"", b"\r\n0\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 5,
        full: 9,
    });
}

#[test]
fn ends_of_bodies_and_next_requests() {
    search(&Place {
        name: "end of a chunked body",
        prefix: b"P / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:chunked\r\n\r\n1\r\nx\r\n0",
        symbols: &[b"\r", b"\n", b"0", b"G", b" ", b"/", b" HTTP/1.1\r\n", b"host:a\r\n", b";"],
        suffixes: &[b"", b"\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 5,
        full: 9,
    });
    search(&Place {
        name: "end of a body of a length",
        prefix: b"P / HTTP/1.1\r\nhost:a\r\ncontent-length:2\r\n\r\n",
        symbols: &[b"\r", b"\n", b"x", b"G", b" ", b"/", b" HTTP/1.1\r\n", b"host:a\r\n", b"\x00"],
        suffixes: &[b"", b"\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 4,
        full: 8,
    });
}

#[test]
fn between_requests() {
    search(&Place {
        name: "between requests",
        prefix: b"G / HTTP/1.1\r\nhost:a\r\n\r\n",
        symbols: &[
            b"\r",
            b"\n",
            b"G",
            b" ",
            b"/",
            b" HTTP/1.1\r\nhost:a\r\n\r\n",
            b" HTTP/1.0\r\n\r\n",
            b" HTTP/1.1\r\nhost:a\r\nconnection:close\r\n\r\n",
            b"\x16",
        ],
        suffixes: &[b"", b"\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 5,
        full: 9,
    });
    search(&Place {
        name: "whole requests",
        prefix: b"",
        symbols: &[
            b"\r\n",
            b"G / HTTP/1.1\r\nhost:a\r\n\r\n",
            b"P / HTTP/1.1\r\nhost:a\r\ncontent-length:1\r\n\r\n",
            b"P / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:chunked\r\n\r\n",
            b"P / HTTP/1.1\r\nhost:a\r\nexpect:100-continue\r\ncontent-length:1\r\n\r\n",
            b"x",
            b"1\r\nx\r\n",
            b"0\r\n\r\n",
            b"G / HTTP/1.0\r\nconnection:keep-alive\r\n\r\n",
        ],
        suffixes: &[b""],
        limits: Limits::DEFAULT,
        short: 4,
        full: 7,
    });
}

#[test]
fn trailers() {
    search(&Place {
        name: "trailer section",
        prefix: b"P / HTTP/1.1\r\nhost:a\r\nconnection:x-a\r\ntransfer-encoding:chunked\r\n\r\n0\r\n",
        symbols: &[b"a", b":", b" ", b"\t", b"\r", b"\n", b"\x00", b"\x80", b"x-", b"\r\n"],
        suffixes: &[b"\r\n\r\nG / HTTP/1.1\r\nhost:b\r\n\r\n", b"\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 6,
    });
    search(&Place {
        name: "trailer names",
        prefix: b"P / HTTP/1.1\r\nhost:a\r\nconnection:x-a, host\r\ntransfer-encoding:chunked\r\n\r\n0\r\n",
        symbols: &[
            b"x-a",
            b"X-Forwarded-",
            b"host",
            b"Content-Length",
            b"TE",
            b"if-",
            b"range",
            b"connection",
            b":",
            b"b",
            b"\r\n",
        ],
        suffixes: &[b":\r\n\r\nG / HTTP/1.1\r\nhost:b\r\n\r\n", b"\r\n\r\n"],
        limits: Limits::DEFAULT,
        short: 3,
        full: 5,
    });
}

#[test]
fn limits_of_a_head() {
    search(&Place {
        name: "limits of a request line",
        prefix: b"",
        symbols: &[b"G", b"/", b" ", b"\r", b"\n", b"(", b"\r\n", b" HTTP/1.1\r\n", b"host:a\r\n"],
        suffixes: &[b"\r\n", b"host:a\r\n\r\n"],
        limits: Limits { method_bytes: 3, target_bytes: 2, fields: 2, ..Limits::DEFAULT },
        short: 5,
        full: 9,
    });
    search(&Place {
        name: "limit of a head",
        prefix: b"G / HTTP/1.1\r\n",
        symbols: &[b"host:a", b"\r\n", b"\r", b"\n", b"b:", b" ", b"host:"],
        suffixes: &[b"", b"\r\n\r\n", b"\n"],
        limits: Limits { head_bytes: 30, fields: 2, ..Limits::DEFAULT },
        short: 4,
        full: 8,
    });
    search(&Place {
        name: "limit of a first line",
        prefix: b"",
        symbols: &[b"\r", b"\n", b"\r\n", b"G", b"/", b" ", b" HTTP/1.0", b"?"],
        suffixes: &[b"", b"\r\n\r\n"],
        limits: Limits { head_bytes: 16, method_bytes: 20, target_bytes: 20, ..Limits::DEFAULT },
        short: 5,
        full: 8,
    });
    search(&Place {
        name: "limit of a declared body",
        prefix: b"P / HTTP/1.1\r\nhost:a\r\n",
        symbols: &[
            b"content-length:",
            b"0",
            b"2",
            b"3",
            b"\r\n",
            b"transfer-encoding:",
            b"chunked",
            b"gzip,",
            b"expect:x\r\n",
        ],
        suffixes: &[b"\r\n\r\n", b"\r\n1\r\nxx"],
        limits: Limits { body_bytes: 2, ..Limits::DEFAULT },
        short: 3,
        full: 6,
    });
}

#[test]
fn limits_of_a_chunked_body() {
    search(&Place {
        name: "limits of a chunk",
        prefix: POST_CHUNKED,
        symbols: &[b"0", b"1", b"2", b" ", b";", b"a", b"\r\n", b"\r", b"x", b"\"", b"1;a\r\nx\r\n"],
        suffixes: &[b"", b"\r\n0\r\n\r\n"],
        limits: Limits { chunk_line_bytes: 5, chunk_extension_bytes: 3, body_bytes: 2, ..Limits::DEFAULT },
        short: 4,
        full: 7,
    });
    search(&Place {
        name: "limits of trailers",
        prefix: b"P / HTTP/1.1\r\nhost:a\r\ntransfer-encoding:chunked\r\n\r\n0\r\n",
        symbols: &[b"a:", b"b", b"\r\n", b"\r", b"\n", b" ", b"te:", b"host:"],
        suffixes: &[b"", b"\r\n", b"\r\n\r\n"],
        limits: Limits { trailer_bytes: 12, fields: 2, ..Limits::DEFAULT },
        short: 4,
        full: 7,
    });
}

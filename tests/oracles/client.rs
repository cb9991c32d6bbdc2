//! K: a client that knows what it means, puts it in bytes, and takes the answer in.

use std::fmt;

use super::grammar::{self, Field, trim_ows};
use super::validator::{self, Asked, End, Fault, Output};

/// A request as its author means it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    /// The version is HTTP/1 and this.
    pub(crate) minor: u8,
    /// All but those that say how the body ends.
    pub(crate) fields: Vec<Field>,
    /// White space around the values, one after the other and again from the first: it means nothing.
    pub(crate) paddings: Vec<(&'static str, &'static str)>,
    pub(crate) body: Vec<u8>,
    pub(crate) coding: Coding,
    /// An empty line before it, as an old client sends behind a POST.
    pub(crate) has_blank_line: bool,
}

/// How a client tells where the body ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// By neither field: there is no body.
    None,
    Length,
    Chunked {
        /// What the chunks are cut to; what is left is one more.
        sizes: Vec<usize>,
        /// What stands behind the sizes, one after the other and again from the first.
        extensions: Vec<Vec<u8>>,
        trailers: Vec<Field>,
    },
}

impl Message {
    /// The fields with those that say how the body ends: what the server is to see.
    pub(crate) fn all_fields(&self) -> Vec<Field> {
        let mut fields = self.fields.clone();
        match self.coding {
            Coding::None => {}
            Coding::Length => fields.push((b"Content-Length".to_vec(), self.body.len().to_string().into_bytes())),
            Coding::Chunked { .. } => fields.push((b"Transfer-Encoding".to_vec(), b"chunked".to_vec())),
        }
        fields
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.has_blank_line {
            bytes.extend_from_slice(b"\r\n");
        }
        // "request-line = method SP request-target SP HTTP-version" (RFC 9112 §3).
        bytes.extend_from_slice(&self.method);
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(format!(" HTTP/1.{}\r\n", self.minor).as_bytes());
        let no_padding = [(" ", "")];
        let paddings = if self.paddings.is_empty() { &no_padding[..] } else { &self.paddings };
        for ((name, value), (before, behind)) in self.all_fields().iter().zip(paddings.iter().cycle()) {
            write_field(&mut bytes, name, before, value, behind);
        }
        bytes.extend_from_slice(b"\r\n");
        match &self.coding {
            Coding::None => assert!(self.body.is_empty(), "a body without an end"),
            Coding::Length => bytes.extend_from_slice(&self.body),
            Coding::Chunked { sizes, extensions, trailers } => {
                self.write_chunks(&mut bytes, sizes, extensions);
                for (name, value) in trailers {
                    write_field(&mut bytes, name, " ", value, "");
                }
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes
    }

    /// "chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF" and "last-chunk = 1*("0") [ chunk-ext ] CRLF" (RFC 9112
    /// §7.1).
    fn write_chunks(&self, bytes: &mut Vec<u8>, sizes: &[usize], extensions: &[Vec<u8>]) {
        let mut extensions = extensions.iter().map(Vec::as_slice).cycle();
        let mut next_extension = || extensions.next().unwrap_or_default();
        let mut rest = self.body.as_slice();
        let mut sizes = sizes.iter();
        while !rest.is_empty() {
            // A chunk of no bytes would be the last.
            let size = sizes.next().map_or(rest.len(), |&size| size.clamp(1, rest.len()));
            let (chunk, behind) = rest.split_at(size);
            bytes.extend_from_slice(format!("{size:x}").as_bytes());
            bytes.extend_from_slice(next_extension());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            rest = behind;
        }
        bytes.extend_from_slice(b"0");
        bytes.extend_from_slice(next_extension());
        bytes.extend_from_slice(b"\r\n");
    }

    /// What of it bears on the answer.
    pub(crate) fn asked(&self) -> Asked {
        let fields = self.all_fields();
        let has = |name: &str, value: &str| {
            let of_name = grammar::elements(&fields, name);
            of_name.into_iter().any(|element| grammar::is(element, value))
        };
        let has_body = match self.coding {
            Coding::None => false,
            Coding::Length => !self.body.is_empty(),
            Coding::Chunked { .. } => true,
        };
        let upgrades = if has("connection", "upgrade") && self.minor == 1 && !has_body {
            grammar::elements(&fields, "upgrade").into_iter().map(<[u8]>::to_vec).collect()
        } else {
            Vec::new()
        };
        Asked {
            method: self.method.clone(),
            minor: self.minor,
            expects_continue: has("expect", "100-continue") && self.minor == 1 && has_body,
            takes_trailers: has("te", "trailers"),
            upgrades,
        }
    }
}

/// As it is sent: what a failed test shows is read by people.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.encode().escape_ascii())
    }
}

fn write_field(bytes: &mut Vec<u8>, name: &[u8], before: &str, value: &[u8], behind: &str) {
    assert_eq!(trim_ows(value), value, "white space at the ends of a value means nothing");
    bytes.extend_from_slice(name);
    bytes.push(b':');
    bytes.extend_from_slice(before.as_bytes());
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(behind.as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

/// The answers to these requests.
pub(crate) fn decode(messages: &[Message], output: &[u8], end: End) -> Result<Output, Fault> {
    let asked: Vec<Asked> = messages.iter().map(Message::asked).collect();
    validator::validate(&asked, output, end)
}

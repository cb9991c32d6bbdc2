//! The stream, byte by byte: "each check has one verdict point in the stream".

/// What a head says, in words of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) minor: u8,
    pub(crate) keeps_alive: bool,
    pub(crate) length: u64,
    pub(crate) is_chunked: bool,
    pub(crate) expects: bool,
    pub(crate) upgrades: bool,
    pub(crate) takes_trailers: bool,
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
}

impl Kind {
    /// Before the first.
    pub(super) const NONE: Self = Self {
        minor: 1,
        keeps_alive: true,
        length: 0,
        is_chunked: false,
        expects: false,
        upgrades: false,
        takes_trailers: false,
        is_head: false,
        is_connect: false,
    };
}

/// Where in the stream the next byte stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Before a head or in one, which is not taken before it is whole.
    Head {
        a_blank_line_came: bool,
    },
    /// So many bytes of content are left.
    Length(u64),
    /// In a chunk's line, with what came of it.
    ChunkLine(Vec<u8>),
    ChunkData(u64),
    /// Behind a chunk's data, with what came of its end.
    ChunkEnd(Vec<u8>),
    /// In the trailer section, with what came of it.
    Trailers(Vec<u8>),
    /// The request is whole.
    End,
}

/// A status.
pub(super) type Fault = u16;

impl Reader {
    pub(super) fn of(kind: Kind) -> Self {
        if kind.is_chunked { Self::ChunkLine(Vec::new()) } else { Self::Length(kind.length) }
    }

    pub(super) fn is_at_end(&self) -> bool {
        matches!(self, Self::Length(0) | Self::End)
    }

    pub(super) fn is_at_content(&self) -> bool {
        matches!(self, Self::Length(1..) | Self::ChunkData(_))
    }

    /// Takes a byte of a body; the byte if it is content.
    pub(super) fn take(&mut self, byte: u8, trailer_limit: usize) -> Result<Option<u8>, Fault> {
        match self {
            Self::Length(left) | Self::ChunkData(left) if *left > 1 => {
                *left -= 1;
                Ok(Some(byte))
            }
            Self::Length(_) => {
                *self = Self::End;
                Ok(Some(byte))
            }
            Self::ChunkData(_) => {
                *self = Self::ChunkEnd(Vec::new());
                Ok(Some(byte))
            }
            Self::ChunkEnd(end) => {
                end.push(byte);
                match &end[..] {
                    b"\r" => {}
                    b"\r\n" => *self = Self::ChunkLine(Vec::new()),
                    _ => return Err(400),
                }
                Ok(None)
            }
            Self::ChunkLine(line) => {
                line.push(byte);
                let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
                match &line[digits..] {
                    [] | [b'\r'] if digits > 0 => {}
                    b"\r\n" => {
                        let size = String::from_utf8_lossy(&line[..digits]);
                        let size = u64::from_str_radix(&size, 16).expect("digits");
                        *self = if size == 0 { Self::Trailers(Vec::new()) } else { Self::ChunkData(size) };
                    }
                    _ => return Err(400),
                }
                Ok(None)
            }
            Self::Trailers(section) => {
                section.push(byte);
                if section.len() > trailer_limit {
                    return Err(431);
                }
                if byte == b'\n' {
                    if !section.ends_with(b"\r\n") {
                        return Err(400);
                    }
                    if section.len() == 2 || section.ends_with(b"\r\n\r\n") {
                        let is_right = lines(section).all(|line| line == b"x: y");
                        *self = Self::End;
                        return if is_right { Ok(None) } else { Err(400) };
                    }
                }
                Ok(None)
            }
            Self::Head { .. } | Self::End => unreachable!("no body is here"),
        }
    }
}

/// The lines of a section before its empty one, without their ends.
fn lines(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = section.strip_suffix(b"\r\n").unwrap_or(section);
    text.split(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Nothing,
    Begun,
    Blank,
    Whole(usize, Kind),
    Fault(Fault),
}

/// What these bytes say before a request, byte by byte: "each check has one verdict point in the stream".
pub(super) fn head(bytes: &[u8], a_blank_line_came: bool, limit: usize) -> Head {
    let skipped = if a_blank_line_came { 2 } else { 0 };
    let mut line_start = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let came = &bytes[..=index];
        if came.len() + skipped > limit {
            return Head::Fault(431);
        }
        if byte == b'\n' && !came.ends_with(b"\r\n") {
            return Head::Fault(400);
        }
        if came == b"\r\n" {
            return if a_blank_line_came { Head::Fault(400) } else { Head::Blank };
        }
        if index == 1 && bytes[0] == b'\r' {
            return Head::Fault(400);
        }
        if byte == b'\n' {
            if line_start == 0 && request_line(&came[..index - 1]).is_none() {
                return Head::Fault(400);
            }
            if index + 1 == line_start + 2 {
                return kind(came).map_or(Head::Fault(400), |kind| Head::Whole(came.len(), kind));
            }
            line_start = index + 1;
        }
    }
    if bytes.is_empty() { Head::Nothing } else { Head::Begun }
}

/// Method and minor version.
fn request_line(line: &[u8]) -> Option<(&str, u8)> {
    let line = str::from_utf8(line).ok()?;
    let (method, rest) = line.split_once(' ')?;
    let target = if method == "CONNECT" { "a:80" } else { "/" };
    let version = rest.strip_prefix(target)?;
    let minor = match version {
        " HTTP/1.1" => 1,
        " HTTP/1.0" => 0,
        _ => return None,
    };
    method.bytes().all(|byte| byte.is_ascii_uppercase()).then_some((method, minor))
}

fn kind(head: &[u8]) -> Option<Kind> {
    let mut all = lines(head);
    let (method, minor) = request_line(all.next()?)?;
    let mut kind = Kind {
        minor,
        keeps_alive: minor == 1,
        length: 0,
        is_chunked: false,
        expects: false,
        upgrades: false,
        takes_trailers: false,
        is_head: method == "HEAD",
        is_connect: method == "CONNECT",
    };
    let mut has_host = minor == 0;
    for line in all {
        match line {
            b"host: a" => has_host = true,
            b"content-length: 2" => kind.length = 2,
            b"transfer-encoding: chunked" => kind.is_chunked = true,
            b"te: trailers" => kind.takes_trailers = true,
            b"expect: 100-continue" => kind.expects = true,
            b"connection: keep-alive" => kind.keeps_alive = true,
            b"upgrade: w" => kind.upgrades = true,
            // "connection: upgrade", which says no more than "upgrade", and "x: ppp…", which is there for its length.
            _ => {}
        }
    }
    has_host.then_some(kind)
}

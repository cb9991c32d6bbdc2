//! What was written, decoded as a client would: chunks are joined, bodies too, so that only their bytes count.

use sansgi::Instant;

use super::text::{escape, quote};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Byte(u8),
    /// So many bytes of a part that the driver moved by itself.
    Part {
        token: u64,
        length: u64,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Output {
    units: Vec<(Instant, Unit)>,
}

impl Output {
    pub fn bytes(&mut self, now: Instant, bytes: &[u8]) {
        self.units.extend(bytes.iter().map(|&byte| (now, Unit::Byte(byte))));
    }

    pub fn part(&mut self, now: Instant, token: u64, length: u64) {
        if let Some((before, Unit::Part { token: last, length: joined })) = self.units.last_mut()
            && *before == now
            && *last == token
        {
            *joined += length;
        } else {
            self.units.push((now, Unit::Part { token, length }));
        }
    }

    /// With so many `P` for each part.
    pub fn all_bytes(&self) -> Vec<u8> {
        let bytes = |&(_, unit): &(Instant, Unit)| match unit {
            Unit::Byte(byte) => vec![byte],
            Unit::Part { length, .. } => vec![b'P'; usize::try_from(length).unwrap_or(usize::MAX)],
        };
        self.units.iter().flat_map(bytes).collect()
    }
}

/// A response in the middle of being decoded.
struct Decoder<'a> {
    units: &'a [(Instant, Unit)],
    /// Of the part at the front, what was taken already.
    taken: u64,
    /// The last bytes of a body, which more may join.
    joined: Option<(Instant, &'static str, Vec<u8>)>,
    lines: Vec<(Instant, String)>,
}

/// The rest cannot be decoded: it is cut, or malformed.
struct Stop;

/// Lines for people. `methods` are those of the requests, in order.
pub fn decode(output: &Output, methods: &[String]) -> Vec<(Instant, String)> {
    let mut decoder = Decoder { units: &output.units, taken: 0, joined: None, lines: Vec::new() };
    let mut finals = 0;
    while !decoder.units.is_empty() {
        let method = methods.get(finals).map(String::as_str);
        match decoder.response(method) {
            Ok(is_final) => finals += usize::from(is_final),
            Err(Stop) => break,
        }
    }
    decoder.flush();
    decoder.lines
}

impl Decoder<'_> {
    /// True if it was a final one.
    fn response(&mut self, method: Option<&str>) -> Result<bool, Stop> {
        let status_line = self.noted_line("a status line")?;
        let status: u16 = match status_line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.split_first_chunk::<4>()) {
            Some((digits @ [.., b' '], _)) => std::str::from_utf8(&digits[..3]).ok().and_then(|code| code.parse().ok()),
            _ => None,
        }
        .ok_or_else(|| self.malformed("status line"))?;
        let mut lengths = Vec::new();
        let mut codings = Vec::new();
        loop {
            let field = self.noted_line("a head")?;
            if field.is_empty() {
                break;
            }
            let colon = field.iter().position(|&byte| byte == b':').ok_or_else(|| self.malformed("field"))?;
            let value = field[colon + 1..].strip_prefix(b" ").unwrap_or(&field[colon + 1..]).to_vec();
            match field[..colon].to_ascii_lowercase().as_slice() {
                b"content-length" => lengths.push(value),
                b"transfer-encoding" => codings.push(value),
                _ => {}
            }
        }
        if (100..=199).contains(&status) && status != 101 {
            return Ok(false);
        }
        if status == 101 || (method == Some("CONNECT") && (200..=299).contains(&status)) {
            self.body("tunnel", u64::MAX);
        } else if method == Some("HEAD") || matches!(status, 204 | 304) {
            // No body, whatever the head says.
        } else if let [coding] = codings.as_slice() {
            if coding != b"chunked" || !lengths.is_empty() {
                return Err(self.malformed("framing"));
            }
            self.chunks()?;
        } else if let [length] = lengths.as_slice() {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            let length = length.ok_or_else(|| self.malformed("content-length"))?;
            let missing = self.body("body", length);
            if missing > 0 {
                self.note(format!("{missing} bytes of the body are missing"));
            }
        } else {
            self.body("until close", u64::MAX);
        }
        Ok(true)
    }

    fn chunks(&mut self) -> Result<(), Stop> {
        loop {
            let (_, line) = self.line("a chunk line")?;
            let is_hex = !line.is_empty() && line.iter().all(u8::is_ascii_hexdigit);
            let size = std::str::from_utf8(&line).ok().and_then(|line| u64::from_str_radix(line, 16).ok());
            let size = size.filter(|_| is_hex).ok_or_else(|| self.malformed("chunk line"))?;
            if size == 0 {
                self.note("last chunk".to_owned());
                while !self.noted_line("a trailer section")?.is_empty() {}
                return Ok(());
            }
            if self.body("chunks", size) > 0 {
                self.note("cut inside a chunk".to_owned());
                return Err(Stop);
            }
            let (_, end) = self.line("the end of a chunk")?;
            if !end.is_empty() {
                return Err(self.malformed("end of a chunk"));
            }
        }
    }

    /// Takes a line and notes it, unless it is empty.
    fn noted_line(&mut self, what: &str) -> Result<Vec<u8>, Stop> {
        let (at, line) = self.line(what)?;
        if !line.is_empty() {
            self.put(at, escape(&line).trim_end().to_owned());
        }
        Ok(line)
    }

    /// Takes a line, without its CRLF.
    fn line(&mut self, what: &str) -> Result<(Instant, Vec<u8>), Stop> {
        let mut line = Vec::new();
        for (_, unit) in self.units {
            let Unit::Byte(byte) = unit else { break };
            line.push(*byte);
            if line.ends_with(b"\r\n") {
                let at = self.units[0].0;
                self.units = &self.units[line.len()..];
                line.truncate(line.len() - 2);
                return Ok((at, line));
            }
        }
        if !line.is_empty() {
            self.note(quote(&line));
        }
        self.note(format!("cut inside {what}"));
        Err(Stop)
    }

    /// Takes so many bytes, if they are there, and says how many are not.
    fn body(&mut self, label: &'static str, length: u64) -> u64 {
        let mut left = length;
        while left > 0 {
            let Some(&(at, unit)) = self.units.first() else { break };
            match unit {
                Unit::Byte(byte) => {
                    match &mut self.joined {
                        Some((before, _, bytes)) if *before == at => bytes.push(byte),
                        _ => {
                            self.flush();
                            self.joined = Some((at, label, vec![byte]));
                        }
                    }
                    self.units = &self.units[1..];
                    left -= 1;
                }
                Unit::Part { token, length } => {
                    let size = left.min(length - self.taken);
                    left -= size;
                    self.taken += size;
                    if self.taken == length {
                        self.units = &self.units[1..];
                        self.taken = 0;
                    }
                    self.put(at, format!("{label} part {token}, {size} bytes"));
                }
            }
        }
        left
    }

    fn put(&mut self, at: Instant, line: String) {
        self.flush();
        self.lines.push((at, line));
    }

    fn flush(&mut self) {
        if let Some((at, label, bytes)) = self.joined.take() {
            self.lines.push((at, format!("{label} {}", quote(&bytes))));
        }
    }

    fn malformed(&mut self, what: &str) -> Stop {
        let bytes: Vec<u8> = self
            .units
            .iter()
            .map_while(|(_, unit)| match unit {
                Unit::Byte(byte) => Some(*byte),
                Unit::Part { .. } => None,
            })
            .collect();
        self.note(format!("malformed {what}, then {}", quote(&bytes)));
        Stop
    }

    /// A remark at the time of what is next, or was last.
    fn note(&mut self, text: String) {
        self.flush();
        let at = self.units.first().map(|(at, _)| *at).or(self.lines.last().map(|(at, _)| *at));
        self.put(at.unwrap_or(Instant::ZERO), text);
    }
}

//! Bytes as text that people can read and write, and times likewise.

use std::fmt::Write as _;
use std::time::Duration;

/// Bytes from text: `\r`, `\n`, `\t`, `\0`, `\xNN`, `\\`, `\"`, `\{`, and `{"text" * count}`.
pub fn parse_bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if rest.starts_with("{\"") {
            let (unit, count, after) = parse_repeat(rest)?;
            bytes.extend(unit.repeat(count));
            rest = after;
        } else if character == '\\' {
            let (byte, length) = parse_escape(rest)?;
            bytes.push(byte);
            rest = &rest[length..];
        } else {
            let length = character.len_utf8();
            bytes.extend_from_slice(&rest.as_bytes()[..length]);
            rest = &rest[length..];
        }
    }
    Ok(bytes)
}

/// The value of an escape at the front of `text`, and its length.
fn parse_escape(text: &str) -> Result<(u8, usize), String> {
    let byte = match text.as_bytes().get(1) {
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'0') => 0,
        Some(&byte @ (b'\\' | b'"' | b'{')) => byte,
        Some(b'x') => {
            let digits = text.get(2..4).ok_or_else(|| format!("two digits must follow \\x in {text:?}"))?;
            let byte = u8::from_str_radix(digits, 16).map_err(|error| format!("{error} in {text:?}"))?;
            return Ok((byte, 4));
        }
        Some(_) | None => return Err(format!("an unknown escape in {text:?}")),
    };
    Ok((byte, 2))
}

/// `{"unit" * count}` at the front of `text`: the unit, the count, and what follows.
fn parse_repeat(text: &str) -> Result<(Vec<u8>, usize, &str), String> {
    let wrong = || format!("expected {{\"text\" * count}} in {text:?}");
    let inner = text.strip_prefix("{\"").ok_or_else(wrong)?;
    let (unit, after) = inner.split_once("\" * ").ok_or_else(wrong)?;
    let (count, after) = after.split_once('}').ok_or_else(wrong)?;
    Ok((parse_bytes(unit)?, count.parse().map_err(|_| wrong())?, after))
}

/// A quoted text and what follows it: `"ok" more`.
pub fn parse_quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let wrong = || format!("expected a quoted text, found {text:?}");
    let inner = text.strip_prefix('"').ok_or_else(wrong)?;
    let (inner, after) = inner.rsplit_once('"').ok_or_else(wrong)?;
    Ok((parse_bytes(inner)?, after.trim_start()))
}

/// The inverse of [`parse_bytes`]. What repeats itself for long is abridged.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while at < bytes.len() {
        if let Some((unit, count)) = repeated(&bytes[at..]) {
            let _ = write!(text, "{{\"{}\" * {count}}}", escape(unit));
            at += unit.len() * count;
        } else {
            escape_byte(bytes[at], bytes.get(at + 1).copied(), &mut text);
            at += 1;
        }
    }
    text
}

pub fn quote(bytes: &[u8]) -> String {
    format!("\"{}\"", escape(bytes))
}

/// A unit of at most 16 bytes that is repeated over at least 48 bytes from here on.
fn repeated(bytes: &[u8]) -> Option<(&[u8], usize)> {
    (1..=16.min(bytes.len())).find_map(|period| {
        let unit = &bytes[..period];
        let count = bytes.chunks_exact(period).take_while(|chunk| *chunk == unit).count();
        (count > 2 && count * period >= 48).then_some((unit, count))
    })
}

fn escape_byte(byte: u8, next: Option<u8>, into: &mut String) {
    match byte {
        b'\r' => into.push_str("\\r"),
        b'\n' => into.push_str("\\n"),
        b'\t' => into.push_str("\\t"),
        b'\\' => into.push_str("\\\\"),
        b'"' => into.push_str("\\\""),
        b'{' if next == Some(b'"') => into.push_str("\\{"),
        b' '..=b'~' => into.push(char::from(byte)),
        _ => {
            let _ = write!(into, "\\x{byte:02x}");
        }
    }
}

/// `30s`, `500ms`, `10ns`, `0.5s`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration such as 30s or 500ms, found {text:?}");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let whole = || number.parse::<u64>().map_err(|_| wrong());
    match unit {
        "ns" => Ok(Duration::from_nanos(whole()?)),
        "ms" => Ok(Duration::from_millis(whole()?)),
        "s" => {
            let (seconds, fraction) = number.split_once('.').unwrap_or((number, ""));
            let nanos: u32 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
            Ok(Duration::new(seconds.parse().map_err(|_| wrong())?, nanos))
        }
        _ => Err(wrong()),
    }
}

/// The inverse of [`parse_duration`], in seconds.
pub fn show_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos == 0 {
        format!("{seconds}s")
    } else {
        format!("{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0'))
    }
}

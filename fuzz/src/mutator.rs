//! Mutations that an attacker would make: libFuzzer's own change bytes, and hardly ever a request into another that two
//! parsers read differently.

use libfuzzer_sys::fuzzer_mutate;

/// Words that are put in at edges of tokens; `http.dict` has more, for libFuzzer's own mutations.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\x00",
    b"\x0b",
    b"\x0c",
    b"\x85",
    b"\xa0",
    b"\x7f",
    b"0",
    b"+",
    b"-",
    b"_",
    b"0x",
    b",",
    b";",
    b"\"",
    b"\\",
    b":",
    b"=",
    b"chunked",
    b", chunked",
    b"chunked, ",
    b"gzip, ",
    b"XX",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b";a=b",
    b";a=\"b\\\"c\"",
    b"ffffffffffffffff",
    b"7fffffffffffffff",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551617",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"http://b",
    b"[::1]:80",
];

/// Whole lines.
const LINES: &[&[u8]] = &[
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length : 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Host: b\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"TE: trailers\r\n",
    b"X-Tag: \xe9\r\n",
    b" folded\r\n",
    b"\r\n",
    b"0\r\n",
    b"1;a\r\n",
];

/// "xorshift32" (Marsaglia): the same seed gives the same mutation.
struct Chance(u32);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 4) as usize % end.max(1)
    }

    fn of<'a>(&mut self, choices: &[&'a [u8]]) -> &'a [u8] {
        choices[self.below(choices.len())]
    }
}

/// Mutates `data[..size]` in place, for `fuzz_mutator!`; its first `choices` bytes choose circumstances and are left to
/// libFuzzer. Gives the new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, choices: usize) -> usize {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9) | 1);
    if size <= choices || chance.below(2) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut stream = data[choices..size].to_vec();
    for _ in 0..=chance.below(3) {
        change(&mut stream, &mut chance);
    }
    let new_size = (choices + stream.len()).min(max_size).min(data.len());
    data[choices..new_size].copy_from_slice(&stream[..new_size - choices]);
    new_size
}

fn change(stream: &mut Vec<u8>, chance: &mut Chance) {
    match chance.below(12) {
        0 => replace_line_end(stream, chance),
        1 | 2 => {
            let at = edge(stream, chance);
            insert(stream, at, chance.of(WORDS));
        }
        3 => {
            let at = line(stream, chance).0;
            insert(stream, at, chance.of(LINES));
        }
        4 => {
            // Twice.
            let (start, end) = line(stream, chance);
            let copy = stream[start..end].to_vec();
            let at = line(stream, chance).0;
            insert(stream, at, &copy);
        }
        5 => {
            let (start, end) = line(stream, chance);
            stream.drain(start..end);
        }
        6 => {
            // Split a line, or fold it.
            let at = edge(stream, chance);
            insert(stream, at, chance.of(&[b"\r\n", b"\r\n ", b"\r\n\t", b"\n", b"\r"]));
        }
        7 => change_number(stream, chance),
        8 => {
            let at = chance.below(stream.len());
            if let Some(byte) = stream.get_mut(at) {
                *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 1 << chance.below(8) };
            }
        }
        9 => {
            // White space around what parts tokens.
            let at = delimiter(stream, chance);
            insert(stream, at + chance.below(2), chance.of(&[b" ", b"\t", b" \t ", b"\x0b", b"\xa0", b"\r\n "]));
        }
        10 => {
            let at = chance.below(stream.len());
            let end = (at + 1 + chance.below(8)).min(stream.len());
            stream.drain(at.min(end)..end);
        }
        _ => {
            // Another request behind, or in between.
            let at = if chance.below(2) == 0 { stream.len() } else { line(stream, chance).0 };
            let requests = &WORDS[WORDS.len() - 7..WORDS.len() - 4];
            insert(stream, at, chance.of(requests));
        }
    }
}

fn insert(stream: &mut Vec<u8>, at: usize, word: &[u8]) {
    let at = at.min(stream.len());
    stream.splice(at..at, word.iter().copied());
}

/// CRLF becomes LF, CR, or something like them.
fn replace_line_end(stream: &mut Vec<u8>, chance: &mut Chance) {
    let (_, end) = line(stream, chance);
    if stream[..end].ends_with(b"\r\n") {
        let ends: &[&[u8]] = &[b"\n", b"\r", b"", b"\r\r\n", b"\n\r", b"\r\n\n", b" \r\n", b"\r\n\r\n", b"\rX", b"XX"];
        stream.splice(end - 2..end, chance.of(ends).iter().copied());
    }
}

/// Where a line begins and ends.
fn line(stream: &[u8], chance: &mut Chance) -> (usize, usize) {
    let at = chance.below(stream.len());
    let start = stream[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
    let end = stream[at..].iter().position(|&byte| byte == b'\n').map_or(stream.len(), |length| at + length + 1);
    (start, end)
}

/// Where a token ends or begins.
fn edge(stream: &[u8], chance: &mut Chance) -> usize {
    let at = chance.below(stream.len());
    let is_edge = |pair: &[u8]| pair[0].is_ascii_alphanumeric() != pair[1].is_ascii_alphanumeric();
    let next = stream[at..].windows(2).position(is_edge).map_or(stream.len(), |behind| at + behind + 1);
    next + chance.below(2)
}

fn delimiter(stream: &[u8], chance: &mut Chance) -> usize {
    let at = chance.below(stream.len());
    stream[at..].iter().position(|byte| b":,;= /?\r".contains(byte)).map_or(stream.len(), |behind| at + behind)
}

/// A sign, a prefix, another base, or another number.
fn change_number(stream: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(stream.len());
    let Some(start) = stream[at..].iter().position(u8::is_ascii_hexdigit).map(|behind| at + behind) else { return };
    let end =
        stream[start..].iter().position(|byte| !byte.is_ascii_hexdigit()).map_or(stream.len(), |size| start + size);
    match chance.below(4) {
        0 => insert(stream, start, chance.of(&[b"+", b"-", b"0x", b"0", b"0000000000000000", b" ", b"\t"])),
        1 => insert(stream, end, chance.of(&[b"_", b"h", b"0", b" ", b"\t", b".0", b",", b"L"])),
        2 => {
            let digit = &mut stream[end - 1];
            *digit = b"0123456789abcdefF"[chance.below(17)];
        }
        _ => {
            let numbers: &[&[u8]] = &[b"0", b"1", b"5", b"a", b"10", b"ffffffffffffffff", b"9223372036854775808"];
            stream.splice(start..end, chance.of(numbers).iter().copied());
        }
    }
}

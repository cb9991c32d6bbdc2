//! The streams that are compared: requests as they should be, changed in one to three places as an attacker would.

/// One stream of each framing, and of most of what a head may say.
const SEEDS: [&[u8]; 9] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nConnection: keep-alive\r\nX-Tag: one two\r\n\r\n",
    b"GET http://b/c?d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA;x=\"y\"\r\n0123456789\r\n1\r\n!\r\n0\r\nX-Sum: 7\r\n\r\n",
];

const WORDS: [&[u8]; 30] = [
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
    b"#",
    b"@",
    b"{",
    b"chunked",
    b"chunked, ",
    b"gzip, ",
    b"XX",
    b"ffffffffffffffff",
    b"9223372036854775808",
];

const LINES: [&[u8]; 16] = [
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length : 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Host: b\r\n",
    b"Connection: close\r\n",
    b"Connection: a/b\r\n",
    b"Expect: 200-ok\r\n",
    b"X-Tag: \xe9\r\n",
    b" folded\r\n",
    b"\r\n",
    b"Content-Length: 5\r\n",
    b"Host: \r\n",
];

const ENDS: [&[u8]; 9] = [b"\n", b"\r", b"", b"\r\r\n", b"\n\r", b"\r\n\n", b" \r\n", b"\r\n\r\n", b"\r\n "];

/// "xorshift32" (Marsaglia): the same number gives the same stream.
struct Chance(u32);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 4) as usize % end.max(1)
    }

    fn of(&mut self, choices: &[&'static [u8]]) -> &'static [u8] {
        choices[self.below(choices.len())]
    }
}

/// The stream of this number.
pub fn stream(number: u32) -> Vec<u8> {
    let mut chance = Chance(number.wrapping_mul(0x9e37_79b9) | 1);
    for _ in 0..4 {
        chance.below(1);
    }
    let mut stream = chance.of(&SEEDS).to_vec();
    for _ in 0..=chance.below(3) {
        change(&mut stream, &mut chance);
    }
    // What a peer took too much or too little shows in what it makes of the next.
    stream.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    stream
}

fn change(stream: &mut Vec<u8>, chance: &mut Chance) {
    let at = chance.below(stream.len());
    let start = stream[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
    let end = stream[at..].iter().position(|&byte| byte == b'\n').map_or(stream.len(), |length| at + length + 1);
    match chance.below(8) {
        0 if stream[..end].ends_with(b"\r\n") => splice(stream, end - 2..end, chance.of(&ENDS)),
        0 | 1 => splice(stream, start..start, chance.of(&LINES)),
        2 => {
            let line = stream[start..end].to_vec();
            splice(stream, end..end, &line);
        }
        3 => splice(stream, start..end, b""),
        4 => splice(stream, at..(at + 1 + chance.below(4)).min(stream.len()), b""),
        5 => {
            let byte = stream.get(at).copied().unwrap_or_default();
            let other = if byte.is_ascii_alphabetic() { byte ^ 0x20 } else { byte ^ 1 << chance.below(8) };
            splice(stream, at..(at + 1).min(stream.len()), &[other]);
        }
        _ => {
            // At the edge of a token.
            let is_edge = |pair: &[u8]| pair[0].is_ascii_alphanumeric() != pair[1].is_ascii_alphanumeric();
            let edge = stream[at..].windows(2).position(is_edge).map_or(stream.len(), |behind| at + behind + 1);
            splice(stream, edge..edge, chance.of(&WORDS));
        }
    }
}

fn splice(stream: &mut Vec<u8>, place: std::ops::Range<usize>, bytes: &[u8]) {
    stream.splice(place, bytes.iter().copied());
}

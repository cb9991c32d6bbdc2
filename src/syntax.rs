//! Byte classes, tokens, lists and digits: the lexical rules of RFC 9110 §5.6 and RFC 3986, on bytes.
//!
//! The standard library's helpers are not used where they are wider than the grammar: `str::parse` takes a `+`,
//! `trim` strips Unicode blanks, and Unicode case folding turns U+212A into `k`.

use core::ops::ControlFlow;

/// `tchar` (RFC 9110 §5.6.2).
pub(crate) const TOKEN: u8 = 1;
/// `field-vchar`, SP or HTAB (RFC 9110 §5.5).
pub(crate) const FIELD: u8 = 1 << 1;
/// What a raw path may hold: visible ASCII that clients really send, without the query's and the fragment's marks.
pub(crate) const PATH: u8 = 1 << 2;
/// What a raw query may hold: visible ASCII without the fragment's mark.
pub(crate) const QUERY: u8 = 1 << 3;
/// `unreserved / sub-delims` (RFC 3986 §2).
pub(crate) const REG_NAME: u8 = 1 << 4;
/// `qdtext` (RFC 9110 §5.6.4).
pub(crate) const QDTEXT: u8 = 1 << 5;

const fn class_of(byte: u8) -> u8 {
    let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let sub_delim = matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
    let token = byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
    let field = matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    let query = byte.is_ascii_graphic() && byte != b'#';
    let path = query && !matches!(byte, b'?' | b'<' | b'>' | b'\\' | b'`');
    let qdtext = field && !matches!(byte, b'"' | b'\\');
    (if token { TOKEN } else { 0 })
        | (if field { FIELD } else { 0 })
        | (if path { PATH } else { 0 })
        | (if query { QUERY } else { 0 })
        | (if unreserved || sub_delim { REG_NAME } else { 0 })
        | (if qdtext { QDTEXT } else { 0 })
}

#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::arithmetic_side_effects)] // bounded by 256
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = class_of(byte as u8);
        byte += 1;
    }
    classes
};

/// Whether the byte belongs to one of the classes.
#[inline]
pub(crate) fn is(byte: u8, class: u8) -> bool {
    #[allow(clippy::indexing_slicing, reason = "a byte indexes 256 entries")]
    let classes = CLASSES[usize::from(byte)];
    classes & class != 0
}

/// Whether every byte belongs to the class.
#[inline]
pub(crate) fn all(bytes: &[u8], class: u8) -> bool {
    #[allow(clippy::indexing_slicing, reason = "a byte indexes 256 entries")]
    // Without a way out in the middle: what is looked at is short and nearly always good.
    let common = bytes.iter().fold(u8::MAX, |common, &byte| common & CLASSES[usize::from(byte)]);
    common & class != 0
}

/// How many bytes at the front are of the class.
#[inline]
pub(crate) fn run(bytes: &[u8], class: u8) -> usize {
    bytes.iter().position(|&byte| !is(byte, class)).unwrap_or(bytes.len())
}

/// Whether this is a name in any case; `lower` is of lower-case letters and `-`. Setting the bit that parts the cases
/// makes no byte but a letter one. Eight bytes are taken at once, of which the last overlap those before; of a shorter
/// name all.
#[inline]
pub(crate) fn is_name<const N: usize>(bytes: &[u8], lower: &[u8; N]) -> bool {
    let Ok(bytes) = <&[u8; N]>::try_from(bytes) else { return false };
    let case = |lower: u8| if lower == b'-' { 0 } else { 0x20 };
    let difference = |word: &[u8; 8], lower: &[u8; 8]| {
        (u64::from_le_bytes(*word) | u64::from_le_bytes(lower.map(case))) ^ u64::from_le_bytes(*lower)
    };
    if let (Some(last), Some(lower_last)) = (bytes.last_chunk(), lower.last_chunk()) {
        let words = bytes.as_chunks().0.iter().zip(lower.as_chunks().0);
        words.fold(difference(last, lower_last), |found, (word, lower)| found | difference(word, lower)) == 0
    } else {
        bytes.iter().zip(lower).fold(0, |found, (&byte, &lower)| found | ((byte | case(lower)) ^ lower)) == 0
    }
}

/// `token = 1*tchar` (RFC 9110 §5.6.2). Most names of headers are in lower case, as ASGI wants them.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    all_in_blocks(bytes, |byte| matches!(byte, b'a'..=b'z' | b'-')) || !bytes.is_empty() && all(bytes, TOKEN)
}

/// Whether there are eight bytes or more and all of them are usual: then nobody needs to look at each. The last block
/// overlaps the one before it, so that no bytes are left over.
#[inline]
fn all_in_blocks(bytes: &[u8], is_usual: impl Fn(u8) -> bool + Copy) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        let (blocks, _) = bytes.as_chunks::<16>();
        all_of(last, is_usual) && blocks.iter().all(|block| all_of(block, is_usual))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        // Both before there is a way out: they fit one register.
        all_of(first, is_usual) & all_of(last, is_usual)
    } else {
        false
    }
}

/// Without a way out in the middle, so that a block is looked at as a whole.
#[inline]
fn all_of<const N: usize>(block: &[u8; N], is_usual: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(true, |all, &byte| all & is_usual(byte))
}

/// `field-value` (RFC 9110 §5.5): no control character but HTAB, and no white space at either end. (SP and HTAB are all
/// of it that is not above SP.)
#[inline]
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    (all_in_blocks(bytes, |byte| matches!(byte, b' '..=b'~')) || all(bytes, FIELD))
        && bytes.first().is_none_or(|&first| first > b' ')
        && bytes.last().is_none_or(|&last| last > b' ')
}

/// `OWS` is SP and HTAB, nothing else (RFC 9110 §5.6.3).
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a `#token` list, without the empty ones: "a recipient MUST parse and ignore a reasonable number of
/// empty list elements" (RFC 9110 §5.6.1.2).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    parted(value, |byte| byte == b',')
}

/// The members of a list that may have quoted strings in it (RFC 9110 §5.6.4): a comma inside one parts nothing.
pub(crate) fn members_with_parameters(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    parted(value, move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'"' => quoted = !quoted,
            b'\\' => escaped = quoted,
            _ => {}
        }
        byte == b',' && !quoted
    })
}

fn parted(value: &[u8], mut parts: impl FnMut(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    value.split(move |&byte| parts(byte)).map(trim_ows).filter(|member| !member.is_empty())
}

/// `1*19DIGIT`, which always fits.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let is_digit = digit.is_ascii_digit();
        is_digit.then(|| number.wrapping_mul(10).wrapping_add(digit.wrapping_sub(b'0').into()))
    })
}

/// A number as anybody would write it.
pub(crate) fn without_leading_zeros(mut digits: &[u8]) -> &[u8] {
    while let [b'0', rest @ ..] = digits
        && !rest.is_empty()
    {
        digits = rest;
    }
    digits
}

/// The value of a `HEXDIG`.
#[inline]
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(byte.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

/// Whether there is a line feed. Every head is scanned for them before anything else looks at it, so what has none is
/// passed in blocks.
#[inline]
pub(crate) fn has_line_feed(mut bytes: &[u8]) -> bool {
    while let Some((block, rest)) = bytes.split_first_chunk::<16>() {
        if has_line_feed_in(block) {
            return true;
        }
        bytes = rest;
    }
    bytes.contains(&b'\n')
}

#[inline]
fn has_line_feed_in<const N: usize>(block: &[u8; N]) -> bool {
    !all_of(block, |byte| byte != b'\n')
}

/// Shows to `see` where each line feed is, until it breaks: the places in a block are found by words. (No place in a
/// slice is so large that a sum with it could wrap.)
#[inline]
pub(crate) fn line_feeds<B>(bytes: &[u8], mut see: impl FnMut(usize) -> ControlFlow<B>) -> ControlFlow<B> {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut at = 0_usize;
    for block in blocks {
        if has_line_feed_in(block) {
            let (words, _) = block.as_chunks::<8>();
            for (word, past) in words.iter().zip([0, 8, 16, 24]) {
                line_feeds_in(*word, at.wrapping_add(past), &mut see)?;
            }
        }
        at = at.wrapping_add(32);
    }
    let (words, tail) = rest.as_chunks::<8>();
    for word in words {
        line_feeds_in(*word, at, &mut see)?;
        at = at.wrapping_add(8);
    }
    for (past, &byte) in tail.iter().enumerate() {
        if byte == b'\n' {
            see(at.wrapping_add(past))?;
        }
    }
    ControlFlow::Continue(())
}

#[inline]
fn line_feeds_in<B>(word: [u8; 8], at: usize, see: &mut impl FnMut(usize) -> ControlFlow<B>) -> ControlFlow<B> {
    const ONES: u64 = u64::MAX / 255;
    const LOW_BITS: u64 = ONES * 0x7f;
    // A byte is zero where there is a line feed. To its low bits is added what carries into the high one unless they
    // are zero, so that bit then is, of these bytes alone, still zero.
    let zero_there = u64::from_le_bytes(word) ^ (ONES * 0x0a);
    let mut found = !((zero_there & LOW_BITS).wrapping_add(LOW_BITS) | zero_there | LOW_BITS);
    while found != 0 {
        see(at.wrapping_add(usize::try_from(found.trailing_zeros() >> 3).unwrap_or(0)))?;
        found &= found.wrapping_sub(1);
    }
    ControlFlow::Continue(())
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), the host not empty.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    // Most are a name alone.
    !bytes.is_empty() && all(bytes, REG_NAME) || port_of(bytes).is_some()
}

/// `uri-host ":" port` (RFC 9112 §3.2.3), neither of them empty.
pub(crate) fn is_authority_with_port(bytes: &[u8]) -> bool {
    port_of(bytes).is_some_and(|port| !port.is_empty())
}

/// The port, empty if there is none, of what is an authority. Its host is not empty: "a sender MUST NOT generate an
/// 'http' URI with an empty host identifier" (RFC 9110 §4.2.1).
fn port_of(authority: &[u8]) -> Option<&[u8]> {
    let host = match authority.first()? {
        b'[' => ip_literal(authority)?,
        _ => reg_name(authority),
    };
    match authority.split_at_checked(host)? {
        ([], _) => None,
        (_, []) => Some(&[]),
        (_, [b':', port @ ..]) => {
            let in_range = port.is_empty() || port.len() <= 5 && decimal(port).is_some_and(|port| port <= 65535);
            in_range.then_some(port)
        }
        _ => None,
    }
}

/// How long the `reg-name` at the front is, which covers `IPv4address` (RFC 3986 §3.2.2).
fn reg_name(bytes: &[u8]) -> usize {
    let mut length = run(bytes, REG_NAME);
    while let Some([b'%', high, low, rest @ ..]) = bytes.get(length..)
        && high.is_ascii_hexdigit()
        && low.is_ascii_hexdigit()
    {
        length = length.saturating_add(3).saturating_add(run(rest, REG_NAME));
    }
    length
}

/// How long the literal at the front is, with its brackets.
fn ip_literal(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte == b']')?;
    is_ip_literal(bytes.get(1..end)?).then_some(end.saturating_add(1))
}

/// `IPv6address / IPvFuture` (RFC 3986 §3.2.2), without a zone.
fn is_ip_literal(literal: &[u8]) -> bool {
    match literal {
        [b'v' | b'V', future @ ..] => {
            let mut parts = future.splitn(2, |&byte| byte == b'.');
            let (version, address) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            !version.is_empty()
                && version.iter().all(u8::is_ascii_hexdigit)
                && !address.is_empty()
                && address.iter().all(|&byte| is(byte, REG_NAME) || byte == b':')
        }
        _ => core::str::from_utf8(literal).is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok()),
    }
}

//! The grammar that requests and responses share: RFC 9110 §5, RFC 9112 §2 and §5, RFC 3986 §3.2.2.

pub(crate) const CR: u8 = b'\r';
pub(crate) const LF: u8 = b'\n';
pub(crate) const SP: u8 = b' ';
pub(crate) const HTAB: u8 = b'\t';

/// A field as it was sent: its name, and its value without the white space around it.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// "tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA"
/// (RFC 9110 §5.6.2).
pub(crate) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// "token = 1*tchar" (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_tchar(byte))
}

/// "OWS = *( SP / HTAB )" (RFC 9110 §5.6.3); BWS is the same.
pub(crate) fn is_ows(byte: u8) -> bool {
    byte == SP || byte == HTAB
}

/// "VCHAR: any visible US-ASCII character" (RFC 5234 appendix B.1).
pub(crate) fn is_vchar(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte)
}

/// "obs-text = %x80-FF" (RFC 9110 §5.5).
pub(crate) fn is_obs_text(byte: u8) -> bool {
    byte >= 0x80
}

/// "field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]" and "field-value = *field-content" (RFC
/// 9110 §5.5): no white space at either end.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    let ends_well = |byte: Option<&u8>| byte.is_none_or(|&byte| !is_ows(byte));
    let is_allowed = |&byte: &u8| is_ows(byte) || is_vchar(byte) || is_obs_text(byte);
    bytes.iter().all(is_allowed) && ends_well(bytes.first()) && ends_well(bytes.last())
}

pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_ows(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_ows(*last)
    {
        bytes = rest;
    }
    bytes
}

/// "field-line = field-name ":" OWS field-value OWS" (RFC 9112 §5), without the CRLF that ends it.
pub(crate) fn field_line(line: &[u8]) -> Option<Field> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = &line[..colon];
    let value = trim_ows(&line[colon + 1..]);
    (is_token(name) && is_field_value(value)).then(|| (name.to_vec(), value.to_vec()))
}

/// "#element => [ element ] *( OWS "," OWS [ element ] )" (RFC 9110 §5.6.1.2): what is between the commas, the empty
/// elements too.
pub(crate) fn list(value: &[u8]) -> Vec<&[u8]> {
    value.split(|&byte| byte == b',').map(trim_ows).collect()
}

/// The elements of all lines of a list field, the empty ones skipped: "A recipient MUST parse and ignore a reasonable
/// number of empty list elements" (RFC 9110 §5.6.1.2).
pub(crate) fn elements<'a>(fields: &'a [Field], name: &'a str) -> Vec<&'a [u8]> {
    values(fields, name).into_iter().flat_map(list).filter(|element| !element.is_empty()).collect()
}

/// The values of all lines of a field.
pub(crate) fn values<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    fields.iter().filter(|(sent, _)| is(sent, name)).map(|(_, value)| value.as_slice()).collect()
}

/// "compared in ASCII without regard to case, on bytes"
pub(crate) fn is(bytes: &[u8], word: &str) -> bool {
    bytes.eq_ignore_ascii_case(word.as_bytes())
}

pub(crate) fn is_one_of(bytes: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| is(bytes, word))
}

/// "1*19DIGIT": nineteen digits fit an unsigned number of 64 bits.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, &digit| number * 10 + u64::from(digit - b'0')))
}

pub(crate) fn hexadecimal(digit: u8) -> Option<u64> {
    match digit {
        b'0'..=b'9' => Some(u64::from(digit - b'0')),
        b'a'..=b'f' => Some(u64::from(digit - b'a') + 10),
        b'A'..=b'F' => Some(u64::from(digit - b'A') + 10),
        _ => None,
    }
}

/// A host and its port: `None` without a colon, empty if nothing is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) host: &'a [u8],
    pub(crate) port: Option<&'a [u8]>,
}

/// "Host = uri-host [ ":" port ]" (RFC 9110 §7.2), with a host that is not empty, and a port that is empty or "1–5
/// digits up to 65535". No userinfo: it is not in this grammar.
pub(crate) fn authority(bytes: &[u8]) -> Option<Authority<'_>> {
    // A colon inside brackets is the address's.
    let host_end = match bytes.first()? {
        b'[' => bytes.iter().position(|&byte| byte == b']')? + 1,
        _ => bytes.iter().position(|&byte| byte == b':').unwrap_or(bytes.len()),
    };
    let (host, rest) = bytes.split_at(host_end);
    let port = match rest {
        [] => None,
        [b':', port @ ..] => Some(port),
        _ => return None,
    };
    let is_port = |port: &[u8]| port.is_empty() || port.len() <= 5 && decimal(port).is_some_and(|port| port <= 65535);
    (is_host(host) && port.is_none_or(is_port)).then_some(Authority { host, port })
}

/// "host = IP-literal / IPv4address / reg-name" (RFC 3986 §3.2.2), but not empty. Each `IPv4address` is a `reg-name`
/// too.
fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', inside @ .., b']'] => is_ipv6_address(inside) || is_ipv_future(inside),
        _ => !host.is_empty() && is_reg_name(host),
    }
}

/// "reg-name = *( unreserved / pct-encoded / sub-delims )"
fn is_reg_name(mut name: &[u8]) -> bool {
    while let [byte, rest @ ..] = name {
        name = match (byte, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            _ if is_unreserved(*byte) || is_sub_delim(*byte) => rest,
            _ => return false,
        };
    }
    true
}

/// "unreserved = ALPHA / DIGIT / "-" / "." / "_" / "~"" (RFC 3986 §2.3)
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// "sub-delims = "!" / "$" / "&" / "'" / "(" / ")" / "*" / "+" / "," / ";" / "="" (RFC 3986 §2.2)
fn is_sub_delim(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

/// "IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )"; a quoted letter stands for both cases (RFC 5234
/// §2.3).
fn is_ipv_future(address: &[u8]) -> bool {
    let [b'v' | b'V', rest @ ..] = address else { return false };
    let Some(dot) = rest.iter().position(|&byte| byte == b'.') else { return false };
    let (version, rest) = (&rest[..dot], &rest[dot + 1..]);
    let is_allowed = |&byte: &u8| is_unreserved(byte) || is_sub_delim(byte) || byte == b':';
    !version.is_empty() && version.iter().all(u8::is_ascii_hexdigit) && !rest.is_empty() && rest.iter().all(is_allowed)
}

/// The nine alternatives of `IPv6address` say: eight groups, the last two of which may be an IPv4 address, or fewer
/// with one `::` that stands for at least one group.
fn is_ipv6_address(address: &[u8]) -> bool {
    match address.windows(2).position(|pair| pair == b"::") {
        None => groups(address, true) == Some(8),
        Some(at) => {
            // A second `::`, or a `:::`, leaves an empty group in one of the halves.
            let before = groups(&address[..at], false);
            let behind = groups(&address[at + 2..], true);
            matches!((before, behind), (Some(before), Some(behind)) if before + behind <= 7)
        }
    }
}

/// How many groups of 16 bits these are, parted by colons: "h16 = 1*4HEXDIG", and, where the address ends, "ls32 = (
/// h16 ":" h16 ) / IPv4address".
fn groups(address: &[u8], ends_address: bool) -> Option<usize> {
    if address.is_empty() {
        return Some(0);
    }
    let parts: Vec<&[u8]> = address.split(|&byte| byte == b':').collect();
    let mut count = 0;
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        count += if (1..=4).contains(&part.len()) && part.iter().all(u8::is_ascii_hexdigit) {
            1
        } else if is_last && ends_address && is_ipv4_address(part) {
            2
        } else {
            return None;
        };
    }
    Some(count)
}

/// "IPv4address = dec-octet "." dec-octet "." dec-octet "." dec-octet", a `dec-octet` being 0 to 255 without a leading
/// zero.
fn is_ipv4_address(address: &[u8]) -> bool {
    let octets: Vec<&[u8]> = address.split(|&byte| byte == b'.').collect();
    let is_octet = |octet: &&[u8]| match octet {
        [b'0', _, ..] => false,
        _ => octet.len() <= 3 && decimal(octet).is_some_and(|octet| octet <= 255),
    };
    octets.len() == 4 && octets.iter().all(is_octet)
}

//! The bytes that every server gets, and what its application does with them.

/// What the application does. It receives the whole body of the request first, except to echo it, where it may begin
/// before. The head of a response is made and validated anew for every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// 200, [`CONTENT_TYPE`], [`BODY`] with its length.
    Answer,
    /// 200, [`PAGE_FIELDS`], [`PAGE`] with its length.
    Page,
    /// 200, [`CONTENT_TYPE`], the request's content with its length.
    Echo,
    /// 204.
    NoContent,
    /// 200, [`CONTENT_TYPE`], chunked: [`PART`], [`PARTS`] times.
    Stream,
}

pub const CONTENT_TYPE: &str = "text/plain";
pub const BODY: &[u8] = b"Hello, World!";
/// As applications have them, beside the length.
pub const PAGE_FIELDS: [(&str, &str); 8] = [
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "private, max-age=60"),
    ("etag", "W/\"5e1f-18f2c3a4b50\""),
    ("last-modified", "Tue, 17 Nov 2026 09:12:44 GMT"),
    ("vary", "accept-encoding, cookie"),
    ("set-cookie", "session=0123456789abcdef0123456789abcdef; Path=/; HttpOnly; SameSite=Lax"),
    ("x-content-type-options", "nosniff"),
    ("x-request-id", "7b1f2c9e-4f0a-4d7e-9c7c-2f6d1f7f9a51"),
];
pub const PAGE: &[u8] = &[b'p'; 700];
/// [`PAGE_FIELDS`] and the length, as ASGI has them.
pub const PAGE_HEADERS: [(&[u8], &[u8]); 9] = {
    let mut headers: [(&[u8], &[u8]); 9] = [(b"content-length", b"700"); 9];
    let mut at = 0;
    while at < PAGE_FIELDS.len() {
        headers[at] = (PAGE_FIELDS[at].0.as_bytes(), PAGE_FIELDS[at].1.as_bytes());
        at += 1;
    }
    headers
};
pub const PART: &[u8] = &[b'z'; 16 * 1024];
pub const PARTS: usize = 64;

const ECHOED_BYTES: usize = 1024;
const CHUNK_BYTES: usize = 4096;
const CHUNKS: usize = 16;
const PIPELINED: usize = 16;

/// What arrives on one connection for one time of the workload.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: &'static str,
    pub task: Task,
    /// Each comes when the one before was served as far as possible.
    pub arrivals: Vec<&'static [u8]>,
    pub requests: usize,
    /// Of the requests' bodies.
    pub body_bytes: u64,
}

/// All workloads, in the order of the table.
pub const NAMES: [&str; 14] = [
    "get-min",
    "get-browser",
    "get-proxied",
    "get-page",
    "post-1k",
    "post-chunked-64k",
    "pipelined-16",
    "stream-1m",
    "drip",
    "drip-16k",
    "growth-1k",
    "growth-4k",
    "growth-16k",
    "line-8k",
];

impl Workload {
    pub fn named(name: &str) -> Option<Self> {
        let name = *NAMES.iter().find(|known| **known == name)?;
        let workload = |task, bytes: &[u8], piece: usize| {
            let bytes: &'static [u8] = bytes.to_vec().leak();
            Self { name, task, arrivals: bytes.chunks(piece).collect(), requests: 1, body_bytes: 0 }
        };
        let whole = usize::MAX;
        Some(match name {
            "get-min" => workload(Task::Answer, MIN, whole),
            "get-browser" => workload(Task::Answer, BROWSER, whole),
            "get-proxied" => workload(Task::Answer, &proxied(), whole),
            "get-page" => workload(Task::Page, BROWSER, whole),
            "post-1k" => Self { body_bytes: ECHOED_BYTES as u64, ..workload(Task::Echo, &post(), whole) },
            "post-chunked-64k" => {
                let body_bytes = (CHUNKS * CHUNK_BYTES) as u64;
                Self { body_bytes, ..workload(Task::NoContent, &post_chunked(), whole) }
            }
            "pipelined-16" => Self { requests: PIPELINED, ..workload(Task::Answer, &MIN.repeat(PIPELINED), whole) },
            "stream-1m" => workload(Task::Stream, MIN, whole),
            "drip" => workload(Task::Answer, BROWSER, 1),
            "drip-16k" => workload(Task::Answer, &head(16), 64),
            "growth-1k" => workload(Task::Answer, &head(1), 16),
            "growth-4k" => workload(Task::Answer, &head(4), 16),
            "growth-16k" => workload(Task::Answer, &head(16), 16),
            "line-8k" => workload(Task::Answer, &long_line(), 16),
            _ => return None,
        })
    }

    /// Of all that arrives.
    pub fn bytes(&self) -> usize {
        self.arrivals.iter().map(|bytes| bytes.len()).sum()
    }

    /// What the body of each response must be.
    pub(crate) fn answer(&self) -> Vec<u8> {
        match self.task {
            Task::Answer => BODY.to_vec(),
            Task::Page => PAGE.to_vec(),
            Task::Echo => [b'x'; ECHOED_BYTES].to_vec(),
            Task::NoContent => Vec::new(),
            Task::Stream => PART.repeat(PARTS),
        }
    }
}

const MIN: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

const BROWSER: &[u8] = b"GET /index.html?page=2&sort=asc HTTP/1.1\r\n\
Host: www.example.com\r\n\
Connection: keep-alive\r\n\
sec-ch-ua: \"Chromium\";v=\"126\", \"Google Chrome\";v=\"126\", \"Not-A.Brand\";v=\"99\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
sec-ch-ua-platform: \"Linux\"\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n\
Sec-Fetch-Site: none\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-Dest: document\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; _ga=GA1.2.1234567890.1234567890; csrftoken=Zk3vQ8nTZk3vQ8nTZk3vQ8nTZk3vQ8nTZk3vQ8nTZk3vQ8nTZk3vQ8nTZk3vQ8nTZk3vQ8nTZ\r\n\
\r\n";

/// The browser's request as a content network and a load balancer pass it on.
fn proxied() -> Vec<u8> {
    let added = b"Sec-Fetch-User: ?1\r\n\
Priority: u=0, i\r\n\
If-None-Match: W/\"5e1f-18f2c3a4b50\"\r\n\
Via: 2.0 edge-fra-7.example.net (proxy)\r\n\
CDN-Loop: edge\r\n\
X-Forwarded-For: 203.0.113.195, 198.51.100.17\r\n\
X-Forwarded-Proto: https\r\n\
X-Forwarded-Port: 443\r\n\
X-Forwarded-Host: www.example.com\r\n\
X-Real-IP: 203.0.113.195\r\n\
X-Client-Country: DE\r\n\
X-Request-ID: 7b1f2c9e-4f0a-4d7e-9c7c-2f6d1f7f9a51\r\n\
Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
\r\n";
    [BROWSER.strip_suffix(b"\r\n").unwrap_or_default(), added].concat()
}

fn post() -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {ECHOED_BYTES}\r\n\r\n"
    );
    [head.as_bytes(), &[b'x'; ECHOED_BYTES]].concat()
}

fn post_chunked() -> Vec<u8> {
    let mut bytes = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..CHUNKS {
        bytes.extend(format!("{CHUNK_BYTES:x}\r\n").bytes());
        bytes.extend([b'y'; CHUNK_BYTES]);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// A head of exactly that many KiB, of fields of one size: 90 in 16 KiB, beside Host.
fn head(kib: usize) -> Vec<u8> {
    const FIELD_BYTES: usize = 181;
    let mut bytes = MIN.strip_suffix(b"\r\n").unwrap_or_default().to_vec();
    for number in 0_usize.. {
        let left = kib * 1024 - bytes.len() - b"\r\n".len();
        // The last field takes what is left, so that none is too short for its name.
        let size = if left < 2 * FIELD_BYTES { left } else { FIELD_BYTES };
        let name = format!("X-Field-{number:03}: ");
        bytes.extend(name.bytes());
        bytes.extend("v".repeat(size - name.len() - "\r\n".len()).bytes());
        bytes.extend(b"\r\n");
        if size == left {
            break;
        }
    }
    bytes.extend(b"\r\n");
    bytes
}

/// A field line of 8 KiB, its name and its CRLF included: more than one of the servers takes no longer one.
fn long_line() -> Vec<u8> {
    let value = "v".repeat(8 * 1024 - "X-Long: \r\n".len());
    format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {value}\r\n\r\n").into_bytes()
}

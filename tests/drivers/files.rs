//! `Action::Transfer` with real files: whole, shorter than announced, truncated while they are sent. "A file shorter
//! than announced is a cut response, never a padded one."

use std::fs::{self, File};
use std::path::PathBuf;

use sansgi::Config;

use crate::cases::{is_alive, is_cut};
use crate::client::Client;
use crate::running::Subject;

/// More than the kernel takes from one side while the other does not read.
const LARGE: usize = 8 << 20;

/// No byte of it is zero, so what is padded shows. 251 is prime to every block size, so what is moved to another place
/// shows too.
fn contents(len: usize) -> Vec<u8> {
    (1..=251).cycle().take(len).collect()
}

/// A path of its own for each driver and case.
fn path(subject: &Subject, case: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sansgi-{}-{}-{case}", std::process::id(), subject.name))
}

pub(crate) fn file(subject: &Subject) {
    let (path, contents) = (path(subject, "whole"), contents(LARGE));
    fs::write(&path, &contents).expect("a file");
    let running = subject.start_with_file(Config::default(), &path);
    let mut client = Client::slow(running.address);
    for _ in 0..2 {
        client.get("/file");
        assert!(client.response().body == contents);
    }
    client.send("GET /file?bytes=10 HTTP/1.1\r\nhost: a\r\n\r\nGET /file?bytes=100000 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response().body, contents[..10]);
    assert!(client.response().body == contents[..100_000]);
    client.get("/");
    assert_eq!(client.response().status, 200);
    fs::remove_file(path).expect("it is there");
}

pub(crate) fn file_that_is_too_short(subject: &Subject) {
    let (path, contents) = (path(subject, "short"), contents(100_000));
    fs::write(&path, &contents).expect("a file");
    let running = subject.start_with_file(Config::default(), &path);
    for announced in [100_001, 1_000_000] {
        let mut client = Client::connect(&running);
        client.get(&format!("/file?bytes={announced}"));
        let body = cut_body(&mut client);
        assert!(contents.starts_with(&body), "{} bytes", body.len());
        is_alive(&running);
    }
    fs::remove_file(path).expect("it is there");
}

pub(crate) fn file_that_is_truncated(subject: &Subject) {
    let (path, contents) = (path(subject, "truncated"), contents(LARGE));
    fs::write(&path, &contents).expect("a file");
    let running = subject.start_with_file(Config::default(), &path);
    let mut client = Client::slow(running.address);
    client.get("/file");
    let (status, head) = client.head().expect("a head").expect("not the end");
    assert_eq!(status, 200);
    assert!(head.contains(&format!("\r\ncontent-length: {LARGE}\r\n")), "{head}");
    // It is being sent: the head came before it, and the client has not read more than a buffer of it.
    File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("it is there");
    let mut body = Vec::new();
    is_cut(&client.body(&head, |part| body.extend_from_slice(part)));
    assert!(contents.starts_with(&body), "{} bytes", body.len());
    is_alive(&running);
    fs::remove_file(path).expect("it is there");
}

pub(crate) fn file_that_is_gone(subject: &Subject) {
    let running = subject.start_with_file(Config::default(), path(subject, "gone"));
    let mut client = Client::connect(&running);
    client.get("/file");
    assert_eq!(client.response().status, 404);
    // It was there when the response was begun, let us say.
    client.get("/file?bytes=1");
    assert_eq!(cut_body(&mut client), b"");
    is_alive(&running);
}

/// `sendfile` refuses a pipe, so it is read and written.
#[cfg(target_os = "linux")]
pub(crate) fn file_that_cannot_be_sent(subject: &Subject) {
    use std::io::Write as _;

    let path = path(subject, "pipe");
    let _ = fs::remove_file(&path);
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    // Open for both, nobody waits for the other end.
    let mut pipe = File::options().read(true).write(true).open(&path).expect("it is there");
    let running = subject.start_with_file(Config::default(), &path);
    let mut client = Client::connect(&running);
    for text in ["hello", "world"] {
        pipe.write_all(text.as_bytes()).expect("there is room");
        client.get("/file?bytes=5");
        assert_eq!(client.response().text(), text);
    }
    fs::remove_file(path).expect("it is there");
}

fn cut_body(client: &mut Client) -> Vec<u8> {
    let mut body = Vec::new();
    match client.head() {
        Ok(head) => {
            let (status, head) = head.expect("not the end");
            assert_eq!(status, 200);
            is_cut(&client.body(&head, |part| body.extend_from_slice(part)));
        }
        // The reset has overtaken the head.
        error => drop(is_cut(&error)),
    }
    body
}

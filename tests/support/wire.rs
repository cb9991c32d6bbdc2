//! A case's `wire` block: what the world does, in order.

use std::time::Duration;

use super::text::{parse_bytes, parse_duration};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes are under way to the server, which takes them when it reads.
    Bytes(Vec<u8>),
    /// The peer has closed its sending half. `at_once`: a driver sees it together with the last byte before it.
    Eof { at_once: bool },
    /// The transport is gone.
    Disconnect,
    /// The server is to shut down.
    Shutdown,
    /// Time passes.
    Wait(Duration),
    /// The peer reads no more of what is written to it.
    Block,
    /// It reads again.
    Unblock,
    /// It reads so many bytes more, though blocked.
    Reads(usize),
    /// Parts that the driver moves by itself cannot be had any more.
    PartsFail,
    /// The date is told, in Unix seconds.
    Date(u64),
    /// What the driver waits for is logged.
    Look,
}

#[derive(Clone, Debug, Default)]
pub struct Script {
    pub steps: Vec<Step>,
    /// All bytes that will be sent.
    pub input: Vec<u8>,
    /// Places in the input where a cut is worth a try: ends of lines, of steps and of long repetitions.
    pub edges: Vec<usize>,
}

impl Script {
    pub fn parse(block: &str) -> Result<Self, String> {
        let mut script = Self::default();
        let mut ended = false;
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            if line.ends_with(' ') {
                return Err(format!("white space at the end of {line:?}: write \\x20"));
            }
            if let Some(text) = line.strip_prefix("> ") {
                if ended {
                    return Err("bytes after the end of the stream".to_owned());
                }
                script.add_bytes(text)?;
                continue;
            }
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            let number = |text: &str| text.parse().map_err(|_| format!("expected a number in {line:?}"));
            let step = match (verb, rest) {
                ("eof", "") => Step::Eof { at_once: false },
                ("eof", "at once") => Step::Eof { at_once: true },
                ("disconnect", "") => Step::Disconnect,
                ("shutdown", "") => Step::Shutdown,
                ("wait", time) => Step::Wait(parse_duration(time)?),
                ("block", "") => Step::Block,
                ("unblock", "") => Step::Unblock,
                ("reads", count) => Step::Reads(number(count)?),
                ("parts", "fail") => Step::PartsFail,
                ("date", seconds) => Step::Date(seconds.parse().map_err(|_| format!("a date in {line:?}"))?),
                ("look", "") => Step::Look,
                _ => return Err(format!("the world cannot {line:?}")),
            };
            ended |= matches!(step, Step::Eof { .. } | Step::Disconnect);
            script.steps.push(step);
            script.edges.push(script.input.len());
        }
        Ok(script)
    }

    fn add_bytes(&mut self, text: &str) -> Result<(), String> {
        // The edges of repetitions lie where the text around them begins and ends.
        for (at, _) in text.match_indices("{\"").chain(text.match_indices('}')) {
            let at = if text[at..].starts_with('}') { at + 1 } else { at };
            if let Ok(prefix) = parse_bytes(&text[..at]) {
                self.edges.push(self.input.len() + prefix.len());
            }
        }
        let bytes = parse_bytes(text)?;
        let lines = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| self.input.len() + at);
        self.edges.extend(lines);
        self.input.extend_from_slice(&bytes);
        self.edges.push(self.input.len());
        match self.steps.last_mut() {
            Some(Step::Bytes(last)) => last.extend_from_slice(&bytes),
            _ => self.steps.push(Step::Bytes(bytes)),
        }
        Ok(())
    }
}

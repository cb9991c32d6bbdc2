//! What happened, in an order that no cut of the input can change: what the driver was told, what each application saw,
//! and what went over the wire, each for itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sansgi::Instant;

use super::output::{self, Output};
use super::text::{quote, show_duration};

#[derive(Clone, Debug)]
enum AppLine {
    Text(String),
    /// A part of the body. `open`: whoever took it would have taken more, so that all that had arrived is in it and in
    /// its neighbours. How much one single `receive` gets is up to the cut.
    Part {
        bytes: Vec<u8>,
        ended: bool,
        open: bool,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Log {
    driver: Vec<(Instant, String)>,
    /// By exchange, and by task of its application, from 0.
    apps: BTreeMap<(u64, usize), Vec<(Instant, AppLine)>>,
    /// The methods of the exchanges: the form of a response depends on it.
    methods: Vec<String>,
    output: Output,
    /// All that each exchange was given of its body.
    received: BTreeMap<u64, Vec<u8>>,
}

impl Log {
    pub fn driver(&mut self, now: Instant, line: impl Into<String>) {
        self.driver.push((now, line.into()));
    }

    pub fn started(&mut self, method: &str) {
        self.methods.push(method.to_owned());
    }

    pub fn app(&mut self, now: Instant, (id, task): (u64, usize), line: impl Into<String>) {
        self.apps.entry((id, task)).or_default().push((now, AppLine::Text(line.into())));
    }

    pub fn part(&mut self, now: Instant, (id, task): (u64, usize), bytes: &[u8], ended: bool, open: bool) {
        self.received.entry(id).or_default().extend_from_slice(bytes);
        let lines = self.apps.entry((id, task)).or_default();
        if let Some((before, AppLine::Part { bytes: joined, ended: end, open: is_open })) = lines.last_mut()
            && *before == now
        {
            joined.extend_from_slice(bytes);
            *end |= ended;
            *is_open = open || (*is_open && bytes.is_empty());
            return;
        }
        lines.push((now, AppLine::Part { bytes: bytes.to_vec(), ended, open }));
    }

    pub fn written(&mut self, now: Instant, bytes: &[u8]) {
        self.output.bytes(now, bytes);
    }

    pub fn transferred(&mut self, now: Instant, token: u64, length: u64) {
        self.output.part(now, token, length);
    }

    pub fn received(&self) -> &BTreeMap<u64, Vec<u8>> {
        &self.received
    }

    pub fn into_output(self) -> Output {
        self.output
    }

    pub fn render(&self) -> String {
        let mut text = String::new();
        section(&mut text, "driver", self.driver.iter().map(|(at, line)| (*at, line.clone())));
        for (&(id, task), lines) in &self.apps {
            let lines = lines.iter().filter_map(|(at, line)| Some((*at, show(line)?)));
            let name = match task {
                0 => format!("application {id}"),
                task => format!("application {id}, task {}", task + 1),
            };
            section(&mut text, &name, lines);
        }
        section(&mut text, "wire", output::decode(&self.output, &self.methods).into_iter());
        text
    }
}

fn show(line: &AppLine) -> Option<String> {
    match line {
        AppLine::Text(text) => Some(text.clone()),
        AppLine::Part { bytes, ended: false, .. } if bytes.is_empty() => None,
        AppLine::Part { bytes, open: false, .. } if !bytes.is_empty() => Some("receives a part".to_owned()),
        AppLine::Part { bytes, ended, .. } => {
            Some(format!("receives {}{}", quote(bytes), if *ended { " end" } else { "" }))
        }
    }
}

fn section(text: &mut String, name: &str, lines: impl Iterator<Item = (Instant, String)>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "{name}");
    let mut last = Instant::ZERO;
    for (at, line) in lines {
        if at != last {
            let _ = writeln!(text, "  at {}", show_duration(at.saturating_duration_since(Instant::ZERO)));
            last = at;
        }
        let _ = writeln!(text, "  {line}");
    }
}

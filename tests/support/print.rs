//! The corpus's notation, written: a case that was made by chance prints itself so that it can be pasted into a file of
//! `tests/corpus/` as it is.

use std::fmt::{self, Write as _};

use super::text::{escape, quote};

/// A case in the making. Its `Debug` is its `Display`, so that what finds it prints it.
#[derive(Clone, Default)]
pub struct Printed {
    pub name: String,
    /// Between the heading and the blocks: what the notation has no words for.
    pub prose: String,
    /// `name value`.
    pub config: Vec<String>,
    /// The n-th is run for the n-th exchange.
    pub apps: Vec<Vec<Line>>,
    pub wire: Vec<Line>,
}

/// A line of a script, with the headers that follow it.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Line {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), headers: Vec::new() }
    }

    pub fn with(text: impl Into<String>, headers: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Self { text: text.into(), headers }
    }

    /// A part of the body.
    pub fn body(bytes: &[u8], more: bool) -> Self {
        Self::new(format!("body {}{}", quote(bytes), if more { " more" } else { "" }))
    }

    /// Bytes on the wire, at least one.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::new(closed(format!("> {}", escape(bytes))))
    }
}

/// "No line may end with white space."
fn closed(mut line: String) -> String {
    if line.ends_with(' ') {
        line.pop();
        line.push_str("\\x20");
    }
    line
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for (name, value) in &self.headers {
            // The first colon ends the name.
            let name = escape(name).replace(':', "\\x3a");
            let line = if value.is_empty() { format!("  {name}:") } else { format!("  {name}: {}", escape(value)) };
            writeln!(f, "{}", closed(line))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n## {}\n", self.name)?;
        if !self.prose.is_empty() {
            write!(f, "\n{}\n", self.prose)?;
        }
        let mut block = |kind: &str, lines: &[Line]| {
            write!(f, "\n```{kind}\n")?;
            lines.iter().try_for_each(|line| write!(f, "{line}"))?;
            writeln!(f, "```")
        };
        if !self.config.is_empty() {
            let lines: Vec<Line> = self.config.iter().map(Line::new).collect();
            block("config", &lines)?;
        }
        self.apps.iter().try_for_each(|app| block("app", app))?;
        block("wire", &self.wire)?;
        f.write_char('\n')
    }
}

impl fmt::Debug for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

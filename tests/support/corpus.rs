//! Corpus files: Markdown with one case for each `##` heading.

use super::app;
use super::setup::Setup;
use super::wire::Script;

#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// The line of its heading, from 1.
    pub line: usize,
    pub setup: Setup,
    /// The n-th is run for the n-th exchange; the default for those behind them.
    pub apps: Vec<app::Script>,
    pub wire: Script,
    /// The expected log; `None` if there is no such block yet.
    pub log: Option<String>,
    /// The lines of the file, from 0, that the log block lies in, without its fences; or where one would be put.
    pub log_lines: std::ops::Range<usize>,
}

/// A fenced block: its kind, where its first line of text is, from 0, and its text.
struct Block {
    kind: String,
    start: usize,
    text: String,
}

pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    let mut heading: Option<(usize, String)> = None;
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        if let Some(mut block) = fence.take() {
            if line == "```" {
                blocks.push(block);
            } else {
                block.text.push_str(line);
                block.text.push('\n');
                fence = Some(block);
            }
        } else if let Some(kind) = line.strip_prefix("```") {
            fence = Some(Block { kind: kind.to_owned(), start: number + 1, text: String::new() });
        } else if let Some(name) = line.strip_prefix("## ") {
            finish(&mut cases, heading.take(), std::mem::take(&mut blocks))?;
            heading = Some((number + 1, name.trim().to_owned()));
        }
    }
    if let Some(block) = fence {
        return Err(format!("line {}: the fence is not closed", block.start));
    }
    finish(&mut cases, heading, blocks)?;
    Ok(cases)
}

fn finish(cases: &mut Vec<Case>, heading: Option<(usize, String)>, blocks: Vec<Block>) -> Result<(), String> {
    let Some((line, name)) = heading else {
        return if blocks.is_empty() { Ok(()) } else { Err("a block before the first `##`".to_owned()) };
    };
    let case = build(name.clone(), line, blocks).map_err(|error| format!("line {line}, {name}: {error}"))?;
    cases.push(case);
    Ok(())
}

fn build(name: String, line: usize, blocks: Vec<Block>) -> Result<Case, String> {
    let mut setup = None;
    let mut apps = Vec::new();
    let mut wire = None;
    let mut log = None;
    let mut log_lines = None;
    for block in blocks {
        let lines = block.text.lines().count();
        match block.kind.as_str() {
            "config" if setup.is_none() => setup = Some(Setup::parse(&block.text)?),
            "app" => apps.push(app::Script::parse(&block.text)?),
            "wire" if wire.is_none() => {
                wire = Some(Script::parse(&block.text)?);
                log_lines = log_lines.or(Some(block.start + lines + 1..block.start + lines + 1));
            }
            "log" if log.is_none() => {
                log = Some(block.text);
                log_lines = Some(block.start..block.start + lines);
            }
            kind => return Err(format!("a second block, or one of an unknown kind: {kind:?}")),
        }
    }
    Ok(Case {
        name,
        line,
        setup: setup.map_or_else(|| Setup::parse(""), Ok)?,
        apps,
        wire: wire.ok_or("there is no wire block")?,
        log,
        log_lines: log_lines.ok_or("there is no wire block")?,
    })
}

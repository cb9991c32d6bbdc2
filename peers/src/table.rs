//! What was seen, as one table for the terminal and the file.

use std::fmt::Write as _;

#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Ok,
    Failed(String),
    /// With the reason.
    Skipped(String),
}

/// By the words on the command line.
pub(crate) const NOT_ASKED_FOR: &str = "not asked for";

pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) peers: Vec<&'static str>,
    pub(crate) rows: Vec<(&'static str, Vec<Outcome>)>,
}

impl Table {
    pub(crate) fn failures(&self) -> usize {
        self.rows.iter().flat_map(|(_, outcomes)| outcomes).filter(|o| matches!(o, Outcome::Failed(_))).count()
    }

    /// Markdown: cases × peers, and below it why each was skipped. What was not asked for has no row.
    pub(crate) fn markdown(&self) -> String {
        let is_asked_for = |outcome: &Outcome| !matches!(outcome, Outcome::Skipped(reason) if reason == NOT_ASKED_FOR);
        let mut reasons: Vec<&str> = Vec::new();
        let mut text = format!("## {}\n\n| case |", self.title);
        for peer in &self.peers {
            let _ = write!(text, " {peer} |");
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(self.peers.len()));
        for (case, outcomes) in self.rows.iter().filter(|(_, outcomes)| outcomes.iter().any(is_asked_for)) {
            let _ = write!(text, "\n| {} |", case.replace('_', " "));
            for outcome in outcomes {
                let _ = match outcome {
                    Outcome::Ok => write!(text, " ok |"),
                    Outcome::Failed(_) => write!(text, " **failed** |"),
                    Outcome::Skipped(reason) => {
                        let known = reasons.iter().position(|known| known == reason);
                        let number = known.unwrap_or_else(|| {
                            reasons.push(reason);
                            reasons.len() - 1
                        });
                        write!(text, " skipped ({}) |", number + 1)
                    }
                };
            }
        }
        text.push_str("\n\n");
        for (number, reason) in reasons.iter().enumerate() {
            let _ = writeln!(text, "{}. {reason}", number + 1);
        }
        for (case, outcomes) in &self.rows {
            for (peer, outcome) in self.peers.iter().zip(outcomes) {
                if let Outcome::Failed(why) = outcome {
                    let _ = writeln!(text, "\n**{case} with {peer} failed:** {why}");
                }
            }
        }
        text
    }
}

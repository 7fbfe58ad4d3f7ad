//! An explanation as a tree, for people.

use std::fmt;

use super::{Explanation, Step};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        write_tree(f, &self.steps, "")
    }
}

fn write_tree(f: &mut fmt::Formatter<'_>, steps: &[Step], indent: &str) -> fmt::Result {
    for (left, step) in (0..steps.len()).rev().zip(steps) {
        let (branch, below) = if left == 0 {
            ("└─", "  ")
        } else {
            ("├─", "│ ")
        };
        write!(f, "{indent}{branch} {}: {}", step.step, step.says)?;
        match step.position {
            Some(position) => writeln!(f, " [#{position}]")?,
            None => writeln!(f)?,
        }
        write_tree(f, &step.details, &format!("{indent}{below} "))?;
    }
    Ok(())
}

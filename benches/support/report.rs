//! Figures for people: medians with their range, and what the disk is like.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    time::Instant,
};

/// A median and its range over the rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// The middle value.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Of some values; all zero if there are none.
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match (values.len() % 2, values.get(middle)) {
            (_, None) => 0.0,
            (0, Some(upper)) => f64::midpoint(values[middle - 1], *upper),
            (_, Some(value)) => *value,
        };
        Self {
            median,
            min: values.first().copied().unwrap_or_default(),
            max: values.last().copied().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.median < 100.0 { 2 } else { 0 };
        write!(
            f,
            "{:.digits$} ({:.digits$} to {:.digits$})",
            self.median, self.min, self.max
        )
    }
}

/// How long a flush to the disk below `folder` takes, in microseconds: what a commit cannot be
/// faster than. Near zero means that the disk does not keep what it confirms (or is memory).
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn flush_us(folder: &Path) -> io::Result<Spread> {
    let path = folder.join("flush");
    let mut file = File::create(&path)?;
    let mut micros = Vec::new();
    for _ in 0..100 {
        file.write_all(&[7; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        micros.push(started.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(path)?;
    Ok(Spread::new(micros))
}

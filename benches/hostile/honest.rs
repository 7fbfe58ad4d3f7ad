//! Honest traffic that remembers how much it sent, and finds each of it in the log again.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, ensure};

use crate::{
    support::{command::postbook, http::Answer, load::Traffic},
    traffic::Postbacks,
};

/// Postbacks with the transactions `order-0000000000` and on.
#[derive(Clone, Debug)]
pub(crate) struct Honest {
    postbacks: Postbacks,
    /// How many were sent.
    pub(crate) sent: usize,
    /// How many were acknowledged.
    pub(crate) acknowledged: usize,
}

impl Honest {
    pub(crate) fn new(postbacks: Postbacks) -> Self {
        Self {
            postbacks,
            sent: 0,
            acknowledged: 0,
        }
    }

    /// Checks that everything was acknowledged, and is in the log once.
    ///
    /// # Errors
    /// Something was not, or is not.
    pub(crate) fn check_presence(&self, data: &Path) -> anyhow::Result<()> {
        ensure!(
            self.acknowledged == self.sent,
            "{} honest postbacks were sent, {} acknowledged",
            self.sent,
            self.acknowledged
        );
        let mut times = vec![0_u8; self.sent];
        let mut command = postbook(data);
        command.args(["events", "--type", "revenue.reported"]);
        let mut reading = command.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(reading.stdout.take().context("stdout is piped")?);
        for line in lines.lines() {
            let line = line?;
            let number = line
                .split_once(r#""txn_id":"order-"#)
                .and_then(|(_, rest)| rest.get(..10)?.parse::<usize>().ok());
            if let Some(times) = number.and_then(|number| times.get_mut(number)) {
                *times += 1;
            }
        }
        ensure!(reading.wait()?.success(), "the log cannot be read");
        let wrong = times.iter().filter(|&&times| times != 1).count();
        ensure!(wrong == 0, "{wrong} honest postbacks are not there once");
        Ok(())
    }
}

impl Traffic for Honest {
    fn next(&mut self, request: &mut Vec<u8>) {
        self.sent += 1;
        self.postbacks.next(request);
    }

    fn check(&mut self, answer: &Answer<'_>) -> bool {
        let wanted = self.postbacks.check(answer);
        self.acknowledged += usize::from(wanted);
        wanted
    }
}

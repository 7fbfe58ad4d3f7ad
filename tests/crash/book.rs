//! What was sent and answered, and what the log says about it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Our side of the story, and the log's.
#[derive(Debug, Default)]
pub(crate) struct Book {
    next_number: u64,
    /// Postbacks that were answered, by transaction, with the conversion's id.
    answered: BTreeMap<String, String>,
    /// Clicks that were answered.
    clicks: BTreeSet<String>,
    /// Postbacks whose connection broke before the answer: they may be in the log or not.
    under_way: Vec<String>,
    /// Transactions in the log, with the id of their fact.
    in_log: BTreeMap<String, String>,
    clicks_in_log: BTreeSet<String>,
    read_to: u64,
}

impl Book {
    /// A transaction that was never used before.
    pub(crate) fn new_transaction(&mut self) -> String {
        self.next_number += 1;
        format!("order-{:010}", self.next_number)
    }

    /// A postback was answered.
    pub(crate) fn answer(&mut self, txn_id: String, conversion_id: String) {
        self.answered.insert(txn_id, conversion_id);
    }

    /// A click was answered.
    pub(crate) fn answer_click(&mut self, click_id: String) {
        self.clicks.insert(click_id);
    }

    /// A postback's answer was lost.
    pub(crate) fn lose(&mut self, txn_id: String) {
        self.under_way.push(txn_id);
    }

    /// Postbacks whose answers were lost; they are forgotten here.
    pub(crate) fn take_lost(&mut self) -> Vec<String> {
        std::mem::take(&mut self.under_way)
    }

    /// The answered postback at this place, counted around.
    pub(crate) fn answered_at(&self, place: usize) -> Option<(&String, &String)> {
        let count = self.answered.len().max(1);
        self.answered.iter().nth(place % count)
    }

    /// How many answers were given.
    pub(crate) fn acknowledged(&self) -> usize {
        self.answered.len() + self.clicks.len()
    }

    /// The position to read on from.
    pub(crate) fn next(&self) -> u64 {
        self.read_to + 1
    }

    /// Reads lines of `postbook events`.
    pub(crate) fn read(&mut self, lines: &str) -> anyhow::Result<()> {
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).context("a line is JSON")?;
            self.read_to += 1;
            self.read_fact(&line)?;
        }
        Ok(())
    }

    fn read_fact(&mut self, line: &Value) -> anyhow::Result<()> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let data = &line["data"];
        match line["type"].as_str() {
            Some("revenue.reported") => {
                let txn_id = text(&data["txn_id"]).context("a sale has its transaction")?;
                let id = text(&line["id"]).context("a fact has an id")?;
                let before = self.in_log.insert(txn_id, id);
                ensure!(before.is_none(), "twice in the log: {line}");
            }
            Some("click.recorded") => {
                let click_id = text(&data["click_id"]).context("a click has an id")?;
                ensure!(
                    self.clicks_in_log.insert(click_id),
                    "twice in the log: {line}"
                );
            }
            Some("postback.rejected") => anyhow::bail!("refused: {line}"),
            _ => {}
        }
        Ok(())
    }

    /// What was answered is in the log, under the id that was answered, and the log has as many
    /// lines as its head says: positions without gaps.
    pub(crate) fn check(&self, head: u64) -> anyhow::Result<()> {
        ensure!(
            self.read_to == head,
            "the head is {head}, and {} facts were read",
            self.read_to
        );
        for (txn_id, conversion_id) in &self.answered {
            ensure!(
                self.in_log.get(txn_id) == Some(conversion_id),
                "{txn_id} was answered as {conversion_id}; the log has {:?}",
                self.in_log.get(txn_id)
            );
        }
        for click_id in &self.clicks {
            ensure!(
                self.clicks_in_log.contains(click_id),
                "the click {click_id} was answered and is not in the log"
            );
        }
        Ok(())
    }
}

//! `postbook requeue`: refused attempts are read again under the offer's mapping.

use std::path::PathBuf;

use clap::Args;
use postbook_schemas::{Currency, Instant, OfferRef, Outcome};
use serde_json::{Value, json};

use super::{
    client::{Client, Outgoing, refusal},
    exit::{CliError, Exit},
    global::Global,
    output, own, values,
};
use crate::commands::requeue::{self, LIMIT_MAX};

/// Reads refused attempts again under a corrected mapping
#[derive(Debug, Args)]
pub(super) struct Requeue {
    /// The offer
    #[arg(value_name = "BRAND/OFFER")]
    offer: OfferRef,
    /// Only received at this time or later
    #[arg(long, value_name = "TIME", value_parser = values::start)]
    from: Option<Instant>,
    /// Only received before this time
    #[arg(long, value_name = "TIME", value_parser = values::start)]
    to: Option<Instant>,
    /// Only with this outcome; may be repeated
    #[arg(long, value_name = "CODE", value_parser = outcome)]
    outcome: Vec<Outcome>,
    /// Try the mapping of this programme file instead of the one in force
    #[arg(long, value_name = "FILE", conflicts_with = "apply")]
    mapping: Option<PathBuf>,
    /// Append what they become
    #[arg(long, requires = "reason")]
    apply: bool,
    /// Why, kept with the facts
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Go through the running server at this URL instead of opening the data directory
    #[arg(long, value_name = "URL", requires = "token")]
    server: Option<String>,
    /// A manager's token for the server
    #[arg(long, value_name = "T")]
    token: Option<String>,
}

fn outcome(code: &str) -> Result<Outcome, String> {
    requeue::outcomes()
        .find(|outcome| outcome.code() == code)
        .ok_or_else(|| {
            let codes: Vec<_> = requeue::outcomes().map(Outcome::code).collect();
            format!("not an outcome that can be requeued: {}", codes.join(", "))
        })
}

impl Requeue {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let draft = match &self.mapping {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                CliError::failed(format!("{} cannot be read: {error}", path.display()))
            })?),
            None => None,
        };
        let server = self.server.as_deref().zip(self.token.as_deref());
        let items = if let Some((url, token)) = server {
            let client = Client::try_new(url)?;
            let draft = draft.as_deref();
            self.all(async |after| self.ask(&client, token, draft, after).await)
                .await?
        } else {
            let service = own::open(global).await?;
            let page = async |after| {
                let asked = self.asked(draft.clone(), after);
                Ok(requeue::requeue(&service, &asked).await?.to_json())
            };
            let items = self.all(page).await;
            service.shut_down().await;
            items?
        };
        if global.json {
            return output::json(&json!({ "applied": self.apply, "items": items }));
        }
        self.show(&items)
    }

    /// All attempts, however many pages they take.
    async fn all(
        &self,
        page: impl AsyncFn(u64) -> Result<Value, CliError>,
    ) -> Result<Vec<Value>, CliError> {
        let (mut items, mut after) = (Vec::new(), 0);
        loop {
            let mut answer = page(after).await?;
            if let Some(Value::Array(some)) = answer.get_mut("items").map(Value::take) {
                items.extend(some);
            }
            match answer.get("next_after").and_then(Value::as_u64) {
                Some(next) => after = next,
                None => return Ok(items),
            }
        }
    }

    fn asked(&self, draft: Option<String>, after: u64) -> requeue::Requeue {
        let by = own::by("requeue");
        requeue::Requeue {
            offer: self.offer.clone(),
            from: self.from,
            to: self.to,
            outcomes: self.outcome.clone(),
            after,
            limit: LIMIT_MAX,
            draft,
            apply: self.reason.clone().filter(|_| self.apply),
            actor: by.actor,
            endpoint: by.source.endpoint,
        }
    }

    async fn ask(
        &self,
        client: &Client,
        token: &str,
        draft: Option<&str>,
        after: u64,
    ) -> Result<Value, CliError> {
        let body = json!({
            "offer": self.offer, "from": self.from, "to": self.to, "outcomes": self.outcome,
            "mapping": draft, "dry_run": !self.apply, "reason": self.reason, "after": after,
        });
        let outgoing = Outgoing::json(&body).bearer(token);
        let answer = client.send("/v1/requeue", outgoing).await?;
        if answer.status.is_success() {
            Ok(answer.json())
        } else {
            Err(refusal(&answer))
        }
    }

    fn show(&self, items: &[Value]) -> Result<(), CliError> {
        let becomes = if self.apply { "became" } else { "would become" };
        let headers = [
            "attempt", "received", "was", becomes, "event", "txn", "amount", "why not",
        ];
        output::line(&output::table(
            &headers,
            items.iter().map(row),
            headers.len(),
        ))?;
        let count = |result: &str| {
            let of = |item: &&Value| item["becomes"]["result"] == result;
            items.iter().filter(of).count()
        };
        let verb = if self.apply {
            "appended"
        } else {
            "would be appended"
        };
        output::note(&format!(
            "{} {verb}, {} repeats, {} fail still, {} cannot be read again, {} were requeued before",
            count("fact"),
            count("repeat"),
            count("refused"),
            count("unreadable"),
            count("requeued_before"),
        ));
        let failing = count("refused") + count("unreadable");
        if self.apply && failing > 0 && failing == items.len() {
            return Err(CliError::new(
                Exit::Refused,
                "none of them could be requeued",
            ));
        }
        Ok(())
    }
}

fn row(item: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (was, becomes) = (&item["was"], &item["becomes"]);
    let reads = &becomes["reads"];
    let outcome = match becomes["outcome"].as_str() {
        Some(outcome) => outcome.to_owned(),
        None => text(&becomes["result"]).replace('_', " "),
    };
    let currency: Option<Currency> = reads["currency"]
        .as_str()
        .and_then(|code| code.parse().ok());
    let amount = reads["amount_minor"].as_i64().zip(currency);
    let received = item["received_at"]
        .as_str()
        .and_then(Instant::parse_rfc3339);
    vec![
        text(&item["attempt_id"]),
        received.map(output::time).unwrap_or_default(),
        [text(&was["outcome"]), text(&was["field"])]
            .join(" ")
            .trim()
            .to_owned(),
        outcome,
        text(&reads["event"]),
        text(&reads["txn_id"]),
        amount
            .map(|(minor, currency)| output::money(minor, currency))
            .unwrap_or_default(),
        [text(&becomes["field"]), text(&becomes["detail"])]
            .join(" ")
            .trim()
            .to_owned(),
    ]
}

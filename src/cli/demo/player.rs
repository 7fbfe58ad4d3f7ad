//! Plays the demo's traffic through the server's own endpoints, and notes what came back.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use postbook_schemas::Instant;
use serde_json::{Map, Value, json};

use super::{
    clock::DemoClock,
    keys::Keys,
    traffic::{Call, Click, Credential, Postback, SLOT_SECONDS, Step},
};
use crate::cli::{
    client::{Answer, Client, Outgoing, refusal},
    exit::CliError,
};

/// Requests that are under way at the same time.
const AT_ONCE: usize = 16;

/// Header in which the demo's visitors bring their country, as a proxy in front would.
pub(super) const COUNTRY_HEADER: &str = "x-country";

/// What was played.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// How many requests ended in which outcome.
    pub(super) outcomes: BTreeMap<String, u64>,
    /// The conversions that have a name.
    pub(super) conversions: BTreeMap<String, String>,
    /// Amounts that were paid, by partner.
    pub(super) payouts: BTreeMap<&'static str, Value>,
    /// Outcomes that were not as planned: there should be none.
    pub(super) surprises: Vec<String>,
    click_ids: BTreeMap<usize, String>,
}

/// Plays steps, slot by slot, moving the clock through the month.
pub(super) struct Player<'a> {
    pub(super) client: &'a Client,
    pub(super) clock: &'a DemoClock,
    pub(super) keys: &'a Keys,
    pub(super) start: Instant,
}

/// What one step came to.
struct Ending {
    outcome: String,
    id: Option<String>,
    click: Option<(usize, String)>,
    payout: Option<(&'static str, Value)>,
}

impl Player<'_> {
    /// Plays all steps.
    pub(super) async fn play(
        &self,
        steps: &[Step],
        progress: &ProgressBar,
    ) -> Result<Played, CliError> {
        let mut played = Played::default();
        for slot in steps.chunk_by(|one, next| one.slot == next.slot) {
            let time = slot.first().map_or(self.start, |step| self.time(step.slot));
            self.clock.advance_to(time);
            let so_far = &played;
            let endings: Vec<_> = stream::iter(slot)
                .map(
                    |step| async move { Ok::<_, CliError>((step, self.step(step, so_far).await?)) },
                )
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?;
            for (step, ending) in endings {
                played.note(step, ending);
            }
            progress.inc(slot.len() as u64);
        }
        progress.finish_and_clear();
        Ok(played)
    }

    fn time(&self, slot: u32) -> Instant {
        self.start
            .plus_micros(i64::from(slot) * SLOT_SECONDS * 1_000_000)
    }

    async fn step(&self, step: &Step, played: &Played) -> Result<Ending, CliError> {
        match &step.call {
            Call::Click(click) => self.click(click).await,
            Call::Postback(postback) => {
                let answer = self.postback(step.slot, postback, played).await?;
                Ok(ending_of(&answer))
            }
            Call::Decision {
                conversion,
                decision,
                reason,
            } => {
                let id = played.conversions.get(conversion);
                let body = json!({"conversion_id": id, "decision": decision, "reason": reason});
                let outgoing = Outgoing::json(&body).bearer(&self.keys.manager_token);
                let answer = self.client.send("/v1/decisions", outgoing).await?;
                accepted_or_refusal(&answer)
            }
            Call::Payout { partner } => self.payout(partner).await,
        }
    }

    async fn click(&self, click: &Click) -> Result<Ending, CliError> {
        let outgoing = Outgoing {
            headers: vec![
                ("user-agent", click.user_agent.to_owned()),
                ("x-forwarded-for", click.address.clone()),
                (COUNTRY_HEADER, click.country.to_owned()),
                ("referer", "https://partner.example/".to_owned()),
            ],
            body: None,
        };
        let path = format!("/{}?{}", click.link, click.query);
        let answer = self.client.send(&path, outgoing).await?;
        let click_id = answer.location.as_deref().and_then(click_id_of);
        let Some(click_id) = click_id else {
            return Err(refusal(&answer));
        };
        Ok(Ending {
            outcome: "accepted".to_owned(),
            id: None,
            click: Some((click.number, click_id)),
            payout: None,
        })
    }

    async fn postback(
        &self,
        slot: u32,
        postback: &Postback,
        played: &Played,
    ) -> Result<Answer, CliError> {
        let mut fields = postback.fields.clone();
        if let Some(click_id) = postback
            .click
            .and_then(|click| played.click_ids.get(&click))
        {
            fields.push(("click_id", click_id.clone()));
        }
        if let Some(seconds) = postback.seconds_ago {
            let time = self.time(slot).plus_micros(-seconds * 1_000_000);
            fields.push(("timestamp", (time.micros() / 1_000_000).to_string()));
        }
        let path = format!("/api/postback/{}", postback.offer);
        let secret = self
            .keys
            .secrets
            .get(postback.offer)
            .cloned()
            .unwrap_or_default();
        match postback.credential {
            Credential::Token => {
                let outgoing = Outgoing::json(&object(&fields)).bearer(&self.keys.shop_token);
                self.client.send("/postback", outgoing).await
            }
            // The broker's server sends JSON with a header, the others' their URL with parameters.
            Credential::Secret if postback.offer == "nova/broker" => {
                let mut outgoing = Outgoing::json(&object(&fields));
                outgoing.headers.push(("x-postback-secret", secret));
                self.client.send(&path, outgoing).await
            }
            Credential::Secret => self.by_url(&path, &fields, &secret).await,
            Credential::Forged => self.by_url(&path, &fields, "let-me-in").await,
        }
    }

    async fn by_url(
        &self,
        path: &str,
        fields: &[(&str, String)],
        secret: &str,
    ) -> Result<Answer, CliError> {
        let path = {
            let mut query = Serializer::new(String::new());
            query.append_pair("secret", secret).extend_pairs(fields);
            format!("{path}?{}", query.finish())
        };
        self.client.send(&path, Outgoing::default()).await
    }

    /// Proposes all that is payable to a partner and settles it.
    async fn payout(&self, partner: &'static str) -> Result<Ending, CliError> {
        let token = &self.keys.finance_token;
        let body = json!({"partner": partner, "reason": "the first three weeks"});
        let outgoing = Outgoing::json(&body).bearer(token);
        let proposed = self.client.send("/v1/payouts", outgoing).await?;
        let ending = accepted_or_refusal(&proposed)?;
        let Some(id) = ending.id else {
            return Err(CliError::failed("a payout was proposed without an id"));
        };
        let body = json!({"reason": "checked"});
        let approval = Outgoing::json(&body).bearer(&self.keys.admin_token);
        self.client
            .send(&format!("/v1/payouts/{id}/approve"), approval)
            .await?;
        let body = json!({"reference": format!("demo-{partner}"), "reason": "sent by the bank"});
        let outgoing = Outgoing::json(&body).bearer(token);
        let settled = self
            .client
            .send(&format!("/v1/payouts/{id}/settle"), outgoing)
            .await?;
        Ok(Ending {
            payout: Some((partner, proposed.json())),
            ..accepted_or_refusal(&settled)?
        })
    }
}

impl Played {
    fn note(&mut self, step: &Step, ending: Ending) {
        if ending.outcome != step.expected {
            self.surprises.push(format!(
                "{} instead of {}: {:?}",
                ending.outcome, step.expected, step.call
            ));
        }
        if let (Some(name), Some(id)) = (&step.name, ending.id) {
            self.conversions.insert(name.clone(), id);
        }
        self.click_ids.extend(ending.click);
        self.payouts.extend(ending.payout);
        let outcome = match step.call {
            Call::Postback(_) => ending.outcome,
            Call::Click(_) => "click".to_owned(),
            Call::Decision { .. } => "decision".to_owned(),
            Call::Payout { .. } => "payout".to_owned(),
        };
        *self.outcomes.entry(outcome).or_default() += 1;
    }
}

/// The click id in the address to which a visitor was sent.
fn click_id_of(location: &str) -> Option<String> {
    let (_, query) = location.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "cid" || name == "clickid")
        .map(|(_, value)| value.into_owned())
}

fn object(fields: &[(&str, String)]) -> Value {
    let entries = fields
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)));
    Value::Object(entries.collect::<Map<_, _>>())
}

/// The outcome of a postback and the conversion's id, in whichever form the endpoint answers.
fn ending_of(answer: &Answer) -> Ending {
    let json = answer.json();
    let inner = json.get("data").unwrap_or(&json);
    let text = |key: &str| inner.get(key).and_then(Value::as_str).map(str::to_owned);
    let outcome = match text("code").or_else(|| text("status")) {
        Some(ok) if ok == "ok" => "accepted".to_owned(),
        Some(outcome) => outcome,
        None => answer.status.to_string(),
    };
    Ending {
        outcome,
        id: text("conversionId")
            .or_else(|| text("conversion_id"))
            .or_else(|| text("id")),
        click: None,
        payout: None,
    }
}

fn accepted_or_refusal(answer: &Answer) -> Result<Ending, CliError> {
    if !answer.status.is_success() {
        return Err(refusal(answer));
    }
    let json = answer.json();
    let id = ["payout_id", "id"]
        .iter()
        .find_map(|key| json.get(key)?.as_str());
    Ok(Ending {
        outcome: "accepted".to_owned(),
        id: id.map(str::to_owned),
        click: None,
        payout: None,
    })
}

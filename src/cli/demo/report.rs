//! What the demo says at its end: balances, one explained conversion, and what to try next.

use postbook_schemas::{FactId, Instant, Outcome};

use super::{
    keys::Keys,
    player::Played,
    story::{CLAWED_BACK, REFUNDED_EARLY, WON_BACK},
};
use crate::{
    cli::{balance, client::Client, exit::CliError, global::Global, output},
    clock::{Clock, SystemClock},
    commands::{explain, programme::apply::known},
    service::Service,
    tables::query::{
        Slice, attempts::AttemptFilter, balances::AsOf, conversions::ConversionFilter,
    },
};

/// After the month was played.
pub(super) async fn first(
    service: &Service,
    client: &Client,
    keys: &Keys,
    played: &Played,
    global: &Global,
) -> Result<(), CliError> {
    output::line("A month was played through the service's own endpoints:\n")?;
    for (outcome, count) in &played.outcomes {
        output::line(&format!("{count:>7}  {outcome}"))?;
    }
    shown(service).await?;
    output::line("\nAnd three conversions, for `postbook explain`:\n")?;
    for (name, about) in [
        (
            CLAWED_BACK,
            "paid out, then charged back: a debt that later payouts recover",
        ),
        (
            WON_BACK,
            "charged back too, but the casino won: the debt is undone",
        ),
        (REFUNDED_EARLY, "its refund came first and waited"),
    ] {
        if let Some(id) = played.conversions.get(name) {
            output::line(&format!("  {id}  {about}"))?;
        }
    }
    try_next(client, keys, global)
}

/// What is shown whenever the demo is served.
pub(super) async fn again(
    service: &Service,
    client: &Client,
    keys: &Keys,
    global: &Global,
) -> Result<(), CliError> {
    shown(service).await?;
    try_next(client, keys, global)
}

async fn shown(service: &Service) -> Result<(), CliError> {
    output::line("\nBalances (`postbook balance`):\n")?;
    let partners = known(&**service.log.store()).await?.partner_slugs();
    let as_of = AsOf {
        effective: SystemClock.now(),
        known: Instant::MAX,
    };
    balance::print(
        &balance::read(&service.tables, partners, as_of).await?,
        false,
    )?;
    explained(service).await?;
    output::line("\nWorth a look:\n")?;
    for outcome in [
        Outcome::BadCredentials,
        Outcome::Parked,
        Outcome::UnknownClick,
    ] {
        let filter = AttemptFilter {
            outcome: Some(outcome),
            ..AttemptFilter::default()
        };
        let attempts = service
            .tables
            .attempts(
                &filter,
                Slice {
                    after: 0,
                    limit: 1_000,
                },
            )
            .await?;
        let code = outcome.code();
        let count = attempts.len();
        output::line(&format!(
            "  {count} × {code}: postbook attempts --outcome {code}"
        ))?;
    }
    Ok(())
}

/// The deposit that was paid out and charged back, from the click to the debt.
async fn explained(service: &Service) -> Result<(), CliError> {
    let filter = ConversionFilter {
        txn_id: Some("dep-marlow".to_owned()),
        ..ConversionFilter::default()
    };
    let found = service
        .tables
        .conversions(&filter, Slice { after: 0, limit: 1 })
        .await?;
    let Some(conversion) = found.into_iter().next() else {
        return Ok(());
    };
    let id: FactId = conversion.id;
    let explanation = explain::conversion(service.into(), conversion, None).await?;
    output::line(&format!(
        "\nOne deposit, explained (`postbook explain {id}`):\n"
    ))?;
    output::line(&explanation.to_string())
}

fn try_next(client: &Client, keys: &Keys, global: &Global) -> Result<(), CliError> {
    let base = client.base();
    let secret = keys.secrets.get("acme/casino").map_or("", String::as_str);
    let data = match global.data.to_str() {
        Some("./postbook-data") | None => String::new(),
        Some(data) => format!(" --data {data}"),
    };
    output::line(&format!(
        "
Try next (the server listens on {base}):

  # follow a link as a visitor, and see the click id in the address
  curl -si '{base}/ada-casino?utm_source=me' | grep -i location
  # report a deposit with that click id, as the casino's server would
  curl -s '{base}/api/postback/acme/casino?secret={secret}&event=ftd&amount=50.00&txn_id=mine-1&click_id=CLICK_ID'
  # an order in the other dialect, as the shop's server would (with a click id of {base}/dana-shop)
  curl -s {base}/postback -H 'Authorization: Bearer {shop}' -H 'Content-Type: application/json' -d '{{\"click_id\":\"CLICK_ID\",\"event\":\"purchase\",\"value\":4990,\"currency\":\"USD\"}}'
  # what a manager sees
  curl -s '{base}/v1/conversions?partner=ada&limit=3' -H 'Authorization: Bearer {manager}'
  curl -s {base}/v1/partners/ada/balances -H 'Authorization: Bearer {manager}'
  # apply changes to the programme while it runs (you are an admin)
  postbook apply examples/programme.toml --server {base} --token {admin}
  # and from the command line, beside the running server
  postbook balance ada{data}
  postbook explain dep-marlow{data}
  postbook verify{data}
",
        shop = keys.shop_token,
        manager = keys.manager_token,
        admin = keys.admin_token,
    ))
}

//! A person posts an amount that no conversion explains, or gives up a debt. Above the partner's
//! limit a second person has to agree first.

use postbook_schemas::{
    Currency, Fact, FactId, Instant, Slug,
    decision::{AdjustmentKind, AdjustmentPosted, AdjustmentProposed, BalanceWrittenOff},
};

use super::record::{self, Author, CommandError, Kept, key};
use crate::{service::Service, tables::query::balances::AsOf};

/// An amount to post, or a debt to give up.
#[derive(Clone, Debug)]
pub struct Amount {
    /// Which of the two.
    pub kind: AdjustmentKind,
    /// Whom it concerns.
    pub partner: Slug,
    /// Positive in the partner's favour.
    pub amount_minor: i64,
    /// The partner's own if absent.
    pub currency: Option<Currency>,
    /// Why.
    pub reason: String,
}

/// Posts an amount, or proposes it where it takes a second person.
///
/// # Errors
/// There is no such partner, the amount is zero or more than there is to give up, or the log cannot
/// be written.
pub async fn adjust(
    service: &Service,
    author: &Author,
    amount: Amount,
) -> Result<Kept, CommandError> {
    if amount.kind == AdjustmentKind::WriteOff
        && let Some(first) = sent_before(service, author, &amount).await?
    {
        return Ok(first);
    }
    let (currency, given_up) = checked(service, &amount).await?;
    if takes_second_person(service, &amount, currency) {
        let fact = Fact::AdjustmentProposed(AdjustmentProposed {
            proposal_id: service.clock.new_id(),
            kind: amount.kind,
            partner: amount.partner,
            amount_minor: amount.amount_minor,
            currency,
            reason: amount.reason,
        });
        return propose(service, author, fact).await;
    }
    let fact = posted(&amount, currency, None);
    match amount.kind {
        AdjustmentKind::Adjustment => record::append_once(service, author, fact).await,
        AdjustmentKind::WriteOff => {
            write_off(service, author, &amount, (currency, given_up), fact).await
        }
    }
}

/// Posts what somebody else proposed.
///
/// # Errors
/// There is no such proposal, the author made it, or it was agreed to before.
pub async fn approve(
    service: &Service,
    author: &Author,
    proposal_id: FactId,
) -> Result<Kept, CommandError> {
    record::catch_up(service).await?;
    let missing = || CommandError::NotFound(format!("there is no proposal {proposal_id}"));
    let found = service.log.store().find(&proposal_key(proposal_id)).await?;
    let recorded = record::read(service, found.ok_or_else(missing)?).await?;
    let Fact::AdjustmentProposed(proposed) = recorded.envelope.fact else {
        return Err(missing());
    };
    if recorded.envelope.actor == *author.actor {
        let detail = "this takes another person than the one who proposed it";
        return Err(CommandError::Forbidden(detail.to_owned()));
    }
    let amount = Amount {
        kind: proposed.kind,
        partner: proposed.partner,
        amount_minor: proposed.amount_minor,
        currency: Some(proposed.currency),
        reason: proposed.reason,
    };
    let approval = key(&["adjustment-approval", &proposal_id.to_string()]);
    let fact = posted(&amount, proposed.currency, Some(proposal_id));
    if let Some(position) = service.log.store().find(&approval).await? {
        return agreed_before(service, author, position).await;
    }
    let (currency, given_up) = checked(service, &amount).await?;
    let mut references: Vec<String> = author.unique_key().into_iter().collect();
    let unique = match amount.kind {
        AdjustmentKind::Adjustment => approval,
        AdjustmentKind::WriteOff => {
            references.push(approval);
            write_off_key(&amount.partner, currency, given_up)
        }
    };
    let kept = record::append(service, author, &fact, Some(unique), references).await?;
    if kept.is_repeat {
        return agreed_before(service, author, kept.recorded.position).await;
    }
    Ok(kept)
}

/// What somebody agreed to before: the answer to the same request, a refusal to any other.
async fn agreed_before(
    service: &Service,
    author: &Author,
    position: u64,
) -> Result<Kept, CommandError> {
    let recorded = record::read(service, position).await?;
    let is_sent_again = match author.unique_key() {
        Some(own) => service.log.store().find(&own).await? == Some(position),
        None => false,
    };
    if is_sent_again {
        return Ok(Kept {
            recorded,
            is_repeat: true,
        });
    }
    let by = &recorded.envelope.actor;
    Err(CommandError::Conflict(format!("{by} was there before")))
}

/// Proposals are found by their id, and a request that is sent again by its key.
async fn propose(service: &Service, author: &Author, fact: Fact) -> Result<Kept, CommandError> {
    let Fact::AdjustmentProposed(proposed) = &fact else {
        return Err(record::used_for_something_else());
    };
    let references = vec![proposal_key(proposed.proposal_id)];
    let kept = record::append(service, author, &fact, author.unique_key(), references).await?;
    match &kept.recorded.envelope.fact {
        Fact::AdjustmentProposed(first)
            if (
                &first.partner,
                first.amount_minor,
                first.kind,
                &first.reason,
            ) == (
                &proposed.partner,
                proposed.amount_minor,
                proposed.kind,
                &proposed.reason,
            ) =>
        {
            Ok(kept)
        }
        _ => Err(record::used_for_something_else()),
    }
}

fn proposal_key(proposal_id: FactId) -> String {
    key(&["adjustment-proposal", &proposal_id.to_string()])
}

fn posted(amount: &Amount, currency: Currency, proposal_id: Option<FactId>) -> Fact {
    let (partner, amount_minor) = (amount.partner.clone(), amount.amount_minor);
    let reason = amount.reason.clone();
    match amount.kind {
        AdjustmentKind::Adjustment => Fact::AdjustmentPosted(AdjustmentPosted {
            partner,
            amount_minor,
            currency,
            reason,
            proposal_id,
        }),
        AdjustmentKind::WriteOff => Fact::BalanceWrittenOff(BalanceWrittenOff {
            partner,
            amount_minor,
            currency,
            reason,
            proposal_id,
        }),
    }
}

fn takes_second_person(service: &Service, amount: &Amount, currency: Currency) -> bool {
    let directory = service.directory.load();
    let partner = directory.partner(amount.partner.as_str());
    let limit = partner.and_then(|partner| partner.second_person_above);
    limit.is_some_and(|limit| {
        let limit = limit.to_minor(currency).unwrap_or(i64::MAX);
        amount.amount_minor.unsigned_abs() > limit.unsigned_abs()
    })
}

/// The currency, and how much of the partner's debt was given up before.
async fn checked(service: &Service, amount: &Amount) -> Result<(Currency, i64), CommandError> {
    let own = partner_currency(service, &amount.partner)?;
    let currency = amount.currency.unwrap_or(own);
    let invalid = |detail: String| CommandError::Invalid {
        field: "amount_minor",
        detail,
    };
    match amount.kind {
        AdjustmentKind::Adjustment if amount.amount_minor == 0 => {
            return Err(invalid("an adjustment is not zero".to_owned()));
        }
        AdjustmentKind::WriteOff if amount.amount_minor <= 0 => {
            return Err(invalid("a write-off is more than zero".to_owned()));
        }
        AdjustmentKind::Adjustment | AdjustmentKind::WriteOff => {}
    }
    let mut given_up = 0;
    if amount.kind == AdjustmentKind::WriteOff {
        record::catch_up(service).await?;
        let outstanding;
        (outstanding, given_up) = debt(service, &amount.partner, currency).await?;
        if amount.amount_minor > outstanding {
            return Err(CommandError::Conflict(format!(
                "{outstanding} {currency} minor units are outstanding: no more can be given up"
            )));
        }
    }
    Ok((currency, given_up))
}

/// What a partner owes, and what was given up before.
async fn debt(
    service: &Service,
    partner: &Slug,
    currency: Currency,
) -> Result<(i64, i64), CommandError> {
    let as_of = AsOf {
        effective: service.clock.now(),
        known: Instant::MAX,
    };
    let balances = service.tables.balances(partner, as_of).await?;
    let balance = balances.get(currency.code()).copied().unwrap_or_default();
    Ok((balance.outstanding_minor(), balance.written_off_minor))
}

/// The write-off that the same request made before, when there was still a debt to give up.
async fn sent_before(
    service: &Service,
    author: &Author,
    amount: &Amount,
) -> Result<Option<Kept>, CommandError> {
    let Some(own) = author.unique_key() else {
        return Ok(None);
    };
    let Some(position) = service.log.store().find(&own).await? else {
        return Ok(None);
    };
    let recorded = record::read(service, position).await?;
    let is_same = match &recorded.envelope.fact {
        Fact::BalanceWrittenOff(first) => {
            (&first.partner, first.amount_minor) == (&amount.partner, amount.amount_minor)
        }
        Fact::AdjustmentProposed(first) => {
            (&first.partner, first.amount_minor) == (&amount.partner, amount.amount_minor)
        }
        _ => false,
    };
    if !is_same {
        return Err(record::used_for_something_else());
    }
    Ok(Some(Kept {
        recorded,
        is_repeat: true,
    }))
}

/// Of two write-offs of the same debt at once the log lets in one: both name how much was given up
/// before.
async fn write_off(
    service: &Service,
    author: &Author,
    amount: &Amount,
    (currency, given_up): (Currency, i64),
    fact: Fact,
) -> Result<Kept, CommandError> {
    let unique = write_off_key(&amount.partner, currency, given_up);
    let references = author.unique_key().into_iter().collect();
    let kept = record::append(service, author, &fact, Some(unique), references).await?;
    if kept.is_repeat {
        let detail = "the debt was given up by somebody else at the same time";
        return Err(CommandError::Conflict(detail.to_owned()));
    }
    Ok(kept)
}

fn write_off_key(partner: &Slug, currency: Currency, given_up: i64) -> String {
    let given_up = given_up.to_string();
    key(&["write-off", partner.as_str(), currency.code(), &given_up])
}

/// What a partner is paid in.
///
/// # Errors
/// There is no such partner.
pub fn partner_currency(service: &Service, partner: &Slug) -> Result<Currency, CommandError> {
    let directory = service.directory.load();
    let found = directory.partner(partner.as_str());
    found
        .map(|partner| partner.currency)
        .ok_or_else(|| CommandError::Invalid {
            field: "partner",
            detail: format!("there is no partner `{partner}`"),
        })
}

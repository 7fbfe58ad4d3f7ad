//! A person posts an amount that no conversion explains, or gives up a debt. Above the partner's
//! limit a second person has to agree first.

mod bounds;
mod debts;
mod limit;
mod list;
mod second_person;

use postbook_schemas::{
    Currency, Fact, FactId, Slug,
    decision::{AdjustmentKind, AdjustmentPosted, AdjustmentProposed, BalanceWrittenOff},
    money::AMOUNT_MINOR_MAX,
    payout::PayoutLine,
};

use super::{
    record::{self, Author, CommandError, Kept, key},
    seats,
};
use crate::{service::Service, tables::query::balances::AsOf};

pub use list::{Entry, EntryFilter, EntryState, entries};
pub use second_person::{approve, decline};

/// What is said of an amount that was only proposed.
pub const ABOVE_LIMIT: &str = "above the partner's limit: a second person has to agree";

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

impl Amount {
    /// Whether this is what was asked for, as far as it says.
    fn is(&self, kind: AdjustmentKind, partner: &Slug, money: (i64, Currency), why: &str) -> bool {
        let (amount_minor, currency) = money;
        (
            self.kind,
            &self.partner,
            self.amount_minor,
            self.reason.as_str(),
        ) == (kind, partner, amount_minor, why)
            && self.currency.is_none_or(|own| own == currency)
    }
}

/// Posts an amount, or proposes it where it takes a second person.
///
/// What looks at what others posted before takes a seat, so that many at once neither give up more
/// than there is nor go beyond a limit together: whoever loses the seat looks again.
///
/// # Errors
/// There is no such partner, the amount is zero or more than there is to give up, or the log cannot
/// be written.
pub async fn adjust(
    service: &Service,
    author: &Author,
    amount: Amount,
) -> Result<Kept, CommandError> {
    for _ in 0..seats::PARTNER_TRIES {
        let seat = seats::of_partner(&**service.log.store(), &amount.partner).await?;
        // In this order: what the same request posts in between is then found, or takes the seat.
        let weighed = weigh(service, author, &amount).await;
        if let Some(first) = sent_before(service, author, &amount).await? {
            return Ok(first);
        }
        let fact = match weighed? {
            Weighed::TakesTwo(currency) => {
                return propose(service, author, &amount, currency).await;
            }
            Weighed::Stands(fact) => return record::append_once(service, author, fact).await,
            Weighed::InSeat(fact) => fact,
        };
        let references = author.unique_key().into_iter().collect();
        let kept = record::append(service, author, &fact, Some(seat), references).await?;
        if !kept.is_repeat {
            return Ok(kept);
        }
    }
    Err(seats::none_left())
}

/// What is to be done with an amount as things stand.
enum Weighed {
    /// It is above the partner's limit in this currency.
    TakesTwo(Currency),
    /// It is posted, whatever others post.
    Stands(Fact),
    /// It is posted unless others posted something since.
    InSeat(Fact),
}

async fn weigh(
    service: &Service,
    author: &Author,
    amount: &Amount,
) -> Result<Weighed, CommandError> {
    let currency = checked(service, amount).await?;
    let limit = limit::of(service, &amount.partner, currency);
    if let Some(limit) = limit {
        let said = limit::said(service, author, &amount.partner, currency).await?;
        if limit::would_be_exceeded(limit, said, amount.amount_minor) {
            return Ok(Weighed::TakesTwo(currency));
        }
    }
    let lines = match amount.kind {
        AdjustmentKind::Adjustment => Vec::new(),
        AdjustmentKind::WriteOff => debts::oldest(service, amount, currency).await?,
    };
    let fact = posted(amount, currency, Agreed::default(), lines);
    Ok(
        if amount.kind == AdjustmentKind::Adjustment && limit.is_none() {
            Weighed::Stands(fact)
        } else {
            Weighed::InSeat(fact)
        },
    )
}

/// Proposals are found by their id, and a request that is sent again by its key.
async fn propose(
    service: &Service,
    author: &Author,
    amount: &Amount,
    currency: Currency,
) -> Result<Kept, CommandError> {
    let proposed = AdjustmentProposed {
        proposal_id: service.clock.new_id(),
        kind: amount.kind,
        partner: amount.partner.clone(),
        amount_minor: amount.amount_minor,
        currency,
        reason: amount.reason.clone(),
    };
    let fact = Fact::AdjustmentProposed(proposed.clone());
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

/// The proposal that a second person agreed to, and why.
#[derive(Clone, Debug, Default)]
struct Agreed {
    proposal_id: Option<FactId>,
    because: Option<String>,
}

fn posted(amount: &Amount, currency: Currency, agreed: Agreed, lines: Vec<PayoutLine>) -> Fact {
    let (partner, amount_minor) = (amount.partner.clone(), amount.amount_minor);
    let reason = amount.reason.clone();
    let (proposal_id, agreed_because) = (agreed.proposal_id, agreed.because);
    match amount.kind {
        AdjustmentKind::Adjustment => Fact::AdjustmentPosted(AdjustmentPosted {
            partner,
            amount_minor,
            currency,
            reason,
            proposal_id,
            agreed_because,
        }),
        AdjustmentKind::WriteOff => Fact::BalanceWrittenOff(BalanceWrittenOff {
            partner,
            amount_minor,
            currency,
            reason,
            proposal_id,
            agreed_because,
            lines,
        }),
    }
}

/// The currency of an amount that can be posted as things stand.
async fn checked(service: &Service, amount: &Amount) -> Result<Currency, CommandError> {
    let own = partner_currency(service, &amount.partner)?;
    let currency = amount.currency.unwrap_or(own);
    let invalid = |detail: String| CommandError::Invalid {
        field: "amount_minor",
        detail,
    };
    if amount.amount_minor.unsigned_abs() > AMOUNT_MINOR_MAX.unsigned_abs() {
        // The book could not fold it, and what is in the log stays there.
        return Err(invalid(format!("at most {AMOUNT_MINOR_MAX} minor units")));
    }
    match amount.kind {
        AdjustmentKind::Adjustment if amount.amount_minor == 0 => {
            Err(invalid("an adjustment is not zero".to_owned()))
        }
        AdjustmentKind::WriteOff if amount.amount_minor <= 0 => {
            Err(invalid("a write-off is more than zero".to_owned()))
        }
        AdjustmentKind::Adjustment => {
            bounds::check(service, amount, currency).await?;
            Ok(currency)
        }
        AdjustmentKind::WriteOff => {
            record::catch_up(service).await?;
            let outstanding = outstanding(service, &amount.partner, currency).await?;
            if i128::from(amount.amount_minor) <= outstanding {
                return Ok(currency);
            }
            Err(CommandError::Conflict(format!(
                "{} are outstanding: no more can be given up",
                currency.format_money(outstanding)
            )))
        }
    }
}

/// What a partner owes, by all that is in the book: the lines whose debts are given up are of no time.
async fn outstanding(
    service: &Service,
    partner: &Slug,
    currency: Currency,
) -> Result<i128, CommandError> {
    let balances = service.tables.balances(partner, AsOf::ALL).await?;
    let balance = balances.get(currency.code()).copied().unwrap_or_default();
    Ok(balance.outstanding_minor())
}

/// What the same request posted or proposed before, when there was still a debt to give up or the limit was
/// not reached.
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
            let money = (first.amount_minor, first.currency);
            amount.is(
                AdjustmentKind::WriteOff,
                &first.partner,
                money,
                &first.reason,
            )
        }
        Fact::AdjustmentPosted(first) => {
            let money = (first.amount_minor, first.currency);
            amount.is(
                AdjustmentKind::Adjustment,
                &first.partner,
                money,
                &first.reason,
            )
        }
        Fact::AdjustmentProposed(first) => {
            let money = (first.amount_minor, first.currency);
            amount.is(first.kind, &first.partner, money, &first.reason)
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

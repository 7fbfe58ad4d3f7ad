//! Proposes payouts of what is due: to one partner, or to all that have enough coming.
//!
//! No lock keeps two proposals apart, nor a proposal that recovers a debt and a write-off that gives it
//! up. Each takes a seat at the partner's money; the log lets only one in, also when several nodes
//! propose, and the other looks again at what is left.

use postbook_projections::{
    payable::{Available, DueLine},
    rows::PayoutRow,
};
use postbook_schemas::{
    Currency, Exact, Fact, Instant, Slug,
    bank::RecoveryLimit,
    payout::{PayoutLine, PayoutProposed},
};

use super::{moved_payout, payout_at};
use crate::{
    commands::{
        adjustment::partner_currency,
        record::{self, Author, CommandError, key},
        seats,
    },
    directory::Directory,
    service::Service,
    tables::query::balances::{AsOf, Balance},
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Whom to pay.
    pub partner: Slug,
    /// In which currency; the partner's own if absent.
    pub currency: Option<Currency>,
    /// How much; all that is payable if absent.
    pub amount_minor: Option<i64>,
    /// Why.
    pub reason: String,
}

impl Proposal {
    /// Whether a payout is what this asks for, as far as it says.
    fn is_answered_by(&self, first: &PayoutProposed) -> bool {
        first.partner == self.partner
            && first.reason == self.reason
            && self.currency.is_none_or(|it| it == first.currency)
            && self.amount_minor.is_none_or(|it| it == first.amount_minor)
    }
}

/// What became of one partner and currency when all were asked for.
#[derive(Clone, Debug)]
pub enum Proposed {
    /// A payout.
    Payout(PayoutRow),
    /// Nothing, and why.
    Skipped {
        /// Whom it would have paid.
        partner: Slug,
        /// In which currency.
        currency: Currency,
        /// What is payable.
        payable_minor: i128,
        /// Why not.
        why: Skip,
    },
}

/// Why a partner is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The balance is negative: it is carried until it is positive.
    Negative,
    /// Nothing is payable that no open payout has reserved.
    NothingPayable,
    /// Less is payable than the threshold.
    BelowThreshold,
}

impl Skip {
    /// The word used in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Negative => "negative",
            Self::NothingPayable => "nothing_payable",
            Self::BelowThreshold => "below_threshold",
        }
    }
}

/// What is due to a partner now, and on what conditions it is paid.
struct Due {
    balance: Balance,
    reserved: i128,
    available: Available,
    threshold: i64,
    limit: Option<RecoveryLimit>,
}

impl Due {
    /// Why a run leaves the partner out, if it does.
    fn skip(&self) -> Option<Skip> {
        let most = self.available.most_minor;
        if self.balance.payable_minor < 0 {
            Some(Skip::Negative)
        } else if most <= 0 {
            Some(Skip::NothingPayable)
        } else if most < self.threshold {
            Some(Skip::BelowThreshold)
        } else {
            None
        }
    }
}

/// Proposes a payout of what is payable now, recoveries first, then the oldest lines. Whoever names
/// a partner may pay less than the threshold.
///
/// # Errors
/// Less is payable than asked for, or nothing; or the log cannot be written.
pub async fn propose(
    service: &Service,
    author: &Author,
    proposal: &Proposal,
) -> Result<PayoutRow, CommandError> {
    let own = partner_currency(service, &proposal.partner)?;
    let currency = proposal.currency.unwrap_or(own);
    for _ in 0..seats::PARTNER_TRIES {
        // In this order: what the same request proposes in between is then found, or takes the seat.
        let seat = seats::of_partner(&**service.log.store(), &proposal.partner).await?;
        record::catch_up(service).await?;
        let due = due_now(service, &proposal.partner, currency).await?;
        if let Some(first) = earlier(service, author, proposal).await? {
            return Ok(first);
        }
        let lines = choose(due, proposal.amount_minor, currency)?;
        let fact = Fact::PayoutProposed(PayoutProposed {
            payout_id: service.clock.new_id(),
            partner: proposal.partner.clone(),
            amount_minor: sum(&lines),
            currency,
            lines,
            reason: proposal.reason.clone(),
        });
        let references = author.unique_key().into_iter().collect();
        let kept = record::append(service, author, &fact, Some(seat), references).await?;
        if !kept.is_repeat
            && let Fact::PayoutProposed(proposed) = &kept.recorded.envelope.fact
        {
            return moved_payout(service, proposed.payout_id).await;
        }
    }
    Err(seats::none_left())
}

/// Proposes payouts to all partners who have at least their threshold coming, and says of everybody
/// else who has a balance why not.
///
/// # Errors
/// The tables cannot be read or the log cannot be written; what was proposed before stays.
pub async fn propose_all(
    service: &Service,
    author: &Author,
    reason: &str,
) -> Result<Vec<Proposed>, CommandError> {
    record::catch_up(service).await?;
    let directory = service.directory.load_full();
    let partners: Vec<Slug> = directory
        .partners()
        .map(|partner| partner.slug.clone())
        .collect();
    let mut all = Vec::new();
    for partner in partners {
        let now = AsOf {
            effective: service.clock.now(),
            known: Instant::MAX,
        };
        let balances = service.tables.balances(&partner, now).await?;
        for code in balances.keys() {
            let Some(currency) = Currency::from_code(code) else {
                continue;
            };
            let proposal = Proposal {
                partner: partner.clone(),
                currency: Some(currency),
                amount_minor: None,
                reason: reason.to_owned(),
            };
            all.extend(propose_or_skip(service, author, proposal, currency).await?);
        }
    }
    Ok(all)
}

async fn propose_or_skip(
    service: &Service,
    author: &Author,
    proposal: Proposal,
    currency: Currency,
) -> Result<Option<Proposed>, CommandError> {
    // A request that is sent again finds each partner's payout by a key of its own.
    let author = Author {
        idempotency_key: author
            .idempotency_key
            .as_ref()
            .map(|given| key(&[given, proposal.partner.as_str(), currency.code()])),
        ..author.clone()
    };
    let mut due = due_now(service, &proposal.partner, currency).await?;
    if let Some(first) = earlier(service, &author, &proposal).await? {
        return Ok(Some(Proposed::Payout(first)));
    }
    let mut why = due.skip();
    if why.is_none() {
        match propose(service, &author, &proposal).await {
            Ok(proposed) => return Ok(Some(Proposed::Payout(proposed))),
            // Somebody else was there first: what is left decides.
            Err(CommandError::Conflict(detail)) => {
                due = due_now(service, &proposal.partner, currency).await?;
                why = due.skip();
                if why.is_none() {
                    return Err(CommandError::Conflict(detail));
                }
            }
            Err(error) => return Err(error),
        }
    }
    let Some(why) = why else {
        return Ok(None);
    };
    let payable_minor = due.balance.payable_minor;
    let is_idle = why == Skip::NothingPayable && payable_minor == 0;
    Ok((!is_idle).then_some(Proposed::Skipped {
        partner: proposal.partner,
        currency,
        payable_minor,
        why,
    }))
}

/// The payout that an earlier request with the same key proposed.
async fn earlier(
    service: &Service,
    author: &Author,
    proposal: &Proposal,
) -> Result<Option<PayoutRow>, CommandError> {
    let Some(key) = author.unique_key() else {
        return Ok(None);
    };
    let Some(position) = service.log.store().find(&key).await? else {
        return Ok(None);
    };
    match record::read(service, position).await?.envelope.fact {
        Fact::PayoutProposed(first) if proposal.is_answered_by(&first) => {
            payout_at(service, first.payout_id, position)
                .await
                .map(Some)
        }
        _ => Err(record::used_for_something_else()),
    }
}

async fn due_now(
    service: &Service,
    partner: &Slug,
    currency: Currency,
) -> Result<Due, CommandError> {
    let now = service.clock.now();
    let as_of = AsOf {
        effective: now,
        known: Instant::MAX,
    };
    let due = service.tables.due(partner, currency, as_of).await?;
    let (balance, reserved) = (due.balance, due.reserved_minor);
    let free = balance.payable_minor - reserved;
    let available = Available::new(due.lines, now, due.forgiven_minor, free);
    let directory = service.directory.load();
    let (threshold, limit) = conditions(&directory, partner, available.lines(), currency);
    Ok(Due {
        balance,
        reserved,
        available,
        threshold,
        limit,
    })
}

/// The partner's own conditions; without, the strictest of the offers whose lines are due.
fn conditions<'l>(
    directory: &Directory,
    partner: &Slug,
    lines: impl Iterator<Item = &'l DueLine>,
    currency: Currency,
) -> (i64, Option<RecoveryLimit>) {
    let own = directory.partner(partner.as_str());
    let offers: std::collections::BTreeSet<_> =
        lines.filter_map(|line| line.offer.as_ref()).collect();
    let offers = || {
        offers
            .iter()
            .filter_map(|offer| directory.offer(offer.as_str()))
    };
    let minor = |amount: Exact| amount.to_minor(currency).unwrap_or(i64::MAX);
    let threshold = own.and_then(|own| own.payout_threshold).map_or_else(
        || {
            offers()
                .filter_map(|offer| offer.payout_threshold)
                .map(minor)
                .max()
        },
        |own| Some(minor(own)),
    );
    // Compared by what they let a payout of a thousand units recover.
    let weight = |limit: &RecoveryLimit| limit.most_minor(100_000, currency);
    let limit = own.and_then(|own| own.recovery_limit).or_else(|| {
        let limits = offers().filter_map(|offer| offer.recovery_limit);
        limits.min_by_key(weight)
    });
    (threshold.unwrap_or(0), limit)
}

/// What lines come to: what was chosen, which is no more than an amount may be.
fn sum(lines: &[PayoutLine]) -> i64 {
    let sum: i128 = lines.iter().map(|line| i128::from(line.amount_minor)).sum();
    i64::try_from(sum).unwrap_or(i64::MAX)
}

fn choose(
    due: Due,
    amount_minor: Option<i64>,
    currency: Currency,
) -> Result<Vec<PayoutLine>, CommandError> {
    let most = due.available.most_minor;
    let wanted = amount_minor.unwrap_or(most);
    if wanted <= 0 || wanted > most {
        let balance = due.balance;
        let major = |minor: i128| currency.format_major(minor);
        let refused = amount_minor.map_or_else(
            || format!("nothing in {currency} can be paid"),
            |asked| format!("{} cannot be paid", currency.format_money(asked)),
        );
        return Err(CommandError::Conflict(format!(
            "{refused}: payable {}, reserved by open payouts {}, available {}, held {}, pending {}, \
             to recover {}",
            major(balance.payable_minor),
            major(due.reserved),
            major(i128::from(most)),
            major(balance.held_minor),
            major(balance.pending_minor),
            major(balance.outstanding_minor()),
        )));
    }
    Ok(due.available.take(wanted, due.limit, currency))
}

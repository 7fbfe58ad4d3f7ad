//! A second person agrees to what was proposed, or somebody declines it: one of both, once.

use postbook_schemas::{
    Currency, Fact, FactId, Slug,
    decision::{AdjustmentDeclined, AdjustmentKind, AdjustmentProposed},
};

use super::{Agreed, Amount, checked, debts, posted, proposal_key};
use crate::{
    commands::{
        record::{self, Author, CommandError, Kept, key},
        seats,
    },
    service::Service,
};

/// Posts what somebody else proposed; whoever agrees may say why.
///
/// # Errors
/// There is no such proposal, the author made it, or it was decided before.
pub async fn approve(
    service: &Service,
    author: &Author,
    proposal_id: FactId,
    because: Option<String>,
) -> Result<Kept, CommandError> {
    let (proposed, by) = proposal(service, proposal_id).await?;
    if by == *author.actor {
        let detail = "this takes another person than the one who proposed it";
        return Err(CommandError::Forbidden(detail.to_owned()));
    }
    let of = (proposal_id, proposed.kind, proposed.partner.clone());
    let amount = Amount {
        kind: proposed.kind,
        partner: proposed.partner,
        amount_minor: proposed.amount_minor,
        currency: Some(proposed.currency),
        reason: proposed.reason,
    };
    let agreed = Agreed {
        proposal_id: Some(proposal_id),
        because,
    };
    let decided = Decided::Agreed(amount, proposed.currency, agreed);
    decide(service, author, of, &decided).await
}

/// Declines what was proposed, or takes it back.
///
/// # Errors
/// There is no such proposal, or it was decided before.
pub async fn decline(
    service: &Service,
    author: &Author,
    proposal_id: FactId,
    reason: String,
) -> Result<Kept, CommandError> {
    let (proposed, _) = proposal(service, proposal_id).await?;
    let fact = Fact::AdjustmentDeclined(AdjustmentDeclined {
        proposal_id,
        reason,
    });
    let decided = Decided::Declined(Box::new(fact));
    let of = (proposal_id, proposed.kind, proposed.partner);
    decide(service, author, of, &decided).await
}

/// What is decided: an amount to post, or the fact that says it will not be.
enum Decided {
    Agreed(Amount, Currency, Agreed),
    Declined(Box<Fact>),
}

impl Decided {
    /// The fact as things stand: which debts there are may change from one try to the next.
    async fn fact(&self, service: &Service) -> Result<Fact, CommandError> {
        let (amount, currency, agreed) = match self {
            Self::Declined(fact) => return Ok(Fact::clone(fact)),
            Self::Agreed(amount, currency, agreed) => (amount, *currency, agreed.clone()),
        };
        checked(service, amount).await?;
        let lines = match amount.kind {
            AdjustmentKind::Adjustment => Vec::new(),
            AdjustmentKind::WriteOff => debts::oldest(service, amount, currency).await?,
        };
        Ok(posted(amount, currency, agreed, lines))
    }
}

/// Appends a decision unless there is one. A debt is given up in a seat, so what declines that takes a
/// seat too.
async fn decide(
    service: &Service,
    author: &Author,
    (proposal_id, kind, partner): (FactId, AdjustmentKind, Slug),
    decided: &Decided,
) -> Result<Kept, CommandError> {
    let decision = key(&["adjustment-approval", &proposal_id.to_string()]);
    let mut references: Vec<String> = author.unique_key().into_iter().collect();
    for _ in 0..seats::PARTNER_TRIES {
        let unique = match kind {
            AdjustmentKind::Adjustment => decision.clone(),
            AdjustmentKind::WriteOff => seats::of_partner(&**service.log.store(), &partner).await?,
        };
        // Made before anything is said of it: what nobody has decided by then could be decided so.
        let fact = decided.fact(service).await;
        if let Some(position) = service.log.store().find(&decision).await? {
            return decided_before(service, author, position).await;
        }
        let fact = fact?;
        if kind == AdjustmentKind::WriteOff && !references.contains(&decision) {
            references.push(decision.clone());
        }
        let unique = Some(unique);
        let kept = record::append(service, author, &fact, unique, references.clone()).await?;
        if !kept.is_repeat {
            return Ok(kept);
        }
    }
    Err(seats::none_left())
}

/// What was decided before: the answer to the same request, a refusal to any other.
async fn decided_before(
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
    let what = match recorded.envelope.fact {
        Fact::AdjustmentDeclined(_) => "declined",
        _ => "agreed to",
    };
    Err(CommandError::Conflict(format!(
        "it was {what} before, by {by}"
    )))
}

/// What was proposed, and by whom.
async fn proposal(
    service: &Service,
    proposal_id: FactId,
) -> Result<(AdjustmentProposed, String), CommandError> {
    record::catch_up(service).await?;
    let missing = || CommandError::NotFound(format!("there is no proposal {proposal_id}"));
    let found = service.log.store().find(&proposal_key(proposal_id)).await?;
    let recorded = record::read(service, found.ok_or_else(missing)?).await?;
    match recorded.envelope.fact {
        Fact::AdjustmentProposed(proposed) => Ok((proposed, recorded.envelope.actor)),
        _ => Err(missing()),
    }
}

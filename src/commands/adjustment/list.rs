//! Adjustments and write-offs as they stand: proposed, posted or declined, and by whom.

use std::collections::BTreeMap;

use postbook_schemas::{
    Currency, Envelope, Fact, FactId, FactType, Instant, Slug,
    decision::{AdjustmentKind, AdjustmentProposed},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::record::CommandError;
use crate::store::{Filter, LogStore};

/// Bytes that are read from the log at a time.
const PAGE_BYTES: usize = 1 << 20;

/// The facts that say it.
const FACT_TYPES: &[FactType] = &[
    FactType::AdjustmentProposed,
    FactType::AdjustmentDeclined,
    FactType::AdjustmentPosted,
    FactType::BalanceWrittenOff,
];

/// Where an adjustment or write-off stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// It waits for a second person.
    Proposed,
    /// It is in the books.
    Posted,
    /// It will not be.
    Declined,
}

impl EntryState {
    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "proposed" => Some(Self::Proposed),
            "posted" => Some(Self::Posted),
            "declined" => Some(Self::Declined),
            _ => None,
        }
    }

    /// The word used in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Posted => "posted",
            Self::Declined => "declined",
        }
    }
}

/// Which of them.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// Of this partner.
    pub partner: Option<Slug>,
    /// In this state.
    pub state: Option<EntryState>,
}

/// An adjustment or write-off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Adjustment)]
pub struct Entry {
    /// The proposal, where it took a second person; otherwise the fact that posted it.
    pub id: Uuid,
    /// Where it was first said.
    pub position: u64,
    /// `adjustment` or `write_off`.
    #[schema(value_type = String)]
    pub kind: AdjustmentKind,
    /// Where it stands.
    pub state: EntryState,
    /// Whom it concerns.
    #[schema(value_type = String)]
    pub partner: Slug,
    /// Positive in the partner's favour.
    pub amount_minor: i64,
    /// The currency.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// Why.
    pub reason: String,
    /// Who said it first.
    pub by: String,
    /// When.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub at: Instant,
    /// Who agreed or declined, where it took a second person.
    pub decided_by: Option<String>,
    /// When.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub decided_at: Option<Instant>,
    /// Why it was declined.
    pub declined_because: Option<String>,
}

/// Lists them in the order in which they were first said.
///
/// # Errors
/// The log cannot be read.
pub async fn entries(
    store: &dyn LogStore,
    filter: &EntryFilter,
) -> Result<Vec<Entry>, CommandError> {
    let mut all = Entries::default();
    let (head, mut from) = (store.head(), 1);
    while from <= head {
        let kept = Filter::only(FACT_TYPES);
        let page = store.read(from, head, kept, PAGE_BYTES).await?;
        for (position, line) in page.lines() {
            let envelope = Envelope::decode(line)
                .map_err(|source| CommandError::Unreadable { position, source })?;
            all.add(position, envelope);
        }
        from = page.next.max(from + 1);
    }
    let mut entries = all.entries;
    entries.retain(|entry| {
        let partner = filter.partner.as_ref();
        partner.is_none_or(|it| *it == entry.partner)
            && filter.state.is_none_or(|it| it == entry.state)
    });
    Ok(entries)
}

#[derive(Debug, Default)]
struct Entries {
    entries: Vec<Entry>,
    /// Which of them is which proposal.
    proposals: BTreeMap<FactId, usize>,
}

/// Where something was said, by whom and when.
type Said = (u64, String, Instant);

impl Entries {
    fn add(&mut self, position: u64, envelope: Envelope) {
        let (id, said) = (
            envelope.id,
            (position, envelope.actor, envelope.occurred_at),
        );
        match envelope.fact {
            Fact::AdjustmentProposed(proposed) => {
                let number = self.entries.len();
                self.proposals.insert(proposed.proposal_id, number);
                self.entries
                    .push(Entry::new(said, proposed, EntryState::Proposed));
            }
            Fact::AdjustmentDeclined(declined) => {
                if let Some(entry) = self.decided(declined.proposal_id, said) {
                    entry.state = EntryState::Declined;
                    entry.declined_because = Some(declined.reason);
                }
            }
            Fact::AdjustmentPosted(posted) => {
                let amount = AdjustmentProposed {
                    proposal_id: id,
                    kind: AdjustmentKind::Adjustment,
                    partner: posted.partner,
                    amount_minor: posted.amount_minor,
                    currency: posted.currency,
                    reason: posted.reason,
                };
                self.post(posted.proposal_id, said, amount);
            }
            Fact::BalanceWrittenOff(posted) => {
                let amount = AdjustmentProposed {
                    proposal_id: id,
                    kind: AdjustmentKind::WriteOff,
                    partner: posted.partner,
                    amount_minor: posted.amount_minor,
                    currency: posted.currency,
                    reason: posted.reason,
                };
                self.post(posted.proposal_id, said, amount);
            }
            _ => {}
        }
    }

    /// What was posted stands by itself, or is what became of a proposal.
    fn post(&mut self, proposal: Option<FactId>, said: Said, amount: AdjustmentProposed) {
        let of_proposal = proposal.and_then(|proposal| self.decided(proposal, said.clone()));
        match of_proposal {
            Some(entry) => entry.state = EntryState::Posted,
            None => self
                .entries
                .push(Entry::new(said, amount, EntryState::Posted)),
        }
    }

    fn decided(&mut self, proposal: FactId, (_, by, at): Said) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(*self.proposals.get(&proposal)?)?;
        entry.decided_by = Some(by);
        entry.decided_at = Some(at);
        Some(entry)
    }
}

impl Entry {
    fn new((position, by, at): Said, said: AdjustmentProposed, state: EntryState) -> Self {
        Self {
            id: said.proposal_id,
            position,
            kind: said.kind,
            state,
            partner: said.partner,
            amount_minor: said.amount_minor,
            currency: said.currency,
            reason: said.reason,
            by,
            at,
            decided_by: None,
            decided_at: None,
            declined_because: None,
        }
    }
}

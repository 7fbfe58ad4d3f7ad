//! Adoption: the definitions that it announces are derived together and posted once, with the adoption
//! as their cause.

use std::collections::BTreeSet;

use postbook_schemas::{Envelope, Fact, FactId};

use super::Book;
use crate::{numbers::ConversionNumber, posted::Cause};

type Touched = BTreeSet<ConversionNumber>;

/// An adoption of which not all definitions are folded yet.
#[derive(Clone, Debug)]
pub(super) struct Adoption {
    cause: Cause,
    missing: BTreeSet<FactId>,
    touched: Touched,
}

impl Book {
    /// What is to be derived now, and what it is posted with as its cause.
    ///
    /// Half-way states between two definitions of one adoption are nobody's rules, so nothing is
    /// posted for them: what the earlier ones touch waits for the last. An adoption and its
    /// definitions stand in the log as one group. If they came in another order, definitions whose
    /// adoption comes later are derived one by one, which ends in the same.
    pub(super) fn together(
        &mut self,
        envelope: &Envelope,
        cause: Cause,
        touched: Touched,
    ) -> (Cause, Touched) {
        if let Fact::WhatifAdopted(adopted) = &envelope.fact {
            let ids = adopted.facts.iter().copied();
            let missing: BTreeSet<FactId> =
                ids.filter(|id| !self.folded.contains_key(id)).collect();
            if !missing.is_empty() {
                self.adoptions.push(Adoption {
                    cause,
                    missing,
                    touched,
                });
            }
            return (cause, Touched::new());
        }
        let waits = |adoption: &Adoption| adoption.missing.contains(&envelope.id);
        let Some(place) = self.adoptions.iter().position(waits) else {
            return (cause, touched);
        };
        let mut adoption = self.adoptions.swap_remove(place);
        adoption.missing.remove(&envelope.id);
        adoption.touched.extend(touched);
        if adoption.missing.is_empty() {
            return (adoption.cause, adoption.touched);
        }
        self.adoptions.push(adoption);
        (cause, Touched::new())
    }
}

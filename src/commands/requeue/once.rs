//! An attempt that nothing tells from another of its kind becomes a fact once.

use super::{
    Run, is_requeued,
    row::{Becomes, Reading},
};
use crate::{
    commands::record::{self, CommandError},
    intake::{again, decide, evidence::Evidence, record::Candidate},
    store::Appended,
};

impl Run<'_> {
    /// Appends what nothing tells from another of its kind: that it is requeued once is told by its
    /// attempt, also when two nodes requeue at the same time.
    pub(super) async fn keep_once(
        &self,
        evidence: &Evidence<'_>,
        candidate: &Candidate,
    ) -> Result<Becomes, CommandError> {
        let attempt_id = evidence.again.as_ref().map(|again| again.attempt_id);
        let mut append = candidate.append(evidence, &[]);
        append.unique = attempt_id.map(again::key);
        loop {
            let known = match self.service.append(append.clone()).await? {
                Appended::At { position, .. } => {
                    return Ok(Becomes::Fact {
                        outcome: candidate.outcome,
                        fact_id: Some(candidate.id),
                        position: Some(position),
                        reading: Reading::of(evidence),
                        warnings: decide::warnings(evidence),
                    });
                }
                Appended::Known { position } => position,
            };
            let recorded = record::read(self.service, known).await?;
            if attempt_id.is_some_and(|id| is_requeued(&recorded.envelope, id)) {
                return Ok(Becomes::RequeuedBefore { position: known });
            }
            // A key that only looks alike.
            append.not_at.push(known);
        }
    }
}

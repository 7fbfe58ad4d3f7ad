//! A request to apply that is sent again: it is recognised by its key, and answered with what it did.

use sha2::{Digest, Sha256};

use super::{
    ProgrammeFile,
    apply::{Applied, ApplyError, Applying, known_through},
    plan,
};
use crate::{
    commands::record::{self, key},
    service::Service,
};

/// The keys under which a request is found that was sent with an `Idempotency-Key`.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Of whatever its author sent under that key.
    own: String,
    /// Of the same request.
    same: String,
}

impl Keys {
    /// The keys of a request to apply these files, if it has any.
    pub(super) fn of(files: &[ProgrammeFile], applying: &Applying) -> Option<Self> {
        let own = applying.author.unique_key()?;
        let mut hash = Sha256::new();
        hash.update([u8::from(applying.anyway)]);
        let reason = applying.reason.as_deref();
        for text in reason
            .into_iter()
            .chain(files.iter().map(ProgrammeFile::name))
        {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        for file in files {
            hash.update(file.text_hash());
        }
        let same = key(&[&own, &hex::encode(hash.finalize())]);
        Some(Self { own, same })
    }

    /// What the facts are found by later.
    pub(super) fn into_references(self) -> [String; 2] {
        [self.own, self.same]
    }
}

/// What the same request did before. A plan follows from the files and from what was defined before its
/// facts, so it is planned again as of then.
pub(super) async fn earlier(
    service: &Service,
    files: &[ProgrammeFile],
    keys: &Keys,
) -> Result<Option<Applied>, ApplyError> {
    let store = service.log.store();
    let Some(first) = store.find(&keys.own).await? else {
        return Ok(None);
    };
    if store.find(&keys.same).await? != Some(first) {
        return Err(record::used_for_something_else().into());
    }
    let known = known_through(&**store, first.saturating_sub(1)).await?;
    let plan = plan(files.to_vec(), &known).map_err(ApplyError::Problems)?;
    let last = first.saturating_add(plan.changes.len().saturating_sub(1) as u64);
    Ok(Some(Applied {
        plan,
        positions: Some((first, last)),
        reach: postbook_projections::whatif::Reach::default(),
    }))
}

//! Which version of the derivation a log is in: said at its beginning, and to whoever starts a program
//! that knows another.

use postbook_projections::derivation::Derivation;
use postbook_schemas::{Fact, Source, derivation::DerivationAdopted, envelope::Draft};

use super::record::key;
use crate::{
    clock::Clock,
    store::{Append, StoreError, writer::Log},
};

/// How the version in force stands to those that this program knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the newest that is known.
    Newest,
    /// A newer one is known, which may be adopted.
    Older {
        /// The newest that is known.
        newest: u32,
        /// What that does otherwise than the one before it.
        about: &'static str,
    },
    /// Only a newer program can derive by it.
    Unknown,
}

impl Standing {
    /// How `version` stands to those that are known, oldest first.
    pub fn of(version: u32, known: &'static [Derivation]) -> Self {
        match known.last() {
            Some(last) if last.version == version => Self::Newest,
            _ if Derivation::find(known, version).is_none() => Self::Unknown,
            Some(last) => Self::Older {
                newest: last.version,
                about: last.about,
            },
            None => Self::Unknown,
        }
    }

    /// What people are told of it, if anything.
    pub fn told(&self, version: u32) -> Option<String> {
        match self {
            Self::Newest => None,
            Self::Older { newest, about } => Some(format!(
                "version {version} of the derivation is in force, and this program knows {newest}, which {about}: \
                 a what-if shows what adopting it would post"
            )),
            Self::Unknown => Some(format!(
                "version {version} of the derivation is in force, which this program does not know: start a newer one"
            )),
        }
    }
}

/// What people are told of the version in force, if anything.
pub fn told(version: u32) -> Option<String> {
    Standing::of(version, Derivation::KNOWN).told(version)
}

/// Says in an empty log that it is in this version: it has nothing that was derived by an older one.
/// The first version need not be said.
///
/// # Errors
/// The log cannot be written.
pub async fn begin(log: &Log, clock: &dyn Clock, version: u32) -> Result<(), StoreError> {
    if version == 1 || log.store().head() > 0 {
        return Ok(());
    }
    let adopted = DerivationAdopted {
        version,
        reason: "the log begins".to_owned(),
    };
    let source = Source {
        endpoint: "start".to_owned(),
        address: None,
    };
    let fact = Fact::DerivationAdopted(adopted);
    let append = Append {
        draft: Draft::new(clock.new_id(), None, "system".into(), source, &fact),
        // Several nodes may begin one log.
        unique: Some(key(&["derivation", "begin"])),
        not_at: Vec::new(),
        references: Vec::new(),
        seat: None,
        with_previous: false,
    };
    log.append(append).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use postbook_projections::exact::Product;

    use super::*;

    static TWO: &[Derivation] = &[
        Derivation::KNOWN[0],
        Derivation {
            version: 2,
            about: "rounds as before",
            round: Product::rounded,
        },
    ];

    #[test]
    fn a_newer_version_is_told_and_an_unknown_one_too() {
        assert_eq!(Standing::of(2, TWO).told(2), None);
        let older = Standing::of(1, TWO).told(1).expect("it is told");
        assert!(older.contains("knows 2, which rounds as before"), "{older}");
        let unknown = Standing::of(3, TWO).told(3).expect("it is told");
        assert!(unknown.contains("start a newer one"), "{unknown}");
    }
}

//! What can be told of a KurrentDB server that holds the log.

use super::{Finding, Health};
use crate::store::kurrent::{Server, look};

/// Looks at the server.
pub(super) async fn findings(server: &Server) -> Vec<Finding> {
    match look(server).await {
        Ok(version) => judge(server, &version),
        Err(error) => vec![Finding::new("server", Health::Bad, error.to_string())],
    }
}

fn judge(server: &Server, version: &str) -> Vec<Finding> {
    let way = if server.is_encrypted() {
        Finding::new("way there", Health::Good, "encrypted")
    } else {
        Finding::new(
            "way there",
            Health::Note,
            "not encrypted (tls=false): others on the network can read along",
        )
    };
    vec![
        Finding::new(
            "server",
            Health::Note,
            format!(
                "KurrentDB {version} at {server}; this store was tested against a fake, and has not yet \
                 run against a KurrentDB server"
            ),
        ),
        way,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_tested_and_what_may_leak_facts_is_noted() {
        let healths = |url| -> Vec<Health> {
            let findings = judge(&Server::parse(url).unwrap(), "25.1.4");
            findings.iter().map(|finding| finding.health).collect()
        };
        let [note, good] = [Health::Note, Health::Good];
        assert_eq!(healths("kurrentdb://db.example"), [note, good]);
        assert_eq!(healths("kurrentdb://db.example?tls=false"), [note, note]);
    }
}

//! What can be told of the server that holds the log.

use super::{Finding, Health};
use crate::store::postgres::{Seen, Server, look};

/// Looks at the server.
pub(super) async fn findings(server: &Server) -> Vec<Finding> {
    match look(server).await {
        Ok(seen) => judge(server, &seen),
        Err(error) => vec![Finding::new("server", Health::Bad, error.to_string())],
    }
}

fn judge(server: &Server, seen: &Seen) -> Vec<Finding> {
    let mut findings = vec![Finding::new(
        "server",
        Health::Good,
        format!("PostgreSQL {} at {server}", seen.version),
    )];
    let mut add = |what, is_good, health, good: &str, other: &str| {
        let (health, detail) = if is_good {
            (Health::Good, good)
        } else {
            (health, other)
        };
        findings.push(Finding::new(what, health, detail));
    };
    add(
        "durability",
        seen.is_durable && seen.writes_full_pages,
        if seen.is_durable {
            Health::Note
        } else {
            Health::Bad
        },
        "what it confirms is on its disk",
        "fsync or full_page_writes is off: a crash can lose or damage the log",
    );
    add(
        "way there",
        seen.is_encrypted || !seen.is_remote,
        Health::Note,
        "encrypted, or within this machine",
        "not encrypted: others on the network can read along",
    );
    add(
        "role",
        seen.may_change != Some(true),
        Health::Note,
        "may not change the log",
        "owns the log, and could change it: docs/operating.md has a role for nodes",
    );
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_lose_facts_is_bad_and_what_may_leak_them_is_noted() {
        let server = Server::parse("postgres://db.example/p").unwrap();
        let sound = Seen {
            version: "17.1".to_owned(),
            is_durable: true,
            writes_full_pages: true,
            is_encrypted: true,
            is_remote: true,
            may_change: Some(false),
        };
        let worst = |seen: &Seen| {
            let findings = judge(&server, seen);
            findings.into_iter().map(|finding| finding.health).max()
        };
        assert_eq!(worst(&sound), Some(Health::Good));
        let forgetful = Seen {
            is_durable: false,
            ..sound.clone()
        };
        assert_eq!(worst(&forgetful), Some(Health::Bad));
        let open = Seen {
            is_encrypted: false,
            may_change: Some(true),
            ..sound
        };
        assert_eq!(worst(&open), Some(Health::Note));
    }
}

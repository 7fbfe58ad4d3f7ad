//! Headers of signatures: what is read is what was written. A line each: `X-TDS-Signature`, `X-TDS-Timestamp`,
//! `webhook-id`, `webhook-timestamp`, `webhook-signature`; a line with `-` is a header that is not there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook::intake::signature::{
    content,
    parse::{Sent, parse},
};
use postbook_fuzz::lines;

fuzz_target!(|data: &[u8]| {
    let Some(lines) = lines::<5>(data) else {
        return;
    };
    let [tds, tds_timestamp, webhook_id, webhook_timestamp, webhook] =
        lines.map(|line| (line != "-").then(|| line.to_owned()));
    let sent = Sent {
        tds,
        tds_timestamp,
        webhook,
        webhook_id,
        webhook_timestamp,
    };
    if let Some(query) = &sent.webhook
        && let Some(value) = content::parameter(query, None)
    {
        assert!(query.contains(value));
    }
    let Ok(parsed) = parse(&sent) else {
        return;
    };
    assert_eq!(parsed.tds.is_some(), sent.tds.is_some());
    assert_eq!(parsed.webhook.is_some(), sent.webhook.is_some());
    if let (Some(read), Some(written)) = (&parsed.tds, &sent.tds) {
        let written = written.trim().to_ascii_lowercase();
        assert!(written.ends_with(&hex::encode(read.mac)));
        assert!(read.timestamp.is_none_or(|at| at.seconds.to_string()
            == at.text.trim_start_matches('0')
            || at.seconds == 0));
    }
    if let Some(read) = &parsed.webhook {
        assert!(read.v1.len() <= 4 && read.v1a.len() <= 4 && read.v1.len() + read.v1a.len() > 0);
        assert!(!read.id.is_empty() && !read.id.contains('.'));
    }
});

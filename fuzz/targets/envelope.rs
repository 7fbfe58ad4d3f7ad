//! Kept lines: what is decoded and written again is decoded to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook_schemas::{Envelope, envelope::Draft};

fuzz_target!(|line: &[u8]| {
    let Ok(envelope) = Envelope::decode(line) else {
        return;
    };
    let Envelope {
        id,
        occurred_at,
        recorded_at,
        actor,
        source,
        reason,
        fact,
    } = envelope.clone();
    let draft = Draft::new(id, Some(occurred_at), actor.into(), source, &fact);
    let draft = draft.because(reason.map(Into::into));
    let mut written = Vec::new();
    draft.write_line(recorded_at, &mut written);
    let again = Envelope::decode(&written).expect("what is written can be read");
    assert_eq!(again, envelope);
});

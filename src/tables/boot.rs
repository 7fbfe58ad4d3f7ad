//! Which start of the machine a generation under construction belongs to.
//!
//! While a generation is built nothing of it is flushed. A process that is killed loses nothing by that:
//! what it has written is in the system's hands. A machine that goes down may keep some pages and lose
//! others, so what was left is gone on with only while the machine has not been started again.

use sha2::{Digest as _, Sha256};

/// Where Linux says which start this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A number of this start of the machine, never zero; `None` where the system does not tell.
pub(super) fn number() -> Option<i32> {
    let id = std::fs::read(BOOT_ID).ok()?;
    let hash = Sha256::digest(id);
    hash.first_chunk()
        .map(|first| i32::from_le_bytes(*first) | 1)
}

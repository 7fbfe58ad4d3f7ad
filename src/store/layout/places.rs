//! Which facts of a row are clicks with a seat: run lengths on disk, sorted runs in memory.

/// The runs of clicks with a seat in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Places {
    runs: Vec<Run>,
    count: u32,
    seated: u32,
}

/// Facts `start..end` of the row have seats; `before` clicks with a seat come before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u32,
    end: u32,
    before: u32,
}

/// Where the line of a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Place {
    /// The fact is the click with a seat of this index.
    Seated(u32),
    /// The fact is another, of this index among them.
    Unseated(u32),
}

impl Places {
    /// Adds the next fact of the row.
    pub(in crate::store) fn push(&mut self, seated: bool) {
        let at = self.count;
        self.count += 1;
        if !seated {
            return;
        }
        match self.runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => self.runs.push(Run {
                start: at,
                end: at + 1,
                before: self.seated,
            }),
        }
        self.seated += 1;
    }

    /// How many facts there are.
    pub(in crate::store) fn count(&self) -> u32 {
        self.count
    }

    /// How many have seats.
    pub(in crate::store) fn seated(&self) -> u32 {
        self.seated
    }

    /// Where the fact at this offset is; `None` beyond the row.
    pub(in crate::store) fn place(&self, offset: u32) -> Option<Place> {
        if offset >= self.count {
            return None;
        }
        let after = self.runs.partition_point(|run| run.start <= offset);
        let Some(run) = after.checked_sub(1).map(|last| self.runs[last]) else {
            return Some(Place::Unseated(offset));
        };
        Some(if offset < run.end {
            Place::Seated(run.before + offset - run.start)
        } else {
            Place::Unseated(offset - (run.before + run.end - run.start))
        })
    }

    /// All facts of the row in order.
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = Place> {
        (0..self.count).filter_map(|offset| self.place(offset))
    }

    /// The bytes that are kept: lengths of runs without and with seats in turn, LEB128.
    pub(in crate::store) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut at = 0;
        for run in &self.runs {
            write_number(run.start - at, &mut bytes);
            write_number(run.end - run.start, &mut bytes);
            at = run.end;
        }
        if at < self.count {
            write_number(self.count - at, &mut bytes);
        }
        bytes
    }

    /// Reads what was kept; `None` if the bytes are not places.
    pub(in crate::store) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut places = Self::default();
        let mut seated = false;
        while !bytes.is_empty() {
            let length = read_number(&mut bytes)?;
            let start = places.count;
            places.count = start.checked_add(length)?;
            if seated {
                places.runs.push(Run {
                    start,
                    end: places.count,
                    before: places.seated,
                });
                places.seated += length;
            }
            seated = !seated;
        }
        Some(places)
    }

    /// About how much memory it takes.
    pub(in crate::store) fn bytes(&self) -> usize {
        size_of::<Self>() + self.runs.len() * size_of::<Run>()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seven bits are cut out at a time"
)]
fn write_number(mut number: u32, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_read_back_and_found(seats in prop::collection::vec(any::<bool>(), 0..600)) {
            let mut places = Places::default();
            for &seated in &seats {
                places.push(seated);
            }
            prop_assert_eq!(Places::from_bytes(&places.to_bytes()), Some(places.clone()));
            let (mut clicks, mut others) = (0, 0);
            for (offset, &seated) in (0..).zip(&seats) {
                let next = if seated { &mut clicks } else { &mut others };
                let expected =
                    if seated { Place::Seated(*next) } else { Place::Unseated(*next) };
                *next += 1;
                prop_assert_eq!(places.place(offset), Some(expected));
            }
            prop_assert_eq!(places.place(places.count()), None);
            prop_assert_eq!(places.seated(), clicks);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(places) = Places::from_bytes(&bytes) {
                prop_assert!(places.seated() <= places.count());
            }
        }
    }
}

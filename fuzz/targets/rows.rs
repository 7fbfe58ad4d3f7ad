//! Rows of CSV and NDJSON: they end, each begins behind the one before, and a broken one costs only itself.
//! The first byte is the delimiter, or `n` for NDJSON.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use postbook::rows::{Cells, Format, Rows};

fuzz_target!(|data: &[u8]| {
    let Some((&first, file)) = data.split_first() else {
        return;
    };
    let format = match first {
        b'n' => Format::Ndjson,
        b';' | b'\t' | b'|' => Format::Csv { delimiter: first },
        _ => Format::Csv { delimiter: b',' },
    };
    let Ok(mut rows) = Rows::open(Cursor::new(file), format) else {
        return;
    };
    let (mut number, mut offset) = (0, 0);
    while let Some(row) = rows.next().expect("memory can be read") {
        assert!(row.number > number, "{row:?}");
        assert!(rows.offset() > offset && rows.offset() <= file.len() as u64);
        (number, offset) = (row.number, rows.offset());
        if let Ok(Cells::Object(text)) = &row.cells {
            let object = serde_json::from_str::<serde_json::Value>(text).expect("it was read");
            assert!(object.is_object());
        }
    }
    assert!(
        rows.next().expect("memory can be read").is_none(),
        "the end is the end"
    );
    // Going on behind a row is as if one had read up to it.
    let mut again = Rows::open(Cursor::new(file), format).expect("it was opened before");
    again.skip_to_after(number).expect("memory can be read");
    assert!(again.next().expect("memory can be read").is_none());
});

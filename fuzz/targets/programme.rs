//! Programme files: what can be read is the same through JSON, can be planned, and mistakes have their line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postbook::commands::programme::{Known, ProgrammeFile, plan};
use postbook_schemas::programme::Programme;

fuzz_target!(|text: &str| {
    let line_count = text.split('\n').count();
    match ProgrammeFile::try_new("x.toml", text) {
        Ok(file) => {
            let programme = file.programme().clone();
            let json = serde_json::to_string(&programme).expect("it can be written");
            let again: Programme = serde_json::from_str(&json).expect("it can be read");
            assert_eq!(again, programme);
            if let Err(problems) = plan(vec![file], &Known::default()) {
                assert!(!problems.is_empty());
                assert!(
                    problems
                        .iter()
                        .all(|problem| (1..=line_count).contains(&problem.line)),
                    "{problems:?}"
                );
            }
        }
        Err(problem) => assert!((1..=line_count).contains(&problem.line), "{problem}"),
    }
});

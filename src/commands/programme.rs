//! Programme files against what is defined already: checked, then planned as a list of facts.
//!
//! Planning is pure: files and the present programme come in, problems or facts come out. Applying
//! the same files twice plans nothing the second time. What files leave out stays as it is.

use std::collections::BTreeMap;

use postbook_schemas::{Currency, Slug};

pub mod apply;
mod check;
mod check_mapping;
mod check_terms;
mod known;
mod mapping_lines;
mod plan;
pub mod reach;
mod repeat;
mod source;

pub use known::Known;
pub use plan::{Change, Plan, Sign};
pub use source::{Problem, ProgrammeFile};

/// Plans what the files change.
///
/// # Errors
/// All problems of the files, in the order of files and lines.
pub fn plan(mut files: Vec<ProgrammeFile>, known: &Known) -> Result<Plan, Vec<Problem>> {
    fill_currencies(&mut files, known);
    files.iter_mut().for_each(ProgrammeFile::fill_presets);
    let mut problems = check::check(&files, known);
    if problems.is_empty() {
        return Ok(Plan::new(&files, known));
    }
    let order = |problem: &Problem| files.iter().position(|file| file.name() == problem.file);
    problems.sort_by_key(|problem| (order(problem), problem.line));
    Err(problems)
}

fn fill_currencies(files: &mut [ProgrammeFile], known: &Known) {
    let written: BTreeMap<Slug, Currency> = files
        .iter()
        .flat_map(|file| &file.programme().brands)
        .map(|brand| (brand.slug.clone(), brand.currency))
        .collect();
    for file in files {
        file.fill_currencies(|slug| {
            let before = || known.brands().get(slug).map(|brand| brand.currency);
            written.get(slug).copied().or_else(before)
        });
    }
}

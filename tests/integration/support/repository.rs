//! The repository's own files, as tests about them see them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders (and in a linked worktree a file) that hold no source.
const NOT_SOURCE: &[&str] = &["target", ".git", "postbook-data"];

/// One text file of the repository.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Path from the root, with slashes.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// All text files, in order of path.
pub(crate) fn files() -> Vec<SourceFile> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// All Rust files.
pub(crate) fn rust_files() -> Vec<SourceFile> {
    files_of("rs")
}

/// All documents.
pub(crate) fn documents() -> Vec<SourceFile> {
    files_of("md")
}

fn files_of(extension: &str) -> Vec<SourceFile> {
    let is_one = |path: &str| Path::new(path).extension() == Some(extension.as_ref());
    files()
        .into_iter()
        .filter(|file| is_one(&file.path))
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be listed") {
        let entry = entry.expect("a folder of the repository can be listed");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if NOT_SOURCE.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path
                .strip_prefix(root())
                .expect("it was found below the root")
                .to_string_lossy()
                .replace('\\', "/");
            found.push(SourceFile { path, text });
        }
    }
}

/// The code of a line: what stands before a line comment. Good enough for the words that the tidy
/// tests look for, which do not stand in texts with two slashes.
pub(crate) fn code(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Whether `word` stands in `text` on its own, not as part of a longer word.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

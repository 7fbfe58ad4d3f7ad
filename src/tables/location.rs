//! Which read models, and where they are.

use std::path::{Path, PathBuf};

use super::error::TablesError;
use crate::store::postgres::Server;

/// Which read models, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Embedded ones, in files of a directory.
    Directory(PathBuf),
    /// On a PostgreSQL server, in the current schema of its connections.
    Server(Server),
}

impl Location {
    /// The read models of a URL (`sqlite:DIRECTORY`, `postgres://HOST/DATABASE`), or the embedded ones
    /// in the data directory if no URL is given.
    ///
    /// # Errors
    /// The URL names none that this program has.
    pub fn choose(url: Option<&str>, data: &Path) -> Result<Self, TablesError> {
        let Some(url) = url else {
            return Ok(Self::Directory(data.to_owned()));
        };
        let refuse = |why: &str| Err(TablesError::Unsuitable(why.to_owned()));
        match url.split_once(':') {
            Some(("sqlite", path)) => match path.strip_prefix("//").unwrap_or(path) {
                "" => refuse("`sqlite:` must be followed by a directory"),
                directory => Ok(Self::Directory(directory.into())),
            },
            // Not more of the URL is repeated than that: it may hold a password.
            Some(("postgres" | "postgresql", _)) => match Server::parse(url) {
                Ok(server) => Ok(Self::Server(server)),
                Err(error) => refuse(&error.to_string()),
            },
            _ => refuse("their URL must begin with `sqlite:` or `postgres:`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_choose_read_models_and_others_are_refused_without_repeating_secrets() {
        let data = Path::new("data");
        let choose = |url| Location::choose(url, data);
        assert_eq!(choose(None).unwrap(), Location::Directory(data.into()));
        for url in ["sqlite:/var/tables", "sqlite:///var/tables"] {
            let location = choose(Some(url)).unwrap();
            assert_eq!(location, Location::Directory("/var/tables".into()));
        }
        let server = choose(Some("postgres://me:hush@host/db")).unwrap();
        assert!(!format!("{server:?}").contains("hush"));
        for url in [
            "postgres://me:hush@host:port/db",
            "memory:hush",
            "hush",
            "sqlite:",
        ] {
            let error = choose(Some(url)).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}

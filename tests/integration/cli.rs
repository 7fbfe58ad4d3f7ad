//! Golden transcripts of the program: scripts in `tests/data/cli`, run through the real binary.
//!
//! A line `$ postbook …` is run in a fresh directory that holds `tests/data/cli/files`. What it prints
//! follows: standard output as it is, standard error after `2> `, and `? n` where the exit code is not
//! zero. `NAME <- postbook …` keeps what is printed as `$NAME`, `NAME.field <- postbook …` that field of
//! the JSON, `& postbook serve …` runs in the background and sets `$URL`. Ids, times, secrets and paths
//! are replaced by words. To write the transcripts anew after a change: `POSTBOOK_BLESS=1 cargo test cli`.
//!
//! Most are run again with read models, and with the log too, on servers: the same must be printed.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::support::postgres::Schema;
#[cfg(feature = "kurrentdb")]
use crate::support::stream::Stream;

const PROGRAM: &str = env!("CARGO_BIN_EXE_postbook");

#[test]
fn books() {
    transcript("books");
}

#[test]
fn programme() {
    transcript("programme");
}

#[test]
fn credentials() {
    transcript("credentials");
}

#[test]
fn empty() {
    transcript("empty");
}

#[test]
fn beside_a_server() {
    transcript("server");
}

#[test]
fn desk() {
    transcript("desk");
}

#[test]
fn import() {
    transcript("import");
}

#[test]
fn requeue() {
    transcript("requeue");
}

#[test]
fn schema() {
    transcript("schema");
}

#[test]
fn terms() {
    transcript("terms");
}

#[test]
fn usage() {
    transcript("usage");
}

/// Scripts whose answers hang on no place: those of a verb that names another one are left out.
const EVERYWHERE: [&str; 5] = ["books", "desk", "import", "requeue", "server"];

/// Where a session keeps things, by variable.
type Elsewhere = Vec<(&'static str, String)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_read_models_on_a_server() {
    for name in EVERYWHERE {
        let Some(schema) = Schema::make().await else {
            return;
        };
        let elsewhere = vec![("POSTBOOK_PROJECTIONS", schema.url())];
        tokio::task::block_in_place(|| compare(name, elsewhere));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_everything_on_a_server() {
    for name in EVERYWHERE {
        let Some(schema) = Schema::make().await else {
            return;
        };
        let urls = ["POSTBOOK_LOG", "POSTBOOK_PROJECTIONS"].map(|name| (name, schema.url()));
        tokio::task::block_in_place(|| compare(name, urls.into()));
    }
}

#[cfg(feature = "kurrentdb")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_log_on_a_fake_kurrentdb_and_read_models_on_a_server() {
    for name in ["books", "desk"] {
        let Some(schema) = Schema::make().await else {
            return;
        };
        let stream = Stream::on_a_fake().await;
        let elsewhere = vec![
            ("POSTBOOK_LOG", stream.url.clone()),
            ("POSTBOOK_PROJECTIONS", schema.url()),
        ];
        tokio::task::block_in_place(|| compare(name, elsewhere));
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cli")
}

/// Runs a script and compares what is printed with what it says.
fn transcript(name: &str) {
    if std::env::var_os("POSTBOOK_BLESS").is_some() {
        let path = scripts().join(format!("{name}.txt"));
        let script = fs::read_to_string(&path).expect("the script is there");
        fs::write(&path, play(&script, Elsewhere::new())).expect("the script can be written");
        return;
    }
    compare(name, Elsewhere::new());
}

fn compare(name: &str, elsewhere: Elsewhere) {
    let path = scripts().join(format!("{name}.txt"));
    let script = fs::read_to_string(path).expect("the script is there");
    let told = play(&script, elsewhere);
    for (number, (line, expected)) in told.lines().zip(script.lines()).enumerate() {
        let from_here: Vec<_> = told.lines().skip(number).take(6).collect();
        let from_here = from_here.join("\n");
        assert_eq!(line, expected, "{name}.txt:{}:\n{from_here}", number + 1);
    }
    assert_eq!(told.lines().count(), script.lines().count(), "{told}");
}

/// What is printed when a script is run.
fn play(script: &str, elsewhere: Elsewhere) -> String {
    let mut session = Session::new(&scripts().join("files"), elsewhere);
    let mut told = String::new();
    for line in script.lines().filter(|line| is_input(line)) {
        _ = writeln!(told, "{line}");
        told.push_str(&session.run(line));
    }
    told
}

fn is_input(line: &str) -> bool {
    let is_capture = || {
        let name = line.split_once(" <- ").map(|(name, _)| name);
        let name = name.map(|name| name.split_once('.').map_or(name, |(name, _)| name));
        name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_uppercase()))
    };
    line.starts_with("$ ") || line.starts_with("& ") || line.starts_with('#') || is_capture()
}

struct Session {
    directory: TempDir,
    elsewhere: Elsewhere,
    variables: BTreeMap<String, String>,
    servers: Vec<Child>,
}

impl Session {
    fn new(files: &Path, elsewhere: Elsewhere) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        for entry in fs::read_dir(files).expect("the files are there") {
            let path = entry.expect("the files can be listed").path();
            let name = path.file_name().expect("a file has a name");
            fs::copy(&path, directory.path().join(name)).expect("a file can be copied");
        }
        Self {
            directory,
            elsewhere,
            variables: BTreeMap::new(),
            servers: Vec::new(),
        }
    }

    /// Runs one line of a script; what is to be told of it.
    fn run(&mut self, line: &str) -> String {
        if let Some(command) = line.strip_prefix("$ ") {
            let output = self.command(command).output().expect("the program runs");
            return self.told(&output);
        }
        if let Some(command) = line.strip_prefix("& ") {
            self.serve(command);
            return String::new();
        }
        if let Some((name, command)) = line.split_once(" <- ").filter(|_| !line.starts_with('#')) {
            let output = self.command(command).output().expect("the program runs");
            let text = String::from_utf8(output.stdout.clone()).expect("it prints text");
            let (name, value) = match name.split_once('.') {
                Some((name, field)) => (name, field_of(&text, field)),
                None => (name, text.trim().to_owned()),
            };
            self.variables.insert(name.to_owned(), value);
            return if output.status.success() {
                String::new()
            } else {
                self.told(&output)
            };
        }
        String::new()
    }

    fn command(&self, text: &str) -> Command {
        let mut words = split(&self.filled(text)).into_iter();
        assert_eq!(words.next().as_deref(), Some("postbook"), "{text}");
        let mut command = Command::new(PROGRAM);
        command
            .args(words)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.elsewhere.iter().map(|(name, url)| (*name, url)))
            .stdin(Stdio::null());
        command
    }

    fn serve(&mut self, text: &str) {
        let mut command = self.command(text);
        let mut server = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = server.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the server says where it listens");
        self.servers.push(server);
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        self.variables
            .insert("URL".to_owned(), url.expect("an address").to_owned());
    }

    fn filled(&self, text: &str) -> String {
        let fill = |text: String, (name, value): (&String, &String)| {
            text.replace(&format!("${name}"), value)
        };
        self.variables.iter().fold(text.to_owned(), fill)
    }

    fn told(&self, output: &Output) -> String {
        let mut told = self.redacted(&output.stdout);
        for line in self.redacted(&output.stderr).lines() {
            _ = writeln!(told, "2> {line}");
        }
        if !output.status.success() {
            let code = output
                .status
                .code()
                .map_or("signal".to_owned(), |code| code.to_string());
            _ = writeln!(told, "? {code}");
        }
        told
    }

    /// What was printed, with words for what differs from run to run.
    fn redacted(&self, printed: &[u8]) -> String {
        let mut text = String::from_utf8(printed.to_vec()).expect("the program prints text");
        let directory: PathBuf = self.directory.path().to_owned();
        text = text.replace(&*directory.to_string_lossy(), "[DIR]");
        // Usage shows options that variables stand for.
        for option in [" --log <URL>", " --projections <URL>"] {
            if !self.elsewhere.is_empty() {
                text = text.replace(option, "");
            }
        }
        for (name, value) in &self.variables {
            text = text.replace(value, &format!("[{name}]"));
        }
        text = masked(&text, "process ", "[PID]");
        text = masked(&text, "\"key_id\":\"", "[KEY]");
        text = masked(&text, "\"id\": \"", "[KEY]");
        text = masked(&text, "added ", "[KEY]");
        text = masked(&text, "token:", "[KEY]");
        let mut redacted = String::new();
        for piece in
            text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c)))
        {
            let word = piece
                .trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c)))
                .trim_end_matches(':');
            redacted.push_str(word_for(word).unwrap_or(word));
            redacted.push_str(&piece[word.len()..]);
        }
        redacted
            .lines()
            .fold(String::new(), |text, line| text + line.trim_end() + "\n")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // Asked to end first, so that its shutdown is run too; killed if it does not.
            let id = server.id().to_string();
            let asked = Command::new("kill").arg(&id).status();
            if !asked.is_ok_and(|status| status.success()) {
                server.kill().expect("the server can be ended");
            }
            server.wait().expect("the server ends");
        }
    }
}

/// A field of printed JSON; nothing if it is none.
fn field_of(text: &str, field: &str) -> String {
    let printed: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let value = printed[field].as_str();
    value.unwrap_or_default().to_owned()
}

/// The text with a word for whatever letters and digits follow `before`.
fn masked(text: &str, before: &str, word: &str) -> String {
    let mut pieces = text.split(before);
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        masked.push_str(before);
        masked.push_str(word);
        masked.push_str(rest);
    }
    masked
}

/// The word for something that differs from run to run.
fn word_for(word: &str) -> Option<&'static str> {
    let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_shaped = |shape: &str| {
        word.len() == shape.len()
            && word
                .bytes()
                .zip(shape.bytes())
                .all(|(byte, shape)| match shape {
                    b'9' => byte.is_ascii_digit(),
                    b'f' => byte.is_ascii_hexdigit(),
                    _ => byte == shape,
                })
    };
    if is_shaped("ffffffff-ffff-ffff-ffff-ffffffffffff") {
        return Some("[ID]");
    }
    if is_shaped("9999-99-99T99:99:99.999999Z") || is_shaped("9999-99-99") {
        // Dates that the files say are told as they are.
        return (!word.starts_with("2026-01-01")).then_some("[TIME]");
    }
    if is_shaped("99:99:99") {
        return Some("[CLOCK]");
    }
    if word.starts_with("pb_") && word.len() > 40 {
        return Some("[TOKEN]");
    }
    if word.starts_with("whsec_") && word.len() > 40 {
        return Some("[WEBHOOK-SECRET]");
    }
    if word.len() == 64 && is_hex(word) {
        return Some("[HASH]");
    }
    if word.len() == 64 && word.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Some("[SECRET]");
    }
    None
}

/// Splits a command at spaces; single quotes hold together.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![];
    for (index, piece) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    words
}

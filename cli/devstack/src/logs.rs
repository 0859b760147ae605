//! The log files of a stack: kept small, read from their end, followed. Interprets no line beyond its leading time.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc::UnboundedSender;

use crate::server;
use crate::stack::Stack;

/// A log above this is put aside at the next start of its process; one older piece is kept.
const ROTATE_BYTES: u64 = 16 << 20;
/// How much of a file's end is read for its last lines.
const TAIL_BYTES: u64 = 1 << 20;
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);
const FOLDER: &str = "logs";
/// Begins the line that separates the runs of a process.
const RUN: &str = "--- start of ";

/// One line of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// `user-management-1`, `postgres`, …
    pub source: String,
    pub line: String,
}

/// The logs of a stack, perhaps only those of one service (all its replicas) or part.
#[derive(Debug)]
pub struct Logs {
    stack: Stack,
    only: Option<String>,
    files: Vec<(String, PathBuf)>,
}

impl Logs {
    /// What is there now for `only`; everything without it.
    pub fn of(stack: &Stack, only: Option<&str>) -> io::Result<Self> {
        let files = files(stack, only)?;
        Ok(Self { stack: stack.clone(), only: only.map(str::to_owned), files })
    }

    /// The names of the logs that were found.
    pub fn sources(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.files.iter().map(|(name, _)| name.as_str()).collect();
        // One that ran from two places has a log in each.
        names.dedup();
        names
    }

    /// The last `count` lines of each, in the order of their times where they begin with one.
    pub fn tail(&self, count: usize) -> io::Result<Vec<LogLine>> {
        let mut timed = Vec::new();
        for (source, path) in &self.files {
            let mut at = None;
            let lines = last_lines(path, count)?;
            timed.extend(lines.into_iter().map(|line| {
                at = time_of(&line).or(at);
                (at, LogLine { source: source.clone(), line })
            }));
        }
        timed.sort_by_key(|(at, _)| *at);
        Ok(timed.into_iter().map(|(_, line)| line).collect())
    }

    /// Sends every line written from now on, until nobody listens; also of logs that are not there yet, as those of a
    /// replica that is started later.
    pub async fn follow(self, lines: UnboundedSender<LogLine>) -> io::Result<()> {
        let mut followed: Vec<Followed> = Vec::new();
        for (source, path) in self.files {
            let from = fs::metadata(&path)?.len();
            followed.push(Followed { source, path, from, rest: Vec::new() });
        }
        loop {
            for (source, path) in files(&self.stack, self.only.as_deref())? {
                if !followed.iter().any(|known| known.path == path) {
                    followed.push(Followed { source, path, from: 0, rest: Vec::new() });
                }
            }
            for file in &mut followed {
                for line in file.new_lines()? {
                    if lines.send(LogLine { source: file.source.clone(), line }).is_err() {
                        return Ok(());
                    }
                }
            }
            if lines.is_closed() {
                return Ok(());
            }
            tokio::time::sleep(FOLLOW_PAUSE).await;
        }
    }
}

/// The logs that are there now, with their sources.
fn files(stack: &Stack, only: Option<&str>) -> io::Result<Vec<(String, PathBuf)>> {
    let own = [
        ("postgres", server::LOCAL, "postgres.log"),
        ("postgres", server::DOWNLOADED, "postgres.log"),
        ("redis", "redis", "redis.log"),
    ];
    let mut files: Vec<_> =
        own.map(|(name, folder, log)| (name.to_owned(), stack.path(folder).join(log))).into();
    let entries = match fs::read_dir(stack.path(FOLDER)) {
        // Before the first start, and while it is reset.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries?),
    };
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log")) {
            files.push((name.to_owned(), path.clone()));
        }
    }
    files.retain(|(name, path)| path.exists() && only.is_none_or(|only| is_of(name, only)));
    files.sort();
    Ok(files)
}

struct Followed {
    source: String,
    path: PathBuf,
    from: u64,
    rest: Vec<u8>,
}

impl Followed {
    fn new_lines(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let size = file.metadata()?.len();
        if size < self.from {
            (self.from, self.rest) = (0, Vec::new()); // put aside and begun anew
        }
        file.seek(SeekFrom::Start(self.from))?;
        let read = file.read_to_end(&mut self.rest)?;
        self.from += u64::try_from(read).unwrap_or_default();
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
    }
}

/// The folder of the logs.
pub(crate) fn folder(stack: &Stack) -> io::Result<PathBuf> {
    Ok(stack.folder().folder(FOLDER)?.path().to_owned())
}

/// Puts a log aside that has become large.
pub(crate) fn rotate(log: &Path) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(meta) if meta.len() > ROTATE_BYTES => fs::rename(log, log.with_extension("log.old")),
        _ => Ok(()),
    }
}

/// Marks the start of a process in its log.
pub(crate) fn begin_run(mut log: &File, name: &str) -> io::Result<()> {
    let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    writeln!(log, "{RUN}{name} at {now} ---")
}

/// The last lines that the process wrote since it was last started.
pub(crate) fn last_of_run(log: &Path, count: usize) -> Vec<String> {
    let mut lines = last_lines(log, usize::MAX).unwrap_or_default();
    if let Some(begin) = lines.iter().rposition(|line| line.starts_with(RUN)) {
        lines.drain(..=begin);
    }
    lines.drain(..lines.len().saturating_sub(count));
    lines
}

fn last_lines(path: &Path, count: usize) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if from > 0 && !lines.is_empty() {
        lines.remove(0); // begins in the middle
    }
    lines.drain(..lines.len().saturating_sub(count));
    Ok(lines)
}

/// `user-management` has the logs `user-management-1`, `user-management-2`, …
fn is_of(name: &str, only: &str) -> bool {
    let Some(rest) = name.strip_prefix(only) else { return false };
    rest.is_empty() || rest.strip_prefix('-').is_some_and(|index| index.parse::<u32>().is_ok())
}

/// The time that a line begins with, as services and PostgreSQL write it, or that our separator names.
fn time_of(line: &str) -> Option<OffsetDateTime> {
    let line = line.strip_prefix(RUN).and_then(|rest| rest.split_once(" at ")).map_or(line, |(_, rest)| rest);
    let mut words = line.split_whitespace();
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    parse(first).or_else(|| parse(&format!("{first}T{second}Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_those_of_the_last_run() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = File::options().append(true).open(file.path()).unwrap();
        begin_run(&log, "a-1").unwrap();
        writeln!(&log, "old").unwrap();
        begin_run(&log, "a-1").unwrap();
        writeln!(&log, "one\ntwo\nthree").unwrap();
        assert_eq!(last_of_run(file.path(), 2), ["two", "three"]);
        assert_eq!(last_of_run(file.path(), 9), ["one", "two", "three"]);
    }

    #[test]
    fn a_service_has_the_logs_of_its_replicas_alone() {
        assert!(is_of("order-1", "order") && is_of("order-12", "order") && is_of("order-1", "order-1"));
        assert!(!is_of("order-management-1", "order") && !is_of("orders", "order"));
    }

    #[test]
    fn lines_of_several_logs_stand_in_the_order_of_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            (name.to_owned(), path)
        };
        let logs = Logs {
            stack: Stack::open(folder.path(), Some(folder.path().join("state"))).unwrap(),
            only: None,
            files: vec![
                write("a", "2026-01-01T00:00:01Z a1\n  more of a1\n2026-01-01T00:00:03Z a3\n"),
                write("b", "2026-01-01 00:00:02.5 UTC b2\n"),
            ],
        };
        let lines: Vec<String> = logs.tail(9).unwrap().into_iter().map(|line| line.line).collect();
        let ends: Vec<&str> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(ends, ["a1", "a1", "b2", "a3"]);
    }

    #[tokio::test]
    async fn a_log_that_comes_later_is_followed_from_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::open(folder.path(), Some(folder.path().join("state"))).unwrap();
        let log = |name: &str| super::folder(&stack).unwrap().join(format!("{name}.log"));
        let logs = Logs::of(&stack, Some("tiny")).unwrap();
        fs::write(log("tiny-1"), "before\n").unwrap();
        let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let following = tokio::spawn(Logs::of(&stack, Some("tiny")).unwrap().follow(sender));
        assert_eq!(logs.sources(), [""; 0]);
        fs::write(log("other-1"), "of another\n").unwrap();
        fs::write(log("tiny-2"), "first\n").unwrap();
        let line = tokio::time::timeout(Duration::from_secs(30), lines.recv()).await.unwrap();
        assert_eq!(line, Some(LogLine { source: "tiny-2".into(), line: "first".into() }));
        drop(lines);
        following.await.unwrap().unwrap();
    }
}

//! The commands that the documents show, so that a test can run each of them.
//! Must not know what a command means: it only finds them.
use std::path::{Path, PathBuf};

/// One command that a document shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    /// Relative to the root of the repository.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Without its trailing comment; continuation lines are joined.
    pub command: String,
}

/// Finds every command in the fenced `sh` blocks of one Markdown text.
#[must_use]
pub fn fenced(file: &Path, text: &str) -> Vec<Documented> {
    let mut found: Vec<Documented> = Vec::new();
    let mut inside = false;
    let mut continued = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            inside = !inside && matches!(language.trim(), "sh" | "bash" | "console");
            continued = false;
            continue;
        }
        let command = line.split(" # ").next().unwrap_or_default().trim();
        if !inside || command.is_empty() || command.starts_with('#') {
            continue;
        }
        let (command, goes_on) = match command.strip_suffix('\\') {
            Some(start) => (start.trim_end(), true),
            None => (command, false),
        };
        match found.last_mut().filter(|_| continued) {
            Some(last) => last.command = format!("{} {command}", last.command),
            None => found.push(Documented {
                file: file.to_path_buf(),
                line: index + 1,
                command: command.to_owned(),
            }),
        }
        continued = goes_on;
    }
    found
}

/// All fenced `sh` blocks of one Markdown text as one script, as a reader runs them: one after the other in one shell.
#[must_use]
pub fn script(text: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside && language == "sh";
        } else if inside {
            script.extend([line, "\n"]);
        }
    }
    script
}

/// Finds every command of ours that stands in the text itself, between backquotes.
#[must_use]
pub fn inline(file: &Path, text: &str) -> Vec<Documented> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
            continue;
        }
        let quoted = line.split('`').skip(1).step_by(2).filter(|_| !inside);
        let ours = quoted
            .filter(|code| ["cargo shopctl ", "cargo xtask "].iter().any(|name| code.starts_with(name)));
        found.extend(ours.map(|code| Documented {
            file: file.to_path_buf(),
            line: index + 1,
            command: code.to_owned(),
        }));
    }
    found
}

/// Lists the documents that a person reads: the root's and those under `docs/`, without the generated ones.
///
/// # Errors
/// When a folder cannot be read.
pub fn documents(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/howto", "docs/runbooks", "docs/decisions"] {
        let folder = root.join(folder);
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Say `cargo xtask tidy` or `ls`.\n```sh\ncargo a   # why\n# only a comment\n\
                        curl -s \\\n  --fail x\n```\n```json\n{}\n```\n```\nnot `cargo xtask ci`\n```\n";

    fn seen(found: &[Documented]) -> Vec<(usize, &str)> {
        found.iter().map(|one| (one.line, one.command.as_str())).collect()
    }

    #[test]
    fn fenced_commands_are_joined_and_lose_their_comments() {
        assert_eq!(seen(&fenced(Path::new("x.md"), TEXT)), [(3, "cargo a"), (5, "curl -s --fail x")]);
    }

    #[test]
    fn a_script_has_every_line_of_the_shell_and_no_other() {
        let script = script(TEXT);
        assert_eq!(script, "cargo a   # why\n# only a comment\ncurl -s \\\n  --fail x\n");
    }

    #[test]
    fn inline_commands_are_ours_and_stand_outside_of_blocks() {
        assert_eq!(seen(&inline(Path::new("x.md"), TEXT)), [(1, "cargo xtask tidy")]);
    }
}

//! Which commit an image is of: the last one that changed what the program is compiled from, so that a change to one
//! service leaves the images of all others alone. Must not look at the clock.

use std::path::Path;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::digest::Digest;
use crate::git::git;
use crate::inputs::{Inputs, ROOT};
use crate::{Error, Result};

/// The commit of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its forty digits.
    pub commit: String,
    /// When it was made.
    pub at: OffsetDateTime,
    /// What the inputs hold, where that is not what is committed.
    pub dirty: Option<Digest>,
}

/// So many digits name a commit, and uncommitted inputs, in a tag.
const SHORT: usize = 12;

impl Revision {
    /// Of the program with these inputs.
    ///
    /// # Errors
    /// When git cannot be asked, no commit is there, or the history is not there as far back as needed.
    pub fn of(inputs: &Inputs) -> Result<Self> {
        let root = inputs.root();
        let (commit, at) = last_change(root, inputs)?;
        let status = ["status", "--porcelain", "--untracked-files=all", "--"].map(str::to_owned);
        let changed = !git(root, status.into_iter().chain(inputs.pathspecs()))?.trim().is_empty();
        let dirty = changed || inputs.of_root(&inputs.root_now()?)? != at_commit(root, inputs, "HEAD")?;
        let dirty = if dirty { Some(inputs.digest()?) } else { None };
        let at = OffsetDateTime::parse(&at, &Rfc3339)
            .map_err(|error| Error::Git { said: format!("the date of {commit} cannot be read: {error}") })?;
        Ok(Self { commit, at, dirty })
    }

    /// The tag of the image: `git-<commit>`, and `-d<inputs>` where something is not committed.
    #[must_use]
    pub fn tag(&self) -> String {
        let commit = self.commit.get(..SHORT).unwrap_or(&self.commit);
        match &self.dirty {
            Some(inputs) => format!("git-{commit}-d{}", &inputs.hex()[..SHORT]),
            None => format!("git-{commit}"),
        }
    }
}

/// The last commit that changed an input, and its date.
fn last_change(root: &Path, inputs: &Inputs) -> Result<(String, String)> {
    let log = ["log", "--format=%H%x09%P%x09%cI", "--"].map(str::to_owned);
    let of_root = ROOT.map(|path| format!(":(top){path}"));
    let log = git(root, log.into_iter().chain(inputs.pathspecs()).chain(of_root))?;
    for line in log.lines() {
        let mut words = line.split('\t');
        let (Some(commit), Some(parents), Some(at)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if changes(root, inputs, commit, parents)? {
            return Ok((commit.to_owned(), at.to_owned()));
        }
    }
    if git(root, ["rev-parse", "--is-shallow-repository"])?.trim() == "true" {
        return Err(Error::Shallow);
    }
    // Nothing of it was ever committed.
    let head = git(root, ["log", "-1", "--format=%H%x09%cI"])?;
    let (commit, at) = head.trim().split_once('\t').unwrap_or_default();
    Ok((commit.to_owned(), at.to_owned()))
}

/// Whether a commit that touches a file of the inputs changes what they say.
fn changes(root: &Path, inputs: &Inputs, commit: &str, parents: &str) -> Result<bool> {
    // A merge that git lists here has what none of its parents has.
    if parents.contains(' ') {
        return Ok(true);
    }
    if parents.is_empty() {
        // The first of all; or only the first that a shallow clone has, whose changes nobody can tell.
        let shallow = git(root, ["rev-parse", "--is-shallow-repository"])?.trim() == "true";
        return if shallow { Err(Error::Shallow) } else { Ok(true) };
    }
    let diff = ["diff-tree", "--no-commit-id", "--name-only", "-r", commit, "--"].map(str::to_owned);
    if !git(root, diff.into_iter().chain(inputs.pathspecs()))?.trim().is_empty() {
        return Ok(true);
    }
    Ok(at_commit(root, inputs, commit)? != at_commit(root, inputs, parents)?)
}

/// What the files of the root say at a commit; empty where it has one of them not.
fn at_commit(root: &Path, inputs: &Inputs, commit: &str) -> Result<String> {
    let there = git(root, ["ls-tree", "--name-only", commit, "--"].into_iter().chain(ROOT))?;
    let mut texts = ROOT.map(|_| String::new());
    for (text, path) in texts.iter_mut().zip(ROOT) {
        if there.lines().any(|named| named == path) {
            *text = git(root, ["show", &format!("{commit}:{path}")])?;
        }
    }
    inputs.of_root(&texts)
}

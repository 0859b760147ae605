//! Builds the image of one service without a daemon: compile, put into a layer, write as a layout, and record it. What did
//! not change is not built. Must not talk to an Engine or a registry.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::at;
use crate::{
    Compile, Digest, Entry, Error, Image, Inputs, Labels, Layer, Layout, Result, Revision, Workspace,
    authorities,
};

/// What was built, for later commands and stages of a pipeline: they name images by it and build none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The service, as shop.toml calls it.
    pub service: String,
    pub tag: String,
    /// Of the manifest: what the image is called everywhere.
    pub digest: Digest,
    /// The commit that last changed what the image is made of.
    pub commit: String,
    /// What it is made of, uncommitted changes included.
    pub inputs: Digest,
    /// True where something of that was not committed: no protected environment takes such an image.
    pub dirty: bool,
    /// Of the compressed layer.
    pub bytes: u64,
    /// When the commit was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Built {
    /// The image of before is that of now.
    Unchanged(Record),
    New(Record),
}

/// What a build does just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing<'a> {
    /// A line of what Cargo says.
    Compiling(&'a str),
    /// The program goes into its layer.
    Packing,
}

/// One service to build.
#[derive(Debug, Clone)]
pub struct Build {
    pub workspace: Arc<Workspace>,
    /// Its name, which is the image's.
    pub service: String,
    /// Its package, whose program has the same name.
    pub package: String,
    /// What the program is started with.
    pub arguments: Vec<String>,
    /// Where images, records and logs are kept: a folder for each service.
    pub folder: PathBuf,
    /// Where Cargo builds.
    pub target: PathBuf,
}

impl Build {
    /// The record of the last build; `None` when there is none whose image is whole.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn record(&self) -> Result<Option<Record>> {
        let file = self.file("record.json");
        if !file.is_file() {
            return Ok(None);
        }
        let text = std::fs::read(&file).map_err(at(&file))?;
        // Of a later version, or cut short by a full disk: built anew.
        let Ok(record) = serde_json::from_slice::<Record>(&text) else { return Ok(None) };
        let whole = Layout::open(&self.file("image")).is_ok_and(|layout| *layout.digest() == record.digest);
        Ok(whole.then_some(record))
    }

    /// Builds it, unless nothing changed. Dropping the future ends what it has started.
    ///
    /// # Errors
    /// When it does not compile, or git or Cargo cannot say what it is made of; the image of before stays.
    pub async fn run(&self, mut hear: impl FnMut(Doing<'_>)) -> Result<Built> {
        let folder = self.folder.join(&self.service);
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        let _alone = alone(self.file("lock")).await?;
        let build = self.clone();
        let found = blocking(move || build.look()).await?;
        if let Some(record) = found.unchanged {
            return Ok(Built::Unchanged(record));
        }
        let compile = Compile {
            root: self.workspace.root().to_owned(),
            package: self.package.clone(),
            target: self.target.clone(),
            log: self.file("compile.log"),
        };
        let program = compile.run(&found.inputs, |line| hear(Doing::Compiling(line))).await?;
        hear(Doing::Packing);
        let build = self.clone();
        blocking(move || build.pack(&program, &found)).await.map(Built::New)
    }

    /// What there is to build, and whether that was built before.
    fn look(&self) -> Result<Found> {
        let inputs = Inputs::of(&self.workspace, &self.package)?;
        let (digest, revision) = (inputs.digest()?, Revision::of(&inputs)?);
        let unchanged =
            self.record()?.filter(|record| record.inputs == digest && record.tag == revision.tag());
        Ok(Found { inputs, digest, revision, unchanged })
    }

    fn pack(&self, program: &Path, found: &Found) -> Result<Record> {
        let Found { inputs, digest, revision, .. } = found;
        // Somebody who edits while it compiles gets no image that claims to be of what is there now.
        if inputs.digest()? != *digest {
            return Err(Error::Workspace {
                said: format!("{} was edited while it was compiled: build again", self.service),
            });
        }
        let entries = vec![
            Entry::program(&self.package, std::fs::read(program).map_err(at(program))?)?,
            Entry::file(authorities::PATH, authorities::pem())?,
        ];
        let labels = Labels {
            source: inputs.repository().map(str::to_owned),
            revision: revision.commit.clone(),
            version: inputs.version().to_owned(),
            created: revision.at,
        };
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let image = Image::new(Layer::of(entries)?, &self.package, &arguments, &labels);
        let record = Record {
            service: self.service.clone(),
            tag: revision.tag(),
            digest: image.digest(),
            commit: revision.commit.clone(),
            inputs: digest.clone(),
            dirty: revision.dirty.is_some(),
            bytes: image.layer.blob.len() as u64,
            created: revision.at,
        };
        Layout::write(&self.file("image"), &image, &format!("{}:{}", record.service, record.tag))?;
        let file = self.file("record.json");
        let text = serde_json::to_vec_pretty(&record).map_err(|error| at(&file)(error.into()))?;
        let beside = self.file("record.json.new");
        std::fs::write(&beside, text).map_err(at(&beside))?;
        std::fs::rename(&beside, &file).map_err(at(&file))?;
        Ok(record)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(&self.service).join(name)
    }
}

/// What a build starts from.
struct Found {
    inputs: Inputs,
    digest: Digest,
    revision: Revision,
    /// The record of before, where it is that of now.
    unchanged: Option<Record>,
}

/// Two builds of one service in one checkout: the second waits, and finds nothing changed.
async fn alone(file: PathBuf) -> Result<File> {
    blocking(move || {
        let lock = File::options().create(true).append(true).open(&file).map_err(at(&file))?;
        lock.lock().map_err(at(&file))?;
        Ok(lock)
    })
    .await
}

/// Work that keeps a thread busy, on a thread that may be.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

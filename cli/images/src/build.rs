//! Builds the image of one service without a daemon: compile, put into a layer, write as a layout, and record it. What did
//! not change is not built. Must not talk to an Engine or a registry.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::at;
use crate::{
    Compile, Digest, Entry, Error, Image, Inputs, Labels, Layer, Layout, Result, Revision, authorities,
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

/// One service to build.
#[derive(Debug, Clone)]
pub struct Build {
    /// The workspace.
    pub root: PathBuf,
    /// Its name, that of its package, and that of its program.
    pub service: String,
    /// What the program is started with.
    pub arguments: Vec<String>,
    /// Where the code lies, as a URL, for the image's labels.
    pub source: String,
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

    /// Builds it, unless nothing changed. `hear` gets what Cargo says, line by line.
    ///
    /// # Errors
    /// When it does not compile, or git or Cargo cannot say what it is made of; the image of before stays.
    pub async fn run(&self, hear: impl FnMut(&str)) -> Result<Built> {
        let folder = self.folder.join(&self.service);
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        let _alone = alone(&self.file("lock")).await?;
        let inputs = Inputs::of(&self.root, &self.service)?;
        let (digest, revision) = (inputs.digest()?, Revision::of(&self.root, &inputs)?);
        if let Some(record) = self.record()?
            && record.inputs == digest
            && record.tag == revision.tag()
        {
            return Ok(Built::Unchanged(record));
        }
        let (root, package) = (self.root.clone(), self.service.clone());
        let compile = Compile { root, package, target: self.target.clone(), log: self.file("compile.log") };
        let program = compile.run(&inputs, hear).await?;
        // Somebody who edits while it compiles gets no image that claims to be of what is there now.
        if inputs.digest()? != digest {
            return Err(Error::Workspace {
                said: format!("{} was edited while it was compiled: build again", self.service),
            });
        }
        let record = self.assemble(&program, &inputs, digest, &revision)?;
        Ok(Built::New(record))
    }

    fn assemble(
        &self,
        program: &Path,
        inputs: &Inputs,
        digest: Digest,
        revision: &Revision,
    ) -> Result<Record> {
        let entries = vec![
            Entry::program(&self.service, std::fs::read(program).map_err(at(program))?)?,
            Entry::file(authorities::PATH, authorities::pem())?,
        ];
        let labels = Labels {
            source: self.source.clone(),
            revision: revision.commit.clone(),
            version: inputs.version().to_owned(),
            created: revision.at,
        };
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let image = Image::new(Layer::of(entries)?, &self.service, &arguments, &labels);
        let record = Record {
            service: self.service.clone(),
            tag: revision.tag(),
            digest: image.digest(),
            commit: revision.commit.clone(),
            inputs: digest,
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

/// Two builds of one service in one checkout: the second waits, and finds nothing changed.
async fn alone(file: &Path) -> Result<File> {
    let path = file.to_owned();
    let waited = tokio::task::spawn_blocking(move || {
        let lock = File::options().create(true).append(true).open(path)?;
        lock.lock().map(|()| lock)
    });
    waited.await.map_err(std::io::Error::other).and_then(|lock| lock).map_err(at(file))
}

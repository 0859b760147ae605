//! A folder with one image, as the OCI image layout has it: scanners read it, pushes take it byte for byte. Written as a
//! whole or not at all.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::error::at;
use crate::image::{Descriptor, Image, MANIFEST, bytes};
use crate::{Error, Result};

/// An image in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    folder: PathBuf,
    digest: Digest,
}

impl Layout {
    /// Puts the image into `folder`, in place of what is there. `name` is what tools show, such as `user-management:git-1a2b`.
    ///
    /// # Errors
    /// When a file cannot be written; then `folder` is as it was.
    pub fn write(folder: &Path, image: &Image, name: &str) -> Result<Self> {
        let parent = folder.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(at(parent))?;
        let beside = tempfile::tempdir_in(parent).map_err(at(parent))?;
        let blobs = beside.path().join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(at(&blobs))?;
        for blob in [&image.layer.blob, &image.config, &image.manifest] {
            put(&blobs.join(Digest::of(blob).hex()), blob)?;
        }
        let mut manifest = Descriptor::of(MANIFEST, &image.digest(), &image.manifest);
        manifest.annotations.insert("org.opencontainers.image.ref.name", name);
        let index = json!({
            "manifests": [manifest], "mediaType": "application/vnd.oci.image.index.v1+json", "schemaVersion": 2,
        });
        put(&beside.path().join("index.json"), &bytes(&index))?;
        put(&beside.path().join("oci-layout"), &bytes(&json!({ "imageLayoutVersion": "1.0.0" })))?;
        // Two builds at once: the later one takes the place of the other's.
        let old = tempfile::tempdir_in(parent).map_err(at(parent))?;
        match fs::rename(folder, old.path().join("old")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(folder)(error)),
            _ => {}
        }
        fs::rename(beside.keep(), folder).map_err(at(folder))?;
        Ok(Self { folder: folder.to_owned(), digest: image.digest() })
    }

    /// The image of a folder, every byte of it checked.
    ///
    /// # Errors
    /// When there is none, or a blob is not what its name says.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("index.json");
        let damaged = |found: &str| Error::Damaged { file: file.clone(), found: found.to_owned() };
        let index: Value =
            serde_json::from_slice(&fs::read(&file).map_err(at(&file))?).map_err(|_| damaged("no JSON"))?;
        let named =
            index["manifests"][0]["digest"].as_str().ok_or_else(|| damaged("no manifest"))?.to_owned();
        let blobs = folder.join("blobs/sha256");
        let mut digest = None;
        for entry in fs::read_dir(&blobs).map_err(at(&blobs))? {
            let path = entry.map_err(at(&blobs))?.path();
            let found = Digest::of(&fs::read(&path).map_err(at(&path))?);
            if path.file_name().and_then(|name| name.to_str()) != Some(found.hex()) {
                return Err(Error::Damaged { file: path, found: found.to_string() });
            }
            digest = digest.or(Some(found).filter(|found| found.to_string() == named));
        }
        let digest = digest.ok_or_else(|| damaged("a manifest that is not there"))?;
        Ok(Self { folder: folder.to_owned(), digest })
    }

    /// What names the image.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Readers may be told of it as soon as it has its name: its bytes are on the disk by then.
fn put(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = fs::File::create(path).map_err(at(path))?;
    file.write_all(content).map_err(at(path))?;
    file.sync_all().map_err(at(path))
}

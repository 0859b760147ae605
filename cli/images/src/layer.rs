//! The one layer of an image. The same files give the same bytes on every machine: no time, no owner, no order of a folder.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use crate::digest::{Digest, Digesting};
use crate::{Error, Result};

/// A file of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies, as `usr/bin/shop`: relative, of plain names.
    path: String,
    mode: u32,
    content: Vec<u8>,
}

impl Entry {
    /// A file that everybody may read and nobody may write.
    ///
    /// # Errors
    /// When the path is not one of an image.
    pub fn file(path: &str, content: Vec<u8>) -> Result<Self> {
        Self::new(path, 0o444, content)
    }

    /// A program that everybody may run and nobody may write.
    ///
    /// # Errors
    /// When the path is not one of an image.
    pub fn program(path: &str, content: Vec<u8>) -> Result<Self> {
        Self::new(path, 0o555, content)
    }

    fn new(path: &str, mode: u32, content: Vec<u8>) -> Result<Self> {
        let refuse = |reason| Err(Error::Entry { path: path.to_owned(), reason });
        if path.starts_with('/') {
            return refuse("is absolute; name it from the image's root without the slash");
        }
        if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
            return refuse("is no plain path");
        }
        if path.split('/').any(|name| name.starts_with(".wh.")) {
            return refuse("means a deletion in a layer (`.wh.`)");
        }
        Ok(Self { path: path.to_owned(), mode, content })
    }
}

/// A layer as it is pushed, and both of its digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The compressed bytes.
    pub blob: Vec<u8>,
    /// Of the compressed bytes: how the manifest names it.
    pub digest: Digest,
    /// Of the tar inside: how the configuration names it.
    pub diff_id: Digest,
}

impl Layer {
    /// The layer of these files, with the folders that they lie in.
    ///
    /// # Errors
    /// When two of them have one path.
    pub fn of(mut entries: Vec<Entry>) -> Result<Self> {
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        if let Some(twice) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(Error::Entry { path: twice[0].path.clone(), reason: "is there twice" });
        }
        let write = |entries: &[Entry]| -> std::io::Result<Self> {
            // No name and no time in its head; the operating system is "unknown" whatever this one is.
            let gzip = GzBuilder::new().mtime(0).operating_system(255);
            let gzip = gzip.write(Digesting::new(Vec::new()), Compression::new(6));
            let (gzip, diff_id, _) = tar(entries, Digesting::new(gzip))?.finish();
            let (blob, digest, _) = gzip.finish()?.finish();
            Ok(Self { blob, digest, diff_id })
        };
        Ok(write(&entries).expect("memory takes every byte"))
    }
}

fn tar<W: Write>(entries: &[Entry], out: W) -> std::io::Result<W> {
    let mut tar = tar::Builder::new(out);
    let mut folders: Vec<&str> = Vec::new();
    for entry in entries {
        for (at, _) in entry.path.match_indices('/') {
            let folder = &entry.path[..at];
            if !folders.contains(&folder) {
                folders.push(folder);
                let mut header = header(tar::EntryType::Directory, 0o755, 0);
                tar.append_data(&mut header, format!("{folder}/"), std::io::empty())?;
            }
        }
        let mut header = header(tar::EntryType::Regular, entry.mode, entry.content.len() as u64);
        tar.append_data(&mut header, &entry.path, entry.content.as_slice())?;
    }
    tar.into_inner()
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_order_of_files_does_not_matter_and_their_bytes_do() {
        let one = || Entry::program("bin/shop", b"one".to_vec()).unwrap();
        let two = || Entry::file("etc/ssl/ca.pem", b"two".to_vec()).unwrap();
        let layer = Layer::of(vec![one(), two()]).unwrap();
        assert_eq!(layer, Layer::of(vec![two(), one()]).unwrap());
        assert_eq!(layer.digest, Digest::of(&layer.blob));
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(layer.blob.as_slice()).read_to_end(&mut tar).unwrap();
        assert_eq!(layer.diff_id, Digest::of(&tar));
        // Written down once: a newer compressor that gives other bytes would change every image.
        assert_eq!(
            layer.diff_id.to_string(),
            "sha256:12bddc55e4dd8aa52f7f0bd6b76e14bc7814830432627e8756ab4a8d6750b1b7"
        );
        assert_eq!(
            layer.digest.to_string(),
            "sha256:d4c5a99c5e07cc5dc46157da3990e9b75f78832fee3c48d3cd2912a77b3e5399"
        );
        let other = Entry::file("bin/shop", b"one".to_vec()).unwrap();
        assert_ne!(layer.digest, Layer::of(vec![other, two()]).unwrap().digest, "the mode counts");
    }

    #[test]
    fn what_is_no_path_of_an_image_is_refused() {
        for path in ["/bin/shop", "", "bin//shop", "../shop", "bin/.", "bin/.wh.shop"] {
            assert!(Entry::file(path, Vec::new()).is_err(), "{path}");
        }
        let twice = || Entry::file("a", Vec::new()).unwrap();
        assert!(Layer::of(vec![twice(), twice()]).is_err());
    }
}

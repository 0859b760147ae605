//! Images as other tools see them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod build;
mod compile;
mod revision;

use std::path::Path;

use shop_images::{Entry, Error, Image, Labels, Layer, Layout};
use time::macros::datetime;

fn labels() -> Labels {
    Labels {
        source: Some("https://github.com/shop-platform/shop-platform".into()),
        revision: "0123456789abcdef0123456789abcdef01234567".into(),
        version: "0.1.0".into(),
        created: datetime!(2026-11-28 09:00 UTC),
    }
}

fn image(program: &[u8]) -> Image {
    let entries = vec![
        Entry::program("shop", program.to_vec()).unwrap(),
        Entry::file("etc/ssl/certs/ca-certificates.crt", b"no authority".to_vec()).unwrap(),
    ];
    Image::new(Layer::of(entries).unwrap(), "shop", &["serve"], &labels())
}

#[test]
fn the_same_inputs_are_the_same_image_in_two_folders() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, program: &[u8]| {
        Layout::write(&folder.path().join(name), &image(program), "shop:x").unwrap()
    };
    let (one, two) = (write("a/one", b"program"), write("two", b"program"));
    assert_eq!(one.digest(), two.digest());
    let files = |layout: &Layout| {
        let list = std::fs::read_dir(layout.folder().join("blobs/sha256")).unwrap();
        let mut names: Vec<_> = list.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(files(&one), files(&two));
    let other = write("two", b"another program");
    assert_ne!(one.digest(), other.digest());
    assert_eq!(
        (files(&other).len(), Layout::open(other.folder()).unwrap()),
        (3, other.clone()),
        "nothing of before is left"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
}

#[test]
fn a_byte_that_was_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::write(&folder.path().join("image"), &image(b"program"), "shop:x").unwrap();
    let blob = |digest: &shop_images::Digest| layout.folder().join("blobs/sha256").join(digest.hex());
    let layer = blob(&image(b"program").layer.digest);
    let mut bytes = std::fs::read(&layer).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&layer, bytes).unwrap();
    let error = Layout::open(layout.folder()).unwrap_err();
    assert!(matches!(&error, Error::Damaged { file, .. } if *file == layer), "{error}");
    std::fs::remove_file(blob(layout.digest())).unwrap();
    assert!(Layout::open(layout.folder()).is_err());
    assert!(matches!(Layout::open(Path::new("/nowhere")), Err(Error::File { .. })));
}

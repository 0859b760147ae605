//! Images as they are built without a daemon, from a small program in a real repository.

use std::process::Command;
use std::sync::Arc;

use shop_images::{Build, Built, Layout, Record};

use crate::compile::Checkout;

const MAIN: &str = "fn main() {}";

impl Checkout {
    fn committed(main: &str) -> Self {
        let new = Self::new(main);
        new.write(".gitignore", "/target\n/.shop\n");
        new.git(&["init", "--quiet"]);
        new.commit();
        new
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        // The same commit in every folder.
        command
            .env("GIT_COMMITTER_DATE", "2026-11-28T09:00:00Z")
            .env("GIT_AUTHOR_DATE", "2026-11-28T09:00:00Z");
        command.args(["-c", "user.name=Ada", "-c", "user.email=ada@shop.example"]).args(arguments);
        assert!(command.current_dir(self.0.path()).status().unwrap().success(), "{arguments:?}");
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "A step"]);
    }

    fn build(&self) -> Build {
        let root = self.0.path();
        Build {
            workspace: Arc::new(self.known()),
            service: "tiny".into(),
            package: "tiny".into(),
            arguments: vec!["serve".into()],
            folder: root.join(".shop/images"),
            target: root.join("target/images"),
        }
    }

    async fn built(&self) -> Record {
        match self.build().run(|_| {}).await.unwrap() {
            Built::New(record) => record,
            Built::Unchanged(record) => panic!("nothing was built: {record:?}"),
        }
    }

    async fn is_unchanged(&self) -> bool {
        matches!(self.build().run(|_| {}).await.unwrap(), Built::Unchanged(_))
    }
}

#[tokio::test]
async fn what_did_not_change_is_not_built() {
    let checkout = Checkout::committed(MAIN);
    let first = checkout.built().await;
    assert!(!first.dirty && first.tag.starts_with("git-") && first.created.year() == 2026);
    let image = Layout::open(&checkout.0.path().join(".shop/images/tiny/image")).unwrap();
    assert_eq!(*image.digest(), first.digest);
    assert!(checkout.is_unchanged().await);
    checkout.write("tiny/tests/it.rs", "");
    checkout.write("README.md", "beside it");
    checkout.commit();
    assert!(checkout.is_unchanged().await);

    checkout.write("tiny/src/main.rs", "fn main() { println!(); }");
    let edited = checkout.built().await;
    assert!(edited.dirty && edited.digest != first.digest, "{edited:?}");
    assert!(checkout.is_unchanged().await);
    checkout.commit();
    let committed = checkout.built().await;
    assert!(!committed.dirty && committed.inputs == edited.inputs);
    assert_ne!(committed.tag, edited.tag);
}

#[tokio::test]
async fn an_image_is_the_same_in_two_folders() {
    let (here, there) = (Checkout::committed(MAIN), Checkout::committed(MAIN));
    assert_eq!(here.built().await, there.built().await);
}

#[tokio::test]
async fn of_two_builds_at_once_one_builds() {
    let checkout = Checkout::committed(MAIN);
    let (one, two) = (checkout.build(), checkout.build());
    let (one, two) = tokio::join!(one.run(|_| {}), two.run(|_| {}));
    let built = [one.unwrap(), two.unwrap()];
    assert_eq!(built.iter().filter(|built| matches!(built, Built::New(_))).count(), 1, "{built:?}");
}

#[tokio::test]
async fn what_is_damaged_is_built_anew() {
    let checkout = Checkout::committed(MAIN);
    let first = checkout.built().await;
    let folder = checkout.0.path().join(".shop/images/tiny");
    std::fs::write(folder.join("record.json"), "{").unwrap();
    assert_eq!(checkout.built().await, first);
    std::fs::write(folder.join("image/blobs/sha256").join(first.digest.hex()), "{}").unwrap();
    assert_eq!(checkout.built().await, first);
    assert!(checkout.is_unchanged().await);
}

#[tokio::test]
async fn an_error_leaves_the_image_of_before() {
    let checkout = Checkout::committed(MAIN);
    let first = checkout.built().await;
    checkout.write("tiny/src/main.rs", "fn main() { missing(); }");
    let error = checkout.build().run(|_| {}).await.unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
    assert_eq!(checkout.build().record().unwrap(), Some(first));
}

//! Which commit an image is of, in real repositories with two services and what they share.

use std::path::Path;
use std::process::Command;

use shop_images::{Error, Inputs, Revision, Workspace};
use tempfile::TempDir;

const LOCK: &str = r#"
version = 4

[[package]]
name = "one"
version = "0.1.0"
dependencies = ["common", "left", "only-for-tests"]

[[package]]
name = "two"
version = "0.1.0"
dependencies = ["common", "right"]

[[package]]
name = "common"
version = "0.1.0"

[[package]]
name = "left"
version = "1.0.0"
source = "registry"
checksum = "aa"
dependencies = ["below 2.0.0"]

[[package]]
name = "below"
version = "1.0.0"
source = "registry"

[[package]]
name = "below"
version = "2.0.0"
source = "registry"

[[package]]
name = "right"
version = "1.0.0"
source = "registry"
dependencies = ["below 1.0.0"]

[[package]]
name = "only-for-tests"
version = "1.0.0"
source = "registry"
"#;

const MANIFEST: &str = r#"
[workspace]
resolver = "3"
members = ["one", "two", "common"]

[workspace.dependencies]
common = { path = "common" }
left = "1"
right = "1"

[profile.release]
opt-level = 3
"#;

struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let new = Self(tempfile::tempdir().unwrap());
        new.git(&["init", "--quiet"]);
        new.write("Cargo.toml", MANIFEST);
        new.write("Cargo.lock", LOCK);
        let manifest = |name: &str, needs: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n{needs}")
        };
        let of_one = "[dependencies]\ncommon.workspace = true\nleft.workspace = true\n\n[dev-dependencies]\nonly-for-tests = \"1\"\n";
        new.write("one/Cargo.toml", &manifest("one", of_one));
        let of_two = "[dependencies]\ncommon.workspace = true\nright.workspace = true\n";
        new.write("two/Cargo.toml", &manifest("two", of_two));
        new.write("common/Cargo.toml", &manifest("common", ""));
        for name in ["one", "two", "common"] {
            new.write(&format!("{name}/src/lib.rs"), "");
        }
        new.commit();
        new
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Ada", "-c", "user.email=ada@shop.example"]).args(arguments);
        let output = command.current_dir(self.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// In place of the first text the second.
    fn edit(&self, path: &str, before: &str, after: &str) {
        let text = std::fs::read_to_string(self.path().join(path)).unwrap();
        assert!(text.contains(before), "{path} has no {before}");
        self.write(path, &text.replacen(before, after, 1));
    }

    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "A step"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn inputs(&self, package: &str) -> Inputs {
        Inputs::of(&Workspace::at(self.path()).unwrap(), package).unwrap()
    }

    fn revision(&self, package: &str) -> Revision {
        Revision::of(&self.inputs(package)).unwrap()
    }

    fn tags(&self) -> [String; 2] {
        ["one", "two"].map(|package| self.revision(package).tag())
    }
}

fn tag(commit: &str) -> String {
    format!("git-{}", &commit[..12])
}

#[test]
fn an_image_is_of_the_last_commit_that_changed_what_it_is_made_of() {
    let checkout = Checkout::new();
    let mut expected = [tag(&checkout.git(&["rev-parse", "HEAD"])), String::new()];
    expected[1] = expected[0].clone();
    assert_eq!(checkout.tags(), expected);
    let mut step = |what: &str, changed: [bool; 2], edit: &dyn Fn()| {
        edit();
        let commit = checkout.commit();
        for (tag_of, _) in expected.iter_mut().zip(changed).filter(|(_, changed)| *changed) {
            *tag_of = tag(&commit);
        }
        assert_eq!(checkout.tags(), expected, "{what}");
    };
    step("one of them", [true, false], &|| checkout.write("one/src/lib.rs", "// more"));
    step("what both use", [true, true], &|| checkout.write("common/src/lib.rs", "// more"));
    step("its tests", [false, false], &|| checkout.write("one/tests/it.rs", "// more"));
    step("what is beside them", [false, false], &|| checkout.write("README.md", "more"));
    step("a version below the other", [false, true], &|| {
        checkout.edit(
            "Cargo.lock",
            "name = \"below\"\nversion = \"1.0.0\"",
            "name = \"below\"\nversion = \"1.0.1\"",
        );
        checkout.edit("Cargo.lock", "below 1.0.0", "below 1.0.1");
    });
    step("a checksum", [true, false], &|| checkout.edit("Cargo.lock", "\"aa\"", "\"bb\""));
    step("a version that only tests need", [false, false], &|| {
        checkout.edit(
            "Cargo.lock",
            "name = \"only-for-tests\"\nversion = \"1.0.0\"",
            "name = \"only-for-tests\"\nversion = \"1.1.0\"",
        );
    });
    step("a crate that only the other names", [false, true], &|| {
        checkout.edit("Cargo.toml", "right = \"1\"", "right = { version = \"1\", features = [\"more\"] }");
    });
    step("how all are compiled", [true, true], &|| {
        checkout.edit("Cargo.toml", "opt-level = 3", "opt-level = 2");
    });
    step("a service that joins", [false, false], &|| {
        checkout.edit("Cargo.toml", "\"two\"", "\"two\", \"three\"");
        let lib = "[package]\nname = \"three\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        checkout.write("three/Cargo.toml", lib);
        checkout.write("three/src/lib.rs", "");
    });
}

#[test]
fn what_is_not_committed_has_a_tag_of_its_own() {
    let checkout = Checkout::new();
    let clean = checkout.tags();
    checkout.write("one/src/lib.rs", "// not yet");
    let dirty = checkout.tags();
    assert!(dirty[0].starts_with(&format!("{}-d", clean[0])), "{dirty:?}");
    assert_eq!(dirty[1], clean[1]);
    checkout.write("one/src/lib.rs", "// not yet, and otherwise");
    assert_ne!(checkout.tags()[0], dirty[0]);
    checkout.write("one/src/lib.rs", "");
    assert_eq!(checkout.tags(), clean);
    checkout.write("one/tests/it.rs", "// of tests");
    assert_eq!(checkout.tags(), clean);
    checkout.write("one/src/new.rs", "");
    assert_ne!(checkout.tags()[0], clean[0]);
    std::fs::remove_file(checkout.path().join("one/src/new.rs")).unwrap();
    checkout.edit("Cargo.toml", "opt-level = 3", "opt-level = 2");
    let [one, two] = checkout.tags();
    assert!(one.contains("-d") && two.contains("-d"), "{one} {two}");
}

#[test]
fn the_same_inputs_have_one_name_in_two_folders() {
    let (here, there) = (Checkout::new(), Checkout::new());
    let digest = |checkout: &Checkout| checkout.inputs("one").digest().unwrap();
    assert_eq!(digest(&here), digest(&there));
    there.write("one/src/lib.rs", "// more");
    assert_ne!(digest(&here), digest(&there));
}

#[test]
fn a_shallow_clone_is_no_place_to_tell_from() {
    let checkout = Checkout::new();
    checkout.write("one/src/lib.rs", "// more");
    checkout.commit();
    let clone = Checkout(tempfile::tempdir().unwrap());
    let from = format!("file://{}", checkout.path().display());
    clone.git(&["clone", "--quiet", "--depth", "1", &from, "."]);
    let told = Revision::of(&clone.inputs("two"));
    assert!(matches!(told, Err(Error::Shallow)), "{told:?}");
    clone.git(&["fetch", "--quiet", "--unshallow"]);
    assert_eq!(clone.tags(), checkout.tags());
}

#[test]
fn a_package_that_is_not_there_is_named() {
    let checkout = Checkout::new();
    let error = Inputs::of(&Workspace::at(checkout.path()).unwrap(), "three").unwrap_err().to_string();
    assert_eq!(error, "the workspace has no package three");
    let nowhere = tempfile::tempdir().unwrap();
    assert!(Workspace::at(nowhere.path()).unwrap_err().to_string().contains("Cargo.toml"));
}

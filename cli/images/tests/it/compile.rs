//! Programs as they are compiled for images: small ones, by the real Cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use shop_images::{Compile, Error, Inputs, Workspace};
use tempfile::TempDir;

pub(crate) struct Checkout(pub(crate) TempDir);

impl Checkout {
    pub(crate) fn new(main: &str) -> Self {
        let new = Self(tempfile::tempdir().unwrap());
        new.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"tiny\"]\n");
        new.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"0.1.0\"\n");
        new.write("tiny/Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        new.write("tiny/src/main.rs", main);
        new
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.0.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn compile(&self) -> Compile {
        let root = self.0.path();
        Compile {
            root: root.to_owned(),
            package: "tiny".into(),
            target: root.join("target/images"),
            log: root.join("compile.log"),
        }
    }

    pub(crate) fn known(&self) -> Workspace {
        Workspace::at(self.0.path()).unwrap()
    }

    fn inputs(&self) -> Inputs {
        Inputs::of(&self.known(), "tiny").unwrap()
    }

    async fn run(&self) -> shop_images::Result<PathBuf> {
        let compile = self.compile();
        compile.run(&self.inputs(), |_| {}).await
    }
}

fn needs_a_loader(program: &Path) -> bool {
    let told = Command::new("readelf").arg("--program-headers").arg(program).output().unwrap();
    assert!(told.status.success());
    String::from_utf8_lossy(&told.stdout).contains("INTERP")
}

#[tokio::test]
async fn a_program_is_static_and_the_same_in_two_folders() {
    const MAIN: &str =
        r#"fn main() { println!("{}", file!()); assert!(std::env::args().count() < 9, "many"); }"#;
    let (here, there) = (Checkout::new(MAIN), Checkout::new(MAIN));
    let (one, two) = (here.run().await.unwrap(), there.run().await.unwrap());
    assert!(!needs_a_loader(&one), "an image from scratch has no loader");
    let (one_bytes, two_bytes) = (std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    assert!(one_bytes == two_bytes, "two folders, two programs");
    let folder = here.0.path().to_str().unwrap();
    assert!(!one_bytes.windows(folder.len()).any(|part| part == folder.as_bytes()));
    let said = Command::new(one).output().unwrap().stdout;
    assert_eq!(String::from_utf8(said).unwrap(), "tiny/src/main.rs\n");
    let log = std::fs::read_to_string(here.compile().log).unwrap();
    assert!(log.contains("Compiling tiny"), "{log}");
}

#[tokio::test]
async fn the_first_error_is_told_and_the_log_has_all() {
    let checkout = Checkout::new("fn main() { missing(); }\n\nfn other() { missing_too(); }");
    let error = checkout.run().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Compile { .. }), "{text}");
    assert!(text.contains("cannot find function `missing`") && text.contains("tiny/src/main.rs:1"), "{text}");
    assert!(!text.contains("missing_too"), "{text}");
    let log = checkout.compile().log;
    assert!(text.contains(log.to_str().unwrap()), "{text}");
    assert!(std::fs::read_to_string(log).unwrap().contains("missing_too"));
}

#[tokio::test]
async fn what_no_crate_of_the_program_holds_is_no_input() {
    let checkout = Checkout::new(r#"fn main() { println!("{}", include_str!("../../beside.txt")); }"#);
    checkout.write("beside.txt", "one");
    let text = checkout.run().await.unwrap_err().to_string();
    assert_eq!(text, "tiny is compiled from beside.txt, which lies in none of its crates");
}

#[tokio::test]
async fn nothing_compiles_on_when_it_is_dropped() {
    // The compiler is busy until somebody ends it.
    let checkout = Checkout::new("");
    checkout.write("tiny/build.rs", "fn main() { loop { std::thread::park(); } }");
    let compile = checkout.compile();
    let inputs = checkout.inputs();
    let folder = checkout.0.path().to_str().unwrap();
    let is_busy = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let words = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        words.map(|words| String::from_utf8_lossy(&words).into_owned()).any(|words| words.contains(folder))
    };
    let busy = async {
        while !is_busy() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = compile.run(&inputs, |_| {}) => panic!("{ended:?}"),
        () = busy => {}
    }
    let over = async {
        while is_busy() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), over).await.expect("the compiler ends");
}

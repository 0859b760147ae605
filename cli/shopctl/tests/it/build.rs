//! `shopctl build` over small programs in a real repository. What an image is, is tested in shop-images.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use shop_images::Layout;

use crate::world::{Ran, World, of_the_developer, ran};

/// Two services.
const SERVICES: &str = r#"
[service.one]
port = 8080
admin_port = 9080
team = "one"
[service.two]
port = 8081
admin_port = 9081
team = "two"
"#;

/// A repository with both, and a program for shopctl's own image.
struct Checkout(World);

impl Checkout {
    fn new() -> Self {
        let new = Self(World::of_services(SERVICES));
        new.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"one\", \"two\", \"shopctl\"]\n");
        let mut lock = "version = 4\n".to_owned();
        for name in ["one", "two", "shopctl"] {
            let package = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
            new.write(&format!("{name}/Cargo.toml"), &package);
            new.write(&format!("{name}/src/main.rs"), "fn main() {}");
            lock += &format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n");
        }
        new.write("Cargo.lock", &lock);
        new.write(".gitignore", "/target\n/.shop\n");
        for arguments in [
            ["init", "--quiet"].as_slice(),
            &["add", "--all"],
            &["-c", "user.name=A", "-c", "user.email=a@shop.example", "commit", "-qm", "One"],
        ] {
            let git = Command::new("git").args(arguments).current_dir(new.0.path("work")).status();
            assert!(git.unwrap().success(), "{arguments:?}");
        }
        new
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.0.path("work").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.shopctl();
        command.envs(of_the_developer()).arg("build").args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }
}

/// The names of the images of an answer, and whether each was built.
fn images(ran: &Ran) -> Vec<(String, bool)> {
    let images = ran.json()["images"].as_array().unwrap().clone();
    let of = |image: &serde_json::Value| {
        (image["service"].as_str().unwrap().to_owned(), image["built"].as_bool().unwrap())
    };
    images.iter().map(of).collect()
}

#[test]
fn every_image_is_built_once() {
    let checkout = Checkout::new();
    let first = checkout.run(&["--output", "json"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let all = |built| ["one", "two", "shopctl"].map(|name| (name.to_owned(), built)).to_vec();
    assert_eq!(images(&first), all(true));
    for image in first.json()["images"].as_array().unwrap() {
        let folder = format!("work/.shop/images/{}/image", image["service"].as_str().unwrap());
        let layout = Layout::open(&checkout.0.path(&folder)).unwrap();
        assert_eq!(layout.digest().to_string(), image["digest"]);
        assert_eq!(image["dirty"], false);
    }
    let again = checkout.run(&["--output", "json"]);
    assert_eq!(images(&again), all(false));
    assert!(again.stderr.contains("nothing changed"), "{}", again.stderr);

    checkout.write("two/src/main.rs", "fn main() { println!(); }");
    let edited = checkout.run(&["--output", "json", "two", "one"]);
    assert_eq!(images(&edited), [("one".to_owned(), false), ("two".to_owned(), true)]);
    let text = checkout.run(&[]).stdout;
    let tag = edited.json()["images"][1]["tag"].as_str().unwrap().to_owned();
    assert!(tag.contains("-d") && text.contains(&tag), "{tag}: {text}");
}

#[test]
fn who_does_not_compile_keeps_nobody_from_being_built() {
    let checkout = Checkout::new();
    checkout.write("one/src/main.rs", "fn main() { missing(); }");
    let ran = checkout.run(&["--jobs", "2"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (12, ""), "{}", ran.stderr);
    for said in ["cannot find function `missing`", ".shop/images/one/compile.log", "one/src/main.rs:1"] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    let again = checkout.run(&["two", "shopctl", "--output", "json"]);
    assert!(images(&again).iter().all(|(_, built)| !built), "the others were built: {}", again.stdout);
}

#[test]
fn what_cannot_be_built_is_told_before_anything_is() {
    let checkout = Checkout::new();
    let unknown = checkout.run(&["three"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("known: one, two, shopctl"), "{}", unknown.stderr);
    checkout.write("Cargo.toml", "[workspace]\nmembers = [\"none\"]\n");
    let broken = checkout.run(&[]);
    assert_eq!(broken.code, 2);
    assert!(broken.stderr.contains("none/Cargo.toml"), "{}", broken.stderr);
    assert!(!checkout.0.path("work/.shop").exists());
}

/// Ctrl-C while a compiler is busy: it ends with the command, and no image is there.
#[test]
fn an_interrupt_ends_the_compilers() {
    let checkout = Checkout::new();
    checkout.write("one/build.rs", "fn main() { loop { std::thread::park(); } }");
    let mut command = checkout.command(&["one"]);
    command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let folder = checkout.0.path("work/target/images").display().to_string();
    wait_for(|| busy(&folder));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    wait_for(|| !busy(&folder));
    assert!(!checkout.0.path("work/.shop/images/one/image").exists());
    checkout.write("one/build.rs", "fn main() {}");
    assert_eq!(checkout.run(&["one"]).code, 0);
}

/// Whether a program of this folder runs.
fn busy(folder: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let words = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    words.map(|words| String::from_utf8_lossy(&words).into_owned()).any(|words| words.starts_with(folder))
}

fn wait_for(condition: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !condition() {
        assert!(began.elapsed() < std::time::Duration::from_secs(120), "it did not come true");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

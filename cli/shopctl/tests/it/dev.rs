//! `shopctl dev` as a person uses it: the real executable, a checkout with one tiny service, a PostgreSQL of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use shop_devstack::process::{Proc, marked};

use crate::world::{Ran, World, of_the_developer, ran};

const MAIN: &str = include_str!("../../../devstack/tests/fixtures/tiny/src/main.rs");
const MANIFEST: &str = "[workspace]\n[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
const SERVICES: &str = r#"
[service.tiny]
port = PUBLIC
admin_port = ADMIN
team = "accounts"
database = "tiny"
migrations = { deadline = "10m" }
[service.tiny.secrets]
DATABASE_PASSWORD_FILE = "database-password"
"#;

pub(crate) struct Checkout {
    world: World,
}

impl Checkout {
    pub(crate) fn new() -> Self {
        let free = || shop_devstack::port::free().unwrap().to_string();
        let world = World::of_services(&SERVICES.replace("PUBLIC", &free()).replace("ADMIN", &free()));
        // As root the database server runs under another account, which has to pass through.
        std::fs::set_permissions(world.path(""), std::fs::Permissions::from_mode(0o711)).unwrap();
        std::fs::create_dir(world.path("work/src")).unwrap();
        std::fs::write(world.path("work/src/main.rs"), MAIN).unwrap();
        std::fs::write(world.path("work/Cargo.toml"), MANIFEST).unwrap();
        Self { world }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.world.path(inside)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.shopctl();
        command.envs(of_the_developer());
        command.env("SHOP_DEV_STATE", self.world.path("state")).arg("dev").args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    pub(crate) fn living(&self) -> Vec<Proc> {
        let state = std::fs::canonicalize(self.world.path("state")).unwrap_or_default();
        ["services", "postgres", "postgres-download"]
            .iter()
            .flat_map(|name| marked(&state.join(name)))
            .collect()
    }

    /// A supervisor in the foreground, once it has said a line with `word` on `stderr`, else on stdout.
    pub(crate) fn foreground(&self, arguments: &[&str], word: &str, on_stderr: bool) -> Child {
        let mut command = self.command(arguments);
        let (piped, other) = (Stdio::piped, Stdio::null);
        command.stdout(if on_stderr { other() } else { piped() });
        command.stderr(if on_stderr { piped() } else { other() });
        let mut child = command.spawn().unwrap();
        let output: Box<dyn std::io::Read + Send> = match on_stderr {
            true => Box::new(child.stderr.take().unwrap()),
            false => Box::new(child.stdout.take().unwrap()),
        };
        let (sender, said) = std::sync::mpsc::channel();
        let word = word.to_owned();
        // Reads to the end: what nobody reads would stop it.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.contains(&word) {
                    let _first = sender.send(());
                }
            }
        });
        said.recv_timeout(Duration::from_secs(120)).expect("it says so before it ends, and in time");
        child
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let supervisor = self.run(&["status", "--output", "json"]).stdout;
        let document: serde_json::Value = serde_json::from_str(&supervisor).unwrap_or_default();
        let supervisor = serde_json::from_value::<Proc>(document["supervisor"].clone()).ok();
        for proc in supervisor.into_iter().chain(self.living()) {
            let _gone = proc.signal(Signal::KILL);
        }
    }
}

#[test]
fn a_stack_in_the_background_is_found_again_after_its_supervisor_was_killed() {
    let checkout = Checkout::new();
    let up = checkout.run(&["up", "--detach"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(up.stderr.contains("is up") && up.stderr.contains("ada@shop.test"), "{}", up.stderr);
    let status = checkout.run(&["status", "--output", "json"]).json();
    assert_eq!(
        (&status["up"], &status["ready"], &status["silent"]),
        (&true.into(), &true.into(), &serde_json::json!([]))
    );
    assert_eq!(status["health"], serde_json::json!({ "mail": "ready", "postgres": "ready" }));
    assert!(status["services"][0]["replicas"][0]["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));

    let second = checkout.run(&["up"]);
    let supervisor: Proc = serde_json::from_value(status["supervisor"].clone()).unwrap();
    assert_eq!(second.code, 6);
    assert!(second.stderr.contains(&format!("(pid {})", supervisor.pid)), "{}", second.stderr);

    let logs = checkout.run(&["logs", "tiny"]);
    assert!(logs.code == 0 && logs.stdout.ends_with("started\n"), "{logs:?}");
    assert_eq!(checkout.run(&["seed"]).stdout, "seeded tiny\n");
    assert_eq!(checkout.run(&["mail"]).stdout, "no mail yet\n");
    let late = checkout.run(&["mail", "show", "--to", "ada@shop.test", "--wait", "1"]);
    assert_eq!(late.code, 8);
    assert!(late.stderr.contains("no mail yet to ada@shop.test within 1 s"), "{}", late.stderr);

    supervisor.signal(Signal::KILL).unwrap();
    while supervisor.is_alive() {
        std::thread::yield_now();
    }
    let killed = checkout.run(&["status"]);
    assert!(killed.stdout.contains("was killed; what it left behind"), "{}", killed.stdout);
    let database: Proc = serde_json::from_value(status["postgres"]["proc"].clone()).unwrap();
    assert!(killed.stdout.contains(&format!("pid {}  ", database.pid)), "{}", killed.stdout);
    std::fs::write(checkout.world.path("state/mail/half.json"), "{").unwrap();
    let again = checkout.run(&["up", "--detach"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("adopted"), "the database server: {}", again.stderr);
    assert!(again.stderr.contains("half.json is no mail"), "a warning: {}", again.stderr);
    let mail = checkout.run(&["mail"]);
    assert_eq!(mail.code, 9, "{}", mail.stderr);
    assert!(mail.stderr.contains("half.json is no mail") && mail.stderr.contains("hint: delete that file"));
    let down = checkout.run(&["down"]);
    assert!(down.code == 0 && down.stdout.contains("is down; its data stays"), "{down:?}");
    assert_eq!(checkout.living(), []);
    let down = checkout.run(&["down", "--output", "json"]).json();
    assert_eq!(down["stopped"], false);
    assert_eq!(
        checkout.run(&["reset", "--yes", "--output", "json"]).json()["databases"],
        serde_json::json!(["tiny"])
    );
}

#[test]
fn of_two_that_start_it_at_once_one_does_and_the_other_says_so() {
    let checkout = Checkout::new();
    let up = || checkout.run(&["up", "--detach"]);
    let mut ran = std::thread::scope(|scope| [scope.spawn(up), scope.spawn(up)].map(|up| up.join().unwrap()));
    ran.sort_by_key(|ran| ran.code);
    let [first, second] = &ran;
    assert_eq!((first.code, second.code), (0, 6), "{ran:?}");
    assert!(first.stderr.contains("is up"), "{}", first.stderr);
    assert!(second.stderr.contains("another `up` of the stack"), "{}", second.stderr);
    let events = std::fs::read_to_string(checkout.world.path("state/supervisor.ndjson")).unwrap();
    let third = up();
    assert!(third.code == 6 && third.stderr.contains("is already up"), "{}", third.stderr);
    let after = std::fs::read_to_string(checkout.world.path("state/supervisor.ndjson")).unwrap();
    assert!(after.starts_with(&events), "what the supervisor wrote stays");

    // Off a terminal the question itself would be the mistake.
    let reset = checkout.run(&["reset"]);
    assert!(reset.code == 6 && reset.stderr.contains("is already up"), "{}", reset.stderr);
    assert_eq!(checkout.run(&["down"]).code, 0);
    assert_eq!(checkout.run(&["reset", "--yes"]).code, 0);
    for file in ["supervisor.log", "supervisor.ndjson", "postgres/postgres.log", "logs"] {
        assert!(!checkout.world.path("state").join(file).exists(), "{file} is gone");
    }
    // The data of the server stays, and is of no use without its password.
    assert_eq!(checkout.run(&["up", "--detach"]).code, 0);
    assert_eq!(checkout.run(&["down"]).code, 0);
}

#[test]
fn a_signal_ends_it_with_the_code_of_the_signal_and_leaves_nothing() {
    let checkout = Checkout::new();
    let ready = r#"{"event":"ready""#;
    let cases = [
        (Signal::INT, 130, ["up", "--progress", "plain"].as_slice(), "is up", true),
        (Signal::TERM, 143, &["up", "--output", "json"], ready, false),
        (Signal::QUIT, 143, &["up", "--output", "json"], ready, false),
    ];
    for (signal, code, arguments, word, on_stderr) in cases {
        let mut child = checkout.foreground(arguments, word, on_stderr);
        assert!(checkout.living().len() >= 2, "a service and PostgreSQL run");
        Proc::of(child.id()).unwrap().signal(signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}");
        assert_eq!(checkout.living(), [], "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_in_order() {
    let checkout = Checkout::new();
    let mut child = checkout.command(&["up", "--output", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(checkout.living(), []);
}

#[test]
fn what_keeps_a_stack_from_starting_has_a_code_and_a_next_step() {
    let checkout = Checkout::new();
    let fails = |arguments: &[&str], code: i32, words: &[&str]| {
        let ran = checkout.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{arguments:?} lacks {word}: {}", ran.stderr);
        }
        assert_eq!(checkout.living(), [], "{arguments:?}");
    };
    fails(&["seed"], 9, &["is not up", "shopctl dev up"]);
    fails(&["seed", "everything"], 2, &["everything", "Usage:"]);
    fails(&["up", "--replicas", "other=2"], 2, &["no service other", "tiny"]);
    fails(&["up", "--replicas", "tiny=2", "--replicas", "tiny=3"], 2, &["says twice how many of tiny"]);
    fails(&["reset"], 2, &["without a terminal", "--yes"]);
    let theirs = ["up", "--database-url", "postgres://shop@db.invalid/shop?sslmode=disable"];
    fails(&theirs, 2, &["db.invalid:5432 is not this machine", "--confirm shop"]);
    fails(&["up", "--database-url", "postgres://shop:secret@127.0.0.1/shop"], 2, &["DATABASE_PASSWORD_FILE"]);
    let elsewhere = ["up", "--database-url", "postgres://shop@127.0.0.1/shop?host=db.invalid"];
    fails(&elsewhere, 2, &["says where to connect by `host=`", "before the question mark"]);
    fails(&["up", "--database-url", "postgres://shop@127.0.0.1:1/shop"], 9, &["127.0.0.1:1 cannot be used"]);

    let no_password =
        ["--database-url", "postgres://shop@127.0.0.1:1/shop", "--database-password-file", "/nonexistent"];
    let words = ["/nonexistent cannot be read: No such file", "hint: name a file that holds the password"];
    fails(&[&["up"], no_password.as_slice()].concat(), 2, &words);

    let platform = std::fs::read_to_string(checkout.world.path("work/shop.toml")).unwrap();
    let port = platform.lines().find_map(|line| line.strip_prefix("port = ")).unwrap();
    let listener = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let me = format!("port {port} (tiny, public) is taken by");
    fails(&["up"], 9, &[&me, &format!("(pid {})", std::process::id()), "--ports auto"]);
    drop(listener);

    std::fs::write(checkout.world.path("work/refuse-migrate"), "").unwrap();
    fails(&["up"], 2, &["this schema is too new for me", "shopctl dev reset"]);
    fails(&["up", "--detach"], 2, &["this schema is too new for me", "shopctl dev reset"]);
    std::fs::write(checkout.world.path("work/refuse-migrate"), "9 the database went away").unwrap();
    fails(&["up"], 9, &["the database went away", "hint: see what became of PostgreSQL"]);
    std::fs::write(checkout.world.path("work/src/main.rs"), "fn main() { missing() }").unwrap();
    fails(&["up"], 12, &["cannot find function `missing`", "the build of tiny failed"]);
    std::fs::write(checkout.world.path("work/shop.toml"), "schema = 1\nfoo = 2\n").unwrap();
    fails(&["up"], 2, &["shop.toml:"]);
}

#[test]
fn a_state_folder_that_is_of_no_use_is_named_with_the_next_step() {
    let checkout = Checkout::new();
    let nowhere = ran(checkout.command(&["status"]).env("SHOP_DEV_STATE", "/dev/null/state"));
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);
    for word in ["/dev/null/state", "hint: name a folder", "SHOP_DEV_STATE"] {
        assert!(nowhere.stderr.contains(word), "{word} is missing: {}", nowhere.stderr);
    }
    let relative = ran(checkout.command(&["status"]).env("SHOP_DEV_STATE", "somewhere"));
    assert_eq!(relative.code, 2, "{}", relative.stderr);
    assert!(relative.stderr.contains("SHOP_DEV_STATE is somewhere, which is no absolute path"));
    assert!(!checkout.world.path("work/somewhere").exists());
    assert_eq!(checkout.run(&["status"]).code, 0);
    std::fs::write(checkout.world.path("state/running.json"), "{").unwrap();
    for command in ["status", "seed"] {
        let broken = checkout.run(&[command]);
        assert_eq!(broken.code, 9, "{}", broken.stderr);
        for word in ["state/running.json", "shopctl dev down"] {
            assert!(broken.stderr.contains(word), "{word} is missing: {}", broken.stderr);
        }
    }
    assert_eq!(checkout.run(&["down"]).code, 0);
    assert_eq!(checkout.run(&["status"]).code, 0);
    let mail = checkout.world.path("state/mail");
    std::fs::write(&mail, "in the way").unwrap();
    for arguments in [&["up"][..], &["up", "--detach"], &["reset", "--yes"]] {
        let refused = checkout.run(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}: {}", refused.stderr);
        for word in ["state/mail: ", "hint: name a folder that you can write to"] {
            assert!(refused.stderr.contains(word), "{arguments:?} lacks {word}: {}", refused.stderr);
        }
        assert_eq!(checkout.living(), [], "{arguments:?}");
    }
}

#[test]
fn a_service_that_never_gets_ready_is_told_with_its_code_and_the_rest_runs_on() {
    let checkout = Checkout::new();
    std::fs::write(checkout.world.path("work/crash"), "").unwrap();
    let up = checkout.run(&["up", "--detach"]);
    assert_eq!(up.code, 9, "{}", up.stderr);
    for word in ["no crystal ball", "tiny did not become ready", "shopctl dev logs tiny", "shopctl dev down"]
    {
        assert!(up.stderr.contains(word), "{word} is missing: {}", up.stderr);
    }
    let status = checkout.run(&["status", "--output", "json"]).json();
    assert_eq!((&status["up"], &status["ready"]), (&true.into(), &false.into()));
    assert_eq!(status["services"][0]["replicas"][0]["state"], "given-up");
    degraded(&checkout.run(&["status"]));
    assert_eq!(checkout.run(&["down"]).code, 0);
    assert_eq!(checkout.living(), []);
}

fn degraded(status: &Ran) {
    assert_eq!(status.code, 0, "{}", status.stderr);
    for word in ["is degraded: not ready: tiny", "shopctl dev logs tiny", "shopctl dev up"] {
        assert!(status.stdout.contains(word), "{word} is missing: {}", status.stdout);
    }
}

#[test]
fn a_service_that_is_given_up_later_leaves_the_stack_degraded() {
    let checkout = Checkout::new();
    let status = || checkout.run(&["status", "--output", "json"]).json();
    let mut child = std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = Instant::now() + Duration::from_secs(120);
            while status()["ready"] != true {
                assert!(Instant::now() < deadline, "it gets ready");
            }
            std::fs::write(checkout.world.path("work/crash"), "").unwrap();
            let replica = status()["services"][0]["replicas"][0]["proc"].clone();
            serde_json::from_value::<Proc>(replica).unwrap().signal(Signal::KILL).unwrap();
        });
        checkout.foreground(&["up", "--progress", "plain"], "hint: read `", true)
    });
    let now = status();
    assert_eq!((&now["up"], &now["ready"]), (&true.into(), &false.into()));
    degraded(&checkout.run(&["status"]));
    Proc::of(child.id()).unwrap().signal(Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(checkout.living(), []);
}

/// A password in a URL is a secret, even where it is refused.
#[test]
fn a_password_in_a_url_is_not_repeated() {
    let ran = Checkout::new().run(&["up", "--database-url", "postgres://shop:s3ntinel@127.0.0.1/shop"]);
    assert!(!ran.stderr.contains("s3ntinel") && !ran.stdout.contains("s3ntinel"), "{ran:?}");
}

//! Tokens in the system's keyring: GNOME's, on a bus of its own, so that the developer's is not touched.
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::issuer::{EMAIL, Issuer, PASSWORD};
use crate::world::{FIXTURE, Ran, World, ran};

/// Where the daemon keeps the entries that it was given no other place for.
const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";

/// A desk whose owner has a keyring, unlocked.
struct Desk {
    world: World,
    issuer: Issuer,
    bus: String,
    daemons: Vec<Child>,
}

impl Desk {
    fn open() -> Self {
        let world = World::with(FIXTURE);
        fs::write(world.path("work/password"), PASSWORD).expect("written");
        let mut desk = Self { world, issuer: Issuer::open(), bus: String::new(), daemons: Vec::new() };
        let mut bus = desk.command("dbus-daemon");
        let bus = bus.args(["--session", "--nofork", "--print-address=1"]).stdout(Stdio::piped());
        let mut bus = bus.spawn().expect("a bus (Debian: dbus-daemon)");
        BufReader::new(bus.stdout.take().expect("a pipe")).read_line(&mut desk.bus).expect("its address");
        desk.daemons.push(bus);
        let mut keyring = desk.command("gnome-keyring-daemon");
        keyring.args(["--foreground", "--components=secrets", "--unlock", "--control-directory"]);
        keyring.arg(desk.world.path("home/control")).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut keyring = keyring.spawn().expect("a keyring (Debian: gnome-keyring)");
        keyring.stdin.take().expect("a pipe").write_all(b"of its owner").expect("read");
        desk.daemons.push(keyring);
        let began = Instant::now();
        let secrets = "string:org.freedesktop.secrets";
        let asked = ["--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner", secrets];
        while !desk.send(&asked).contains("true") {
            assert!(began.elapsed() < Duration::from_secs(30), "the keyring does not come to the bus");
            std::thread::sleep(Duration::from_millis(10));
        }
        desk
    }

    /// Without a variable of the developer's, and without a display on which a password could be asked for.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.world.path("home")).stderr(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").expect("a PATH"));
        command.env("DBUS_SESSION_BUS_ADDRESS", self.bus.trim());
        command
    }

    fn send(&self, arguments: &[&str]) -> String {
        let mut send = self.command("dbus-send");
        let output = send.args(["--session", "--print-reply=literal"]).args(arguments).output();
        String::from_utf8(output.expect("it runs (Debian: dbus-bin)").stdout).expect("text")
    }

    fn lock(&self) {
        let locked = self.send(&[
            "--dest=org.freedesktop.secrets",
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service.Lock",
            &format!("array:objpath:{COLLECTION}"),
        ]);
        assert!(locked.contains(COLLECTION), "it was not locked: {locked}");
    }

    fn auth(&self, arguments: &[&str]) -> Ran {
        let mut shopctl = self.world.shopctl();
        shopctl.env("DBUS_SESSION_BUS_ADDRESS", self.bus.trim()).arg("auth").args(arguments);
        ran(shopctl.args(["--url", &self.issuer.url()]))
    }

    fn login(&self) -> Ran {
        let ran = self.auth(&["login", "--email", EMAIL, "--password-file", "password"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    }

    /// What the files of the state folder hold.
    fn files(&self) -> String {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let entries = fs::read_dir(self.world.path("home/.local/state/shopctl")).expect("a folder");
        entries.map(|entry| read(&entry.expect("an entry").path())).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for mut daemon in self.daemons.drain(..).rev() {
            // It may have ended with its bus.
            let _gone = daemon.kill();
            let _status = daemon.wait();
        }
    }
}

#[test]
fn tokens_are_kept_in_the_keyring_and_in_no_file() {
    let desk = Desk::open();
    assert!(desk.login().stdout.contains("kept in the system's keyring"));
    assert_eq!(desk.files(), "", "there is a file beside it");
    let status = desk.auth(&["status", "--output", "json"]).json();
    assert_eq!((&status["email"], &status["stored_in"]), (&EMAIL.into(), &"keyring".into()));
    let logout = desk.auth(&["logout"]);
    assert_eq!((logout.code, logout.stdout.as_str(), desk.issuer.sessions()), (0, "signed out of dev\n", 0));
    assert_eq!(desk.auth(&["status"]).code, 7);
}

#[test]
fn a_locked_keyring_is_no_empty_one() {
    let desk = Desk::open();
    desk.login();
    desk.lock();
    for command in ["status", "logout"] {
        let refused = desk.auth(&[command]);
        assert_eq!(refused.code, 7, "{refused:?}");
        let words = ["is locked", "hint: unlock it, then run this again"];
        assert!(words.iter().all(|word| refused.stderr.contains(word)), "{refused:?}");
    }
    assert_eq!(desk.issuer.sessions(), 1, "who has not been found has not been signed out");
    // A sign-in is the way out of it, and says what it leaves.
    let again = desk.login();
    assert!(again.stderr.contains("the session before this one may live on"), "{again:?}");
    assert!(again.stdout.contains(".local/state/shopctl"), "{again:?}");
    let logout = desk.auth(&["logout"]);
    assert!(logout.code == 7 && logout.stderr.contains("is locked"), "{logout:?}");
    assert_eq!((desk.files().as_str(), desk.issuer.sessions()), ("", 1), "the file's session was not ended");
}

//! `shopctl auth`: signing in, staying signed in, signing out, and where the tokens lie meanwhile.
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::issuer::{CODE, EMAIL, Issuer, PASSWORD, RECOVERY};
use crate::world::{FIXTURE, Ran, World, ran};

/// A keyring of the developer's must not be touched: with no bus there is none.
pub(crate) const NO_KEYRING: (&str, &str) = ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");

pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) issuer: Issuer,
}

impl Desk {
    pub(crate) fn open() -> Self {
        let world = World::with(FIXTURE);
        fs::write(world.path("work/password"), format!("{PASSWORD}\n")).expect("written");
        Self { world, issuer: Issuer::open() }
    }

    pub(crate) fn auth(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.shopctl();
        command
            .env(NO_KEYRING.0, NO_KEYRING.1)
            .arg("auth")
            .args(arguments)
            .args(["--url", &self.issuer.url()]);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let ran = ran(&mut self.auth(arguments));
        for secret in [PASSWORD, "access-1", "refresh-1", "access-2", "refresh-2"] {
            assert!(
                !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                "{secret} was shown: {ran:?}"
            );
        }
        ran
    }

    pub(crate) fn login(&self) -> Ran {
        let ran = self.run(&["login", "--email", EMAIL, "--password-file", "password"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.world.path("home/.local/state/shopctl")
    }

    /// The file with the tokens, if there is one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.folder()).ok()?;
        let mut files = entries.map(|entry| entry.expect("an entry").path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "json"))
    }
}

#[test]
fn sign_in_look_and_sign_out() {
    let desk = Desk::open();
    let login = desk.login();
    assert!(
        login
            .stdout
            .starts_with(&format!("signed in to dev as {EMAIL} until 2099-12-22 08:30 UTC; kept in "))
    );

    let status = desk.run(&["status"]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.stdout.starts_with(&format!("dev: {EMAIL} (customer, admin) until 2099-12-22 08:30 UTC")));
    let document = desk.run(&["status", "--output", "json"]).json();
    let expected = json!({
        "schema": 1, "environment": "dev", "url": desk.issuer.url(), "email": EMAIL, "roles": ["customer", "admin"],
        "session_until": "2099-12-22T08:30:00Z", "stored_in": "file", "file": desk.file().expect("a file"),
    });
    assert_eq!(document, expected);

    let logout = desk.run(&["logout"]);
    assert_eq!((logout.code, logout.stdout.as_str()), (0, "signed out of dev\n"));
    assert!(desk.issuer.sessions() == 0 && desk.file().is_none());
    assert_eq!(desk.run(&["logout", "--output", "json"]).json()["was_signed_in"], false);
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 7, "{status:?}");
    assert!(status.stderr.contains("shopctl auth login --env dev`"), "{}", status.stderr);
}

#[test]
fn only_the_owner_can_read_the_tokens() {
    let desk = Desk::open();
    desk.login();
    let file = desk.file().expect("a file");
    let mode = |path: &PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&desk.folder())), (0o600, 0o700));
    assert!(!fs::read_to_string(&file).expect("text").contains(PASSWORD));

    fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("set");
    for command in ["status", "logout"] {
        let refused = desk.run(&[command]);
        assert_eq!(refused.code, 7, "{refused:?}");
        assert!(
            refused.stderr.contains("others can read") && refused.stderr.contains("chmod 600"),
            "{refused:?}"
        );
    }
    assert_eq!(desk.issuer.sessions(), 1);
    let elsewhere = desk.world.path("elsewhere.json");
    fs::rename(&file, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("linked");
    assert!(desk.run(&["status"]).stderr.contains("is not a file of yours"));
}

#[test]
fn a_password_comes_from_stdin_or_a_file_and_never_from_an_argument() {
    let desk = Desk::open();
    let mut command = desk.auth(&["login", "--email", EMAIL, "--password-file", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(format!("{PASSWORD}\n").as_bytes()).expect("read");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    assert_eq!(desk.run(&["login", "--password", "x"]).code, 2);
    let asked = desk.run(&["login", "--email", EMAIL]);
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.stderr.contains("hint: give --password-file"), "{}", asked.stderr);
    let no_email = desk.run(&["login", "--password-file", "password"]);
    assert!(no_email.code == 2 && no_email.stderr.contains("hint: give --email"), "{no_email:?}");
    let absent = desk.run(&["login", "--email", EMAIL, "--password-file", "nowhere"]);
    assert!(absent.code == 2 && absent.stderr.contains("nowhere cannot be read"), "{absent:?}");
}

#[test]
fn a_second_factor_is_asked_for_when_the_service_wants_one() {
    let desk = Desk::open();
    desk.issuer.state().wants_code = true;
    let login = ["login", "--email", EMAIL, "--password-file", "password"];
    let asked = desk.run(&login);
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.stderr.contains("hint: give --totp"), "{}", asked.stderr);
    for (code, expected) in [("000000", 7), (CODE, 0)] {
        assert_eq!(desk.run(&[&login[..], &["--totp", code]].concat()).code, expected, "{code}");
    }
}

#[test]
fn a_recovery_code_is_never_an_argument() {
    let desk = Desk::open();
    desk.issuer.state().wants_code = true;
    let login = ["login", "--email", EMAIL, "--password-file", "password"];
    let with = |arguments: &[&str]| desk.run(&[&login[..], arguments].concat());
    for code in [RECOVERY, "12345", "1234567", ""] {
        let refused = with(&["--totp", code]);
        assert_eq!(refused.code, 2, "{code}: {refused:?}");
        assert!(refused.stderr.contains("--recovery-code-file") && !refused.stderr.contains(RECOVERY));
    }
    assert_eq!(desk.issuer.sessions(), 0, "not even asked");
    for (text, expected) in [("WRONG-CODE", 7), (RECOVERY, 0)] {
        fs::write(desk.world.path("work/recovery"), format!("{text}\n")).expect("written");
        let ran = with(&["--recovery-code-file", "recovery"]);
        assert_eq!(ran.code, expected, "{text}: {ran:?}");
    }
    assert_eq!(with(&["--recovery-code-file", "recovery", "--totp", CODE]).code, 2, "one of them");
    let twice = ["login", "--email", EMAIL, "--password-file", "-", "--recovery-code-file", "-"];
    let twice = desk.run(&twice);
    assert!(twice.code == 2 && twice.stderr.contains("cannot hold both"), "{twice:?}");

    let mut command = desk.auth(&[&login[..], &["--recovery-code-file", "-"]].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(RECOVERY.as_bytes()).expect("read");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_refusal_ends_with_7_and_silence_with_9() {
    let desk = Desk::open();
    let wrong = desk.run(&["login", "--email", "eve@shop.example", "--password-file", "password"]);
    assert_eq!(wrong.code, 7, "{wrong:?}");
    assert!(desk.file().is_none());
    desk.login();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut away = desk.world.shopctl();
    away.env(NO_KEYRING.0, NO_KEYRING.1).args([
        "auth",
        "login",
        "--email",
        EMAIL,
        "--password-file",
        "password",
    ]);
    let away = ran(away.args(["--url", &format!("http://{free}")]));
    assert_eq!(away.code, 9, "{away:?}");
    assert!(away.stderr.contains("is not reachable"), "{}", away.stderr);
}

#[test]
fn a_token_that_ended_is_renewed_and_the_new_one_kept() {
    let desk = Desk::open();
    // Shorter than the margin: each command finds it too old.
    desk.issuer.state().lifetime = 5;
    desk.login();
    let file = desk.file().expect("a file");
    let before = fs::read_to_string(&file).expect("text");
    assert_eq!(desk.run(&["status"]).code, 0);
    let after = fs::read_to_string(&file).expect("text");
    assert!(before.contains("refresh-1") && after.contains("refresh-2") && !after.contains("refresh-1"));
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn signing_in_again_ends_the_session_before() {
    for lifetime in [900, 5] {
        let desk = Desk::open();
        desk.issuer.state().lifetime = lifetime;
        desk.login();
        desk.login();
        assert_eq!((desk.issuer.sessions(), desk.run(&["status"]).code), (1, 0), "{lifetime}");
        // A sign-in that fails leaves it.
        fs::write(desk.world.path("work/password"), "another").expect("written");
        let refused = desk.run(&["login", "--email", EMAIL, "--password-file", "password"]);
        assert_eq!((refused.code, desk.issuer.sessions(), desk.run(&["status"]).code), (7, 1, 0));
    }
    // One that is over already, or that nobody can read, is in nobody's way.
    let desk = Desk::open();
    desk.login();
    desk.issuer.end_sessions();
    desk.login();
    fs::write(desk.file().expect("a file"), "{}").expect("written");
    desk.login();
    assert_eq!(desk.run(&["status"]).code, 0);
}

#[test]
fn commands_at_once_do_not_use_one_refresh_token_twice() {
    let desk = Desk::open();
    desk.issuer.state().lifetime = 5;
    desk.login();
    desk.issuer.state().lifetime = 900;
    let commands: Vec<_> = (0..8)
        .map(|_| {
            desk.auth(&["status"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
        })
        .collect();
    for command in commands {
        let output = command.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(desk.issuer.state().refreshes, 1, "the others did not take what the first one kept");
    assert_eq!(desk.issuer.sessions(), 1);
}

#[test]
fn a_session_that_was_ended_elsewhere_leaves_nothing_behind() {
    let desk = Desk::open();
    desk.login();
    desk.issuer.end_sessions();
    let status = desk.run(&["status"]);
    assert_eq!(status.code, 7, "{status:?}");
    assert!(desk.file().is_none(), "tokens of a dead session were kept");
}

#[test]
fn a_token_file_wins() {
    let desk = Desk::open();
    desk.login();
    let token = desk.world.path("work/ci-token");
    fs::write(&token, "access-1\n").expect("written");
    let with_file = |arguments: &[&str]| ran(desk.auth(arguments).env("SHOPCTL_TOKEN_FILE", "ci-token"));
    let document = with_file(&["status", "--output", "json"]).json();
    assert_eq!((&document["email"], &document["session_until"]), (&json!(EMAIL), &json!(null)));
    assert_eq!(document["file"], json!(token));
    let logout = with_file(&["logout"]);
    assert!(logout.code == 2 && logout.stderr.contains("SHOPCTL_TOKEN_FILE is set"), "{logout:?}");

    fs::write(&token, "token-of-a-service").expect("written");
    assert!(with_file(&["status"]).stdout.starts_with("dev: a service"));
    for (text, expected) in [("stale", 7), ("", 2)] {
        fs::write(&token, text).expect("written");
        assert_eq!(with_file(&["status"]).code, expected, "{text:?}");
    }
    fs::remove_file(&token).expect("removed");
    let missing = with_file(&["status"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("check its path, and who may read it"), "{missing:?}");
    fs::write(&token, "stale").expect("written");
    let stale = with_file(&["status"]).stderr;
    let hint = "put a new token into ci-token, or unset SHOPCTL_TOKEN_FILE";
    assert!(stale.contains(hint) && !stale.contains("auth login"), "{stale}");
    assert!(desk.issuer.sessions() == 1, "the kept session was touched");
}

#[test]
fn each_environment_and_address_has_its_own() {
    let desk = Desk::open();
    desk.login();
    assert_eq!(desk.run(&["status", "--env", "staging"]).code, 7);
    let other = Issuer::open();
    let mut command = desk.world.shopctl();
    let elsewhere = command.env(NO_KEYRING.0, NO_KEYRING.1).args(["auth", "status", "--url", &other.url()]);
    assert_eq!(ran(elsewhere).code, 7);
}

#[test]
fn a_place_that_is_none_says_what_to_do() {
    let world = World::with(FIXTURE);
    for (arguments, code, expected) in [
        (&["--env", "prd"][..], 2, "did you mean `prod`?"),
        (&["--env", "dev"], 9, "shopctl dev up"),
        (&["--url", "http://users.shop.example"], 2, "use https"),
        (&["--url", "nonsense"], 2, "it is no URL"),
    ] {
        let mut command = world.shopctl();
        command.env(NO_KEYRING.0, NO_KEYRING.1).env("SHOP_DEV_STATE", world.path("state"));
        let ran = ran(command.args(["auth", "status"]).args(arguments));
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_broken_record_of_the_stack_is_told_as_dev_tells_it() {
    let world = World::with(FIXTURE);
    fs::create_dir(world.path("state")).expect("a folder");
    fs::write(world.path("state/running.json"), "{").expect("written");
    let told = |arguments: &[&str]| {
        let mut command = world.shopctl();
        command.env(NO_KEYRING.0, NO_KEYRING.1).env("SHOP_DEV_STATE", world.path("state"));
        let ran = ran(command.args(arguments));
        (ran.code, ran.stderr)
    };
    let auth = told(&["auth", "status", "--env", "dev"]);
    assert!(auth.0 == 9 && auth.1.contains("shopctl dev down` ends what is left"), "{auth:?}");
    assert_eq!(auth, told(&["dev", "status"]));
}

/// Without a stack there is no address, and what is kept was for one that nobody knows any more.
#[test]
fn signing_out_without_a_stack_forgets_every_address_of_the_environment() {
    let desk = Desk::open();
    desk.login();
    let other = Issuer::open();
    let login = ["login", "--email", EMAIL, "--password-file", "password"];
    let mut command = desk.world.shopctl();
    let command = command.env(NO_KEYRING.0, NO_KEYRING.1).arg("auth").args(login);
    assert_eq!(ran(command.args(["--url", &other.url()])).code, 0);
    let kept = desk.file().expect("a file").with_file_name("staging@https%3A%2F%2Fshop.example.json");
    fs::write(&kept, "{}").expect("written");

    let logout = || {
        let mut command = desk.world.shopctl();
        command.env(NO_KEYRING.0, NO_KEYRING.1).env("SHOP_DEV_STATE", desk.world.path("state"));
        ran(command.args(["auth", "logout"]))
    };
    let out = logout();
    assert_eq!(out.code, 9, "{out:?}");
    for words in ["does not run here", "the tokens of 2 sessions are gone", "may live on at the service"] {
        assert!(out.stderr.contains(words), "{words} is missing: {out:?}");
    }
    assert_eq!(desk.file(), Some(kept), "that of another environment alone");
    let out = logout();
    assert_eq!((out.code, out.stdout.as_str()), (0, "nobody was signed in to dev\n"));
}

#[test]
fn signing_in_takes_away_what_is_kept_for_an_address_of_this_machine_that_is_gone() {
    let desk = Desk::open();
    fs::create_dir_all(desk.folder()).expect("made");
    let file = |name: &str| desk.folder().join(name);
    let gone = ["dev@http%3A%2F%2F127.0.0.1%3A1.json", "dev@http%3A%2F%2F127.0.0.1%3A1.lock"].map(file);
    let stay = ["staging@http%3A%2F%2F127.0.0.1%3A1.json", "dev@https%3A%2F%2Fshop.example.json"].map(file);
    for path in gone.iter().chain(&stay) {
        fs::write(path, "{}").expect("written");
    }
    let login = desk.login();
    assert!(login.stderr.contains("removed the tokens of http://127.0.0.1:1,"), "{login:?}");
    assert!(gone.iter().all(|path| !path.exists()) && stay.iter().all(|path| path.exists()));
    assert_eq!(desk.run(&["status"]).code, 0, "its own are kept");
}

//! `shopctl auth` against the real user-management: typed at a terminal, told of, replaced, ended.
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::shell::Shell;

/// A first build on a small machine.
const FIRST_BUILD: Duration = Duration::from_secs(1500);

/// A person at a shell.
struct Person<'a> {
    shell: &'a Shell,
    email: String,
    password: String,
}

impl Person<'_> {
    /// Types what is asked for, after it is asked; answers what the terminal has shown.
    fn signs_in(&self) -> String {
        let mut command = self
            .shell
            .command("script --quiet --return --command 'cargo shopctl auth login --env dev' /dev/null");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut shown = Vec::new();
        let mut answers = [("E-mail:", &self.email), ("Password:", &self.password)].into_iter().peekable();
        let mut some = [0; 1024];
        loop {
            let read = screen.read(&mut some).unwrap();
            if read == 0 {
                break;
            }
            shown.extend_from_slice(&some[..read]);
            let text = String::from_utf8_lossy(&shown);
            while let Some((_, answer)) = answers.next_if(|(question, _)| text.contains(question)) {
                keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
            }
        }
        let shown = String::from_utf8(shown).unwrap();
        assert!(child.wait().unwrap().success(), "{shown}");
        assert!(!shown.contains(&self.password), "the password is on the screen");
        assert!(shown.contains(&format!("signed in to dev as {}", self.email)), "{shown}");
        shown
    }

    fn auth(&self, typed: &str) -> Output {
        self.shell.run(&format!("cargo shopctl auth {typed}"))
    }

    /// The access token that is kept.
    fn token(&self) -> Option<String> {
        let files =
            std::fs::read_dir(self.shell.path("xdg/shopctl")).unwrap().map(|entry| entry.unwrap().path());
        let mut tokens = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
        Some(json(&std::fs::read(tokens.next()?).unwrap())["access_token"].as_str().unwrap().to_owned())
    }
}

/// The service's answer to whoever has this token.
fn asked(shell: &Shell, url: &str, token: &str) -> (String, Value) {
    // Not as an argument, which others could see.
    let header = shell.path("header");
    std::fs::write(&header, format!("Authorization: Bearer {token}")).unwrap();
    let line = format!("curl -s -w '\\n%{{http_code}}' -H @{} {url}", header.display());
    let said = String::from_utf8(shell.run(&line).stdout).unwrap();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.to_owned(), json(body.as_bytes()))
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_person_signs_in_is_known_and_signs_out() {
    let shell = Shell::new();
    let mut stack = shell.start("cargo shopctl dev up");
    stack.wait_for("What to try next", FIRST_BUILD);
    let status = json(&shell.run("cargo shopctl dev status --output json").stdout);
    let service = status["services"].as_array().unwrap().iter().find(|one| one["name"] == "user-management");
    let url = service.unwrap()["replicas"][0]["url"].as_str().unwrap().to_owned();
    let password = status["accounts"]["password_file"].as_str().unwrap();
    let password = std::fs::read_to_string(Path::new(password)).unwrap().trim().to_owned();
    let person = Person { shell: &shell, email: "ada@shop.example".to_owned(), password };
    let (me, sessions) = (format!("{url}/users/me"), format!("{url}/users/me/sessions"));

    person.signs_in();
    let known = json(&person.auth("status --env dev --output json").stdout);
    assert_eq!((&known["email"], &known["url"]), (&person.email.as_str().into(), &url.as_str().into()));
    assert_eq!(known["roles"], serde_json::json!(["customer"]));
    let first = person.token().expect("it is kept");
    let count = |token: &str| asked(&shell, &sessions, token).1["items"].as_array().unwrap().len();
    let before = count(&first);

    // Once more: the session before does not live on where nobody could end it.
    person.signs_in();
    let second = person.token().expect("it is kept");
    assert_ne!(first, second);
    let (status, problem) = asked(&shell, &me, &first);
    assert_eq!((status.as_str(), &problem["code"]), ("401", &"session_ended".into()), "{problem}");
    assert_eq!(count(&second), before);

    let out = person.auth("logout --env dev");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "signed out of dev\n");
    let (status, problem) = asked(&shell, &me, &second);
    assert_eq!((status.as_str(), &problem["code"]), ("401", &"session_ended".into()), "{problem}");
    assert_eq!((person.token(), person.auth("status --env dev").status.code()), (None, Some(7)));
    let ended = stack.interrupt();
    assert!(matches!(ended.code(), Some(0 | 130)), "Ctrl-C ended it with {ended}");
    assert_eq!(shell.left_behind(), Vec::<String>::new());
}

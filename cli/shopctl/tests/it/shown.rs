//! `shopctl dev up` as it looks: the table that stands on a terminal, the list of replicas, what was taken and why, and a
//! change that `--watch` brings in.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::dev::Checkout;

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a terminal has shown so far.
struct Screen {
    more: Receiver<String>,
    shown: String,
}

impl Screen {
    fn of(mut terminal: ChildStdout) -> Self {
        let (sender, more) = channel();
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(read @ 1..) = terminal.read(&mut some) {
                let _ended = sender.send(String::from_utf8_lossy(&some[..read]).into_owned());
            }
        });
        Self { more, shown: String::new() }
    }

    /// Reads on until it has shown `word`.
    fn until(&mut self, word: &str) {
        while !self.shown.contains(word) {
            match self.more.recv_timeout(DEADLINE) {
                Ok(more) => self.shown.push_str(&more),
                Err(error) => panic!("{word:?} is not shown ({error}): {}", self.shown),
            }
        }
    }
}

/// What the service answers; nothing where it does not.
fn answer(url: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    };
    ask().unwrap_or_default()
}

/// The address of each, and its process; one that is started again has none for a moment.
fn replicas(checkout: &Checkout) -> Vec<(String, Option<u64>)> {
    let status = checkout.run(&["status", "--output", "json"]).json();
    let list = status["services"][0]["replicas"].as_array().unwrap().clone();
    let of = |replica: serde_json::Value| {
        (replica["url"].as_str().unwrap().to_owned(), replica["proc"]["pid"].as_u64())
    };
    list.into_iter().map(of).collect()
}

#[test]
fn on_a_terminal_a_table_stands_and_ctrl_c_ends_it() {
    let checkout = Checkout::new();
    let up = checkout.command(&["up"]);
    let line = format!("{} dev up", up.get_program().display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
    command.envs(up.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    command.current_dir(up.get_current_dir().unwrap()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = Screen::of(child.stdout.take().unwrap());
    screen.until("is up");
    screen.until("What to try next");
    // The table follows what happens.
    let service = i32::try_from(replicas(&checkout)[0].1.unwrap()).unwrap();
    let service = rustix::process::Pid::from_raw(service).unwrap();
    rustix::process::kill_process(service, rustix::process::Signal::KILL).unwrap();
    screen.until("backing off");
    for word in ["●", "tiny", "postgres", "\u{1b}["] {
        assert!(screen.shown.contains(word), "{word:?}: {}", screen.shown);
    }
    keyboard.write_all(b"\x03").unwrap();
    screen.until("is down; its data stays");
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", screen.shown);
    assert_eq!(checkout.living(), []);
}

#[test]
fn replicas_are_listed_each_with_its_address_and_what_was_taken_with_the_reason() {
    let checkout = Checkout::new();
    let up = checkout.run(&["up", "--detach", "--replicas", "tiny=2"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    let listed = replicas(&checkout);
    assert_eq!(listed.len(), 2);
    assert!(listed[0].0 != listed[1].0 && listed[0].1 != listed[1].1, "{listed:?}");
    for (url, pid) in &listed {
        assert!(answer(url).ends_with(&pid.unwrap().to_string()), "{url} is that of another process");
    }
    let postgres = checkout.run(&["status", "--output", "json"]).json()["postgres"].clone();
    // The machine of the tests has its programs, and no address was given: the second of the four.
    assert_eq!(postgres["source"], "local");
    assert!(postgres["why"].as_str().unwrap().starts_with("server programs in /"), "{postgres}");
    assert!(up.stderr.contains("server programs in /"), "{}", up.stderr);
    assert_eq!(checkout.run(&["down"]).code, 0);
}

#[test]
fn a_change_is_built_and_started() {
    let checkout = Checkout::new();
    let mut up = checkout.foreground(&["up", "--watch", "--progress", "plain"], "is up", true);
    let began = Instant::now();
    let wait = |what: &str, holds: &dyn Fn() -> bool| {
        while !holds() {
            assert!(began.elapsed() < DEADLINE, "not within the deadline: {what}");
            std::thread::yield_now();
        }
    };
    let url = || replicas(&checkout)[0].0.clone();
    wait("the first build answers", &|| answer(&url()).starts_with("one "));
    let source = checkout.path("work/src/main.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("\"one\"", "\"two\"")).unwrap();
    wait("the new build answers", &|| answer(&url()).starts_with("two "));
    let supervisor = rustix::process::Pid::from_child(&up);
    rustix::process::kill_process(supervisor, rustix::process::Signal::INT).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(130));
    assert_eq!(checkout.living(), []);
}

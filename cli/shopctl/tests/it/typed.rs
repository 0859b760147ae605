//! What is typed at a terminal: questions, and what becomes of the terminal afterwards.
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use shop_devstack::process::Proc;

use crate::auth::{Desk, NO_KEYRING};
use crate::issuer::{CODE, EMAIL, PASSWORD};

#[test]
fn on_a_terminal_everything_is_asked() {
    let desk = Desk::open();
    desk.issuer.state().wants_code = true;
    let program = assert_cmd::cargo::cargo_bin!("shopctl");
    let line = format!("{} auth login --url {}", program.display(), desk.issuer.url());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
    command.env("HOME", desk.world.path("home")).env("TERM", "xterm").env(NO_KEYRING.0, NO_KEYRING.1);
    command.env("PATH", std::env::var_os("PATH").expect("a PATH")).current_dir(desk.world.path("work"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut keyboard = child.stdin.take().expect("a pipe");
    keyboard.write_all(format!("{EMAIL}\n{PASSWORD}\n{CODE}\n").as_bytes()).expect("typed");
    let output = child.wait_with_output().expect("it ends");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    for question in ["E-mail:", "Password:", "Code of the authenticator app"] {
        assert!(shown.contains(question), "{shown}");
    }
    assert_eq!(desk.issuer.sessions(), 1);
}

/// Whoever has typed half a password and thinks better of it gets a terminal that shows what is typed.
#[test]
fn a_signal_at_a_hidden_question_gives_the_terminal_back() {
    for (signal, code) in [(None, 130), (Some(Signal::TERM), 143)] {
        let desk = Desk::open();
        let program = assert_cmd::cargo::cargo_bin!("shopctl");
        // The shell outlives the Ctrl-C, and says what became of the terminal.
        let line = format!(
            "trap : INT; echo $$; {} auth login --email {EMAIL} --url {}; echo ended with $?; stty -a",
            program.display(),
            desk.issuer.url()
        );
        let mut command = Command::new("script");
        command.args(["--quiet", "--command", &line, "/dev/null"]).env_clear();
        command.env("SHELL", "/bin/sh").env("HOME", desk.world.path("home")).env("TERM", "xterm");
        command.env("PATH", std::env::var_os("PATH").expect("a PATH")).current_dir(desk.world.path("work"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut keyboard = child.stdin.take().expect("a pipe");
        let mut screen = child.stdout.take().expect("a pipe");
        let mut shown = Vec::new();
        while !String::from_utf8_lossy(&shown).contains("Password:") {
            let mut some = [0; 256];
            let read = screen.read(&mut some).expect("it shows something");
            assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&shown));
            shown.extend_from_slice(&some[..read]);
        }
        if let Some(signal) = signal {
            let text = String::from_utf8_lossy(&shown).into_owned();
            let shell = text.lines().next().expect("the shell's number").trim();
            let children = format!("/proc/{shell}/task/{shell}/children");
            let child = std::fs::read_to_string(children).expect("the shell's children");
            let child = Proc::of(child.trim().parse().expect("one")).expect("it waits for an answer");
            assert!(child.signal(signal).expect("sent"));
        } else {
            keyboard.write_all(b"half\x03").expect("typed");
        }
        screen.read_to_end(&mut shown).expect("it ends");
        child.wait().expect("it ends");
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(shown.contains(&format!("ended with {code}")), "{shown}");
        let modes: Vec<&str> = shown.split_whitespace().collect();
        for mode in ["echo", "-echonl", "icanon", "isig"] {
            assert!(modes.contains(&mode), "{mode} is missing: {shown}");
        }
    }
}

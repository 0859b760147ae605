//! A Redis of our own: made, adopted, killed, started again, stopped.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use shop_devstack::component::Report;
use shop_devstack::process::{Stopped, marked};
use shop_devstack::redis::{Redis, RedisSpec};

async fn start(spec: &RedisSpec) -> Redis {
    Redis::start(spec, &Report::silent()).await.unwrap()
}

fn ask(server: &Redis, line: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    write!(stream, "{line}\r\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn it_is_adopted_comes_back_after_a_kill_and_leaves_nothing() {
    let dir = super::folder();
    let spec = RedisSpec::new(dir.path().join("redis"));
    let first = start(&spec).await;
    assert!(ask(&first, "PING").starts_with("-NOAUTH"));
    let adopted = start(&spec).await;
    assert!(adopted.adopted() && adopted.proc() == first.proc());

    first.proc().signal(Signal::KILL).unwrap();
    first.proc().ended().await;
    let second = start(&spec).await;
    assert!(!second.adopted());
    assert_eq!(second.port(), first.port());
    let secret = std::fs::read_to_string(second.password_file()).unwrap();
    assert_eq!(ask(&second, &format!("AUTH {secret}")), "+OK\r\n");
    assert!(!second.proc().command_line().join(" ").contains(&secret));
    assert_eq!(second.stop().await.unwrap(), Stopped::Politely);
    assert_eq!(marked(&spec.dir), []);
}

#[tokio::test]
async fn one_whose_record_was_never_written_is_ended() {
    let dir = super::folder();
    let spec = RedisSpec::new(dir.path().join("redis"));
    let lost = start(&spec).await;
    std::fs::remove_file(spec.dir.join("running.json")).unwrap();
    let found = start(&spec).await;
    assert!(!found.adopted());
    assert!(!lost.proc().is_alive());
    assert_eq!(marked(&spec.dir), [found.proc()]);
    found.stop().await.unwrap();
}

#[tokio::test]
async fn a_missing_program_is_named_with_its_package() {
    let dir = super::folder();
    let spec = RedisSpec { program: Some("/nonexistent/redis-server".into()), ..RedisSpec::new(dir.path()) };
    let error = Redis::start(&spec, &Report::silent()).await.unwrap_err().to_string();
    assert!(error.contains("apt-get install redis-server"), "{error}");
}

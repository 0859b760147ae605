//! SIGTERM under load: every request that was sent on an open connection is answered.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Running;

const REQUEST: &str = "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_in_flight_is_lost() {
    let running = Arc::new(Running::with(&["--drain=500"]).await);
    let (answered, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let told = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..32 {
        let (running, answered) = (Arc::clone(&running), Arc::clone(&answered));
        let (lost, told) = (Arc::clone(&lost), Arc::clone(&told));
        clients.push(tokio::spawn(async move {
            let mut wire = running.connect().await;
            loop {
                wire.write(REQUEST).await;
                match wire.answer().await {
                    Some(answer) if answer.status == 200 => {
                        answered.fetch_add(1, Ordering::SeqCst);
                        if answer.header("connection") == Some("close") {
                            told.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                    }
                    _ => {
                        lost.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
            }
        }));
    }
    let under_load = async {
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        while answered.load(Ordering::SeqCst) < 500 {
            beat.tick().await;
        }
    };
    tokio::time::timeout(super::PATIENCE, under_load).await.unwrap();
    running.stop.cancel();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(lost.load(Ordering::SeqCst), 0);
    assert_eq!(told.load(Ordering::SeqCst), 32, "each was told to leave");
}

#[tokio::test]
async fn what_is_being_worked_on_is_finished() {
    let mut running = Running::with(&["--drain=50"]).await;
    let mut wire = running.connect().await;
    wire.write("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    // It is at work once another one is answered after it.
    assert_eq!(running.get("/hello").await.status, 200);
    running.stop.cancel();
    let gone = async {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        while tokio::net::TcpStream::connect(running.address).await.is_ok() {
            beat.tick().await;
        }
    };
    tokio::time::timeout(super::PATIENCE, gone).await.expect("no new connection is taken");
    running.valve.add_permits(1);
    assert_eq!(wire.answer().await.unwrap().status, 200);
    assert_eq!((&mut running.served).await.unwrap(), 0, "no connection was cut");
}

#[tokio::test]
async fn what_never_ends_is_cut_in_the_end() {
    let mut running = Running::with(&["--drain=10", "--shutdown=200"]).await;
    let mut wire = running.connect().await;
    wire.write("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(running.get("/hello").await.status, 200);
    let started = Instant::now();
    running.stop.cancel();
    assert_eq!((&mut running.served).await.unwrap(), 1);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let mut running = Running::with(&["--drain=10"]).await;
    let mut idle = running.connect().await;
    idle.write(REQUEST).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let silent = running.connect().await;
    running.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut running.served).await;
    assert_eq!(ended.expect("it ends").unwrap(), 0);
    idle.closed().await;
    drop(silent);
}

#[tokio::test]
async fn new_connections_are_served_while_it_drains() {
    let running = Running::with(&["--drain=60000"]).await;
    running.stop.cancel();
    let done = AtomicBool::new(false);
    let closing = async {
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        while !done.load(Ordering::SeqCst) {
            let answer = running.get("/hello").await;
            assert_eq!(answer.status, 200);
            done.store(answer.header("connection") == Some("close"), Ordering::SeqCst);
            beat.tick().await;
        }
    };
    tokio::time::timeout(super::PATIENCE, closing).await.unwrap();
}

//! SIGTERM under load: every request that was sent on an open connection is answered.
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
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

#[tokio::test]
async fn a_first_request_that_is_on_its_way_is_awaited() {
    let mut running = Running::with(&["--drain=10"]).await;
    let (mut idle, mut fresh) = (running.connect().await, running.connect().await);
    idle.write(REQUEST).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    running.stop.cancel();
    // The drain is over once the idle one is told.
    idle.closed().await;
    fresh.write(REQUEST).await;
    let answer = fresh.answer().await.expect("the first request is answered");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    drop((idle, fresh));
    assert_eq!((&mut running.served).await.unwrap(), 0);
}

#[tokio::test]
async fn nobody_new_gets_in_while_the_port_closes() {
    let running = Running::with(&["--drain=10"]).await;
    let mut idle = running.connect().await;
    idle.write(REQUEST).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    running.stop.cancel();
    idle.closed().await;
    // Unheard at first, refused in the end: never taken and then lost.
    let taken = TcpStream::connect_timeout(&running.address, Duration::from_millis(50));
    assert!(taken.is_err(), "{taken:?}");
}

#[tokio::test]
async fn who_waits_for_a_place_when_the_port_closes_is_answered() {
    let mut running = Running::with(&["--drain=10", "--max-connections=1"]).await;
    let mut first = running.connect().await;
    first.write("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut second = running.connect().await;
    second.write(REQUEST).await;
    running.stop.cancel();
    assert_eq!(second.answer().await.expect("it was in the kernel's queue").status, 200);
    running.valve.add_permits(1);
    assert_eq!(first.answer().await.unwrap().status, 200);
    drop((first, second));
    assert_eq!((&mut running.served).await.unwrap(), 0);
}

/// Clients that do as `connection: close` says and come back at once, through the whole end and from threads of their
/// own: when the port closes, some are always just coming in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_taken_is_answered() {
    for round in 0..8 {
        let mut running = Running::with(&["--drain=100"]).await;
        let over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let (address, over) = (running.address, Arc::clone(&over));
                std::thread::spawn(move || come_back_until(address, &over))
            })
            .collect();
        assert_eq!(running.get("/hello").await.status, 200);
        running.stop.cancel();
        assert_eq!((&mut running.served).await.unwrap(), 0, "no connection was cut");
        over.store(true, Ordering::SeqCst);
        let told = clients.into_iter().map(|client| client.join().unwrap()).collect::<Result<Vec<_>, _>>();
        let told: usize = told.unwrap_or_else(|lost| panic!("round {round}: {lost}")).iter().sum();
        assert!(told > 16, "they were told to leave, and came back: {told}");
    }
}

/// Asks until it is over, on a new connection whenever the last one was closed. How often it was told to leave, or how
/// a request was lost. Nothing is lost with a connection that never was one.
fn come_back_until(address: SocketAddr, over: &AtomicBool) -> Result<usize, String> {
    let mut told = 0;
    while !over.load(Ordering::SeqCst) {
        let mut stream = match TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::TimedOut) => {
                std::thread::yield_now();
                continue;
            }
            Err(error) => return Err(format!("connecting: {error}")),
        };
        stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
        loop {
            let answer = exchange(&mut stream).map_err(|error| format!("told {told} times: {error}"))?;
            if answer.contains("connection: close") {
                told += 1;
                break;
            }
            if over.load(Ordering::SeqCst) {
                return Ok(told);
            }
        }
    }
    Ok(told)
}

/// One request and the whole of its answer, which fits one read on a loopback.
fn exchange(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(REQUEST.as_bytes())?;
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer)?;
    let answer = String::from_utf8_lossy(&buffer[..read]).into_owned();
    if answer.starts_with("HTTP/1.1 200 ") { Ok(answer) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

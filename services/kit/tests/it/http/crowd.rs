//! One client that opens connections and says nothing on them does not keep others out.
use tokio::net::TcpSocket;

use super::{Running, Wire};

/// The idle ones would stay for the whole test.
const PATIENT: [&str; 2] = ["--max-connections=64", "--header-timeout=60000"];
const REQUEST: &str = "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n";

/// Idle connections from 127.0.0.9; others come from 127.0.0.1.
async fn idle(running: &Running, number: usize) -> Vec<Wire> {
    let mut wires = Vec::new();
    for _ in 0..number {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 9], 0).into()).unwrap();
        let stream = socket.connect(running.address).await.unwrap();
        wires.push(Wire { stream, read: Vec::new() });
    }
    wires
}

#[tokio::test]
async fn connections_of_one_client_leave_room_for_others() {
    let running = Running::with(&PATIENT).await;
    let mut all = idle(&running, 100).await;
    assert_eq!(running.get("/hello").await.status, 200);
    let refused = all.split_off(16);
    for mut wire in refused {
        wire.closed().await;
    }
    for wire in &mut all {
        wire.write(REQUEST).await;
        assert_eq!(wire.answer().await.expect("a quarter is its own").status, 200);
    }
    // Who hangs up has its share back.
    drop(all);
    let back = async {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(10));
        loop {
            beat.tick().await;
            let mut again = idle(&running, 1).await.remove(0);
            again.write(REQUEST).await;
            if again.answer().await.is_some() {
                return;
            }
        }
    };
    tokio::time::timeout(super::PATIENCE, back).await.unwrap();
}

#[tokio::test]
async fn a_proxy_brings_the_connections_of_many() {
    let running = Running::with(&[&PATIENT[..], &["--trusted-proxies=127.0.0.9"]].concat()).await;
    for mut wire in idle(&running, 60).await {
        wire.write(REQUEST).await;
        assert_eq!(wire.answer().await.expect("it has no share").status, 200);
    }
    let held = idle(&running, 60).await;
    assert_eq!(running.get("/hello").await.status, 200);
    drop(held);
}

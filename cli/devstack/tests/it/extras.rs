//! What `--with` starts beside the services, with the programs of this machine: it answers at the address that is
//! printed, the services are told of it, and Ctrl-C leaves nothing.
use std::net::SocketAddr;

use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use shop_devstack::events::{Event, Phase};
use shop_devstack::process::Proc;
use shop_devstack::record::Record;
use shop_devstack::{Extra, Health, Trouble, UpOptions, ask};
use shop_testbed::{Bed, Part, parts, tier};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::{Bench, Running, eventually, service};
use crate::listening::beyond_this_machine;

/// A stack with one part beside it.
struct Beside {
    // Dropped first: it would start again what is ended.
    running: Running,
    bench: Bench,
    record: Record,
    name: &'static str,
}

impl Beside {
    /// Up, with this part at the address that its step has said.
    async fn up(name: &'static str, extra: Extra, change: impl FnOnce(&mut UpOptions)) -> Self {
        let bench = Bench::new(&["tiny"]);
        let mut options = bench.options(vec![service("tiny", &[], false)]);
        options.with = vec![extra];
        change(&mut options);
        let mut running = bench.up(options);
        let said = running.until(|event| match event {
            Event::Step { step, phase: Phase::Done, text } if step == name => Some(text.clone()),
            _ => None,
        });
        let said = said.await;
        let ready = running.until(|event| match event {
            Event::Ready { record, .. } => Some((**record).clone()),
            _ => None,
        });
        let record = ready.await;
        let beside = Self { bench, running, record, name };
        assert_eq!(beside.address(), said);
        assert_eq!(ask(&beside.record).await[name], Health::Ready);
        assert_eq!(beyond_this_machine(&beside.bench.living()), [""; 0], "who can reach it?");
        beside
    }

    fn address(&self) -> &str {
        let part = self.record.parts.iter().find(|part| part.name == self.name);
        &part.unwrap().address
    }

    fn socket(&self) -> SocketAddr {
        self.address().trim_start_matches("http://").parse().unwrap()
    }

    fn proc(&self) -> Proc {
        self.record.parts.iter().find(|part| part.name == self.name).unwrap().proc.unwrap()
    }

    /// A variable of the service's process.
    fn told(&self, variable: &str) -> Option<String> {
        let pid = self.record.services[0].replicas[0].proc.unwrap().pid;
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let text = String::from_utf8(environment).unwrap();
        text.split('\0').find_map(|pair| Some(pair.strip_prefix(variable)?.strip_prefix('=')?.to_owned()))
    }

    /// The body that it answers to a request.
    async fn asked(&self, request: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.socket()).await.unwrap();
        let head = format!(
            "{request} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}",
            self.socket(),
            body.len()
        );
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Ctrl-C ends all of it.
    async fn ends(self) {
        let (socket, proc) = (self.socket(), self.proc());
        assert!(matches!(self.running.interrupt().await, Err(Trouble::Interrupted)));
        assert_eq!(self.bench.living(), [], "{} left something behind", self.name);
        assert!(!proc.is_alive());
        assert!(TcpStream::connect(socket).await.is_err(), "somebody answers still");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_takes_and_gives_messages_with_what_services_are_told() {
    parts::RABBITMQ.bring(&Bed::from_env().unwrap()).await.unwrap();
    let beside = Beside::up("rabbitmq", Extra::Queue, |_| {}).await;
    let url = beside.told("AMQP_URL").expect("the service is told");
    assert_eq!(url, format!("amqp://shop@{}/%2f", beside.address()));
    let password = std::fs::read_to_string(beside.told("AMQP_PASSWORD_FILE").unwrap()).unwrap();
    let refused = url.replace("shop@", "shop:wrong@");
    assert!(Connection::connect(&refused, ConnectionProperties::default()).await.is_err());

    let url = url.replace("shop@", &format!("shop:{}@", password.trim()));
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.queue_declare("q".into(), QueueDeclareOptions::default(), FieldTable::default()).await.unwrap();
    let publish = channel.basic_publish(
        "".into(),
        "q".into(),
        BasicPublishOptions::default(),
        b"hello",
        BasicProperties::default(),
    );
    publish.await.unwrap();
    eventually("the message comes back", async || {
        let got = channel.basic_get("q".into(), BasicGetOptions { no_ack: true }).await.unwrap();
        got.is_some_and(|message| message.data == b"hello")
    })
    .await;
    connection.close(200, "done".into()).await.unwrap();
    beside.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_scrapes_every_replica() {
    parts::PROMETHEUS.bring(&Bed::from_env().unwrap()).await.unwrap();
    let two = |options: &mut UpOptions| {
        options.replicas.insert("tiny".into(), 2);
    };
    let beside = Beside::up("prometheus", Extra::Monitoring, two).await;
    for replica in &beside.record.services[0].replicas {
        let target = format!("{}/metrics", replica.admin);
        eventually("it knows the replica", async || {
            beside.asked("GET /api/v1/targets", "").await.contains(&target)
        })
        .await;
    }
    beside.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_was_put_into_it() {
    if !tier::full_only("Elasticsearch beside a stack") {
        return;
    }
    let home = crate::folder();
    parts::unpack_elasticsearch(&Bed::from_env().unwrap(), home.path()).await.unwrap();
    let unpacked = |options: &mut UpOptions| options.elasticsearch_home = Some(home.path().to_owned());
    let beside = Beside::up("elasticsearch", Extra::Search, unpacked).await;
    assert_eq!(beside.told("ELASTICSEARCH_URL").as_deref(), Some(beside.address()));
    let put = beside.asked("PUT /things/_doc/1?refresh=true", r#"{"name": "violet otter"}"#).await;
    assert!(put.contains("created"), "{put}");
    let found = beside.asked("GET /things/_search?q=otter", "").await;
    assert!(found.contains("violet otter"), "{found}");
    beside.ends().await;
}

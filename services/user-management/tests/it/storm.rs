//! A storm of log-ins: passwords wait in a bounded queue, and reads stay quick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use shop_api::{Code, Problem, Role};
use shop_test::tier;

use crate::visitor::SECRET;
use crate::world::{Person, World};

#[tokio::test]
async fn a_full_queue_of_passwords_is_answered_503_at_once() {
    let world = World::with(|service| service.env("HASHING_THREADS", "1").env("HASHING_QUEUE", "2")).await;
    let emails: Vec<String> = (0..40).map(|n| format!("{n}@shop.example")).collect();
    let answers = join_all(emails.iter().map(|email| world.try_login(email, SECRET))).await;
    let (hashed, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status.as_u16() == 401);
    assert!(!hashed.is_empty(), "somebody was served");
    // A slow machine may also run out of database connections: 503 as well, for another reason.
    let mut overloaded = 0;
    for answer in refused {
        let code = answer.clone().expect(503).json::<Problem>().code;
        assert!(answer.header("retry-after").is_some());
        overloaded += usize::from(code == Code::Overloaded);
    }
    assert!(overloaded > 0, "the queue was full");
    world.try_login("0@shop.example", SECRET).await.expect_problem(Code::InvalidCredentials);
}

/// Reads one's account over and over on four connections; the 99th percentile.
async fn reads(world: &World, people: &[Person]) -> Duration {
    for person in people {
        person.client.get("/users/me").send().await.expect(200);
    }
    let until = Instant::now() + Duration::from_secs(5);
    let reader = async |person: &Person| {
        let mut times = Vec::new();
        while Instant::now() < until {
            let start = Instant::now();
            person.client.get("/users/me").send().await.expect(200);
            times.push(start.elapsed());
        }
        times
    };
    let mut times: Vec<Duration> = join_all(people.iter().map(reader)).await.into_iter().flatten().collect();
    times.sort();
    assert!(times.len() > 200, "{} reads", times.len());
    assert!(world.service.is_alive());
    times[times.len() * 99 / 100]
}

/// As many threads as hash passwords, as polite as they are, that do nothing but compute.
fn busy_threads(stop: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<()>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    (0..threads)
        .map(|_| {
            let stop = Arc::clone(stop);
            std::thread::spawn(move || {
                rustix::process::setpriority_process(None, 10).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_stay_quick_in_a_storm_of_log_ins() {
    if !tier::full_only("p99 of reads in a storm of log-ins") {
        return;
    }
    let world = World::with(|service| service.env("SIGN_IN_LIMIT", "off").env("LOG", "warn")).await;
    let people = join_all((0..4).map(|_| world.person(Role::Customer))).await;

    let stop = Arc::new(AtomicBool::new(false));
    let busy = busy_threads(&stop);
    let beside_busy = reads(&world, &people).await;
    stop.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().unwrap());

    let over = AtomicBool::new(false);
    // One client for all: making one reads the system's certificates, which would keep the readers waiting here.
    let visitors = world.anonymous();
    let storm = join_all((0..32).map(async |n| {
        let (mut tries, mut hashed) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            let login = json!({ "email": format!("{n}-{tries}@shop.example"), "password": SECRET });
            let answer = visitors.post("/auth/login").json(&login).send().await;
            tries += 1;
            hashed += u32::from(answer.status.as_u16() == 401);
        }
        hashed
    }));
    let (in_storm, log_ins) = futures::join!(
        async {
            let p99 = reads(&world, &people).await;
            over.store(true, Ordering::Relaxed);
            p99
        },
        storm
    );
    let log_ins: u32 = log_ins.iter().sum();
    // All of them wait at any time; more than one round of them was served, however slow the machine is.
    assert!(log_ins > 32, "the storm was one: {log_ins} log-ins");
    assert!(
        in_storm <= beside_busy * 3,
        "p99 {in_storm:?} among {log_ins} log-ins, {beside_busy:?} beside busy threads"
    );
}

//! `--with` what cannot be had here: one sentence that names the next step, and nothing left running.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use shop_testbed::{Bed, Part as _, parts, tier};

use crate::dev::Checkout;
use crate::world::{Ran, ran};

/// A part, its program and where else than in PATH it is looked for, and what is said of it.
const LACKING: &[(&str, &str, &str, &str, &str)] = &[
    (
        "cache",
        "redis-server",
        "",
        "Redis (--with cache) cannot be started: no redis-server on this machine",
        "install it, or leave out --with cache",
    ),
    (
        "search",
        "elasticsearch",
        "/usr/share/elasticsearch/bin",
        "Elasticsearch (--with search) cannot be started: no folder of it is named and there is no Docker (",
        "unpack it and give --elasticsearch-home DIR, start Docker, or leave out --with search",
    ),
    (
        "queue",
        "rabbitmq-server",
        "/usr/lib/rabbitmq/bin",
        "RabbitMQ (--with queue) cannot be started: no rabbitmq-server on this machine and no Docker (",
        "`apt-get install rabbitmq-server`, or leave out --with queue",
    ),
    (
        "monitoring",
        "prometheus",
        "",
        "Prometheus (--with monitoring) cannot be started: no prometheus in PATH and no Docker (",
        "`apt-get install prometheus`, or leave out --with monitoring",
    ),
];

/// In a view of the machine of its own, the files it is given, up to `--`, are no files any more.
const HIDE: &str = r#"
while [ "$1" != -- ]; do mount --bind /dev/null "$1"; shift; done
shift
exec "$@"
"#;

/// Runs `shopctl` where this program is not installed and no Docker answers.
fn without(program: &str, folder: &str, shopctl: &Command) -> Ran {
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::env::split_paths(&path).chain([PathBuf::from(folder)]);
    let hidden =
        folders.map(|folder| folder.join(program)).filter(|file| file.is_absolute() && file.is_file());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-euc", HIDE, "hide"]);
    command.args(hidden).arg("--").arg(shopctl.get_program()).args(shopctl.get_args());
    command.env_clear().envs(shopctl.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    ran(command.current_dir(shopctl.get_current_dir().unwrap()).stdin(Stdio::null()))
}

/// The error is one line, and the hint the next.
fn says(ran: &Ran, sentence: &str, next: &str) {
    assert_eq!(ran.code, 9, "{}", ran.stderr);
    let lines: Vec<&str> = ran.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    let [error, hint] = lines.as_slice() else { panic!("not a sentence and a hint: {}", ran.stderr) };
    assert!(error.starts_with(&format!("error: {sentence}")), "{error}");
    assert_eq!(*hint, format!("hint: {next}"));
}

#[test]
fn what_is_neither_here_nor_in_docker_is_refused_with_the_next_step() {
    if !rustix::process::geteuid().is_root() {
        return tier::left_out("--with a part that is not installed: only root can hide what is");
    }
    let checkout = Checkout::new();
    for (part, program, folder, sentence, next) in LACKING {
        says(&without(program, folder, &checkout.command(&["up", "--with", part])), sentence, next);
        assert_eq!(checkout.living(), [], "{part}");
    }
}

#[test]
fn a_folder_without_elasticsearch_is_named() {
    let checkout = Checkout::new();
    let ran = checkout.run(&["up", "--with", "search", "--elasticsearch-home", "nowhere"]);
    let home = checkout.path("work/nowhere");
    let sentence = format!(
        "Elasticsearch (--with search) cannot be started: no bin/elasticsearch in {}",
        home.display()
    );
    says(&ran, &sentence, "name the folder that has it");
    assert_eq!(checkout.living(), []);
}

/// Brings it where the tests may install.
pub(crate) fn has_prometheus() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { parts::PROMETHEUS.bring(&Bed::from_env().unwrap()).await.unwrap() });
}

#[test]
fn without_docker_there_is_prometheus_and_a_word_about_grafana() {
    if !tier::full_only("Prometheus and no Grafana, through the command") {
        return;
    }
    has_prometheus();
    let checkout = Checkout::new();
    let mut up = checkout.command(&["up", "--detach", "--with", "monitoring"]);
    let up = ran(up.env("DOCKER_HOST", "unix:///nonexistent/docker.sock"));
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(up.stderr.contains("no Grafana: it runs through Docker ("), "{}", up.stderr);
    let status = checkout.run(&["status", "--output", "json"]).json();
    assert_eq!(status["health"]["prometheus"], "ready");
    let address = status["parts"].as_array().unwrap().iter().find(|part| part["name"] == "prometheus");
    let address = address.unwrap()["address"].as_str().unwrap();
    assert!(up.stderr.contains(address), "{address} is not printed: {}", up.stderr);
    assert_eq!(checkout.run(&["down"]).code, 0);
    assert_eq!(checkout.living(), []);
}

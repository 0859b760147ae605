//! Elasticsearch: from an unpacked folder, else through Docker. One node, on the loopback, without security: what lies
//! in it is made of what PostgreSQL has. Knows no index.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Started, lacking, start_process};
use crate::component::{Account, program};
use crate::docker::{self, Container};
use crate::events::Events;
use crate::port;
use crate::process::Proc;
use crate::record::PartRecord;
use crate::stack::Stack;
use crate::trouble::Result;

pub(super) const NAME: &str = "elasticsearch";
const WHAT: &str = "Elasticsearch (--with search)";
const IMAGE: &str = "docker.elastic.co/elasticsearch/elasticsearch:9.1.4";
/// The logging of Elasticsearch (`log4j2.properties`): its words go to the console, and so to the log of who started it.
pub const LOG: &str = "\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";
/// Without it the server may write below /tmp, and refuses to start where its configuration is there too.
const JVM: &str = "-Djava.io.tmpdir=${ES_TMPDIR}\n";
const HEAP: &str = "-Xms512m -Xmx512m";
/// A disk that is nine tenths full would get no index, or make it read-only; a developer's often is.
const ON_ANY_DISK: (&str, &str) = ("cluster.routing.allocation.disk.threshold_enabled", "false");

pub(super) async fn start(stack: &Stack, home: Option<&Path>, events: &Events) -> Result<Started> {
    let step = events.step(NAME, "starting");
    let started = match find(home)? {
        Some(program) => {
            let port = port::free()?;
            super::process(WHAT, stack, (&program, port), local, (record(port), variables(port))).await?
        }
        None => match docker::available().await {
            Ok(()) => container(stack).await?,
            Err(why) => {
                let text = format!("no folder of it is named and there is no Docker ({why})");
                let next =
                    "unpack it and give --elasticsearch-home DIR, start Docker, or leave out --with search";
                return Err(lacking(WHAT, text, next));
            }
        },
    };
    step.done(&started.record.address);
    Ok(started)
}

fn find(home: Option<&Path>) -> Result<Option<PathBuf>> {
    let Some(home) = home else {
        return Ok(program("elasticsearch", &["/usr/share/elasticsearch/bin"]));
    };
    let program = home.join("bin/elasticsearch");
    if program.is_file() {
        return Ok(Some(program));
    }
    Err(lacking(WHAT, format!("no bin/elasticsearch in {}", home.display()), "name the folder that has it"))
}

fn local(stack: &Stack, program: &Path, port: u16) -> Result<(Proc, PathBuf)> {
    let folder = stack.folder().folder("parts")?.folder(NAME)?;
    let mut command = Command::new(program);
    let dirs = ["data", "log", "tmp", "config"].map(|name| folder.path().join(name));
    let account = Account::for_servers()?;
    for dir in &dirs {
        std::fs::create_dir_all(dir)?;
        if dir.ends_with("config") {
            write_config(dir)?;
        }
        if let Some(account) = &account {
            account.own(dir)?;
        }
    }
    if let Some(account) = &account {
        account.reaches(WHAT, program)?;
        account.apply(&mut command);
    }
    command.env("ES_JAVA_OPTS", HEAP).env("ES_TMPDIR", &dirs[2]).env("ES_PATH_CONF", &dirs[3]);
    let settings = [
        ("path.data", dirs[0].display().to_string()),
        ("path.logs", dirs[1].display().to_string()),
        ("discovery.type", "single-node".into()),
        ("http.host", "127.0.0.1".into()),
        ("http.port", port.to_string()),
        ("transport.port", port::free()?.to_string()),
        ("xpack.security.enabled", "false".into()),
        (ON_ANY_DISK.0, ON_ANY_DISK.1.into()),
    ];
    command.args(settings.map(|(name, value)| format!("-E{name}={value}")));
    start_process(stack, NAME, command, folder.path())
}

/// A configuration of its own: Elasticsearch writes beside it, and that of the distribution may be somebody else's.
fn write_config(folder: &Path) -> std::io::Result<()> {
    for (file, text) in [("elasticsearch.yml", ""), ("jvm.options", JVM), ("log4j2.properties", LOG)] {
        std::fs::write(folder.join(file), text)?;
    }
    Ok(())
}

async fn container(stack: &Stack) -> Result<Started> {
    let name = docker::name(stack, NAME);
    let settings = [
        ("discovery.type", "single-node"),
        ("xpack.security.enabled", "false"),
        ON_ANY_DISK,
        ("ES_JAVA_OPTS", HEAP),
    ];
    let options =
        settings.into_iter().flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]);
    let options = options.collect();
    let container = Container { image: IMAGE, port: Some(9200), options, ..Container::default() };
    let port = docker::run(stack, &name, &container).await?;
    super::container(WHAT, name, (record(port), variables(port))).await
}

fn record(port: u16) -> PartRecord {
    super::record(NAME, format!("http://127.0.0.1:{port}"), "search")
}

fn variables(port: u16) -> Vec<(String, String)> {
    vec![("ELASTICSEARCH_URL".into(), format!("http://127.0.0.1:{port}"))]
}

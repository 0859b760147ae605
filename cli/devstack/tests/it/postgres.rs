//! A PostgreSQL of our own: made, adopted, killed, started again, stopped.

use rustix::process::Signal;
use shop_devstack::component::{Account, Error, Report, Step};
use shop_devstack::postgres::{Postgres, PostgresSpec};
use shop_devstack::process::{Proc, Stopped, marked, spawn};
use shop_testbed::tier;

fn spec(dir: &tempfile::TempDir) -> PostgresSpec {
    PostgresSpec { durable: false, ..PostgresSpec::new(dir.path().join("postgres")) }
}

async fn start(spec: &PostgresSpec) -> Postgres {
    Postgres::start(spec, &Report::silent()).await.unwrap()
}

#[tokio::test]
async fn it_starts_says_what_it_does_and_leaves_nothing() {
    let dir = super::folder();
    let (sender, mut steps) = tokio::sync::mpsc::unbounded_channel();
    let server = Postgres::start(&spec(&dir), &Report::to(sender)).await.unwrap();
    let mut said = Vec::new();
    while let Ok(step) = steps.try_recv() {
        said.push(step);
    }
    assert!(matches!(
        said.as_slice(),
        [Step::Found { .. }, Step::Creating { .. }, Step::Starting { .. }, Step::Ready { .. }]
    ));
    assert!(server.ensure_database("it's \"odd\"").await.unwrap());
    assert!(!server.ensure_database("it's \"odd\"").await.unwrap());
    server.connect("it's \"odd\"").await.unwrap();

    assert_eq!(server.stop().await.unwrap(), Stopped::Politely);
    assert_eq!(server.stop().await.unwrap(), Stopped::Already);
    assert_eq!(marked(&dir.path().join("postgres")), []);
}

/// The folder of its socket is a setting that takes a list.
#[tokio::test]
async fn a_path_may_hold_what_a_list_of_paths_is_written_with() {
    let dir = super::folder();
    let spec = PostgresSpec { dir: dir.path().join(" one, \"two\" "), ..spec(&dir) };
    let server = start(&spec).await;
    let socket = server.sockets().unwrap().join(format!(".s.PGSQL.{}", server.port()));
    assert!(socket.exists(), "{}", socket.display());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn no_one_enters_without_the_password() {
    let dir = super::folder();
    let server = start(&spec(&dir)).await;
    for address in [Some("127.0.0.1".to_owned()), server.sockets().map(|dir| dir.display().to_string())] {
        let mut config = tokio_postgres::Config::new();
        config
            .host(address.expect("a temporary folder's path is short"))
            .port(server.port())
            .user("postgres");
        for password in ["", "postgres", "wrong"] {
            let refused = config.password(password).connect(tokio_postgres::NoTls).await;
            assert!(refused.is_err(), "{password:?} was let in");
        }
    }
    let secret = std::fs::metadata(server.password_file()).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&secret.permissions()) & 0o777, 0o600);
    assert!(!format!("{server:?}").contains(&std::fs::read_to_string(server.password_file()).unwrap()));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn killed_it_comes_back_with_its_data_on_its_port() {
    let dir = super::folder();
    let spec = spec(&dir);
    let first = start(&spec).await;
    first.ensure_database("kept").await.unwrap();
    assert!(first.proc().signal(Signal::KILL).unwrap());
    first.proc().ended().await;

    let second = start(&spec).await;
    assert!(!second.adopted());
    assert_ne!(second.proc(), first.proc());
    assert_eq!(second.port(), first.port());
    assert!(!second.ensure_database("kept").await.unwrap());
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_pid_file_that_names_a_stranger_does_not_keep_it_from_starting() {
    let dir = super::folder();
    let spec = spec(&dir);
    let first = start(&spec).await;
    let pid_file = dir.path().join("postgres/data/postmaster.pid");
    let text = std::fs::read_to_string(&pid_file).unwrap();
    first.stop().await.unwrap();
    // The number of the killed server was given to somebody else: to us.
    let stranger = Proc::of(std::process::id()).unwrap();
    let forged = text.replacen(&first.proc().pid.to_string(), &stranger.pid.to_string(), 1);
    std::fs::write(&pid_file, forged).unwrap();

    let second = start(&spec).await;
    assert!(!second.adopted());
    second.stop().await.unwrap();
    assert!(stranger.is_alive());
}

/// As after a kill of everything in a container whose first process reads no exit status.
#[tokio::test]
async fn a_killed_server_that_nobody_has_waited_for_does_not_keep_it_from_starting() {
    let dir = super::folder();
    let spec = spec(&dir);
    let first = start(&spec).await;
    let socket = format!("postgres/socket/.s.PGSQL.{}.lock", first.port());
    let locks = ["postgres/data/postmaster.pid", &socket].map(|file| dir.path().join(file));
    let texts = locks.each_ref().map(|file| std::fs::read_to_string(file).unwrap());
    first.stop().await.unwrap();

    let mut command = std::process::Command::new("sleep");
    command.arg("600");
    // The server can ask only for processes of its own account.
    if let Some(account) = Account::for_servers().unwrap() {
        account.apply(&mut command);
    }
    let mut child = command.spawn().unwrap();
    let zombie = Proc::of(child.id()).unwrap();
    zombie.signal(Signal::KILL).unwrap();
    zombie.ended().await;
    for (file, text) in locks.iter().zip(texts) {
        std::fs::write(file, text.replacen(&first.proc().pid.to_string(), &zombie.pid.to_string(), 1))
            .unwrap();
    }

    let second = start(&spec).await;
    assert!(!second.adopted());
    second.stop().await.unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn starts_at_once_end_in_one_server() {
    let dir = super::folder();
    let spec = spec(&dir);
    let (one, two, three) = tokio::join!(start(&spec), start(&spec), start(&spec));
    assert_eq!(one.proc(), two.proc());
    assert_eq!(one.proc(), three.proc());
    assert_eq!([&one, &two, &three].iter().filter(|server| !server.adopted()).count(), 1);
    let found = Postgres::find(&spec.dir).await.unwrap().unwrap();
    assert_eq!(found.proc(), one.proc());
    one.stop().await.unwrap();
    assert!(Postgres::find(&spec.dir).await.unwrap().is_none());
}

#[tokio::test]
async fn what_a_killed_run_left_of_making_it_is_ended_before_it_is_made_again() {
    let dir = super::folder();
    let spec = spec(&dir);
    std::fs::create_dir_all(spec.dir.join("data")).unwrap();
    // As an `initdb` that lives on without the one who started it: it writes into the data until it is ended.
    let mut initdb = std::process::Command::new("sh");
    initdb.args(["-c", "while true; do mkdir -p data; echo > data/left; sleep 0.01; done"]);
    let orphan = spawn(initdb, &spec.dir, &spec.dir.join("orphan.log")).unwrap();
    let server = start(&spec).await;
    assert!(!orphan.is_alive());
    assert!(!spec.dir.join("data/left").exists());
    server.connect("postgres").await.unwrap();
    server.stop().await.unwrap();
    assert_eq!(marked(&spec.dir), []);
}

#[tokio::test]
async fn a_used_port_names_its_holder() {
    let dir = super::folder();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = Postgres::start(&PostgresSpec { port: Some(port), ..spec(&dir) }, &Report::silent())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("port {port}")), "{text}");
    assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
}

#[tokio::test]
async fn a_folder_that_the_server_cannot_enter_is_named() {
    if !rustix::process::geteuid().is_root() {
        return tier::left_out(
            "a folder closed to the server's account: not as root it is one's own account",
        );
    }
    let dir = super::folder();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let error = Postgres::start(&spec(&dir), &Report::silent()).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { folder, .. } if folder == dir.path()), "{error}");
}

#[tokio::test]
async fn data_of_another_version_is_left_alone_and_named() {
    let dir = super::folder();
    let spec = spec(&dir);
    start(&spec).await.stop().await.unwrap();
    let version = spec.dir.join("data/PG_VERSION");
    std::fs::write(&version, "9\n").unwrap();
    let error = Postgres::start(&spec, &Report::silent()).await.unwrap_err();
    assert!(matches!(&error, Error::OtherVersion { made_by, .. } if made_by == "9"), "{error}");
    assert!(version.exists());
}

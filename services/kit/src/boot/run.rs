//! What each subcommand does. Nothing here parses arguments or decides on exit codes beyond naming the mistake.
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{BootError, Kit, Service, Started, files};
use crate::config::KitConfig;
use crate::db::Database;
use crate::error::Chain;
use crate::health::Health;
use crate::layers::Edge;
use crate::limit::Limiter;
use crate::outbox::Relay;
use crate::{docs, metrics, retention, schema, serve as server};

/// How long workers get to finish what they hold.
const WORKERS_END: Duration = Duration::from_secs(5);

/// How long PostgreSQL is asked why it could not be reached.
const REASON: Duration = Duration::from_secs(3);

/// How long the running service may take to say that it drains; it answers at once unless it hangs.
const DRAIN_ANSWER: Duration = Duration::from_secs(5);

/// How often histograms of the `metrics` macros are folded.
const UPKEEP: Duration = Duration::from_secs(5);

pub(super) async fn serve<S: Service>(config: KitConfig, own: S::Config) -> Result<(), BootError> {
    S::check(&own, &config)?;
    metrics::install();
    let terminated = termination()?;
    let public = bind(config.public_addr, "PUBLIC_ADDR").await?;
    let admin = bind(config.admin_addr, "ADMIN_ADDR").await?;
    let bound = (address(&public)?, address(&admin)?);
    tell_addresses(&config, &bound.0, &bound.1)?;
    let (health, admin_stop) = (Health::default(), CancellationToken::new());
    let admin = tokio::spawn(server::serve_admin(admin, S::INFO, health.clone(), admin_stop.clone()));
    let kit = kit::<S>(config)?;
    let relay = Relay::new(&kit.config.amqp, kit.config.protected, kit.db.pool.clone(), S::INFO.name)?;
    let started = async {
        ready_database::<S>(&kit).await?;
        S::start(own, &kit).await
    };
    let Started { state, gate } = tokio::select! {
        started = started => started?,
        () = terminated.cancelled() => return Ok(()),
    };
    kit.workers.spawn(kit.stop.clone().run_until_cancelled_owned(retention::run(kit.db.pool.clone())));
    if let Some(relay) = relay {
        kit.workers.spawn(relay.run(kit.stop.clone()));
    }
    let (router, api) = S::api().finish(&S::INFO, state, gate.as_ref());
    let router = router.merge(docs::router(&api));
    let mut limits = kit.config.limits.clone();
    limits.max_connections = files::connections(limits.max_connections, kit.config.db.database_connections);
    let edge = Arc::new(Edge::new(router, gate, kit.limiter.clone(), limits, kit.config.protected));
    health.ready();
    tracing::info!(public = bound.0, admin = bound.1, "ready");
    let upkeep = tokio::spawn(keep_up(health.clone(), Arc::clone(&edge)));
    let stop = CancellationToken::new();
    let ending = {
        let (health, stop) = (health.clone(), stop.clone());
        async move {
            terminated.cancelled().await;
            health.drain();
            tracing::info!("draining");
            stop.cancel();
        }
    };
    let (cut, ()) = tokio::join!(server::serve(public, edge, stop), ending);
    upkeep.abort();
    end(kit, cut).await;
    admin_stop.cancel();
    let _ended = admin.await;
    Ok(())
}

async fn end(kit: Kit, cut: usize) {
    kit.stop.cancel();
    kit.workers.close();
    if tokio::time::timeout(WORKERS_END, kit.workers.wait()).await.is_err() {
        tracing::warn!(workers = kit.workers.len(), "workers did not end in time");
    }
    let _closed = tokio::time::timeout(WORKERS_END, kit.db.close()).await;
    tracing::info!(connections_cut = cut, "stopped");
}

/// Drains the edge when the preStop hook has asked on the admin port, and keeps the metrics small.
async fn keep_up(health: Health, edge: Arc<Edge>) {
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    let mut beats = 0_u32;
    loop {
        beat.tick().await;
        if health.is_draining() && !edge.is_draining() {
            tracing::info!("draining");
            edge.drain();
        }
        beats = beats.wrapping_add(1);
        if beats.is_multiple_of(UPKEEP.as_millis() as u32 / 200) {
            metrics::upkeep();
        }
    }
}

/// SIGTERM and Ctrl-C.
fn termination() -> Result<CancellationToken, BootError> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(BootError::unexpected)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(BootError::unexpected)?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

async fn bind(address: SocketAddr, name: &str) -> Result<TcpListener, BootError> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => BootError::usage(format_args!(
            "{address} is in use: stop whoever listens there or set {name} to another"
        )),
        _ => BootError::usage(format_args!("cannot listen on {address} ({error}): set {name} to another")),
    })
}

fn address(listener: &TcpListener) -> Result<String, BootError> {
    listener.local_addr().map(|address| address.to_string()).map_err(BootError::unexpected)
}

/// Replaced as a whole, so that a reader never sees half of it.
fn tell_addresses(config: &KitConfig, public: &str, admin: &str) -> Result<(), BootError> {
    let Some(path) = &config.addr_file else { return Ok(()) };
    let text = serde_json::json!({ "public": public, "admin": admin }).to_string();
    let half = path.with_extension("tmp");
    std::fs::write(&half, text).and_then(|()| std::fs::rename(&half, path)).map_err(|error| {
        BootError::usage(format_args!("cannot write ADDR_FILE {} ({error})", path.display()))
    })
}

fn kit<S: Service>(config: KitConfig) -> Result<Kit, BootError> {
    let target = config.db.serve_target(S::INFO.name, config.protected)?;
    let limiter = match config.redis.redis_url {
        Some(_) => Limiter::redis(&config.redis, S::INFO.name, config.protected)?,
        None => Limiter::in_process(),
    };
    Ok(Kit {
        info: S::INFO,
        db: Database::connect(&target)?,
        limiter,
        stop: CancellationToken::new(),
        workers: TaskTracker::new(),
        config,
    })
}

/// Waits for the database, then insists on its schema: a wrong secret or an old schema never gets ready.
async fn ready_database<S: Service>(kit: &Kit) -> Result<(), BootError> {
    let patience = kit.config.start_timeout;
    if tokio::time::timeout(patience, kit.db.connected()).await.is_err() {
        // The pool only says that it waited in vain; a connection of its own says why.
        let options = kit.db.pool.connect_options();
        let asked = tokio::time::timeout(REASON, options.connect()).await;
        let reason = match asked {
            Ok(Err(error)) => Chain(&error).to_string(),
            Ok(Ok(_)) | Err(_) => "it is too slow".to_owned(),
        };
        return Err(BootError::unreachable(format_args!(
            "PostgreSQL cannot be reached ({reason}): start it, or see to DATABASE_URL and DATABASE_PASSWORD_FILE"
        )));
    }
    schema::check(&kit.db.pool, S::schema()).await?;
    Ok(())
}

pub(super) async fn migrate<S: Service>(config: &KitConfig) -> Result<(), BootError> {
    let target = config.db.migrate_target(S::INFO.name, config.protected)?;
    let serve = config.db.serve_target(S::INFO.name, config.protected)?;
    let done = schema::migrate(&target, Some(serve.user()), S::schema()).await?;
    tracing::info!(from = done.from, to = done.to, "migrated");
    Ok(())
}

pub(super) async fn seed<S: Service>(config: KitConfig, own: S::Config) -> Result<(), BootError> {
    if config.protected {
        return Err(BootError::usage(
            "seed fills a database with invented people: it does not run with PROTECTED=true",
        ));
    }
    let kit = kit::<S>(config)?;
    ready_database::<S>(&kit).await?;
    S::seed(own, &kit).await?;
    kit.db.close().await;
    Ok(())
}

/// The preStop hook: an image from scratch has no shell and no curl.
pub(super) async fn drain(config: &KitConfig) -> Result<(), BootError> {
    let address = SocketAddr::from(([127, 0, 0, 1], config.admin_addr.port()));
    let request =
        b"POST /drain HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    let answer = tokio::time::timeout(DRAIN_ANSWER, ask).await.map_err(late).and_then(|answer| answer);
    let answer = answer.map_err(|error| {
        BootError::unreachable(format_args!(
            "nothing answers on {address} ({error}): is the service running?"
        ))
    })?;
    if !answer.starts_with("HTTP/1.1 202") {
        return Err(BootError::unexpected(format!("{address} did not take the drain")));
    }
    tokio::time::sleep(config.limits.drain).await;
    Ok(())
}

pub(super) fn openapi<S: Service>() -> Result<(), BootError> {
    let text = docs::render(&S::api().openapi(&S::INFO));
    std::io::stdout().write_all(text.as_bytes()).map_err(BootError::unexpected)
}

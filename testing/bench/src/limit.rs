//! The limits that our numbers stand beside: a server that answers a constant, one that does nothing but hash, and
//! threads that are merely busy. Run as a process of its own, so that its CPU is counted apart.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::{get, post};
use clap::{Args, Subcommand};
use tokio::sync::oneshot;

/// Argon2id as the service uses it: 19 MiB, two passes, one lane.
pub(crate) const PARAMS: Params = Params::DEFAULT;
/// What the service's hashing threads run at: the bare ones must not win by their priority.
const NICENESS: i32 = 10;
/// As long as the answer of `GET /users/me`.
const CONSTANT: &str = r#"{"id":"01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70","email":"ada@shop.example","email_verified":true,"status":"active","roles":["customer"],"display_name":"Ada Lovelace","phone":"+442079460000","locale":"en-GB","two_factor":false,"created_at":"2026-11-22T09:00:00Z","updated_at":"2026-11-22T09:00:00Z"}"#;

/// What to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Limit {
    /// Serve `/static` (a constant) and `/hash` (one bare Argon2id hash)
    Serve(Serve),
    /// Keep threads busy until killed
    Spin {
        #[arg(long)]
        threads: usize,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[arg(long)]
    address: SocketAddr,
    /// Hashing threads
    #[arg(long)]
    threads: usize,
}

/// Runs until killed.
pub(crate) async fn run(limit: Limit) -> Result<()> {
    match limit {
        Limit::Serve(serve) => self::serve(serve).await,
        Limit::Spin { threads } => {
            let spinning: Vec<_> = (0..threads).map(|_| thread::spawn(spin)).collect();
            tokio::task::spawn_blocking(|| spinning.into_iter().for_each(|t| drop(t.join()))).await?;
            Ok(())
        }
    }
}

fn spin() {
    nice();
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

fn nice() {
    // Refused where the system does not allow it; then the service's threads were not niced either.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

type Job = oneshot::Sender<[u8; 32]>;

async fn serve(serve: Serve) -> Result<()> {
    let (jobs, queue) = mpsc::channel::<Job>();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..serve.threads {
        let queue = Arc::clone(&queue);
        thread::Builder::new().name("bare-hash".to_owned()).spawn(move || work(&queue))?;
    }
    let router = Router::new()
        .route("/static", get(async || ([(header::CONTENT_TYPE, "application/json")], CONSTANT)))
        .route("/hash", post(hash))
        .with_state(jobs);
    let listener = tokio::net::TcpListener::bind(serve.address).await?;
    axum::serve(listener, router.into_make_service()).await.context("the limit server ended")
}

async fn hash(State(jobs): State<mpsc::Sender<Job>>) -> (StatusCode, &'static str) {
    let (reply, answer) = oneshot::channel();
    if jobs.send(reply).is_err() || answer.await.is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "no hashing thread is left");
    }
    (StatusCode::OK, CONSTANT)
}

/// The bare loop: one buffer, used again and again.
fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    nice();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS);
    let mut memory = vec![Block::default(); PARAMS.block_count()];
    loop {
        let Ok(reply) = queue.lock().unwrap_or_else(PoisonError::into_inner).recv() else { return };
        let mut out = [0; 32];
        if argon2
            .hash_password_into_with_memory(b"violet otters read 9 lamps", &[7; 16], &mut out, &mut memory)
            .is_ok()
        {
            let _ = reply.send(out);
        }
    }
}

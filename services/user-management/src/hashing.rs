//! Argon2id on its own few threads. Must never run on the async runtime, never grow without bound, and never
//! take a core from reads: the threads are as many as the cores, niced, and fed by a bounded queue
//! (docs/decisions/0022).

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq as _;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use zeroize::Zeroizing;

use crate::domain::password::{NewPassword, normalise};

/// The OWASP minimum for Argon2id: 19 MiB, two passes, one lane.
const PARAMS: Params = Params::DEFAULT;
/// A thread without work for this long gives its 19 MiB back.
const KEEP_MEMORY: Duration = Duration::from_secs(5);
/// Below what serves requests, so that a log-in storm slows log-ins and not reads.
const NICENESS: i32 = 10;

/// Verified when there is no account, so that a stranger waits as long as a user.
static NOBODY: LazyLock<PasswordHash> = LazyLock::new(|| {
    let hash = Output::new(&[0x5a; 32]).expect("32 bytes are an output");
    phc(Salt::new(&[0x5a; 16]).expect("16 bytes are a salt"), hash)
});

/// Every place in the queue is taken: the caller answers 503 with `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy;

/// What a password turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, but stored under older parameters: hash it anew.
    RightButOutdated,
}

enum Job {
    Hash(Zeroizing<String>, oneshot::Sender<String>),
    Verify(Zeroizing<String>, Option<Box<PasswordHash>>, oneshot::Sender<Verdict>),
}

impl Job {
    /// Nobody waits for the answer any more: the client hung up or its deadline passed.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Hash(_, reply) => reply.is_closed(),
            Self::Verify(_, _, reply) => reply.is_closed(),
        }
    }
}

struct Queue {
    jobs: Mutex<State>,
    filled: Condvar,
    depth: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    closed: bool,
}

/// Handle to the hashing threads; they end when the last clone is dropped.
#[derive(Clone)]
pub struct Hasher(Arc<Owner>);

struct Owner {
    queue: Arc<Queue>,
    signed_in: Semaphore,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_all();
    }
}

impl Hasher {
    /// Starts `threads` threads behind a queue of at most `depth` waiting passwords.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(threads: usize, depth: usize) -> std::io::Result<Self> {
        let queue = Arc::new(Queue { jobs: Mutex::default(), filled: Condvar::new(), depth });
        for number in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("hashing-{number}")).spawn(move || work(&queue))?;
        }
        let signed_in = Semaphore::new((depth / 2).max(1));
        Ok(Self(Arc::new(Owner { queue, signed_in })))
    }

    /// A place among those who are signed in and are asked for their password once more: half of the queue, so that they
    /// do not keep others from signing in, however many sessions one of them has.
    ///
    /// # Errors
    /// [`Busy`] when all are taken.
    pub fn signed_in(&self) -> Result<SemaphorePermit<'_>, Busy> {
        self.0.signed_in.try_acquire().map_err(|_| Busy)
    }

    /// Whether one more password would find a place in the queue now.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full.
    pub fn check_room(&self) -> Result<(), Busy> {
        self.0.queue.room().map(drop)
    }

    /// The PHC string of a new password, under a new salt.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full.
    pub async fn hash(&self, password: &NewPassword) -> Result<String, Busy> {
        self.rehash(password.expose()).await
    }

    /// The same for a password that is in use already, whatever today's rules say of it.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full.
    pub async fn rehash(&self, password: &str) -> Result<String, Busy> {
        let (reply, answer) = oneshot::channel();
        self.0.queue.push(Job::Hash(normalise(password), reply))?;
        answer.await.map_err(|_| Busy)
    }

    /// Compares a password with a stored PHC string; without one (no such account) the same work is done and
    /// the answer is always [`Verdict::Wrong`].
    ///
    /// # Errors
    /// [`Busy`] when the queue is full.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<Verdict, Busy> {
        let stored = stored.and_then(|text| PasswordHash::new(text).ok()).map(Box::new);
        let (reply, answer) = oneshot::channel();
        self.0.queue.push(Job::Verify(normalise(password), stored, reply))?;
        answer.await.map_err(|_| Busy)
    }
}

impl Queue {
    /// Nothing that panics runs under the lock, so what it guards is whole even if it was poisoned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), Busy> {
        let mut state = self.room()?;
        state.waiting.push_back(job);
        metrics::gauge!("password_hashing_waiting").set(state.waiting.len() as f64);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// The queue, locked, when it has a place left.
    fn room(&self) -> Result<MutexGuard<'_, State>, Busy> {
        let mut state = self.lock();
        if state.waiting.len() >= self.depth {
            state.waiting.retain(|job| !job.is_abandoned());
        }
        if state.waiting.len() >= self.depth {
            metrics::counter!("password_hashing_refused_total").increment(1);
            return Err(Busy);
        }
        Ok(state)
    }

    /// The next job that somebody still waits for; `Idle` after [`KEEP_MEMORY`] without one.
    fn pop(&self) -> Next {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Next::End;
            }
            while let Some(job) = state.waiting.pop_front() {
                if !job.is_abandoned() {
                    metrics::gauge!("password_hashing_waiting").set(state.waiting.len() as f64);
                    return Next::Job(job);
                }
            }
            let (woken, wait) =
                self.filled.wait_timeout(state, KEEP_MEMORY).unwrap_or_else(PoisonError::into_inner);
            if wait.timed_out() {
                return Next::Idle;
            }
            state = woken;
        }
    }
}

enum Next {
    Job(Job),
    Idle,
    End,
}

/// One thread: one buffer, used again and again, because faulting in 19 MiB costs a tenth of the hash.
fn work(queue: &Queue) {
    // Linux changes the calling thread alone here. Where it is refused, log-ins merely compete with reads.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "the hashing threads could not be niced");
    }
    let mut memory = Vec::new();
    loop {
        match queue.pop() {
            Next::Job(Job::Hash(password, reply)) => {
                let _ = reply.send(hash(&password, &mut memory));
            }
            Next::Job(Job::Verify(password, stored, reply)) => {
                let _ = reply.send(verify(&password, stored.as_deref(), &mut memory));
            }
            Next::Idle => memory = Vec::new(),
            Next::End => return,
        }
    }
}

fn hash(password: &str, memory: &mut Vec<Block>) -> String {
    let mut salt = [0; 16];
    aws_lc_rs::rand::fill(&mut salt).expect("the system has a random source");
    let output =
        run(password, &salt, &PARAMS, memory).expect("salt, output and memory fit our own parameters");
    let hash = Output::new(&*output).expect("32 bytes are an output");
    phc(Salt::new(&salt).expect("16 bytes are a salt"), hash).to_string()
}

fn verify(password: &str, stored: Option<&PasswordHash>, memory: &mut Vec<Block>) -> Verdict {
    let readable = |hash: &PasswordHash| hash.algorithm == Algorithm::Argon2id.ident();
    let (stored, exists) =
        stored.filter(|hash| readable(hash)).map_or((&*NOBODY, false), |hash| (hash, true));
    let (Some(salt), Some(expected), Ok(params)) = (stored.salt, stored.hash, Params::try_from(stored))
    else {
        return Verdict::Wrong;
    };
    let Ok(computed) = run(password, &salt, &params, memory) else {
        tracing::error!("a stored password hash has parameters that cannot be computed");
        return Verdict::Wrong;
    };
    if !exists || !bool::from(computed.ct_eq(expected.as_bytes())) {
        Verdict::Wrong
    } else if params.m_cost() == PARAMS.m_cost() && params.t_cost() == PARAMS.t_cost() {
        Verdict::Right
    } else {
        Verdict::RightButOutdated
    }
}

fn run(
    password: &str,
    salt: &[u8],
    params: &Params,
    memory: &mut Vec<Block>,
) -> Result<Zeroizing<[u8; 32]>, argon2::Error> {
    let mut output = Zeroizing::new([0; 32]);
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone()).hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        &mut *output,
        &mut memory[..blocks],
    )?;
    Ok(output)
}

fn phc(salt: Salt, hash: Output) -> PasswordHash {
    PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: (&PARAMS).try_into().expect("the parameters have a text form"),
        salt: Some(salt),
        hash: Some(hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password() -> NewPassword {
        NewPassword::check("three green lamps", "a@b.co").unwrap()
    }

    #[tokio::test]
    async fn a_password_is_right_again_and_another_is_wrong() {
        let hasher = Hasher::start(1, 8).unwrap();
        let stored = hasher.hash(&password()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hasher.hash(&password()).await.unwrap(), "a salt is never used twice");
        assert_eq!(hasher.verify("three green lamps", Some(&stored)).await, Ok(Verdict::Right));
        assert_eq!(hasher.verify("three green lampz", Some(&stored)).await, Ok(Verdict::Wrong));
        assert_eq!(hasher.verify("three green lamps", None).await, Ok(Verdict::Wrong));
        assert_eq!(hasher.verify("three green lamps", Some("garbage")).await, Ok(Verdict::Wrong));
    }

    /// Made with the reference implementation: `argon2 somesaltsomesalt -id -t 1 -k 1024 -p 1`.
    #[tokio::test]
    async fn an_older_hash_is_right_but_outdated() {
        use argon2::PasswordHasher as _;
        let older = Argon2::from(Params::new(1024, 1, 1, Some(32)).unwrap());
        let stored =
            older.hash_password_with_salt(b"three green lamps", b"somesaltsomesalt").unwrap().to_string();
        let hasher = Hasher::start(1, 8).unwrap();
        assert_eq!(hasher.verify("three green lamps", Some(&stored)).await, Ok(Verdict::RightButOutdated));
        assert_eq!(hasher.verify("three green lampz", Some(&stored)).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_abandoned_places_are_free_again() {
        let queue = Queue { jobs: Mutex::default(), filled: Condvar::new(), depth: 1 };
        let (reply, answer) = oneshot::channel();
        queue.push(Job::Hash(Zeroizing::new(String::new()), reply)).unwrap();
        let (second, _keep) = oneshot::channel();
        assert_eq!(queue.push(Job::Hash(Zeroizing::new(String::new()), second)).unwrap_err(), Busy);
        drop(answer);
        let (third, _keep) = oneshot::channel();
        assert!(queue.push(Job::Hash(Zeroizing::new(String::new()), third)).is_ok());
    }
}

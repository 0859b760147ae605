//! All services of a running stack: started together, each waiting for what it depends on, ended in reverse order.
//! Knows nothing of databases or builds.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::record::{Record, ReplicaState};
use crate::replica::{Replica, ReplicaSpec};
use crate::stop::{GRACE, Stop};

/// The tasks of the services, in the order of their start.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    service: String,
    wanted: watch::Sender<PathBuf>,
    ending: CancellationToken,
    /// Dropped with the fleet, they stop supervising; the processes stay for the next `up` to end.
    replicas: JoinSet<()>,
}

impl Fleet {
    /// Starts the replicas of one service; services that are depended on come first.
    pub(crate) fn start(
        &mut self,
        board: &Board,
        service: &str,
        program: PathBuf,
        replicas: Vec<ReplicaSpec>,
        stop: &Stop,
    ) {
        let wanted = watch::Sender::new(program);
        let ending = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for spec in replicas {
            let (wanted, ending) = (wanted.subscribe(), ending.clone());
            tasks.spawn(Replica { spec, board: board.clone(), wanted, ending, stop: stop.clone() }.run());
        }
        self.members.push(Member { service: service.to_owned(), wanted, ending, replicas: tasks });
    }

    /// Has every replica of the service run `program`, even if it is the file it runs already.
    pub(crate) fn replace(&self, service: &str, program: &std::path::Path) {
        for member in self.members.iter().filter(|member| member.service == service) {
            member.wanted.send_replace(program.to_owned());
        }
    }

    /// Watches no service any more: none that ends is started again. The processes stay as they are.
    pub(crate) async fn let_go(&mut self) {
        for mut member in self.members.drain(..) {
            member.replicas.shutdown().await;
        }
    }

    /// Ends all, the last started first.
    pub(crate) async fn end(&mut self) {
        while let Some(mut member) = self.members.pop() {
            member.ending.cancel();
            // Its own grace is within this time; past it the task itself must hang, and is dropped.
            let all = async { while member.replicas.join_next().await.is_some() {} };
            let _late = tokio::time::timeout(GRACE + Duration::from_secs(5), all).await;
        }
    }
}

/// Returns once every replica is ready, or cannot become so without help; then with the names of those that are not.
pub(crate) async fn settled(board: &Board) -> Vec<String> {
    board.until(is_settled).await;
    board.read().not_ready()
}

fn is_settled(record: &Record) -> bool {
    let states = || record.services.iter().flat_map(|service| &service.replicas).map(|replica| replica.state);
    let failed = |state| matches!(state, ReplicaState::GivenUp | ReplicaState::Refused);
    let done = |state| state == ReplicaState::Ready || failed(state);
    // Who waits for a failed one will wait for ever.
    states().all(done)
        || (states().any(failed) && states().all(|one| done(one) || one == ReplicaState::Waiting))
}

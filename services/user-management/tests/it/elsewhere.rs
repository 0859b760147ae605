//! Another service that believes the tokens of this one: it hears of ended sessions and changed roles, in every replica,
//! and a restart forgets none of it.

use std::path::Path;
use std::sync::Arc;

use clap::Parser as _;
use serde_json::Value;
use shop_api::{Code, Problem, Role, Roles};
use shop_kit::boot::BootError;
use shop_kit::db::Database;
use shop_kit::layers::Edge;
use shop_kit::schema::Schema;
use shop_kit::{Access, ApiRouter, Caller, Json, Kit, KitConfig, Limiter, ServiceInfo, routes};
use shop_test::{Client, TestDb, until};
use sqlx::migrate::Migrator;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::world::{Person, World};

static NO_TABLES: Migrator = Migrator::DEFAULT;

#[utoipa::path(get, path = "/whoami", responses((status = 200, body = String)))]
async fn whoami(caller: Caller) -> Json<String> {
    Json(caller.subject.to_string())
}

/// Another service: its database and the client that it has at the issuer.
struct Elsewhere {
    db: TestDb,
    issuer: String,
    files: TempDir,
}

/// A running replica of it.
struct Replica {
    client: Client,
    kit: Kit,
    served: JoinHandle<usize>,
}

impl Elsewhere {
    async fn of(world: &World) -> Self {
        let files = tempfile::tempdir().unwrap();
        let db = TestDb::new(Schema { migrator: &NO_TABLES, oldest_compatible: 0 }).await;
        let elsewhere = Self { db, issuer: format!("http://{}", world.service.public()), files };
        elsewhere.gets_a_client(world).await;
        elsewhere
    }

    async fn gets_a_client(&self, world: &World) {
        let file = self.client_file().display().to_string();
        let made = world.program().run(&["clients", "create", "--name", "elsewhere", "--to", &file]).await;
        assert!(made.status.success(), "{}", made.output);
    }

    fn client_file(&self) -> std::path::PathBuf {
        self.files.path().join("client")
    }

    /// As the kit has it ready, with these arguments beside those that it needs.
    fn kit(&self, more: &[&str]) -> Kit {
        #[derive(clap::Parser)]
        struct Arguments {
            #[command(flatten)]
            kit: KitConfig,
        }
        let config =
            Arguments::parse_from(["elsewhere", "--rate-limit=off", "--drain=0"].iter().chain(more)).kit;
        Kit {
            info: ServiceInfo { name: "elsewhere", version: "1.0.0", about: "Another service" },
            db: Database::connect(&self.db.target()).unwrap(),
            limiter: Limiter::in_process(),
            stop: CancellationToken::new(),
            workers: TaskTracker::new(),
            config,
        }
    }

    async fn serve(&self) -> Replica {
        let client_file = format!("--issuer-client-file={}", self.client_file().display());
        let kit = self.kit(&[&format!("--issuer-url={}", self.issuer), &client_file]);
        let gate = kit.gate().await.unwrap();
        let api = ApiRouter::new().route(Access::Signed, routes!(whoami));
        let (router, _) = api.finish(&kit.info, (), Some(&gate));
        let limits = kit.config.limits.clone();
        let edge = Arc::new(Edge::new(router, Some(gate), kit.limiter.clone(), limits, false));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::to_address(listener.local_addr().unwrap());
        let served = tokio::spawn(shop_kit::serve::serve(listener, edge, kit.stop.clone()));
        Replica { client, kit, served }
    }

    async fn refused(&self, arguments: &[&str]) -> BootError {
        self.kit(arguments).gate().await.map(|_| ()).unwrap_err()
    }
}

impl Replica {
    /// As the program ends: nothing of it is left that would hold the database.
    async fn end(self) {
        self.kit.stop.cancel();
        self.served.await.unwrap();
        self.kit.workers.close();
        self.kit.workers.wait().await;
        self.kit.db.close().await;
    }

    async fn answers(&self, token: &str) -> Option<Code> {
        let answer = self.client.with_token(token).get("/whoami").send().await;
        (answer.status != 200).then(|| answer.json::<Problem>().code)
    }

    async fn lets_in(&self, person: &Person) {
        assert_eq!(self.answers(&person.token).await, None);
    }

    async fn comes_to_refuse(&self, person: &Person, code: Code) {
        until("the token is refused elsewhere", async || self.answers(&person.token).await == Some(code))
            .await;
    }
}

#[tokio::test]
async fn an_ended_session_is_refused_elsewhere_in_every_replica_and_after_a_restart() {
    let world = World::start().await;
    let elsewhere = Elsewhere::of(&world).await;
    let (ada, bob) = (world.person(Role::Customer).await, world.person(Role::Customer).await);
    let replicas = [elsewhere.serve().await, elsewhere.serve().await];
    for replica in &replicas {
        replica.lets_in(&ada).await;
    }
    ada.client.post("/auth/logout").send().await.expect(204);
    for replica in &replicas {
        replica.comes_to_refuse(&ada, Code::SessionEnded).await;
        replica.lets_in(&bob).await;
    }
    for replica in replicas {
        replica.end().await;
    }
    // The event has been followed already: only what was written down tells the new process, at its first call.
    let restarted = elsewhere.serve().await;
    assert_eq!(restarted.answers(&ada.token).await, Some(Code::SessionEnded));
    restarted.lets_in(&bob).await;
    restarted.end().await;
}

#[tokio::test]
async fn a_service_that_comes_back_knows_before_its_first_call_what_ended_meanwhile() {
    let world = World::start().await;
    let elsewhere = Elsewhere::of(&world).await;
    let (ada, bob) = (world.person(Role::Customer).await, world.person(Role::Customer).await);
    ada.client.post("/auth/logout").send().await.expect(204);
    // More than a page of what it does not care about, and after it another end.
    let many = "INSERT INTO kit.outbox (id, type, aggregate, data)
                SELECT gen_random_uuid(), 'user.registered', gen_random_uuid(), '{}' FROM generate_series(1, 1200)";
    sqlx::query(many).execute(world.db.pool()).await.unwrap();
    bob.client.post("/auth/logout").send().await.expect(204);
    let replica = elsewhere.serve().await;
    assert_eq!(replica.answers(&ada.token).await, Some(Code::SessionEnded));
    assert_eq!(replica.answers(&bob.token).await, Some(Code::SessionEnded));
    replica.end().await;

    // The issuer's database was restored to an earlier day: its log ends before what was heard.
    let cleo = world.person(Role::Customer).await;
    let ahead = "UPDATE kit.consumer SET after = 1000000";
    sqlx::query(ahead).execute(elsewhere.db.pool()).await.unwrap();
    cleo.client.post("/auth/logout").send().await.expect(204);
    let replica = elsewhere.serve().await;
    assert_eq!(replica.answers(&cleo.token).await, Some(Code::SessionEnded));
    replica.end().await;
}

#[tokio::test]
async fn a_client_that_is_made_anew_is_found_without_a_restart() {
    let world = World::start().await;
    let elsewhere = Elsewhere::of(&world).await;
    let (admin, ada) = (world.person(Role::Admin).await, world.person(Role::Customer).await);
    let replica = elsewhere.serve().await;
    let old: Value = serde_json::from_slice(&std::fs::read(elsewhere.client_file()).unwrap()).unwrap();
    let at = format!("/clients/{}", old["client_id"].as_str().unwrap());
    admin.client.delete(&at).send().await.expect(204);
    elsewhere.gets_a_client(&world).await;
    ada.client.post("/auth/logout").send().await.expect(204);
    replica.comes_to_refuse(&ada, Code::SessionEnded).await;
    replica.end().await;
}

#[tokio::test]
async fn a_token_with_roles_of_before_is_refused_elsewhere_and_a_new_one_is_good() {
    let world = World::start().await;
    let elsewhere = Elsewhere::of(&world).await;
    let (admin, ada) = (world.person(Role::Admin).await, world.person(Role::Customer).await);
    let replica = elsewhere.serve().await;
    replica.lets_in(&ada).await;
    let roles = serde_json::json!({ "roles": ["customer", "support"] });
    admin.client.put(&format!("/users/{}/roles", ada.id)).if_match("*").json(&roles).send().await.expect(200);
    replica.comes_to_refuse(&ada, Code::InvalidToken).await;
    let fresh = || world.sign(ada.id, Some(ada.session), Roles::NONE.with(Role::Support));
    until("a new token is good", async || replica.answers(&fresh()).await.is_none()).await;
    replica.lets_in(&admin).await;
    replica.end().await;
}

#[tokio::test]
async fn a_service_that_cannot_believe_anybody_says_what_is_missing() {
    let world = World::start().await;
    let elsewhere = Elsewhere::of(&world).await;
    let says = async |arguments: &[&str], text: &str| {
        let error = elsewhere.refused(arguments).await;
        assert!(error.exit() == 2 && error.to_string().contains(text), "{error}");
    };
    let (url, safe) = (format!("--issuer-url={}", elsewhere.issuer), "--issuer-url=https://users.test");
    says(&[], "ISSUER_URL is not set").await;
    says(&["--issuer-url=http://users.test"], "plain http is for this machine only").await;
    says(&["--protected=true", &url], "must be https://").await;
    says(&["--protected=true", safe], "ISSUER_CLIENT_FILE is not set").await;
    says(&[safe, "--issuer-ca-file=/nowhere"], "ISSUER_CA_FILE /nowhere is not usable").await;
    says(&[&url, "--issuer-client-file=/nowhere"], "ISSUER_CLIENT_FILE /nowhere is not usable").await;
    let path = elsewhere.client_file();
    let secret = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &secret[1..]).unwrap();
    let file = format!("--issuer-client-file={}", Path::new(&path).display());
    let error = elsewhere.refused(&[&url, &file]).await.to_string();
    assert!(error.contains("clients create") && !error.contains("secret"), "{error}");
}

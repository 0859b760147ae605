//! What the tests start from: the real binary on a database and a mailbox of its own, and people of every role.
//!
//! Accounts and sessions are put straight into the database and their tokens signed with the service's keys: hundreds
//! of people without hundreds of password hashes. Who tests signing in itself goes through the service.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shop_api::{Role, Roles, SessionId};
use shop_kit::{Claims, Service};
use shop_test::{Client, Mail, Mailbox, ServiceProcess, ServiceProgram, TestDb};
use tempfile::TempDir;
use time::OffsetDateTime;
use user_management::UserManagement;
use user_management::domain::password::NewPassword;
use user_management::hashing::Hasher;
use user_management::keys::{SigningKeys, folder};
use uuid::Uuid;

/// The password of everybody whom [`World::person`] makes.
pub(crate) const PASSWORD: &str = "seven lamps over the harbour";

/// A running service with all around it.
pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) mailbox: Mailbox,
    pub(crate) service: ServiceProcess,
    files: Files,
    keys: Arc<SigningKeys>,
    hash: String,
}

/// The mounted files of a service: signing keys and the key of the second factors.
pub(crate) struct Files {
    dir: TempDir,
}

/// Somebody signed in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) session: SessionId,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) client: Client,
}

impl Files {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        folder::init(&dir.path().join("keys")).unwrap();
        // 32 bytes, base64.
        std::fs::write(dir.path().join("totp.key"), "c2V2ZW4gbGFtcHMgb3ZlciB0aGUgaGFyYm91ciBrZXk=").unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The binary with everything it needs but a database.
    pub(crate) fn program(&self, mailbox: &Mailbox) -> ServiceProgram {
        ServiceProgram::new(env!("CARGO_BIN_EXE_user-management"))
            .env("SIGNING_KEYS_DIR", self.path().join("keys"))
            .env("TOTP_KEY_FILE", self.path().join("totp.key"))
            .env("SMTP_URL", mailbox.url())
            .env("MAIL_FROM", "Shop <mail@shop.example>")
            .env("PUBLIC_BASE_URL", "https://shop.example")
            .env("RATE_LIMIT", "off")
            .env("DRAIN_MS", "0")
            // Tests run side by side on few cores: what waits its turn is not what they are about.
            .env("DATABASE_ACQUIRE_TIMEOUT_MS", "15000")
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|program| program).await
    }

    /// With something changed in the environment of the service.
    pub(crate) async fn with(change: impl FnOnce(ServiceProgram) -> ServiceProgram) -> Self {
        Self::on(TestDb::new(UserManagement::schema()).await, change).await
    }

    /// On this database.
    pub(crate) async fn on(db: TestDb, change: impl FnOnce(ServiceProgram) -> ServiceProgram) -> Self {
        let mailbox = shop_test::mailbox().await.unwrap();
        let files = Files::new();
        let service = change(files.program(&mailbox).on(&db)).serve().await;
        let keys = SigningKeys::open(files.path().join("keys")).unwrap();
        let hasher = Hasher::start(1, 8).unwrap();
        let password = NewPassword::check(PASSWORD, "").unwrap();
        let hash = hasher.hash(&password).await.unwrap();
        Self { db, mailbox, service, files, keys, hash }
    }

    /// The same service once more: another replica, or another subcommand.
    pub(crate) fn program(&self) -> ServiceProgram {
        self.files.program(&self.mailbox).on(&self.db)
    }

    /// The folder of the signing keys.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.files.path().join("keys")
    }

    pub(crate) fn anonymous(&self) -> Client {
        self.service.client()
    }

    /// A verified account with this role beside `customer`, signed in. A service client for [`Role::Service`].
    pub(crate) async fn person(&self, role: Role) -> Person {
        let id = Uuid::now_v7();
        if role == Role::Service {
            return self.service_client(id).await;
        }
        let email = format!("{role}-{}@shop.example", id.simple());
        let mut roles = vec!["customer"];
        if role != Role::Customer {
            roles.push(role.as_str());
        }
        sqlx::query(
            "INSERT INTO users (id, email, email_verified_at, password_hash, display_name, roles)
             VALUES ($1, $2, now(), $3, 'Ada Lovelace', $4)",
        )
        .bind(id)
        .bind(&email)
        .bind(&self.hash)
        .bind(&roles)
        .execute(self.db.pool())
        .await
        .unwrap();
        self.sign_in(id, email, Roles::from_names(roles)).await
    }

    /// One more session of a person.
    pub(crate) async fn again(&self, person: &Person) -> Person {
        self.sign_in(person.id, person.email.clone(), Roles::NONE.with(Role::Customer)).await
    }

    async fn sign_in(&self, id: Uuid, email: String, roles: Roles) -> Person {
        let session = SessionId::new();
        sqlx::query(
            "INSERT INTO sessions (id, user_id, expires_at, ends_at, user_agent)
             VALUES ($1, $2, now() + interval '1 hour', now() + interval '1 hour', 'tests')",
        )
        .bind(session.uuid())
        .bind(id)
        .execute(self.db.pool())
        .await
        .unwrap();
        let token = self.sign(id, Some(session), roles);
        Person { id, session, email, client: self.anonymous().with_token(&token), token }
    }

    async fn service_client(&self, id: Uuid) -> Person {
        let name = format!("s-{}", id.simple());
        sqlx::query("INSERT INTO service_clients (id, name) VALUES ($1, $2)")
            .bind(id)
            .bind(&name)
            .execute(self.db.pool())
            .await
            .unwrap();
        let token = self.sign(id, None, Roles::NONE.with(Role::Service));
        let client = self.anonymous().with_token(&token);
        Person { id, session: SessionId::new(), email: name, token, client }
    }

    /// An access token as the service makes them.
    pub(crate) fn sign(&self, subject: Uuid, session: Option<SessionId>, roles: Roles) -> String {
        let now = OffsetDateTime::now_utc();
        let claims = Claims::new(
            "https://shop.example",
            "shop",
            subject,
            roles,
            now,
            std::time::Duration::from_secs(900),
        );
        self.keys.sign(&Claims { sid: session, ..claims }).unwrap()
    }

    /// Whoever is made from now on has this password.
    pub(crate) async fn known_by(&mut self, password: &str) {
        let password = NewPassword::check(password, "").unwrap();
        self.hash = Hasher::start(1, 8).unwrap().hash(&password).await.unwrap();
    }

    /// How many rows a statement counts.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.db.pool()).await.unwrap()
    }

    /// Whether a statement in this test's database waits for a lock; those of other tests on the same server do not count.
    pub(crate) async fn somebody_waits(&self) -> bool {
        let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity a USING (pid)
                       WHERE NOT granted AND a.datname = current_database()";
        self.count(waiting).await > 0
    }

    /// The types of the events about a thing, in order.
    pub(crate) async fn events(&self, aggregate: Uuid) -> Vec<String> {
        sqlx::query_scalar("SELECT type FROM kit.outbox WHERE aggregate = $1 ORDER BY entry")
            .bind(aggregate)
            .fetch_all(self.db.pool())
            .await
            .unwrap()
    }

    /// An entry of the audit log about somebody, made so many days ago.
    pub(crate) async fn entry(&self, subject: Uuid, days: i64) {
        let at = OffsetDateTime::now_utc() - time::Duration::days(days);
        let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap();
        let id = uuid::Builder::from_unix_timestamp_millis(
            millis,
            Uuid::new_v4().as_bytes().first_chunk().unwrap(),
        );
        sqlx::query("INSERT INTO audit_log (id, at, action, actor_kind, subject) VALUES ($1, $2, 'user.tested', 'system', $3)")
            .bind(id.into_uuid())
            .bind(at)
            .bind(subject)
            .execute(self.db.pool())
            .await
            .unwrap();
    }

    /// The actions of the audit log about somebody, in order.
    pub(crate) async fn audit(&self, subject: Uuid) -> Vec<String> {
        sqlx::query_scalar("SELECT action FROM audit_log WHERE subject = $1 ORDER BY id")
            .bind(subject)
            .fetch_all(self.db.pool())
            .await
            .unwrap()
    }
}

impl World {
    /// The newest mail to this address, once there is one.
    pub(crate) async fn mail_to(&self, address: &str) -> Mail {
        let patience = shop_test::PATIENCE;
        self.mailbox.wait_for(|mail| mail.is_to(address), patience).await.expect("a mail comes")
    }

    /// The token of the link in a mail.
    pub(crate) fn token_in(mail: &Mail) -> String {
        let link = mail.link("token=").unwrap_or_else(|| panic!("no link in {}", mail.text));
        link.split("token=").nth(1).unwrap().split(['&', '#']).next().unwrap().to_owned()
    }
}

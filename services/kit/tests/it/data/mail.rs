//! The mail worker against a real SMTP server and a real queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use shop_kit::mail::{Job, Letter, MAX_ATTEMPTS, MailConfig, Mailer, RenderError, Renderer, enqueue};
use shop_testbed::mailbox::{Mailbox, MailboxSpec};
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Fresh, PATIENCE, until, within};

/// Makes a token in its transaction and mails it, as a password reset does.
#[derive(Default)]
struct Tokens {
    rendered: AtomicUsize,
}

#[async_trait]
impl Renderer for Tokens {
    async fn render(&self, tx: &mut PgConnection, job: &Job) -> Result<Option<Letter>, RenderError> {
        self.rendered.fetch_add(1, Ordering::SeqCst);
        match job.kind.as_str() {
            "nobody" => return Ok(None),
            "broken" => {
                sqlx::query("SELECT 1 / 0").execute(&mut *tx).await?;
            }
            "nonsense" => {}
            _ => {
                let insert = "INSERT INTO tokens VALUES ($1, $2)";
                sqlx::query(insert).bind(job.subject).bind(job.attempt).execute(&mut *tx).await?;
            }
        }
        let to = if job.kind == "nonsense" { "no address" } else { "Ada <ada@shop.example>" };
        Ok(Some(Letter {
            to: to.into(),
            subject: format!("Grüße {}", job.data["name"].as_str().unwrap_or_default()),
            text: format!("token {} of attempt {}", job.subject, job.attempt),
            html: "<p>token</p>".into(),
        }))
    }
}

struct Post {
    pool: PgPool,
    mailbox: Mailbox,
    renderer: Arc<Tokens>,
    stop: CancellationToken,
    workers: Vec<JoinHandle<()>>,
    _fresh: Fresh,
}

fn mailer(mailbox: &Mailbox) -> Arc<Mailer> {
    let config = MailConfig {
        smtp_url: Some(mailbox.url()),
        mail_from: Some("Shop <no-reply@shop.example>".into()),
        ..MailConfig::default()
    };
    Arc::new(config.mailer(false).unwrap())
}

impl Post {
    async fn open(workers: usize) -> Self {
        let fresh = Fresh::migrated().await;
        let pool = fresh.database().await.pool;
        sqlx::query("CREATE TABLE tokens (subject uuid, attempt int)").execute(&pool).await.unwrap();
        let mailbox = shop_testbed::mailbox().await.unwrap();
        let (stop, renderer) = (CancellationToken::new(), Arc::new(Tokens::default()));
        let mut post = Self { pool, mailbox, renderer, stop, workers: vec![], _fresh: fresh };
        for _ in 0..workers {
            post.employ();
        }
        post
    }

    fn employ(&mut self) {
        let run = mailer(&self.mailbox).run(self.pool.clone(), self.renderer.clone(), self.stop.clone());
        self.workers.push(tokio::spawn(run));
    }

    async fn post(&self, kind: &str) -> (Uuid, Uuid) {
        let subject = Uuid::now_v7();
        let id = enqueue(&self.pool, kind, subject, &serde_json::json!({"name": "Ada"})).await.unwrap();
        (id, subject)
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    async fn empty(&self) {
        until(PATIENCE, async || {
            self.count("SELECT count(*) FROM kit.mail_queue WHERE dead_at IS NULL").await == 0
        })
        .await;
    }

    async fn close(self) {
        self.stop.cancel();
        for worker in self.workers {
            within(PATIENCE, worker).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_letter_arrives_and_its_token_is_valid_by_then() {
    let post = Post::open(1).await;
    let (id, subject) = post.post("reset").await;
    let mail =
        post.mailbox.wait_for(|mail| mail.text.contains(&subject.to_string()), PATIENCE).await.unwrap();
    let valid: i64 = sqlx::query_scalar("SELECT count(*) FROM tokens WHERE subject = $1")
        .bind(subject)
        .fetch_one(&post.pool)
        .await
        .unwrap();
    assert_eq!(valid, 1);
    assert_eq!(
        (mail.subject.as_str(), mail.to.as_slice()),
        ("Grüße Ada", &["ada@shop.example".to_owned()][..])
    );
    assert_eq!(mail.from, "no-reply@shop.example");
    assert!(mail.html.unwrap().contains("<p>token</p>"));
    assert!(mail.raw.contains(&format!("<{id}@shop.example>")), "{}", mail.raw);
    post.empty().await;
    post.close().await;
}

#[tokio::test]
async fn a_letter_of_a_transaction_that_failed_is_never_made() {
    let post = Post::open(1).await;
    let mut tx = post.pool.begin().await.unwrap();
    enqueue(&mut *tx, "reset", Uuid::now_v7(), &serde_json::json!({})).await.unwrap();
    tx.rollback().await.unwrap();
    let (_, after) = post.post("reset").await;
    post.mailbox.wait_for(|mail| mail.text.contains(&after.to_string()), PATIENCE).await.unwrap();
    assert_eq!(post.mailbox.list().len(), 1);
    post.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_workers_send_each_letter_once() {
    let post = Post::open(4).await;
    for _ in 0..40 {
        post.post("reset").await;
    }
    post.empty().await;
    assert_eq!(post.mailbox.list().len(), 40);
    assert_eq!(post.renderer.rendered.load(Ordering::SeqCst), 40);
    post.close().await;
}

#[tokio::test]
async fn a_server_that_says_later_is_asked_again_with_a_new_token() {
    let post = Post::open(1).await;
    post.mailbox.refuse(Some("451 4.3.0 ada@shop.example: later"));
    let (id, _) = post.post("reset").await;
    let waiting = async || {
        let sql = "SELECT last_error FROM kit.mail_queue WHERE id = $1 AND dead_at IS NULL AND last_error IS NOT NULL";
        sqlx::query_scalar::<_, String>(sql).bind(id).fetch_optional(&post.pool).await.unwrap()
    };
    until(PATIENCE, async || waiting().await.is_some()).await;
    let error = waiting().await.unwrap();
    assert!(error.contains("451") && !error.contains("ada"), "{error}");
    post.mailbox.refuse(None);
    let mail = post.mailbox.wait_for(|mail| mail.text.contains("of attempt 2"), PATIENCE).await.unwrap();
    assert!(mail.raw.contains(&format!("<{id}@")), "not the same message");
    post.empty().await;
    post.close().await;
}

/// The system takes the connection, and nobody ever answers.
#[tokio::test]
async fn a_server_that_says_nothing_does_not_keep_the_worker() {
    let mut post = Post::open(0).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = MailConfig {
        smtp_url: Some(format!("smtp://{}", silent.local_addr().unwrap())),
        smtp_timeout_ms: Some(100),
        mail_from: Some("no-reply@shop.example".into()),
        ..MailConfig::default()
    };
    for _ in 0..2 {
        post.post("reset").await;
    }
    let stop = CancellationToken::new();
    let mailer = Arc::new(config.mailer(false).unwrap());
    let stuck = tokio::spawn(mailer.run(post.pool.clone(), post.renderer.clone(), stop.clone()));
    until(PATIENCE, async || {
        post.count("SELECT count(*) FROM kit.mail_queue WHERE last_error LIKE '%no answer within 100 ms%'")
            .await
            == 2
    })
    .await;
    stop.cancel();
    within(PATIENCE, stuck).await.unwrap();
    // Where the server works they go out after all.
    sqlx::query("UPDATE kit.mail_queue SET due_at = now()").execute(&post.pool).await.unwrap();
    post.employ();
    post.empty().await;
    post.close().await;
}

#[tokio::test]
async fn a_refusal_for_good_is_not_repeated() {
    let post = Post::open(1).await;
    let refusals =
        ["550 5.1.1 no such user", "550 no such user", "553 bad mailbox name", "552 5.2.2 it is full"];
    for (sent, refusal) in (1..).zip(refusals) {
        post.mailbox.refuse(Some(refusal));
        post.post("reset").await;
        until(PATIENCE, async || {
            post.count("SELECT count(*) FROM kit.mail_queue WHERE dead_at IS NOT NULL").await == sent
        })
        .await;
        assert_eq!(post.renderer.rendered.load(Ordering::SeqCst), usize::try_from(sent).unwrap());
    }
    post.close().await;
}

#[tokio::test]
async fn a_refusal_that_is_not_of_the_mailbox_loses_no_letter() {
    let post = Post::open(1).await;
    let refusals = [
        "550 5.7.1 relaying denied",
        "554 no service for you",
        "553 5.1.8 who are you",
        "530 5.7.0 sign in first",
    ];
    for (waiting, refusal) in (1..).zip(refusals) {
        post.mailbox.refuse(Some(refusal));
        post.post("reset").await;
        until(PATIENCE, async || {
            post.count("SELECT count(*) FROM kit.mail_queue WHERE last_error IS NOT NULL").await == waiting
        })
        .await;
    }
    assert_eq!(post.count("SELECT count(*) FROM kit.mail_queue WHERE dead_at IS NOT NULL").await, 0);
    post.mailbox.refuse(None);
    sqlx::query("UPDATE kit.mail_queue SET due_at = now()").execute(&post.pool).await.unwrap();
    post.empty().await;
    assert_eq!(post.mailbox.list().len(), refusals.len());
    post.close().await;
}

#[tokio::test]
async fn attempts_are_bounded() {
    let mut post = Post::open(0).await;
    post.mailbox.refuse(Some("451 4.3.0 later"));
    post.post("reset").await;
    sqlx::query("UPDATE kit.mail_queue SET attempts = $1")
        .bind(MAX_ATTEMPTS - 1)
        .execute(&post.pool)
        .await
        .unwrap();
    post.employ();
    until(PATIENCE, async || {
        post.count("SELECT count(*) FROM kit.mail_queue WHERE dead_at IS NOT NULL").await == 1
    })
    .await;
    post.close().await;
}

#[tokio::test]
async fn a_letter_that_cannot_be_made_does_not_stop_the_others() {
    let post = Post::open(1).await;
    post.post("broken").await;
    post.post("nonsense").await;
    post.post("nobody").await;
    let (_, fine) = post.post("reset").await;
    post.mailbox.wait_for(|mail| mail.text.contains(&fine.to_string()), PATIENCE).await.unwrap();
    let left = "SELECT string_agg(kind || ':' || last_error, ', ' ORDER BY kind) FROM kit.mail_queue";
    let left: String = sqlx::query_scalar(left).fetch_one(&post.pool).await.unwrap();
    assert!(left.starts_with("broken:the server did not take it now (not rendered), nonsense:"), "{left}");
    assert!(!left.contains("no address"), "{left}");
    post.close().await;
}

/// A worker died between taking a letter and sending it: the lease ends, and another one sends it.
#[tokio::test]
async fn a_letter_that_nobody_finished_is_sent_after_its_lease() {
    let mut post = Post::open(0).await;
    let (_, subject) = post.post("reset").await;
    let held = "UPDATE kit.mail_queue SET attempts = 1, due_at = now() + interval '1 hour'";
    sqlx::query(held).execute(&post.pool).await.unwrap();
    post.employ();
    let (_, other) = post.post("reset").await;
    post.mailbox.wait_for(|mail| mail.text.contains(&other.to_string()), PATIENCE).await.unwrap();
    assert_eq!(post.mailbox.list().len(), 1, "it was taken from a worker that holds it");
    sqlx::query("UPDATE kit.mail_queue SET due_at = now()").execute(&post.pool).await.unwrap();
    post.mailbox.wait_for(|mail| mail.text.contains(&subject.to_string()), PATIENCE).await.unwrap();
    post.close().await;
}

#[tokio::test]
async fn the_server_wants_a_password_and_gets_the_present_one() {
    let password = "s3cret".to_owned();
    let spec = MailboxSpec { password: Some(password.clone().into()), ..MailboxSpec::default() };
    let mailbox = Mailbox::start(spec).await.unwrap();
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    sqlx::query("CREATE TABLE tokens (subject uuid, attempt int)").execute(&pool).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "old\n").unwrap();
    let config = MailConfig {
        smtp_url: Some(mailbox.url().replace("smtp://", "smtp://shop%40mail@")),
        smtp_password_file: Some(file.path().into()),
        mail_from: Some("no-reply@shop.example".into()),
        ..MailConfig::default()
    };
    let stop = CancellationToken::new();
    let mailer = Arc::new(config.mailer(false).unwrap());
    let worker = tokio::spawn(mailer.run(pool.clone(), Arc::new(Tokens::default()), stop.clone()));
    enqueue(&pool, "reset", Uuid::now_v7(), &serde_json::json!({})).await.unwrap();
    let failed = async || {
        let sql = "SELECT last_error IS NOT NULL FROM kit.mail_queue";
        sqlx::query_scalar::<_, bool>(sql).fetch_one(&pool).await.unwrap()
    };
    until(PATIENCE, failed).await;
    std::fs::write(file.path(), format!("{password}\n")).unwrap();
    sqlx::query("UPDATE kit.mail_queue SET due_at = now()").execute(&pool).await.unwrap();
    mailbox.wait_for(|_| true, PATIENCE).await.unwrap();
    stop.cancel();
    worker.await.unwrap();
}

#[test]
fn what_cannot_be_used_says_so() {
    let config = |url: &str| MailConfig {
        smtp_url: Some(url.into()),
        mail_from: Some("Shop <no-reply@shop.example>".into()),
        ..MailConfig::default()
    };
    for good in [
        "smtp://127.0.0.1:1025",
        "smtp://localhost",
        "smtp://user@mail.example:587",
        "smtps://user%40x@mail.example",
    ] {
        assert!(config(good).mailer(false).is_ok(), "{good}");
    }
    for (url, protected, expected) in [
        ("smtp://user:hunter2@mail.example", false, "SMTP_PASSWORD_FILE"),
        ("smtp://127.0.0.1:1025", true, "must use TLS"),
        ("http://mail.example", false, "smtp or smtps"),
        ("mail.example", false, "SMTP_URL"),
    ] {
        let text = config(url).mailer(protected).err().unwrap().to_string();
        assert!(text.contains(expected) && !text.contains("hunter2"), "{url}: {text}");
    }
    assert!(config("smtp://user@mail.example").mailer(true).is_ok());
    let no_sender = MailConfig { mail_from: None, ..config("smtp://localhost") };
    assert_eq!(no_sender.mailer(false).err().unwrap().to_string(), "MAIL_FROM is not set: mail needs it");
    let bad_sender = MailConfig { mail_from: Some("nobody".into()), ..config("smtp://localhost") };
    assert!(bad_sender.mailer(false).err().unwrap().to_string().contains("MAIL_FROM"));
}

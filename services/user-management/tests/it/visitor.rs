//! What a visitor does at the door, for tests of signing up and in: through the service and its mails alone.

use serde_json::{Value, json};
use shop_api::Code;
use shop_api::users::auth::Tokens;
use shop_test::{Answer, Mail, PATIENCE};

use crate::world::World;

/// A good password that no rule knows.
pub(crate) const SECRET: &str = "violet otter under nine lamps";

impl World {
    pub(crate) async fn register(&self, email: &str, password: &str) -> Answer {
        let body = json!({ "email": email, "password": password, "display_name": "Ada" });
        self.anonymous().post("/auth/register").json(&body).send().await
    }

    /// Registers and opens the link of the mail.
    pub(crate) async fn sign_up(&self, email: &str) {
        self.register(email, SECRET).await.expect(202);
        let token = self.mailed_token(email, "Verify your e-mail address").await;
        self.verify(&token).await.expect(204);
    }

    pub(crate) async fn verify(&self, token: &str) -> Answer {
        self.anonymous().post("/auth/verify").json(&json!({ "token": token })).send().await
    }

    pub(crate) async fn try_login(&self, email: &str, password: &str) -> Answer {
        self.login_with(json!({ "email": email, "password": password })).await
    }

    pub(crate) async fn login_with(&self, body: Value) -> Answer {
        self.anonymous().post("/auth/login").json(&body).send().await
    }

    pub(crate) async fn login(&self, email: &str) -> Tokens {
        self.try_login(email, SECRET).await.expect(200).json()
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Answer {
        self.anonymous().post("/auth/refresh").json(&json!({ "refresh_token": refresh_token })).send().await
    }

    pub(crate) async fn forgot(&self, email: &str) -> Answer {
        self.anonymous().post("/auth/password/forgot").json(&json!({ "email": email })).send().await
    }

    pub(crate) async fn reset(&self, token: &str, password: &str) -> Answer {
        let body = json!({ "token": token, "new_password": password });
        self.anonymous().post("/auth/password/reset").json(&body).send().await
    }

    /// The newest mail to somebody with this subject, waited for.
    pub(crate) async fn mail(&self, to: &str, subject: &str) -> Mail {
        let wanted = |mail: &Mail| mail.is_to(to) && mail.subject == subject;
        let found = self.mailbox.wait_for(wanted, PATIENCE).await;
        found.unwrap_or_else(|| panic!("no mail {subject:?} to {to}; there are {:?}", self.subjects(to)))
    }

    /// Subjects of all mails to somebody.
    pub(crate) fn subjects(&self, to: &str) -> Vec<String> {
        self.mailbox.list().into_iter().filter(|mail| mail.is_to(to)).map(|mail| mail.subject).collect()
    }

    /// The token in the newest mail, as a person's link carries it.
    pub(crate) async fn mailed_token(&self, to: &str, subject: &str) -> String {
        let mail = self.mail(to, subject).await;
        let link = mail.link("#token=").unwrap_or_else(|| panic!("no link in {}", mail.text));
        link.split_once("#token=").unwrap().1.to_owned()
    }

    /// Waits until every queued letter was sent or found to be for nobody.
    pub(crate) async fn letters_are_out(&self) {
        shop_test::until("the queue of letters is empty", || async {
            self.count("SELECT count(*) FROM kit.mail_queue").await == 0
        })
        .await;
    }

    /// Moves the clock of what is stored: a statement that ages rows.
    pub(crate) async fn age(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.db.pool()).await.unwrap();
    }

    /// Ages every mailed token by as long as one may live.
    pub(crate) async fn half_an_hour_passes(&self) {
        self.age(
            "UPDATE mail_tokens SET created_at = created_at - interval '30 minutes',
                                    expires_at = expires_at - interval '30 minutes'",
        )
        .await;
    }

    /// Whether an access token still opens the account.
    pub(crate) async fn opens(&self, tokens: &Tokens) -> bool {
        let answer = self.anonymous().with_token(&tokens.access_token).get("/users/me").send().await;
        if answer.status.is_success() {
            return true;
        }
        answer.expect_problem(Code::SessionEnded);
        false
    }
}

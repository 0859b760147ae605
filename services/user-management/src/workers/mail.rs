//! Writes the letters that handlers queue. A token is made here, in the transaction that takes the letter from the
//! queue, so that it stands in the mail and nowhere else. Nothing is sent to somebody who is not (or no longer) there.

use askama::Template;
use async_trait::async_trait;
use shop_api::ids::UserId;
use shop_kit::mail::{self, Job, Letter, NotYet, RenderError, Renderer};
use sqlx::PgConnection;
use url::Url;

use crate::db::tokens::{self, Purpose};
use crate::db::users::{self, Recipient};
use crate::domain::token::Token;

/// Every letter has this shape: a few sentences and perhaps one thing to do.
struct Content {
    subject: &'static str,
    sentences: &'static [&'static str],
    step: Option<Step>,
}

/// A link with its token; the token also stands alone, for programs.
struct Step {
    label: &'static str,
    url: String,
    token: String,
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct AsText<'a> {
    name: &'a str,
    content: &'a Content,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct AsHtml<'a> {
    name: &'a str,
    content: &'a Content,
}

/// Writes letters with links into the shop at `base`.
pub struct Letters {
    base: Url,
}

impl Letters {
    /// `base` is where people see the shop.
    #[must_use]
    pub fn new(base: Url) -> Self {
        Self { base }
    }

    /// The token stands in the fragment: browsers send that to no server, so it is in no log and no `Referer`.
    fn step(&self, path: &str, label: &'static str, token: &Token) -> Step {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url.set_fragment(Some(&format!("token={}", token.reveal())));
        Step { label, url: url.into(), token: token.reveal().to_owned() }
    }

    /// The letter and where it goes; `None` when there is nothing to say any more.
    async fn content(
        &self,
        tx: &mut PgConnection,
        job: &Job,
        user: UserId,
        to: &Recipient,
    ) -> Result<Option<(String, Content)>, RenderError> {
        // The owner hears of it first, at the address that the account has still: the other mail may change that.
        if job.kind == "email_change" && mail::is_waiting(&mut *tx, NOTICE, user.uuid()).await? {
            return Err(NotYet.into());
        }
        let mailed = match job.kind.as_str() {
            // Whose password should count? That of whoever reads this, whoever registered last.
            "verify" if to.contested => Some((Purpose::Reset, "account/reset", &CONTESTED, to.email.clone())),
            "verify" if !to.verified => Some((Purpose::Verify, "account/verify", &VERIFY, to.email.clone())),
            "already_registered" => Some((Purpose::Reset, "account/reset", &ALREADY, to.email.clone())),
            "reset" => Some((Purpose::Reset, "account/reset", &RESET, to.email.clone())),
            "email_change" => to
                .pending_email
                .clone()
                .map(|pending| (Purpose::EmailChange, "account/verify", &EMAIL_CHANGE, pending)),
            _ => None,
        };
        if let Some((purpose, path, letter, address)) = mailed {
            // A second attempt at the same letter is no flood: its first token was never read.
            let new_email = (purpose == Purpose::EmailChange).then_some(address.as_str());
            if job.attempt == 1 && tokens::is_recent(&mut *tx, user, purpose, new_email).await? {
                return Ok(None);
            }
            let token = Token::generate();
            tokens::put(tx, user, purpose, token.hash(), new_email).await?;
            let step = Some(self.step(path, letter.label, &token));
            return Ok(Some((
                address,
                Content { subject: letter.subject, sentences: letter.sentences, step },
            )));
        }
        let notice = match job.kind.as_str() {
            NOTICE => &EMAIL_CHANGE_NOTICE,
            "password_changed" => &PASSWORD_CHANGED,
            "totp_enabled" => &TOTP_ENABLED,
            "totp_disabled" => &TOTP_DISABLED,
            "recovery_codes_renewed" => &RECOVERY_CODES_RENEWED,
            "verify" | "email_change" => return Ok(None),
            other => return Err(format!("no letter is called {other}").into()),
        };
        let content = Content { subject: notice.subject, sentences: notice.sentences, step: None };
        Ok(Some((to.email.clone(), content)))
    }
}

#[async_trait]
impl Renderer for Letters {
    async fn render(&self, tx: &mut PgConnection, job: &Job) -> Result<Option<Letter>, RenderError> {
        let user = UserId::from(job.subject);
        // A request that names nobody queues a letter to nobody, so that its time tells nothing.
        let Some(recipient) = users::recipient(&mut *tx, user).await? else { return Ok(None) };
        let Some((to, content)) = self.content(tx, job, user, &recipient).await? else { return Ok(None) };
        // Nobody has shown yet that the name is theirs: it must not carry a stranger's words into a mailbox.
        let name = if recipient.verified { recipient.display_name.as_str() } else { "" };
        Ok(Some(Letter {
            to,
            subject: content.subject.to_owned(),
            text: AsText { name, content: &content }.render()?,
            html: AsHtml { name, content: &content }.render()?,
        }))
    }
}

struct Words {
    subject: &'static str,
    sentences: &'static [&'static str],
    label: &'static str,
}

const VERIFY: Words = Words {
    subject: "Verify your e-mail address",
    sentences: &[
        "An account of the shop was asked for with this address. Open the link within 30 minutes and it is yours.",
        "If it was not you, do nothing: without the link nobody can use the account.",
    ],
    label: "Verify the address",
};

const CONTESTED: Words = Words {
    subject: "Set a password for your account",
    sentences: &[
        "An account of the shop was asked for with this address more than once, so no password given then counts.",
        "Open the link within 30 minutes and set one: then the account is yours. If it was not you, do nothing.",
    ],
    label: "Set a password",
};

const ALREADY: Words = Words {
    subject: "You have an account already",
    sentences: &[
        "Somebody asked for an account with this address, but it has one: just sign in.",
        "If you forgot the password, the link sets a new one within 30 minutes. If it was not you, do nothing.",
    ],
    label: "Set a new password",
};

const RESET: Words = Words {
    subject: "Set a new password",
    sentences: &[
        "A new password was asked for. The link works once, for 30 minutes.",
        "If it was not you, do nothing: the password stays as it is.",
    ],
    label: "Set a new password",
};

const EMAIL_CHANGE: Words = Words {
    subject: "Verify your new e-mail address",
    sentences: &[
        "This address shall become that of an account of the shop. Open the link within 30 minutes to make it so.",
        "If it was not you, do nothing.",
    ],
    label: "Use this address",
};

const EMAIL_CHANGE_NOTICE: Words = Words {
    subject: "Your e-mail address is about to change",
    sentences: &[
        "Another e-mail address was asked for on your account. It takes effect when the mail sent there is answered.",
        "If it was not you, change your password now: whoever asked for it knew the present one.",
    ],
    label: "",
};

const PASSWORD_CHANGED: Words = Words {
    subject: "Your password was changed",
    sentences: &["If it was not you, set a new one at once with `forgot password`, and end all sessions."],
    label: "",
};

const TOTP_ENABLED: Words = Words {
    subject: "A second factor was switched on",
    sentences: &[
        "From now on signing in also asks for a code of your app. Keep the recovery codes where you find them.",
        "If it was not you, set a new password at once with `forgot password`.",
    ],
    label: "",
};

const TOTP_DISABLED: Words = Words {
    subject: "The second factor was switched off",
    sentences: &[
        "Signing in asks for the password alone from now on.",
        "If it was not you, set a new password at once with `forgot password`.",
    ],
    label: "",
};

const RECOVERY_CODES_RENEWED: Words = Words {
    subject: "You have new recovery codes",
    sentences: &[
        "New recovery codes were made for your account, and the ones before stopped working.",
        "If it was not you, set a new password at once with `forgot password`.",
    ],
    label: "",
};

/// The letter that another one waits for.
pub(crate) const NOTICE: &str = "email_change_notice";

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Content {
        Content {
            subject: "s",
            sentences: &["one", "two"],
            step: Some(Step {
                label: "go",
                url: "https://shop.example/a?b=1&c=\"".to_owned(),
                token: "T".to_owned(),
            }),
        }
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let content = hostile();
        let name = "<script>alert(1)</script>{{ name }}";
        let html = AsHtml { name, content: &content }.render().unwrap();
        assert!(
            !html.contains("<script>") && html.contains("alert(1)") && html.contains("{{ name }}"),
            "{html}"
        );
        assert!(!html.contains("c=\"\""), "the address ends where it should: {html}");
        let text = AsText { name, content: &content }.render().unwrap();
        assert!(text.contains(name) && text.contains("https://shop.example/a?b=1&c=\"\n"), "{text}");
    }

    #[test]
    fn a_link_goes_below_the_base_and_hides_the_token_from_servers() {
        let letters = Letters::new("https://shop.example/de/".parse().unwrap());
        let token = Token::generate();
        let step = letters.step("account/verify", "go", &token);
        assert_eq!(step.url, format!("https://shop.example/de/account/verify#token={}", token.reveal()));
    }
}

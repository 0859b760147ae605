//! The mail sink, spoken to as a mailer does.

use std::time::Duration;

use shop_devstack::mailbox::{Mailbox, MailboxSpec};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);

/// Says each line and collects the last line of each answer.
async fn talk(mailbox: &Mailbox, lines: &[&str]) -> Vec<String> {
    let mut stream = BufStream::new(TcpStream::connect(mailbox.address()).await.unwrap());
    let mut answers = vec![answer(&mut stream).await];
    for line in lines {
        stream.write_all(line.as_bytes()).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        stream.flush().await.unwrap();
        answers.push(answer(&mut stream).await);
    }
    answers
}

async fn answer(stream: &mut BufStream<TcpStream>) -> String {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.get(3..4) != Some("-") {
            return line.trim_end().to_owned();
        }
    }
}

async fn send(mailbox: &Mailbox, to: &str, text: &str) -> String {
    let lines = ["EHLO me", "MAIL FROM:<shop@shop.test> SIZE=9", &format!("RCPT TO:<{to}>"), "DATA"];
    let message = format!("Subject: hello\r\n\r\n{text}\r\n.");
    talk(mailbox, &[&lines[..], &[&message]].concat()).await.pop().unwrap()
}

#[tokio::test]
async fn a_mail_arrives_wakes_who_waits_and_survives_the_mailbox() {
    let dir = super::folder();
    let spec = MailboxSpec { dir: Some(dir.path().join("mail")), ..MailboxSpec::default() };
    let mailbox = Mailbox::start(spec.clone()).await.unwrap();
    let waiting = mailbox.clone();
    let waits =
        tokio::spawn(async move { waiting.wait_for(|mail| mail.is_to("b@shop.test"), PATIENCE).await });
    send(&mailbox, "a@shop.test", "one").await;
    assert_eq!(send(&mailbox, "b@shop.test", "..two\r\n.").await, "250 kept");
    let mail = waits.await.unwrap().unwrap();
    assert_eq!((mail.subject.as_str(), mail.text.trim_end()), ("hello", ".two"));
    assert_eq!(mailbox.get(mail.id), Some(mail.clone()));
    let never = mailbox.wait_for(|mail| mail.is_to("c@shop.test"), Duration::from_millis(10)).await;
    assert_eq!(never, None);

    let address = mailbox.address();
    drop(mailbox);
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
    assert_eq!(Mailbox::read(&dir.path().join("mail")).unwrap().len(), 2);
    let again = Mailbox::start(spec).await.unwrap();
    assert_eq!(again.list().last(), Some(&mail));
    again.clear().unwrap();
    assert_eq!(Mailbox::read(&dir.path().join("mail")).unwrap(), []);
}

#[tokio::test]
async fn a_password_is_asked_for_where_one_is_set() {
    let spec = MailboxSpec { password: Some("secret".into()), ..MailboxSpec::default() };
    let mailbox = Mailbox::start(spec).await.unwrap();
    let mail = "MAIL FROM:<a@b.test>";
    assert!(talk(&mailbox, &[mail]).await.pop().unwrap().starts_with("530"));
    // "\0u\0wrong", "\0u\0secret"; "u" and "secret" for LOGIN.
    assert!(talk(&mailbox, &["AUTH PLAIN AHUAd3Jvbmc=", mail]).await.pop().unwrap().starts_with("530"));
    assert!(talk(&mailbox, &["AUTH PLAIN AHUAc2VjcmV0", mail]).await.pop().unwrap().starts_with("250"));
    assert!(talk(&mailbox, &["AUTH PLAIN", "AHUAc2VjcmV0", mail]).await.pop().unwrap().starts_with("250"));
    assert!(
        talk(&mailbox, &["AUTH LOGIN", "dQ==", "c2VjcmV0", mail]).await.pop().unwrap().starts_with("250")
    );
    assert!(talk(&mailbox, &["AUTH NTLM"]).await.pop().unwrap().starts_with("504"));
}

#[tokio::test]
async fn it_refuses_when_told_to_and_what_is_out_of_order() {
    let mailbox = Mailbox::start(MailboxSpec::default()).await.unwrap();
    mailbox.refuse(Some("451 4.3.0 later"));
    assert_eq!(talk(&mailbox, &["MAIL FROM:<a@b.test>"]).await.pop().unwrap(), "451 4.3.0 later");
    mailbox.refuse(None);
    let answers =
        talk(&mailbox, &["DATA", "RCPT TO:<a@b.test>", "MAIL FROM:a", "WHAT", "MAIL FROM:<>", "DATA"]).await;
    let codes: Vec<&str> = answers.iter().map(|answer| &answer[..3]).collect();
    assert_eq!(codes, ["220", "503", "503", "501", "502", "250", "503"]);
    let too_large = "x".repeat(60 * 1024) + "\r\n";
    assert!(send(&mailbox, "a@shop.test", &too_large.repeat(180)).await.starts_with("552"));
    assert_eq!(mailbox.list(), []);
}

#[tokio::test]
async fn a_file_that_is_no_mail_is_named_and_keeps_no_other_from_being_read() {
    let dir = super::folder();
    let spec = MailboxSpec { dir: Some(dir.path().to_owned()), ..MailboxSpec::default() };
    let mailbox = Mailbox::start(spec.clone()).await.unwrap();
    assert_eq!(mailbox.broken(), [""; 0]);
    send(&mailbox, "a@shop.test", "one").await;
    drop(mailbox);
    let broken = dir.path().join("half.json");
    std::fs::write(&broken, "{").unwrap();
    let error = Mailbox::read(dir.path()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let mailbox = Mailbox::start(spec).await.unwrap();
    assert_eq!(mailbox.list().len(), 1);
    assert_eq!(mailbox.broken(), [error.to_string()]);
    assert!(error.to_string().starts_with(&broken.display().to_string()), "{error}");
}

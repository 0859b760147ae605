//! The pages that mailed links open.

use shop_test::Answer;

use crate::visitor::SECRET;
use crate::world::World;

const ADA: &str = "ada@shop.example";

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn every_mailed_link_opens_a_page_that_sends_its_token() {
    let world = World::start().await;
    world.register(ADA, SECRET).await.expect(202);
    let verify = world.mail(ADA, "Verify your e-mail address").await;
    world.forgot(ADA).await.expect(202);
    let reset = world.mail(ADA, "Set a new password").await;
    for (mail, to) in [(verify, "../auth/verify"), (reset, "../auth/password/reset")] {
        let link = mail.link("#token=").expect("the mail has a link");
        let (page, _) = link.split_once('#').unwrap();
        let path = &page[page.find("/account/").unwrap()..];
        let answer = world.anonymous().get(path).send().await.expect(200);
        assert_eq!(answer.header("content-type").unwrap(), "text/html; charset=utf-8");
        assert!(text(&answer).contains(&format!("data-to=\"{to}\"")), "{path}");
    }
}

/// Nothing of another host runs beside a token, nobody frames the page, and no address tells where the reader was.
#[tokio::test]
async fn the_pages_are_alone_with_the_token() {
    let world = World::start().await;
    let files = [
        ("/account/verify", "text/html; charset=utf-8"),
        ("/account/reset", "text/html; charset=utf-8"),
        ("/account/page.js", "text/javascript; charset=utf-8"),
        ("/account/page.css", "text/css; charset=utf-8"),
    ];
    for (path, kind) in files {
        let answer = world.anonymous().get(path).send().await.expect(200);
        assert_eq!(answer.header("content-type").unwrap(), kind);
        assert_eq!(answer.header("referrer-policy").unwrap(), "no-referrer");
        assert_eq!(answer.header("x-content-type-options").unwrap(), "nosniff");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!text(&answer).contains("//shop") && !text(&answer).contains("http"), "{path} names a host");
    }
}

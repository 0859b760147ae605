//! The document and its reader come out of the binary: no other host is ever named.
use super::{INFO, Running, api};

#[tokio::test]
async fn the_document_is_served_as_it_is_printed() {
    let running = Running::with(&[]).await;
    let answer = running.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(String::from_utf8(answer.body).unwrap(), shop_kit::docs::render(&api().openapi(&INFO)));
}

#[tokio::test]
async fn the_reader_loads_only_what_we_serve() {
    let running = Running::with(&[]).await;
    let redirect = running.get("/docs").await;
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("/docs/")));
    let page = running.get("/docs/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    assert!(!policy.contains("http"), "{policy}");
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("<script>") && !html.contains("onload="), "the policy would stop it: {html}");
    let files: Vec<_> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(files.len() >= 4, "{html}");
    for file in files {
        assert!(!file.contains("//"), "{file} is elsewhere");
        let answer = running.get(&format!("/docs/{}", file.trim_start_matches("./"))).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(!answer.body.is_empty() && answer.header("content-type").is_some(), "{file}");
    }
    let start = running.get("/docs/swagger-initializer.js").await;
    let script = String::from_utf8(start.body).unwrap();
    assert!(script.contains("/openapi.json") && !script.contains("petstore"), "{script}");
    running.get("/docs/../Cargo.toml").await.problem(404, "not_found");
    running.get("/docs/nothing.js").await.problem(404, "not_found");
}

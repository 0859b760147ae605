//! Every way to send a bad body ends in a problem with a stable code, never in 500.
use super::{Running, Wire};

const JSON: &str = "application/json";

async fn posted(body: impl AsRef<[u8]>) -> super::Answer {
    Running::with(&[]).await.post("/things", JSON, body.as_ref()).await
}

fn field(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_good_body_is_taken() {
    let answer = posted(r#"{"name":"chair","count":3,"parts":[{"kind":"small"}]}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["parts"][0]["kind"], "small");
}

#[tokio::test]
async fn what_cannot_be_read_is_malformed() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: [&[u8]; 13] = [
        b"",
        b"   ",
        b"{",
        b"{\"name\":\"chair\"",
        b"{\"name\":1e999",
        b"{\"name\":1e999} trailing",
        b"{\"name\":\"chair\"} trailing",
        b"{\"name\":\"ch\\u0000air\"}",
        b"{\"name\":\"ch\0air\"}",
        b"{\"name\":\"\xff\xfe\"}",
        b"{\"name\":\"\\ud800\"}",
        b"{'name':'chair'}",
        deep.as_bytes(),
    ];
    let running = Running::with(&[]).await;
    for body in bodies {
        let problem = running.post("/things", JSON, body).await.problem(400, "malformed_request");
        assert!(problem.get("errors").is_none(), "{problem}");
    }
}

#[tokio::test]
async fn every_field_that_is_not_acceptable_is_named() {
    for (body, pointer, code) in [
        (r#"{"name":"chair","colour":"red"}"#, "/colour", "unknown_field"),
        (r#"{"name":"chair","name":"table"}"#, "/name", "duplicate_field"),
        (r#"{"name":7}"#, "/name", "wrong_type"),
        (r#"{"name":null}"#, "/name", "wrong_type"),
        (r#"{"name":"chair","count":"3"}"#, "/count", "wrong_type"),
        (r#"{"name":"chair","count":-1}"#, "/count", "wrong_type"),
        (r#"{"name":"chair","count":1.5}"#, "/count", "wrong_type"),
        (r#"{"name":"chair","count":1e99}"#, "/count", "wrong_type"),
        // JSON, but no number of any language.
        (r#"{"name":"chair","count":1e999}"#, "/count", "out_of_range"),
        (r#"{"name":-1e999}"#, "/name", "out_of_range"),
        (r#"{"name":"chair","parts":[{"kind":1e999}]}"#, "/parts/0/kind", "wrong_type"),
        (r#"{"name":"chair","parts":[{"kind":1}]}"#, "/parts/0/kind", "wrong_type"),
        (r#"{"name":"chair","parts":[{"kind":"small"},{"kind":"huge"}]}"#, "/parts/1/kind", "unknown_value"),
        (r#"{"name":"chair","parts":[{}]}"#, "/parts/0/kind", "required"),
        ("{}", "/name", "required"),
        ("[]", "", "wrong_type"),
        (r#"["chair",3]"#, "", "wrong_type"),
        (r#"{"name":"chair","parts":[["small"]]}"#, "/parts/0", "wrong_type"),
        ("\"x\"", "", "wrong_type"),
    ] {
        let answer = posted(body).await;
        answer.problem(422, "validation_failed");
        assert_eq!(answer.fields(), [field(pointer, code)], "{body}");
    }
}

#[tokio::test]
async fn all_bad_fields_are_listed_at_once() {
    let answer = posted(r#"{"name":"c","count":1000}"#).await;
    answer.problem(422, "validation_failed");
    assert_eq!(answer.fields(), [field("/name", "too_short"), field("/count", "out_of_range")]);

    let answer = posted(r#"{"count":"many","parts":[{"kind":"huge"},{"size":1}],"colour":"red"}"#).await;
    answer.problem(422, "validation_failed");
    let mut fields = answer.fields();
    fields.sort();
    let expected = [
        field("/colour", "unknown_field"),
        field("/count", "wrong_type"),
        field("/name", "required"),
        field("/parts/0/kind", "unknown_value"),
        field("/parts/1/kind", "required"),
        field("/parts/1/size", "unknown_field"),
    ];
    assert_eq!(fields, expected);

    let answer = posted(r#"{"count":1000,"colour":"red"}"#).await;
    let mut fields = answer.fields();
    fields.sort();
    let expected =
        [field("/colour", "unknown_field"), field("/count", "out_of_range"), field("/name", "required")];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn a_problem_never_repeats_what_was_sent() {
    for body in [
        r#"{"name":"hunter2","hunter2":"hunter2"}"#,
        r#"{"name":["hunter2"]}"#,
        r#"{"name":"hunter2hunter2"}"#,
        r#"{"name":"chair","parts":[{"kind":"hunter2"}]}"#,
        r#"{"name":"chair","count":"hunter2"}"#,
        r#"{"name":"hunter2" hunter2}"#,
    ] {
        let problem = posted(body).await.json();
        let told = problem.to_string().replace("\"/hunter2\"", "");
        assert!(!told.contains("hunter2"), "{body} was answered {problem}");
    }
}

#[tokio::test]
async fn only_json_is_json() {
    let running = Running::with(&[]).await;
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/json; charset=latin1",
        "",
    ] {
        running
            .post("/things", content_type, br#"{"name":"chair"}"#)
            .await
            .problem(415, "unsupported_media_type");
    }
    for content_type in
        ["application/json; charset=UTF-8", "Application/JSON", "application/merge-patch+json"]
    {
        assert_eq!(running.post("/things", content_type, br#"{"name":"chair"}"#).await.status, 200);
    }
}

#[tokio::test]
async fn a_body_that_is_compressed_is_not_taken_for_plain() {
    let running = Running::with(&[]).await;
    let send = async |target: &str, codings: &str, body: &str| {
        let head =
            format!("POST {target} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{codings}");
        running.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
    };
    let chair = r#"{"name":"chair"}"#;
    for plain in
        ["", "content-encoding: identity\r\n", "content-encoding: Identity, \r\n", "content-encoding:\r\n"]
    {
        assert_eq!(send("/things", plain, chair).await.status, 200, "{plain:?}");
    }
    for coded in [
        "content-encoding: gzip\r\n",
        "content-encoding: identity, br\r\n",
        "content-encoding: identity\r\ncontent-encoding: GZIP\r\n",
        "content-encoding: \u{e9}\r\n",
    ] {
        let answer = send("/things", coded, chair).await;
        answer.problem(415, "unsupported_media_type");
        assert_eq!(answer.header("accept-encoding"), Some("identity"), "{coded:?}");
        // Without a body there is nothing to be taken for plain.
        send("/things", coded, "").await.problem(400, "malformed_request");
    }
}

#[tokio::test]
async fn an_oversized_body_is_refused_declared_or_not() {
    let running = Running::with(&["--max-body-bytes=1000"]).await;
    let name = "x".repeat(2000);
    let body = format!("{{\"name\":\"{name}\"}}");
    running.post("/things", JSON, body.as_bytes()).await.problem(413, "body_too_large");

    let mut wire: Wire = running.connect().await;
    wire.write("POST /things HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 1000000000000\r\n\r\n").await;
    wire.answer().await.unwrap().problem(413, "body_too_large");

    let mut wire = running.connect().await;
    wire.write("POST /things HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..20 {
        wire.write(format!("64\r\n{}\r\n", "x".repeat(100))).await;
    }
    wire.answer().await.unwrap().problem(413, "body_too_large");
}

#[tokio::test]
async fn a_client_that_hangs_up_in_its_body_harms_nobody() {
    let running = Running::with(&[]).await;
    for _ in 0..20 {
        let mut wire = running.connect().await;
        wire.write("POST /things HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"na").await;
    }
    assert_eq!(running.get("/hello").await.status, 200);
    let text = shop_kit::metrics::render(&super::INFO);
    let failed =
        text.lines().filter(|line| line.contains("route=\"/things\"") && line.contains("status=\"5"));
    assert_eq!(failed.count(), 0, "{text}");
}

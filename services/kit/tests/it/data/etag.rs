//! Versions as entity tags: lost updates are refused, unchanged things are not sent again.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::get;
use http::{Request, StatusCode};
use shop_api::{Code, Problem};
use shop_kit::ApiError;
use shop_kit::etag::{ETag, IfMatch, IfNoneMatch};
use tower::ServiceExt;

const CURRENT: ETag = ETag::of_version(7);

async fn read(held: IfNoneMatch) -> Response {
    held.answer(CURRENT, "the thing")
}

async fn change(seen: IfMatch) -> Result<(ETag, &'static str), ApiError> {
    seen.check(CURRENT)?;
    Ok((ETag::of_version(8), "changed"))
}

async fn send(method: &str, headers: &[(&str, &str)]) -> (StatusCode, Option<String>, String) {
    let router: Router = Router::new().route("/thing", get(read).patch(change));
    let mut request = Request::builder().method(method).uri("/thing");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    let status = response.status();
    let body = to_bytes(response.into_body(), 9999).await.unwrap();
    (status, tag, String::from_utf8(body.into()).unwrap())
}

#[tokio::test]
async fn a_change_names_what_it_saw() {
    for good in ["\"v7\"", "\"v6\", \"v7\"", "*"] {
        let (status, tag, _) = send("PATCH", &[("if-match", good)]).await;
        assert_eq!((status, tag.as_deref()), (StatusCode::OK, Some("\"v8\"")), "{good}");
    }
    for stale in ["\"v6\"", "W/\"v7\"", "v7", "\"v77\"", "nonsense"] {
        let (status, _, body) = send("PATCH", &[("if-match", stale)]).await;
        let problem: Problem = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, problem.code),
            (StatusCode::PRECONDITION_FAILED, Code::PreconditionFailed),
            "{stale}"
        );
    }
    for none in [&[][..], &[("if-match", "")]] {
        let (status, _, body) = send("PATCH", none).await;
        let problem: Problem = serde_json::from_str(&body).unwrap();
        assert_eq!((status, problem.code), (StatusCode::PRECONDITION_REQUIRED, Code::PreconditionRequired));
    }
}

#[tokio::test]
async fn what_did_not_change_is_not_sent() {
    for held in ["\"v7\"", "W/\"v7\"", "\"v1\", \"v7\"", "*"] {
        let (status, tag, body) = send("GET", &[("if-none-match", held)]).await;
        let expected = (StatusCode::NOT_MODIFIED, Some("\"v7\""), "");
        assert_eq!((status, tag.as_deref(), body.as_str()), expected, "{held}");
    }
    for other in [&[][..], &[("if-none-match", "\"v6\"")], &[("if-none-match", "junk")]] {
        let (status, tag, body) = send("GET", other).await;
        assert_eq!((status, tag.as_deref(), body.as_str()), (StatusCode::OK, Some("\"v7\""), "the thing"));
    }
}

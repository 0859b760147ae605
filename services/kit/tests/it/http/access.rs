//! The rule of a route is enforced, written into OpenAPI, and cannot be forgotten.
use async_trait::async_trait;
use shop_api::{Code, Permission, Role, Roles};
use shop_kit::{Access, ApiError, ApiRouter, Caller, Gate, Limiter, SessionCheck, routes};

use super::{INFO, Running, api, limits, tokens};

#[tokio::test]
async fn each_rule_lets_in_whom_it_names() {
    let running = Running::with(&[]).await;
    running.get("/me").await.problem(401, "unauthenticated");
    running.get("/audit").await.problem(401, "unauthenticated");
    running.get_as("/me", "rubbish").await.problem(401, "invalid_token");
    assert_eq!(running.get_as("/me", &tokens::token(&[Role::Customer])).await.status, 200);
    assert_eq!(running.get_as("/me", &tokens::token(&[])).await.status, 200);
    running.get_as("/audit", &tokens::token(&[Role::Customer])).await.problem(403, "forbidden");
    running.get_as("/audit", &tokens::token(&[Role::Support])).await.problem(403, "forbidden");
    assert_eq!(running.get_as("/audit", &tokens::token(&[Role::Admin])).await.status, 200);
    assert_eq!(
        running.get_as("/hello", "rubbish").await.status,
        200,
        "no token is looked at on a public route"
    );
}

#[tokio::test]
async fn authorization_must_be_one_bearer_token() {
    let running = Running::with(&[]).await;
    let token = tokens::token(&[Role::Customer]);
    let ask =
        async |lines: &str| running.send(format!("GET /me HTTP/1.1\r\nhost: test\r\n{lines}\r\n")).await;
    for lines in ["authorization: Basic dTpw\r\n", "authorization: Bearer\r\n", "authorization: \r\n"] {
        let answer = ask(lines).await;
        answer.problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("bearer"));
    }
    let twice = format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n");
    ask(&twice).await.problem(401, "invalid_token");
    assert_eq!(ask(&format!("authorization: bearer {token}\r\n")).await.status, 200);
    let in_query = running.get(&format!("/me?access_token={token}")).await;
    in_query.problem(401, "unauthenticated");
}

#[tokio::test]
async fn the_rule_comes_before_the_body() {
    #[utoipa::path(post, path = "/guarded", request_body = super::Thing, responses((status = 200, body = super::Thing)))]
    async fn guarded(shop_kit::Json(thing): shop_kit::Json<super::Thing>) -> shop_kit::Json<super::Thing> {
        shop_kit::Json(thing)
    }
    let gate = tokens::gate();
    let rule = Access::Need(Permission::AuditRead);
    let (router, _) = ApiRouter::new().route(rule, routes!(guarded)).finish(&INFO, (), Some(&gate));
    let request = http::Request::post("/guarded").body(axum::body::Body::from("not json")).unwrap();
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(answer.status(), 401);
}

/// Says that every session has ended, or knows other roles than the token.
struct Sessions(Result<Roles, Code>);

#[async_trait]
impl SessionCheck for Sessions {
    async fn check(&self, _: &Caller, _: &mut http::Extensions) -> Result<Roles, ApiError> {
        self.0.map_err(ApiError::code)
    }
}

#[tokio::test]
async fn the_session_check_has_the_last_word() {
    let start = async |verdict| {
        let gate: Gate = tokens::gate().with_session_check(Sessions(verdict));
        Running::start(limits(&[]), Limiter::in_process(), gate).await
    };
    let ended = start(Err(Code::SessionEnded)).await;
    let token = tokens::token(&[Role::Admin]);
    ended.get_as("/me", &token).await.problem(401, "session_ended");
    assert_eq!(ended.get("/hello").await.status, 200);

    let demoted = start(Ok(Roles::NONE.with(Role::Customer))).await;
    demoted.get_as("/audit", &token).await.problem(403, "forbidden");

    let promoted = start(Ok(Roles::NONE.with(Role::Admin))).await;
    let answer = promoted.get_as("/audit", &tokens::token(&[Role::Customer])).await;
    assert_eq!(answer.json(), "{\"admin\"}");
}

#[test]
fn every_operation_tells_its_rule() {
    let document = serde_json::to_value(api().openapi(&INFO)).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut told = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let secured = !operation["security"].as_array().expect("security is told").is_empty();
            told.push(format!("{method} {path}: {} {secured}", operation["x-permission"].as_str().unwrap()));
            let answers = operation["responses"].as_object().unwrap();
            for (status, answer) in answers.iter().filter(|(status, _)| status.as_str() >= "400") {
                let common = answer["$ref"].as_str().and_then(|common| document.pointer(&common[1..]));
                let schema =
                    &common.unwrap_or(answer)["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
            }
            assert_eq!(answers.contains_key("401"), secured, "{method} {path}");
            assert!(answers.contains_key("500") && answers.contains_key("503"), "{method} {path}");
        }
    }
    told.sort();
    let expected = [
        "get /audit: audit:read true",
        "get /broken: public false",
        "get /bug: public false",
        "get /callerless: public false",
        "get /drip: public false",
        "get /hello: public false",
        "get /me: signed true",
        "get /slow: own: a test opens it false",
        "get /things/{id}: public false",
        "get /things: public false",
        "post /things: public false",
    ];
    assert_eq!(told, expected);
    assert_eq!(api().operations().len(), expected.len());
    let components = &document["components"];
    assert_eq!(components["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert!(components["schemas"]["Problem"]["properties"]["code"].is_object());
    assert!(components["schemas"]["Code"].is_object() && components["schemas"]["FieldError"].is_object());
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = serde_json::to_value(api().openapi(&INFO)).unwrap();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
#[should_panic(expected = "two handlers claim GET /hello")]
fn two_handlers_of_one_operation_are_refused() {
    let _document = api().merge(api_with_hello()).openapi(&INFO);
}

fn api_with_hello() -> ApiRouter<super::Valve> {
    ApiRouter::new().route(Access::Public, routes!(super::hello))
}

#[test]
#[should_panic(expected = "there is no gate")]
fn a_rule_without_a_gate_is_refused() {
    let _router = api().finish(&INFO, super::Valve::new(tokio::sync::Semaphore::new(0)), None);
}

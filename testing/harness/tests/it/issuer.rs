//! People of each role before the routes of a small service, and tokens that are none.

use std::time::Duration;

use shop_api::{Code, Permission, Role};
use shop_kit::{Access, ApiRouter, ServiceInfo, routes};
use shop_test::{Admin, As, Client, Customer, Issuer, Service, Support};
use uuid::Uuid;

#[utoipa::path(get, path = "/own")]
async fn own() {}

#[utoipa::path(get, path = "/audit")]
async fn audit() {}

#[utoipa::path(get, path = "/events")]
async fn events() {}

fn service(issuer: &Issuer) -> Client {
    let router = ApiRouter::new()
        .route(Access::Need(Permission::ProfileRead), routes!(own))
        .route(Access::Need(Permission::AuditRead), routes!(audit))
        .route(Access::Need(Permission::EventsRead), routes!(events));
    let info = ServiceInfo { name: "small", version: "1", about: "" };
    Client::to_router(router.finish(&info, (), Some(&issuer.gate())).0)
}

async fn statuses(client: &Client) -> [u16; 3] {
    let mut statuses = [0; 3];
    for (status, path) in statuses.iter_mut().zip(["/own", "/audit", "/events"]) {
        *status = client.get(path).send().await.status.as_u16();
    }
    statuses
}

#[tokio::test]
async fn everybody_may_what_their_role_grants() {
    let issuer = Issuer::start().await;
    let small = service(&issuer);
    let (customer, admin): (As<Customer>, As<Admin>) = (issuer.sign_in(&small), issuer.sign_in(&small));
    let (support, program): (As<Support>, As<Service>) = (issuer.sign_in(&small), issuer.sign_in(&small));
    assert_eq!(statuses(&small).await, [401; 3]);
    assert_eq!(statuses(&customer).await, [200, 403, 403]);
    assert_eq!(statuses(&support).await, [200, 403, 403]);
    assert_eq!(statuses(&admin).await, [200, 200, 403]);
    assert_eq!(statuses(&program).await, [403, 403, 200]);
    assert!(customer.id != admin.id && customer.session != admin.session && program.session.is_none());
}

#[tokio::test]
async fn a_token_is_built_as_a_test_wants_it() {
    let issuer = Issuer::start().await;
    let small = service(&issuer);
    let subject = Uuid::now_v7();
    let good = issuer.token().subject(subject).role(Role::Customer).role(Role::Admin).sign();
    assert_eq!(statuses(&small.with_token(good)).await, [200, 200, 403]);
    for bad in [
        issuer.token().role(Role::Customer).expired_for(Duration::from_secs(60)).sign(),
        issuer.token().role(Role::Customer).audience("another shop").sign(),
        Issuer::start().await.token().role(Role::Customer).sign(),
    ] {
        small.with_token(bad).get("/own").send().await.expect_problem(Code::InvalidToken);
    }
}

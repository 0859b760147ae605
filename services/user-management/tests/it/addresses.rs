//! The address book: versions, the one default, the bound, and that it is nobody else's.

use serde_json::{Value, json};
use shop_api::users::profile::{Address, AddressList};
use shop_api::{Code, Role};
use shop_test::{Answer, Client};

use crate::world::World;

fn home(line1: &str) -> Value {
    json!({ "recipient": "Ada Lovelace", "line1": line1, "city": "London", "country": "GB" })
}

async fn add(client: &Client, body: &Value) -> Address {
    client.post("/users/me/addresses").json(body).send().await.expect(201).json()
}

async fn list(client: &Client) -> Vec<Address> {
    client.get("/users/me/addresses").send().await.expect(200).json::<AddressList>().items
}

fn defaults(addresses: &[Address]) -> Vec<&str> {
    addresses.iter().filter(|address| address.is_default).map(|address| address.line1.as_str()).collect()
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap().to_owned()
}

#[tokio::test]
async fn an_address_is_added_read_written_and_deleted() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await.client;
    let made = ada.post("/users/me/addresses").json(&home("1 Square")).send().await.expect(201);
    let at = made.header("location").unwrap().to_owned();
    let read = ada.get(&at).send().await.expect(200);
    assert_eq!(read.json::<Address>(), made.json::<Address>());
    assert_eq!(tag(&read), tag(&made));
    ada.get(&at).header("if-none-match", &tag(&read)).send().await.expect(304);

    ada.put(&at).json(&home("2 Square")).send().await.expect_problem(Code::PreconditionRequired);
    let written = ada.put(&at).if_match(&tag(&read)).json(&home("2 Square")).send().await.expect(200);
    assert_eq!(written.json::<Address>().line1, "2 Square");
    ada.put(&at)
        .if_match(&tag(&read))
        .json(&home("3 Square"))
        .send()
        .await
        .expect_problem(Code::PreconditionFailed);
    ada.delete(&at).if_match(&tag(&read)).send().await.expect_problem(Code::PreconditionFailed);
    ada.delete(&at).if_match(&tag(&written)).send().await.expect(204);
    ada.get(&at).send().await.expect_problem(Code::NotFound);
    ada.delete(&at).if_match("*").send().await.expect_problem(Code::NotFound);
}

#[tokio::test]
async fn there_is_always_one_default() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await.client;
    let first = add(&ada, &home("1 Square")).await;
    assert!(first.is_default, "the first is the default unasked");
    let second = add(&ada, &home("2 Square")).await;
    assert!(!second.is_default);
    let mut third = home("3 Square");
    third["is_default"] = true.into();
    let third = add(&ada, &third).await;
    assert_eq!(defaults(&list(&ada).await), ["3 Square"]);

    // Writing `false` to the default leaves it the default.
    let at = |address: &Address| format!("/users/me/addresses/{}", address.id);
    ada.put(&at(&third)).if_match("*").json(&home("3 Square")).send().await.expect(200);
    assert_eq!(defaults(&list(&ada).await), ["3 Square"]);
    ada.delete(&at(&third)).if_match("*").send().await.expect(204);
    assert_eq!(defaults(&list(&ada).await), ["1 Square"]);
    ada.delete(&at(&first)).if_match("*").send().await.expect(204);
    ada.delete(&at(&second)).if_match("*").send().await.expect(204);
    assert!(list(&ada).await.is_empty());
}

#[tokio::test]
async fn many_at_once_leave_one_default_and_at_most_fifty() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await.client;
    for n in 0..40 {
        add(&ada, &home(&format!("{n} Square"))).await;
    }
    let mut body = home("default");
    body["is_default"] = true.into();
    let tries = (0..20).map(|_| ada.post("/users/me/addresses").json(&body).send());
    let answers = futures::future::join_all(tries).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 10);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.expect_problem(Code::Conflict);
    }
    let addresses = list(&ada).await;
    assert_eq!((addresses.len(), defaults(&addresses).len()), (50, 1));
}

#[tokio::test]
async fn an_address_of_another_is_not_found_and_not_changed() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await.client;
    let bob = world.person(Role::Customer).await.client;
    let address = add(&ada, &home("1 Square")).await;
    let at = format!("/users/me/addresses/{}", address.id);
    bob.get(&at).send().await.expect_problem(Code::NotFound);
    bob.put(&at).if_match("*").json(&home("Bob's")).send().await.expect_problem(Code::NotFound);
    bob.delete(&at).if_match("*").send().await.expect_problem(Code::NotFound);
    assert!(list(&bob).await.is_empty());
    assert_eq!(list(&ada).await, [address]);
}

#[tokio::test]
async fn a_country_that_does_not_exist_is_refused() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await.client;
    let mut body = home("1 Square");
    body["country"] = "UK".into();
    let problem =
        ada.post("/users/me/addresses").json(&body).send().await.expect_problem(Code::ValidationFailed);
    assert_eq!(problem.errors[0].pointer, "/country");
}

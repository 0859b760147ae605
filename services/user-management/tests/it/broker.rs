//! Events that go to RabbitMQ where one is configured, through the real program. What is in them, and that none is lost
//! when the broker dies, is tested in the kit.

use shop_test::until;

use crate::world::World;

#[tokio::test]
async fn what_happens_to_an_account_is_told_to_the_broker() {
    let broker = shop_test::rabbitmq().await.unwrap();
    let world = World::with(|program| {
        let program = program.env("AMQP_URL", broker.url.as_str());
        match &broker.secret_file {
            Some(file) => program.env("AMQP_PASSWORD_FILE", file),
            None => program,
        }
    })
    .await;
    world.sign_up("ada@shop.example").await;
    let written = world.count("SELECT count(*) FROM kit.outbox").await;
    assert!(written >= 2, "a registration and its proof are events");
    // The relay moves on only when the broker has confirmed an event.
    let confirmed = "SELECT count(*) FROM kit.outbox WHERE seq <= (SELECT upto FROM kit.relay)";
    until("the broker has confirmed all of them", || async { world.count(confirmed).await >= written }).await;
    let metrics = world.service.admin_client().get("/metrics").send().await.expect(200).text();
    assert!(metrics.contains("dependency_up{dependency=\"rabbitmq\"} 1"), "{metrics}");
}

//! Stripe's own double: checks requests against the real API's description, and remembers nothing.

use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::background::{Background, Start};
use crate::pins;
use crate::tool::Tool;

static TOOL: Tool = Tool { name: "stripe-mock", source: pins::STRIPE_MOCK };

/// stripe-mock. `SHOP_TEST_STRIPE` names another one.
pub static STRIPE: Background = Background {
    name: "stripe-mock",
    variable: Some("SHOP_TEST_STRIPE"),
    tool: &TOOL,
    ports: &["http"],
    password: false,
    patience: Duration::from_secs(20),
    command,
    // It answers 401 to whoever shows no key.
    answers: |known| {
        let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, known.port("http")));
        Box::pin(async move { matches!(shop_devstack::http_status(address, "/v1/charges").await, Ok(401)) })
    },
    url: |known| format!("http://127.0.0.1:{}", known.port("http")),
};

fn command(start: &Start<'_>) -> Result<Command> {
    let mut command = Command::new(start.tool);
    command.args(["-http-addr", &format!("127.0.0.1:{}", start.known.port("http"))]);
    Ok(command)
}

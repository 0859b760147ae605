//! RabbitMQ with one user, `shop`, whose password lies in a file. Knows no exchange and no queue.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use shop_devstack::rabbitmq::{self, Node};

use crate::Result;
use crate::background::{Background, Start};
use crate::tool::{Source, Tool};

static TOOL: Tool = Tool {
    name: "rabbitmq-server",
    // The script itself and not Debian's wrapper, which wants to change the account.
    source: Source::Debian { packages: &["rabbitmq-server"], folders: &["/usr/lib/rabbitmq/bin"] },
};

/// RabbitMQ: `AMQP_URL` if set, else our own.
pub static RABBITMQ: Background = Background {
    name: "rabbitmq",
    variable: Some("AMQP_URL"),
    tool: &TOOL,
    ports: &["amqp", "distribution", "names"],
    password: true,
    patience: Duration::from_secs(90),
    command,
    answers: |known| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, known.port("amqp")));
        Box::pin(async move { rabbitmq::speaks_amqp(address).await })
    },
    url: |known| format!("amqp://shop@127.0.0.1:{}/%2f", known.port("amqp")),
};

fn command(start: &Start<'_>) -> Result<Command> {
    let port = |name| start.known.port(name);
    // The user of the first start is kept with the data, and so is the password's file.
    let settings = format!(
        "listeners.tcp.1 = 127.0.0.1:{}\ndefault_user = shop\ndefault_pass = {}\nloopback_users = none\n",
        port("amqp"),
        start.password
    );
    // The node's name is that of its data: it must be the same at each start, whatever the ports.
    let node = Node {
        name: "shop-testbed",
        folder: start.folder,
        distribution: port("distribution"),
        names: port("names"),
    };
    Ok(rabbitmq::command(start.tool, node, &settings)?)
}

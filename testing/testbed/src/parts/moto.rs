//! Moto: the APIs of AWS as far as a double goes. Keeps everything in memory.

use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::background::{Background, Start, is_ok};
use crate::pins;
use crate::tool::Tool;

static TOOL: Tool = Tool { name: "moto_server", source: pins::MOTO };

/// AWS: `SHOP_TEST_AWS` if set (another moto, LocalStack), else our own moto.
pub static MOTO: Background = Background {
    name: "moto",
    variable: Some("SHOP_TEST_AWS"),
    tool: &TOOL,
    ports: &["http"],
    password: false,
    patience: Duration::from_secs(60),
    command,
    answers: |known| Box::pin(is_ok(known.port("http"), "/moto-api/")),
    url: |known| format!("http://127.0.0.1:{}", known.port("http")),
};

fn command(start: &Start<'_>) -> Result<Command> {
    let mut command = Command::new(start.tool);
    command.args(["--host", "127.0.0.1", "--port", &start.known.port("http").to_string()]);
    Ok(command)
}

//! The walk of docs/howto/walk.md, as a reader types it: every block in one shell, against a real service.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use shop_test::{PATIENCE, until_some};
use tokio::process::Command;

use crate::world::World;

const PAGE: &str = include_str!("../../../../docs/howto/walk.md");

/// The shell blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> String {
    let mut parts = page.split("```");
    parts.next();
    let blocks = parts
        .step_by(2)
        .map(|block| block.strip_prefix("sh\n").unwrap_or_else(|| panic!("no shell: {block}")));
    blocks.collect()
}

/// Stands in for `cargo shopctl dev mail show`: waits for a letter that was not shown yet and prints it.
const CARGO: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
shown=$(cat shown 2>/dev/null || echo 0)
# The folder goes when the test ends, whichever way: then nobody waits any more.
until [ -e "mail$shown" ]; do [ -d "$PWD" ] || exit 1; sleep 0.05; done
cat "mail$shown"
echo $((shown + 1)) > shown
"#;

/// Puts each letter with a token into the folder of the stand-in.
async fn deliver(world: &World, dir: &Path, letters: usize) {
    for number in 0..letters {
        let mail = until_some("the next letter with a token is there", || async {
            let mails = world.mailbox.list().into_iter();
            mails.filter(|mail| mail.text.contains("the token alone")).nth(number)
        });
        std::fs::write(dir.join("half"), mail.await.text).unwrap();
        std::fs::rename(dir.join("half"), dir.join(format!("mail{number}"))).unwrap();
    }
}

#[tokio::test]
async fn the_page_is_right() {
    let world = World::start().await;
    let dir = tempfile::tempdir().unwrap();
    let cargo = dir.path().join("cargo");
    std::fs::write(&cargo, CARGO).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let script = format!("set -eu\n{}", blocks(PAGE));
    let shell = Command::new("bash")
        .args(["-c", &script])
        .env("PATH", path)
        .env("SHOP", format!("http://{}", world.service.public()))
        .kill_on_drop(true)
        .output();
    let letters = async {
        deliver(&world, dir.path(), 2).await;
        std::future::pending::<()>().await;
    };
    let output = tokio::select! {
        ended = tokio::time::timeout(PATIENCE, shell) => ended.expect("the shell ends").unwrap(),
        () = letters => unreachable!("it waits for ever"),
    };
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    let codes: Vec<&str> = said.lines().filter(|line| !line.contains('{') && !line.is_empty()).collect();
    assert_eq!(codes, ["second_factor_required", "session_ended", "session_ended"], "{said}\n{wrong}");
    assert_eq!(world.count("SELECT count(*) FROM users WHERE status = 'deleted' AND email IS NULL").await, 1);
}

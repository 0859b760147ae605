//! SonarQube with its embedded database. Its administrator has a password of our own, in a file; the part is there only
//! once that is set.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shop_devstack::component::Account;
use shop_devstack::daemon::Known;

use super::java;
use crate::background::{Background, Start, is_ok};
use crate::pins;
use crate::tool::Tool;
use crate::{Error, Result};

const NAME: &str = "sonarqube";

pub(super) static TOOL: Tool = Tool { name: NAME, source: pins::SONARQUBE };

/// SonarQube: `SHOP_TEST_SONARQUBE` if set, else our own.
pub static SONARQUBE: Background = Background {
    name: NAME,
    variable: Some("SHOP_TEST_SONARQUBE"),
    tool: &TOOL,
    ports: &["http", "search", "transport"],
    password: true,
    patience: Duration::from_secs(300),
    command,
    answers: |known| Box::pin(is_up(known)),
    url: |known| format!("http://127.0.0.1:{}", known.port("http")),
};

fn command(start: &Start<'_>) -> Result<Command> {
    let java = java::home(NAME)?;
    let home = own_home(start.tool, start.folder)?;
    let jar = std::fs::read_dir(home.join("lib"))?.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("sonar-application-") && name.ends_with(".jar")
    });
    let absent = || Error::Absent { part: NAME, how: "an archive that holds its program".to_owned() };
    let mut command = Command::new(java.join("bin/java"));
    if let Some(account) = Account::for_servers()? {
        account.reaches(NAME, &home)?;
        account.apply(&mut command);
    }
    command.current_dir(&home).env("JAVA_HOME", &java).arg("-jar").arg(jar.ok_or_else(absent)?);
    let known = start.known;
    command.args([
        "-Dsonar.web.host=127.0.0.1".to_owned(),
        format!("-Dsonar.web.port={}", known.port("http")),
        format!("-Dsonar.search.port={}", known.port("search")),
        format!("-Dsonar.es.port={}", known.port("transport")),
        "-Dsonar.telemetry.enable=false".to_owned(),
        "-Dsonar.updatecenter.activate=false".to_owned(),
        "-Dsonar.web.javaOpts=-Xmx512m".to_owned(),
        "-Dsonar.ce.javaOpts=-Xmx512m".to_owned(),
        "-Dsonar.search.javaOpts=-Xms512m -Xmx512m".to_owned(),
    ]);
    Ok(command)
}

/// It writes beside its programs, so it gets links to the files of the archive in folders of its own.
fn own_home(archive: &Path, folder: &Path) -> Result<std::path::PathBuf> {
    let home = folder.join("home");
    if !home.exists() {
        let making = folder.join("making");
        let _left = std::fs::remove_dir_all(&making);
        let copied = Command::new("cp").args(["--recursive", "--link"]).arg(archive).arg(&making).status()?;
        if !copied.success() {
            return Err(std::io::Error::other(format!("no copy of {}", archive.display())).into());
        }
        if let Some(account) = Account::for_servers()? {
            let owner = format!("{}:{}", account.uid, account.gid);
            // Folders only: the files are the archive's.
            let owned = Command::new("find")
                .arg(&making)
                .args(["-type", "d", "-exec", "chown", &owner, "{}", "+"])
                .status()?;
            if !owned.success() {
                return Err(std::io::Error::other(format!("{} keeps its owner", making.display())).into());
            }
        }
        std::fs::rename(making, &home)?;
    }
    Ok(home)
}

/// Its page answers early; the server is there when it says `UP`.
async fn is_up(known: Known) -> bool {
    is_ok(known.port("http"), "/api/system/liveness").await
}

//! Archives from Maven Central, checked and unpacked.

use tokio::process::Command;

use super::Task;
use crate::{Error, Result};

/// A zip at one version.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) group: &'static str,
    pub(crate) artifact: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: &'static str,
    /// The one folder that is in it.
    pub(crate) root: &'static str,
}

impl Archive {
    /// As Maven writes it.
    pub(super) fn coordinates(&self) -> String {
        format!("{}:{}:{}:zip", self.group, self.artifact, self.version)
    }

    pub(super) async fn unpack(&self, task: &Task<'_>) -> Result<()> {
        let coordinates = self.coordinates();
        // A repository of its own, so that nothing of it stays in the home folder once it is unpacked.
        let repository = task.folder.join("repository");
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", "dependency:get", "-Dtransitive=false"]);
        maven.arg(format!("-Dartifact={coordinates}"));
        maven.arg(format!("-Dmaven.repo.local={}", repository.display()));
        task.run(&format!("fetching {coordinates}"), &mut maven).await?;
        let (artifact, version) = (self.artifact, self.version);
        let file = repository
            .join(self.group.replace('.', "/"))
            .join(format!("{artifact}/{version}/{artifact}-{version}.zip"));
        let mut sum = Command::new("sha256sum");
        let found = task.run("checking it", sum.arg(&file)).await?;
        let found = String::from_utf8_lossy(&found);
        let found = found.split(' ').next().unwrap_or_default();
        if found != self.sha256 {
            let reason = format!("its checksum is {found} and not {}", self.sha256);
            return Err(Error::Install { command: format!("fetching {coordinates}"), reason });
        }
        let mut unzip = Command::new("unzip");
        unzip.arg("-q").arg(&file).arg("-d").arg(task.folder);
        task.run("unpacking it", &mut unzip).await?;
        Ok(std::fs::remove_dir_all(repository)?)
    }
}

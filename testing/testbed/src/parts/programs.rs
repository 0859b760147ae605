//! Parts that are no servers: programs that tests call. Up means installed.

use async_trait::async_trait;

use crate::part::{Origin, Part, Running};
use crate::pins;
use crate::tool::{Source, Tool};
use crate::{Bed, Result};

/// A program.
#[derive(Debug)]
pub struct Program(Tool);

/// The scanner.
pub static TRIVY: Program = Program(Tool { name: "trivy", source: pins::TRIVY });
/// Signs and verifies images: what ours must agree with.
pub static COSIGN: Program = Program(Tool { name: "cosign", source: pins::COSIGN });
/// A browser.
pub static CHROMIUM: Program =
    Program(Tool { name: "chromium", source: Source::Debian { packages: &["chromium"], folders: &[] } });

#[async_trait]
impl Part for Program {
    fn name(&self) -> &'static str {
        self.0.name
    }

    async fn bring(&self, bed: &Bed) -> Result<()> {
        self.0.require(self.0.name, bed).await.map(drop)
    }

    async fn find(&self, bed: &Bed) -> Result<Option<Running>> {
        let Some(path) = self.0.find(bed) else { return Ok(None) };
        Ok(Some(Running {
            part: self.0.name,
            origin: Origin::Installed,
            url: path.display().to_string(),
            secret_file: None,
            pid: None,
        }))
    }

    async fn start(&self, bed: &Bed) -> Result<Running> {
        self.bring(bed).await?;
        let gone = || std::io::Error::new(std::io::ErrorKind::NotFound, "it went away just now");
        Ok(self.find(bed).await?.ok_or_else(gone)?)
    }

    async fn stop(&self, _: &Bed) -> Result<bool> {
        Ok(false)
    }
}

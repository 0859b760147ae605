//! The cluster's authority, one certificate for each who speaks to the API server, and their kubeconfigs. Made once for
//! a cluster; whoever has them is that component, so they are readable by their owner alone.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use shop_devstack::state::write_private;

use crate::Result;

/// Who speaks to the API server, by the name of its files, with the name and group that the API server knows it by.
const CLIENTS: &[(&str, &str, Option<&str>)] = &[
    ("admin", "admin", Some("system:masters")),
    ("controllers", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
    // What passes requests on to aggregated API servers, and asks the kubelet.
    ("front", "front-proxy", Some("system:masters")),
];

/// The files of a cluster's authority.
#[derive(Debug)]
pub(super) struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// That of the folder; made if it has none. `server` is how the API server is reached, `names` all of its names and
    /// addresses, `node` the name of the node.
    pub(super) fn open(folder: &Path, server: &str, names: &[String], node: &str) -> Result<Self> {
        let pki = Self { folder: folder.to_owned() };
        let whole = folder.join("made-for");
        let made_for = format!("{server} {names:?} {node}");
        if std::fs::read_to_string(&whole).is_ok_and(|text| text == made_for) {
            return Ok(pki);
        }
        pki.make(server, names, node)?;
        write_private(&whole, made_for.as_bytes())?;
        Ok(pki)
    }

    /// The file of this name.
    pub(super) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The kubeconfig of one who speaks to the API server.
    pub(super) fn kubeconfig(&self, client: &str) -> PathBuf {
        self.folder.join(format!("{client}.kubeconfig"))
    }

    fn make(&self, server: &str, names: &[String], node: &str) -> Result<()> {
        let mut authority = CertificateParams::new([])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        authority.distinguished_name.push(DnType::CommonName, "shop-testbed");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        self.write("ca.crt", &authority.pem())?;
        self.write("ca.key", &authority.key().serialize_pem())?;
        let tokens = KeyPair::generate()?;
        self.write("tokens.key", &tokens.serialize_pem())?;
        self.write("tokens.pub", &tokens.public_key_pem())?;
        let user = format!("system:node:{node}");
        let clients = CLIENTS.iter().copied().chain([("node", user.as_str(), Some("system:nodes"))]);
        for (file, name, group) in clients {
            let (certificate, key) = self.issue(&authority, file, (name, group), &[])?;
            let config = kubeconfig(server, &authority.pem(), &certificate, &key);
            self.write(&format!("{file}.kubeconfig"), &config.to_string())?;
        }
        self.issue(&authority, "apiserver", ("kube-apiserver", None), names)?;
        Ok(())
    }

    fn issue(
        &self,
        authority: &CertifiedIssuer<'_, KeyPair>,
        file: &str,
        (name, group): (&str, Option<&str>),
        names: &[String],
    ) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, authority)?;
        self.write(&format!("{file}.crt"), &certificate.pem())?;
        self.write(&format!("{file}.key"), &key.serialize_pem())?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn write(&self, file: &str, text: &str) -> std::io::Result<()> {
        write_private(&self.folder.join(file), text.as_bytes())
    }
}

fn kubeconfig(server: &str, authority: &str, certificate: &str, key: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "shop-testbed",
        "clusters": [{ "name": "shop-testbed", "cluster": {
            "server": server, "certificate-authority-data": BASE64.encode(authority),
        } }],
        "users": [{ "name": "shop-testbed", "user": {
            "client-certificate-data": BASE64.encode(certificate), "client-key-data": BASE64.encode(key),
        } }],
        "contexts": [{ "name": "shop-testbed", "context": { "cluster": "shop-testbed", "user": "shop-testbed" } }],
    })
}

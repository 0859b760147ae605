//! A Kubernetes version as a platform names it: major and minor. Whether it is supported is a law's business.
use std::fmt;
use std::str::FromStr;

/// A minor version of Kubernetes, such as 1.36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KubernetesVersion {
    minor: u16,
}

impl KubernetesVersion {
    /// 1.`minor`.
    #[must_use]
    pub const fn new(minor: u16) -> Self {
        Self { minor }
    }

    /// The number after the dot.
    #[must_use]
    pub fn minor(self) -> u16 {
        self.minor
    }
}

impl FromStr for KubernetesVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minor = text.strip_prefix("1.").ok_or("only Kubernetes 1 exists")?;
        if minor.contains('.') {
            return Err("name the minor version only; patches are the provider's".to_owned());
        }
        let plain = minor.bytes().all(|byte| byte.is_ascii_digit()) && !minor.starts_with('0');
        let parsed = minor.parse().ok().filter(|_| plain);
        Ok(Self { minor: parsed.ok_or("the minor version is not a number")? })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "1.{}", self.minor)
    }
}

text_type! {
    KubernetesVersion: "a version such as \"1.36\"", "^1\\.[1-9][0-9]*$";
}

//! The values of shop.toml as types: each can only be made from text that is valid, and prints back as that text.
//! Must not know where a value is written or what laws bind it to others.
#[macro_use]
mod text;

mod kubernetes;
mod names;
mod net;
mod units;
mod window;

pub use self::kubernetes::KubernetesVersion;
pub use self::names::{
    AccountId, ContextName, DatabaseName, Digest, DnsLabel, EnvironmentName, FolderPath, PlainValue,
    SecretName, ServiceName, VariableName, VulnerabilityId,
};
pub use self::net::{Host, Port, Region, Registry, Zone};
pub use self::units::{Cpu, Duration, Memory, Percent};
pub use self::window::{Date, TimeOfDay, Weekday};

//! `shop.toml`: read, checked and resolved for one environment.
//!
//! [`Platform::load`] reads the file and answers either the checked platform or every [`Problems`] at once;
//! [`Platform::resolve`] answers one environment with each value's origin. Pure: reads no other file, no clock,
//! no environment. Must not know how anything is rendered, built or deployed.
#[macro_use]
mod decode;

mod document;
mod kubernetes_support;
mod laws;
mod located;
mod platform;
mod problem;
mod resolve;
mod resolved;
mod schema;
mod settings;
mod source;
pub mod types;

pub use self::laws::{LAWS, Law, laws_markdown};
pub use self::located::{Located, Origin};
pub use self::platform::{LoadError, Platform, UnknownEnvironment};
pub use self::problem::{Problem, Problems};
pub use self::resolved::{Cluster, Resolved, Service, Setting};
pub use self::schema::json_schema;
pub use self::settings::{
    ChangeWindow, ClusterPin, CpuRange, EnvValue, Ignored, Ingress, MemoryRange, Metrics, Migrations,
    Objectives, Payments, Replicas, Scan, Severity, Shutdown,
};

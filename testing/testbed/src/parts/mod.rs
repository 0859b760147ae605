//! The parts of the testbed, one file each.

mod elasticsearch;
mod java;
mod moto;
mod postgres;
mod programs;
mod prometheus;
mod rabbitmq;
mod redis;
mod registry;
mod smtp;
mod sonarqube;
mod stripe;

pub use self::elasticsearch::{ELASTICSEARCH, unpack_elasticsearch};
pub use self::moto::MOTO;
pub use self::postgres::Postgres;
pub(crate) use self::postgres::server_of;
pub use self::programs::{CHROMIUM, COSIGN, TRIVY};
pub use self::prometheus::{ALERTMANAGER, PROMETHEUS};
pub use self::rabbitmq::RABBITMQ;
pub use self::redis::Redis;
pub use self::registry::REGISTRY;
pub use self::smtp::{Smtp, run_smtp};
pub use self::sonarqube::SONARQUBE;
pub use self::stripe::STRIPE;

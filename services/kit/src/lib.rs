//! What every service starts from: serve, health, auth, limits, problems, database, outbox and mail.
//! It holds no domain word: a user, a product or an order is the business of a service.

pub mod access;
mod body;
pub mod boot;
pub mod config;
pub mod consumers;
pub mod context;
pub mod db;
pub mod docs;
pub mod error;
pub mod etag;
pub mod extract;
pub mod health;
pub mod idempotency;
mod issuer;
pub mod jwks;
pub mod layers;
pub mod limit;
pub mod mail;
pub mod metrics;
pub mod outbox;
pub mod page;
pub mod retention;
pub mod router;
pub mod schema;
pub mod search;
pub mod serve;
mod share;
pub mod telemetry;
mod tls;
pub mod token;

pub use access::{Access, Caller, CallerKind, Gate, SessionCheck};
pub use boot::{BootError, Kit, NoCommands, Service, ServiceInfo, Started};
pub use config::KitConfig;
pub use context::{ClientAddr, RequestId, traceparent};
pub use error::ApiError;
pub use extract::{Form, Json, Path, Query};
pub use jwks::JwksClient;
pub use limit::{Limiter, Quota};
pub use router::ApiRouter;
pub use shop_api::{Code, Validate, Violations};
pub use token::{Claims, KeyError, KeySource, Verifier};
pub use utoipa_axum::routes;

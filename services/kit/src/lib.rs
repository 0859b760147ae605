//! What every service starts from: serve, health, auth, limits, problems, database, outbox and mail.
//! It holds no domain word: a user, a product or an order is the business of a service.

pub mod db;
pub mod etag;
pub mod mail;
pub mod outbox;
pub mod page;
pub mod schema;

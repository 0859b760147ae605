//! Wire types that every service and every client of one agree on.
//!
//! Pure data: no I/O, no framework, no clock beyond making an id. What a service keeps in its database is not here.
extern crate self as shop_api; // the id macro names this crate by its name, here too

pub mod access;
pub mod country;
pub mod event;
pub mod ids;
pub mod money;
pub mod page;
pub mod problem;
pub mod users;
pub mod validate;

pub use access::{Permission, Role, Roles};
pub use event::{Event, EventPage};
pub use ids::{AddressId, AuditId, ClientId, EventId, SessionId, UserId};
pub use money::{Currency, Money, MoneyError};
pub use page::{Page, PageQuery};
pub use problem::{Code, FieldError, Problem};
pub use validate::{Validate, Violations};

#[doc(hidden)]
pub mod __private {
    //! What the exported macros name, so that a crate that uses them needs no dependency of its own.
    pub use {serde, utoipa, uuid};
}

/// A schema of one string out of these.
fn string_enum(
    values: impl Iterator<Item = &'static str>,
) -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(values))
        .into()
}

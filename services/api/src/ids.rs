//! Ids as types of their own, so that an address's id cannot be given where a user's is wanted.
//!
//! All are UUIDv7: they sort by the time they were made, which keeps B-tree inserts at the right edge.

/// Declares id types: `id! { /// A user. UserId }`.
#[macro_export]
macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            $crate::__private::serde::Serialize, $crate::__private::serde::Deserialize,
        )]
        #[serde(crate = "::shop_api::__private::serde", transparent)]
        pub struct $name(pub $crate::__private::uuid::Uuid);

        impl $name {
            /// A fresh id (UUIDv7).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would be a different one each time")]
            pub fn new() -> Self {
                Self($crate::__private::uuid::Uuid::now_v7())
            }

            /// The bare UUID.
            #[must_use]
            pub const fn uuid(self) -> $crate::__private::uuid::Uuid {
                self.0
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = $crate::__private::uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<$crate::__private::uuid::Uuid> for $name {
            fn from(id: $crate::__private::uuid::Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for $crate::__private::uuid::Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl $crate::__private::utoipa::PartialSchema for $name {
            fn schema() -> $crate::__private::utoipa::openapi::RefOr<$crate::__private::utoipa::openapi::Schema> {
                $crate::ids::schema()
            }
        }

        // Ids are written in place (`type: string, format: uuid`): a reference would tell a reader nothing more.
        impl $crate::__private::utoipa::ToSchema for $name {}
    )+};
}

/// How every id looks in OpenAPI.
#[doc(hidden)]
#[must_use]
pub fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
}

id! {
    /// A person's account.
    UserId,
    /// One sign-in on one device; `sid` in an access token.
    SessionId,
    /// An entry of an address book.
    AddressId,
    /// A domain event; consumers drop a second delivery by it.
    EventId,
    /// An entry of the audit log.
    AuditId,
    /// A program that signs in with client credentials.
    ClientId,
}

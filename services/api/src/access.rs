//! Roles, permissions, and the one table that says which role grants which.
//!
//! Nothing here decides about one object ("is this order mine?"): that is the handler's question.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! names {
    ($(#[$meta:meta])* $enum:ident { $($(#[doc = $doc:literal])* $variant:ident $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $enum { $($(#[doc = $doc])* #[serde(rename = $text)] $variant,)* }

        impl $enum {
            /// All of them, in the order of declaration.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($enum::$variant => $text,)* }
            }

            /// What it is for, in one sentence.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $($enum::$variant => concat!($($doc),*).trim_start(),)* }
            }

            /// From the name on the wire.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some($enum::$variant),)* _ => None }
            }

            const fn bit(self) -> u64 { 1 << self as u64 }
        }

        // The derive cannot see through the macro: it would list the variants' Rust names.
        impl utoipa::PartialSchema for $enum {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::string_enum($enum::ALL.iter().map(|one| one.as_str()))
            }
        }

        impl ToSchema for $enum {}

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// What somebody is to the shop.
    Role {
        /// Buys; owns one account.
        Customer "customer",
        /// Helps customers: sees accounts, changes none.
        Support "support",
        /// Runs the shop.
        Admin "admin",
        /// A program of ours.
        Service "service",
    }
}

names! {
    /// What a route asks for. A name is an API: it is in the OpenAPI document and in tests.
    Permission {
        /// Read one's own profile.
        ProfileRead "profile:read",
        /// Change or delete one's own profile.
        ProfileWrite "profile:write",
        /// Read one's own addresses.
        AddressesRead "addresses:read",
        /// Change one's own addresses.
        AddressesWrite "addresses:write",
        /// List one's own sessions.
        SessionsRead "sessions:read",
        /// End one's own sessions.
        SessionsWrite "sessions:write",
        /// Change one's own password and second factor.
        SecurityWrite "security:write",
        /// Search accounts.
        UsersSearch "users:search",
        /// Read any account.
        UsersRead "users:read",
        /// Disable and enable any account, end its sessions.
        UsersDisable "users:disable",
        /// Give and take roles.
        UsersRoles "users:roles",
        /// Read the table of roles and permissions.
        RolesRead "roles:read",
        /// Read the audit log.
        AuditRead "audit:read",
        /// List service clients.
        ClientsRead "clients:read",
        /// Create and delete service clients, rotate their secrets.
        ClientsWrite "clients:write",
        /// Follow the domain events of a service.
        EventsRead "events:read",
    }
}

/// What everybody with an account may do with their own.
const OWN: &[Permission] = &[
    Permission::ProfileRead,
    Permission::ProfileWrite,
    Permission::AddressesRead,
    Permission::AddressesWrite,
    Permission::SessionsRead,
    Permission::SessionsWrite,
    Permission::SecurityWrite,
];

const SUPPORT: &[Permission] = &[Permission::UsersSearch, Permission::UsersRead];

const ADMIN: &[Permission] = &[
    Permission::UsersDisable,
    Permission::UsersRoles,
    Permission::RolesRead,
    Permission::AuditRead,
    Permission::ClientsRead,
    Permission::ClientsWrite,
];

impl Role {
    /// The table: what a role grants, as the groups it is made of.
    const fn groups(self) -> &'static [&'static [Permission]] {
        match self {
            Role::Customer => &[OWN],
            Role::Support => &[OWN, SUPPORT],
            Role::Admin => &[OWN, SUPPORT, ADMIN],
            Role::Service => &[&[Permission::EventsRead]],
        }
    }

    /// What the role grants.
    pub fn permissions(self) -> impl Iterator<Item = Permission> {
        self.groups().iter().flat_map(|group| group.iter().copied())
    }

    /// Whether the role grants it.
    #[must_use]
    pub const fn grants(self, permission: Permission) -> bool {
        GRANTS[self as usize] & permission.bit() != 0
    }
}

/// The table as one word a role, so that the question costs one AND.
const GRANTS: [u64; Role::ALL.len()] = {
    let mut words = [0; Role::ALL.len()];
    let mut role = 0;
    while role < words.len() {
        let groups = Role::ALL[role].groups();
        let mut group = 0;
        while group < groups.len() {
            let mut at = 0;
            while at < groups[group].len() {
                words[role] |= groups[group][at].bit();
                at += 1;
            }
            group += 1;
        }
        role += 1;
    }
    words
};

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u64);

impl Roles {
    /// Nothing at all.
    pub const NONE: Roles = Roles(0);

    /// Whether the role is among them.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether one of them grants the permission.
    #[must_use]
    pub fn grants(self, permission: Permission) -> bool {
        self.iter().any(|role| role.grants(permission))
    }

    /// The same set and one more.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Roles(self.0 | role.bit())
    }

    /// The roles, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(move |role| self.contains(*role))
    }

    /// From names on the wire; a name of a newer version grants nothing here and is left out.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(Role::from_name).collect()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Roles::NONE, Roles::with)
    }
}

impl std::fmt::Debug for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(Role::as_str)).finish()
    }
}

impl Serialize for Roles {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Names that a newer service knows are left out, as in `from_names`.
        let names = Vec::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Roles::from_names(names.iter().map(AsRef::as_ref)))
    }
}

impl utoipa::PartialSchema for Roles {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ArrayBuilder::new().items(utoipa::openapi::Ref::from_schema_name("Role")).into()
    }
}

impl ToSchema for Roles {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        schemas.push((Role::name().into_owned(), <Role as utoipa::PartialSchema>::schema()));
    }
}

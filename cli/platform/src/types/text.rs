//! The macro that gives a validated text type its traits. Must not hold any type itself.

/// Gives a type with `FromStr<Err = String>` and `Display` its place in TOML, JSON and the JSON Schema.
/// The pattern helps editors; the parser decides, and a test holds the two together.
macro_rules! text_type {
    ($($name:ident: $expected:literal, $pattern:literal;)*) => {$(
        impl $crate::decode::Text for $name {
            const EXPECTED: &'static str = $expected;
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "description": $expected })
            }
        }
    )*};
}

/// Declares a text type that is kept as it was written.
macro_rules! name_type {
    ($($(#[$meta:meta])* $name:ident: $expected:literal, $pattern:literal, $check:path;)*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(String);

            impl $name {
                /// The text as it was written.
                #[must_use]
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl std::str::FromStr for $name {
                type Err = String;

                fn from_str(text: &str) -> Result<Self, String> {
                    $check(text)?;
                    Ok(Self(text.to_owned()))
                }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str(&self.0)
                }
            }

            impl AsRef<str> for $name {
                fn as_ref(&self) -> &str {
                    &self.0
                }
            }

            impl std::borrow::Borrow<str> for $name {
                fn borrow(&self) -> &str {
                    &self.0
                }
            }
        )*
        text_type! { $($name: $expected, $pattern;)* }
    };
}

/// Refuses `text` with `reason` unless `holds`.
pub(super) fn ensure(holds: bool, reason: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason.to_owned()) }
}

//! A value together with the place it came from. Must not know what the value means.
use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the file.
    File {
        /// The bytes of the value.
        span: Range<usize>,
        /// The line of the value, from 1.
        line: usize,
        /// The lines of the parts of a table, by dotted path inside it.
        parts: Vec<(String, usize)>,
    },
    /// Nowhere: it is what the platform takes when the file is silent.
    Default,
}

impl Origin {
    /// The line that `part` (a dotted path inside the value, or empty) was written on; none for a default.
    #[must_use]
    pub fn line_of(&self, part: &str) -> Option<usize> {
        let Self::File { line, parts, .. } = self else { return None };
        let own = parts.iter().find(|(path, _)| path == part).map(|(_, own)| *own);
        Some(own.unwrap_or(*line))
    }
}

/// A value that remembers its [`Origin`]. Serialises, and has the schema, as the bare value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value itself; `*located` reads the same.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
}

impl<T> Located<T> {
    /// A value that the file does not give.
    pub fn default_of(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }

    /// Whether the value stands in no file.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.origin == Origin::Default
    }

    /// The bytes to put a caret under; the start of the file for a default.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        match &self.origin {
            Origin::File { span, .. } => span.clone(),
            Origin::Default => 0..0,
        }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for Located<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(formatter)
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

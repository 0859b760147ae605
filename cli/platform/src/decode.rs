//! From TOML to types without stopping at the first mistake: every reader reports into a collector and goes on.
//! Must not know any key of shop.toml: `settings` names them through the macros here.
use std::ops::Range;

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::located::{Located, Origin};
use crate::problem::{Collector, Problem, did_you_mean};

/// One value of the file with its dotted path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) path: &'a str,
    pub(crate) value: &'a Spanned<DeValue<'a>>,
}

impl Node<'_> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Reports that the value has another type or form than `expected`.
    pub(crate) fn expected(&self, expected: &str, problems: &mut Collector) {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` is {found}, not {expected}", self.path);
        problems.add(
            Problem::new("wrong-type", self.span(), message)
                .label(format!("expected {expected}"))
                .hint(format!("write {expected}")),
        );
    }

    fn origin(&self, problems: &Collector) -> Origin {
        let line = |span: Range<usize>| problems.source.position(span.start).0;
        let mut parts = Vec::new();
        collect_parts(self.value, "", &mut |path, span| parts.push((path, line(span))));
        Origin::File { span: self.span(), line: line(self.span()), parts }
    }
}

fn collect_parts(value: &Spanned<DeValue<'_>>, prefix: &str, found: &mut impl FnMut(String, Range<usize>)) {
    if let DeValue::Table(table) = value.get_ref() {
        for (key, value) in table {
            let path = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            collect_parts(value, &path, found);
            found(path, key.span());
        }
    }
}

/// What a value of the file can become.
pub(crate) trait FromToml: Sized {
    /// Reads `node`; a mistake is reported and answers `None`.
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self>;
}

/// A type that is written as a TOML string and parsed from it.
pub(crate) trait Text: std::str::FromStr<Err = String> {
    /// What to write, with an example: `text such as "250m"`.
    const EXPECTED: &'static str;
}

impl<T: Text> FromToml for T {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let DeValue::String(text) = node.value.get_ref() else {
            node.expected(T::EXPECTED, problems);
            return None;
        };
        text.parse()
            .map_err(|reason: String| {
                let message = format!("`{}` cannot be {:?}", node.path, text.as_ref());
                let problem = Problem::new("bad-value", node.span(), message);
                problems.add(problem.label(reason).hint(format!("write {}", T::EXPECTED)));
            })
            .ok()
    }
}

impl FromToml for bool {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let DeValue::Boolean(value) = node.value.get_ref() else {
            node.expected("true or false", problems);
            return None;
        };
        Some(*value)
    }
}

impl FromToml for u32 {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let DeValue::Integer(value) = node.value.get_ref() else {
            node.expected("a whole number", problems);
            return None;
        };
        let parsed = Self::from_str_radix(value.as_str(), value.radix()).ok();
        if parsed.is_none() {
            let message = format!("`{}` cannot be {value}", node.path);
            let problem = Problem::new("bad-value", node.span(), message);
            problems.add(
                problem
                    .label(format!("expected 0 to {}", Self::MAX))
                    .hint("write a number within that range"),
            );
        }
        parsed
    }
}

impl<T: FromToml> FromToml for Vec<T> {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let DeValue::Array(items) = node.value.get_ref() else {
            node.expected("a list", problems);
            return None;
        };
        let read: Vec<Option<T>> =
            items.iter().map(|value| T::from_toml(Node { value, ..node }, problems)).collect();
        read.into_iter().collect()
    }
}

impl<K: Text + std::hash::Hash + Eq, V: FromToml> FromToml for IndexMap<K, V> {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let reader = Reader::open(node, problems)?;
        let read: Vec<Option<(K, V)>> = reader
            .entries()
            .map(|(key, span, path, value)| {
                let parsed = parse_key::<K>(key, span, problems);
                let value = V::from_toml(Node { path: &path, value }, problems);
                Some((parsed?, value?))
            })
            .collect();
        read.into_iter().collect()
    }
}

/// Reads a key that is itself a typed name (`[service.<name>]`).
pub(crate) fn parse_key<K: Text>(key: &str, span: Range<usize>, problems: &mut Collector) -> Option<K> {
    key.parse()
        .map_err(|reason: String| {
            let problem = Problem::new("bad-name", span, format!("{key:?} is not a usable name"));
            problems.add(problem.label(reason).hint(format!("write {}", K::EXPECTED)));
        })
        .ok()
}

/// Reads the keys of one table and remembers which were asked for: what is left is unknown.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    path: &'a str,
    span: Range<usize>,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn open(node: Node<'a>, problems: &mut Collector) -> Option<Self> {
        let DeValue::Table(table) = node.value.get_ref() else {
            node.expected("a table", problems);
            return None;
        };
        Some(Self { path: node.path, span: node.span(), table, asked: Vec::new() })
    }

    pub(crate) fn root(table: &'a Spanned<DeTable<'a>>) -> Self {
        Self { path: "", span: 0..0, table: table.get_ref(), asked: Vec::new() }
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of `key`, if it is there and well formed.
    pub(crate) fn get<T: FromToml>(
        &mut self,
        key: &'static str,
        problems: &mut Collector,
    ) -> Option<Located<T>> {
        let (path, value) = self.find(key)?;
        let node = Node { path: &path, value };
        let origin = node.origin(problems);
        Some(Located { value: T::from_toml(node, problems)?, origin })
    }

    /// Like [`Self::get`]; an absent key is a problem.
    pub(crate) fn required<T: FromToml>(
        &mut self,
        key: &'static str,
        problems: &mut Collector,
    ) -> Option<Located<T>> {
        if self.find(key).is_none() && !self.is_unsure(key) {
            let place = if self.path.is_empty() { "the file".to_owned() } else { format!("`{}`", self.path) };
            let problem = Problem::new("missing-key", self.span(), format!("{place} has no `{key}`"));
            problems.add(problem.label(format!("`{key}` is missing")).hint(format!("add `{key} = …`")));
        }
        self.get(key, problems)
    }

    /// Whether `key` is written here, be it with a wrong value or with a typing error: nothing can then be said of
    /// its absence.
    pub(crate) fn is_unsure(&self, key: &str) -> bool {
        self.table.keys().any(|written| did_you_mean(written.get_ref(), [key]).is_some())
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of `key` as it stands, for a table whose keys are names.
    pub(crate) fn find(&mut self, key: &'static str) -> Option<(String, &'a Spanned<DeValue<'a>>)> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.table.get(key).map(|value| (self.path_of(key), value))
    }

    /// Every key with its span, path and value.
    pub(crate) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'a str, Range<usize>, String, &'a Spanned<DeValue<'a>>)> {
        self.table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), key.span(), self.path_of(key.get_ref()), value))
    }

    /// Reports every key that nobody asked for. `elsewhere` says where a key that is known but misplaced belongs.
    pub(crate) fn finish(self, elsewhere: impl Fn(&str) -> Option<String>, problems: &mut Collector) {
        for (key, span, path, _) in self.entries() {
            if self.asked.contains(&key) {
                continue;
            }
            let hint = match (elsewhere(key), did_you_mean(key, self.asked.iter().copied())) {
                (Some(place), _) => place,
                (None, Some(meant)) => format!("did you mean `{meant}`?"),
                (None, None) => format!("known here: {}", self.asked.join(", ")),
            };
            let problem = Problem::new("unknown-key", span, format!("`{path}` is not a known key"));
            problems.add(problem.label("unknown").hint(hint));
        }
    }

    fn path_of(&self, key: &str) -> String {
        let key = key.escape_debug(); // a quoted key may hold anything, and the path is printed
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

/// Declares a table that is written whole: every key must be there.
macro_rules! table {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $kind,)*
        }

        impl $crate::decode::FromToml for $name {
            fn from_toml(node: $crate::decode::Node<'_>, problems: &mut $crate::problem::Collector) -> Option<Self> {
                let mut reader = $crate::decode::Reader::open(node, problems)?;
                $(let $field = reader.required(stringify!($field), problems);)*
                reader.finish(|_| None, problems);
                Some(Self { $($field: $field?.value,)* })
            }
        }
    };
}

/// Declares a choice of words.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_meta:meta])* $first:ident = $first_word:literal,
        $($(#[$word_meta:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema)]
        pub enum $name {
            $(#[$first_meta])* #[serde(rename = $first_word)] $first,
            $($(#[$word_meta])* #[serde(rename = $word)] $variant,)*
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(match self { Self::$first => $first_word, $(Self::$variant => $word,)* })
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $first_word => Ok(Self::$first),
                    $($word => Ok(Self::$variant),)*
                    _ => {
                        let meant = $crate::problem::did_you_mean(text, [$first_word $(, $word)*]);
                        Err(meant.map_or("it is none of these".to_owned(), |word| format!("did you mean {word:?}?")))
                    }
                }
            }
        }

        impl $crate::decode::Text for $name {
            const EXPECTED: &'static str = concat!("\"", $first_word, "\"" $(, " or \"", $word, "\"")*);
        }
    };
}

/// Declares the settings of one layer: every field may be absent, and a later layer replaces an earlier one.
macro_rules! settings {
    ($(#[$meta:meta])* pub(crate) struct $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $kind:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, schemars::JsonSchema)]
        pub(crate) struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(crate) $field: Option<$crate::located::Located<$kind>>,
            )*
            /// The keys that are written but not understood.
            #[schemars(skip)]
            pub(crate) unsure: Vec<&'static str>,
        }

        impl $name {
            /// Every key that this layer knows.
            pub(crate) const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            pub(crate) fn read(reader: &mut $crate::decode::Reader<'_>, problems: &mut $crate::problem::Collector) -> Self {
                let mut read = Self::default();
                $(
                    read.$field = reader.get(stringify!($field), problems);
                    if read.$field.is_none() && reader.is_unsure(stringify!($field)) {
                        read.unsure.push(stringify!($field));
                    }
                )*
                read
            }

            /// Every key that is set, as it is shown: tables by their parts, under `prefix`.
            pub(crate) fn list(&self, prefix: &str, into: &mut Vec<$crate::resolved::Setting>) {
                $(
                    if let Some(located) = &self.$field {
                        let key = format!("{prefix}{}", stringify!($field));
                        $crate::resolved::Setting::parts(&key, located, into);
                    }
                )*
            }

            /// `later` over `self`: each key that `later` has replaces ours whole.
            pub(crate) fn under(self, later: &Self) -> Self {
                let mut unsure = self.unsure;
                $(
                    if later.$field.is_some() {
                        unsure.retain(|key| *key != stringify!($field));
                    }
                )*
                unsure.extend(&later.unsure);
                let known = |key| !unsure.contains(&key);
                Self {
                    $($field: later.$field.clone().or(self.$field).filter(|_| known(stringify!($field))),)*
                    unsure,
                }
            }
        }
    };
}

//! The one way from a model to text: strict handlebars, every value quoted for the target's language by the
//! engine itself, the result read back and compared. Must not know any target.
use handlebars::Handlebars;
use serde::Serialize;
use serde_json::Value;

use crate::file::EmitError;

/// The templates, embedded: what is run is what was tested.
const TEMPLATES: [(&str, &str); 1] = [("compose.yaml", include_str!("../hbs/compose.yaml.hbs"))];

/// The name of every template, so that a test can hold that each is rendered by one.
pub fn template_names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.into_iter().map(|(name, _)| name)
}

/// Renders `model` as YAML. In a YAML template every `{{value}}` comes out as a quoted string; raw values
/// (`{{{value}}}`) are refused, so that no value can ever be taken for syntax.
pub(crate) fn yaml<T: Serialize>(template: &'static str, model: &T) -> Result<String, EmitError> {
    let (_, source) = TEMPLATES.iter().find(|(name, _)| *name == template).expect("a template of the table");
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_escape_fn(quote_yaml);
    let broken = |error| EmitError::Template { template, source: Box::new(error) };
    let text = engine.render_template(source, model).map_err(broken)?;
    let expected = serde_json::to_value(model).expect("a model is plain data");
    let reads_back = |reason: String| EmitError::ReadBack { template, reason };
    let found: Value = serde_saphyr::from_str(&text).map_err(|error| reads_back(error.to_string()))?;
    match difference("", &expected, &found) {
        None => Ok(text),
        Some(place) => Err(reads_back(place)),
    }
}

/// A YAML double-quoted scalar. JSON's strings are YAML's, but for what YAML 1.1 readers take for line breaks.
fn quote_yaml(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    for c in Value::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted
}

/// Where the two differ first.
fn difference(place: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) if expected.keys().eq(found.keys()) => {
            expected.iter().find_map(|(key, value)| difference(&format!("{place}/{key}"), value, &found[key]))
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut pairs = expected.iter().zip(found).enumerate();
            pairs.find_map(|(at, (expected, found))| difference(&format!("{place}/{at}"), expected, found))
        }
        _ if expected == found => None,
        _ => Some(format!("{place} is {found}, not {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_template_holds_a_raw_value() {
        for (name, source) in TEMPLATES {
            for raw in ["{{{", "{{&", "{{ &"] {
                assert!(!source.contains(raw), "{name} holds {raw}: values must be quoted");
            }
        }
    }

    #[test]
    fn a_quoted_value_reads_back_whatever_it_holds() {
        let hostile = [
            "",
            "no",
            "1e3",
            "0644",
            "~",
            ": ",
            "a: b",
            "- x",
            "# x",
            "{{x}}",
            "<script>",
            "a\nb",
            "\"'\\",
            "\u{0}\u{7}\u{1b}",
            "\u{85}\u{2028}\u{feff}",
            "ü🦀",
            "*a",
            "&a",
            "!!binary",
            "%x",
            "@",
            "`",
            "\t",
            " x ",
        ];
        for text in hostile {
            let read: String = serde_saphyr::from_str(&quote_yaml(text)).expect("YAML");
            assert_eq!(read, text);
        }
    }

    #[test]
    fn a_difference_is_named_by_its_place() {
        let (one, two) = (serde_json::json!({"a": [1, "x"]}), serde_json::json!({"a": [1, "y"]}));
        assert_eq!(difference("", &one, &two).as_deref(), Some("/a/1 is \"y\", not \"x\""));
        assert_eq!(difference("", &one, &one), None);
    }
}

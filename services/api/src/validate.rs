//! Rules that a type alone does not hold. All are asked, so that a client learns of every bad field at once.
use crate::FieldError;

/// A request type whose fields have rules. Types without any say `impl Validate for X {}`.
pub trait Validate {
    /// Notes every broken rule.
    fn validate(&self, _violations: &mut Violations) {}
}

/// The broken rules so far.
#[derive(Debug, Default)]
pub struct Violations {
    prefix: String,
    errors: Vec<FieldError>,
}

impl Violations {
    /// Notes a broken rule. `pointer` is below the current place: `/email`.
    pub fn add(&mut self, pointer: &str, code: &str, message: impl Into<String>) {
        let pointer = format!("{}{pointer}", self.prefix);
        self.errors.push(FieldError::new(pointer, code, message));
    }

    /// Notes it unless the rule holds.
    pub fn check(&mut self, holds: bool, pointer: &str, code: &str, message: impl Into<String>) {
        if !holds {
            self.add(pointer, code, message);
        }
    }

    /// The number of characters is in a range.
    pub fn length(&mut self, pointer: &str, text: &str, min: usize, max: usize) {
        // The bytes bound the characters: a huge text is not counted through.
        let length = if text.len() > max * 4 { usize::MAX } else { text.chars().count() };
        self.check(length >= min, pointer, "too_short", format!("must have at least {min} characters"));
        self.check(length <= max, pointer, "too_long", format!("must have at most {max} characters"));
    }

    /// The number is in a range.
    pub fn range<N: PartialOrd + std::fmt::Display + Copy>(
        &mut self,
        pointer: &str,
        value: N,
        min: N,
        max: N,
    ) {
        self.check(
            value >= min && value <= max,
            pointer,
            "out_of_range",
            format!("must be from {min} to {max}"),
        );
    }

    /// Rules of a part, at a place below.
    pub fn nested(&mut self, pointer: &str, part: &impl Validate) {
        let length = self.prefix.len();
        self.prefix.push_str(pointer);
        part.validate(self);
        self.prefix.truncate(length);
    }

    /// Whether every rule held so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The broken rules.
    #[must_use]
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }
}

impl Validate for crate::PageQuery {
    fn validate(&self, violations: &mut Violations) {
        crate::page::check(violations, self.limit, self.cursor.as_deref());
    }
}

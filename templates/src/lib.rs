//! Everything that is generated from shop.toml: a typed model for each target, a template that writes it, and a
//! proof that what was written reads back as the model.
//!
//! Emitters are pure: a [`Resolved`](shop_platform::Resolved) in, [`File`]s out; no clock, no environment, no disk.
//! Must not decide what a value is: that is shop.toml's and the laws' business.
pub mod compose;
mod file;
mod render;

pub use self::file::{EmitError, File};
pub use self::render::template_names;

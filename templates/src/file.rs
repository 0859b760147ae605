//! What an emitter answers. Must not write to the disk: the caller does.

/// One generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it belongs, relative to the root of the repository.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The file cannot hold what was asked of it.
    #[error("{target}: {reason}")]
    Refused {
        /// The file.
        target: &'static str,
        /// Why.
        reason: String,
    },
    /// A template names something that its model lacks: a bug.
    #[error("the template {template} does not fit its model")]
    Template {
        /// The template.
        template: &'static str,
        /// What it stumbled over.
        source: Box<handlebars::RenderError>,
    },
    /// What was written does not read back as the model: a bug.
    #[error("what {template} wrote does not read back as its model: {reason}")]
    ReadBack {
        /// The template.
        template: &'static str,
        /// The first difference, or why it cannot be read.
        reason: String,
    },
}

//! Images: what a service is shipped as. One layer with one static program, named by the digest of its manifest, which is
//! known before anything is pushed. Knows no screen and no registry yet; must not read a clock: the same inputs are the
//! same image.

mod authorities;
mod build;
mod compile;
mod digest;
mod error;
mod git;
mod image;
mod inputs;
mod layer;
mod layout;
mod revision;
mod workspace;

pub use self::build::{Build, Built, Doing, Record};
pub use self::compile::Compile;
pub use self::digest::Digest;
pub use self::error::{Error, Result};
pub use self::image::{Image, Labels};
pub use self::inputs::Inputs;
pub use self::layer::{Entry, Layer};
pub use self::layout::Layout;
pub use self::revision::Revision;
pub use self::workspace::Workspace;

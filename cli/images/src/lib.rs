//! Images: what a service is shipped as. One layer with one static program, named by the digest of its manifest, which is
//! known before anything is pushed. Knows no screen and no registry yet; must not read a clock: the same inputs are the
//! same image.

mod digest;
mod error;
mod image;
mod layer;
mod layout;

pub use self::digest::Digest;
pub use self::error::{Error, Result};
pub use self::image::{Image, Labels};
pub use self::layer::{Entry, Layer};
pub use self::layout::Layout;

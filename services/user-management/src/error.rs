//! How failures of this service's own parts look on the wire. Everything else is kit's table.

use shop_api::Code;
use shop_kit::ApiError;

use crate::hashing::Busy;

impl From<Busy> for ApiError {
    fn from(busy: Busy) -> Self {
        ApiError::code(Code::Overloaded).source(busy).retry_after(2)
    }
}

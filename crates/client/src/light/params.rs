//! Positional parameters by type; later ones optional.

use jsonrpsee::types::{ErrorObjectOwned, Params, ParamsSequence, error::INVALID_PARAMS_CODE};
use serde::de::DeserializeOwned;

/// Parameters, read one after the other.
pub(crate) struct Reader<'a>(ParamsSequence<'a>);

pub(crate) fn invalid(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, text.to_string(), None::<()>)
}

impl<'a> Reader<'a> {
    pub(crate) fn new(params: &'a Params<'_>) -> Self {
        Self(params.sequence())
    }

    /// The next parameter, which must be there.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<T, ErrorObjectOwned> {
        self.0.next()
    }

    /// The next parameter, where it is there and not null.
    pub(crate) fn optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ErrorObjectOwned> {
        self.0.optional_next()
    }
}

//! Events (`spec/events.md`): lines of JSON for as long as somebody listens.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use freehold_rpc::{LocalErrorCode, stream_body};

use super::{freehold::serving, or_refuse, refuse};
use crate::{
    agent::Guest,
    events::{read_ask, subscribe},
};

pub(super) async fn events(
    State(guest): State<Arc<Guest>>,
    query: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Response {
    or_refuse!(serving(&guest));
    let invalid = |message: String| refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, message);
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return invalid(error.to_string()),
    };
    let (filter, from) = match read_ask(&query, guest.settings().app_id) {
        Ok(ask) => ask,
        Err(error) => return invalid(error.to_string()),
    };
    // Its own next block, where none is named.
    let newest = guest.life().newest().map_or(0, |newest| newest.height);
    let Some(lines) = subscribe(&guest, filter, from.unwrap_or(newest + 1)) else {
        let message = "too many listen already: end a subscription first";
        return refuse(StatusCode::TOO_MANY_REQUESTS, LocalErrorCode::TooManyRequests, message);
    };
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    (StatusCode::OK, [kind], Body::new(stream_body(lines))).into_response()
}

//! Keys by name under a generation of the root key, and word of new generations, so that an app can write its data anew.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Bytes,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use freehold_crypto::app_key;
use freehold_primitives::Generation;
use freehold_rpc::{GenerateKeyOf, GeneratedKeyOf, KeyGenerations, KeyKind, KeyScope, LocalErrorCode};
use serde::Deserialize;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{
    Caller,
    freehold::{identity, read, serving},
    json, refuse,
};
use crate::{agent::Guest, roots::Root};

/// Longest key id, in bytes.
pub(super) const KEY_ID_BYTES_MAX: usize = 1024;
/// Beginnings of key ids that are the platform's: ours, and those that ROFL's own containers and proxy use.
const RESERVED: [&str; 3] = ["freehold/", "oasis-runtime-sdk/", "rofl-proxy/"];
/// Longest wait for a new generation.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Whether an app may ask for a key of this name; else why not.
pub(super) fn check_id(key_id: &str) -> Result<(), String> {
    if key_id.len() > KEY_ID_BYTES_MAX {
        return Err(format!("key_id is longer than {KEY_ID_BYTES_MAX} bytes"));
    }
    if RESERVED.iter().any(|prefix| key_id.starts_with(prefix)) {
        return Err("this key_id is reserved for the platform".to_owned());
    }
    Ok(())
}

/// The key of a name, in hex.
pub(super) fn derive(root: &Root, kind: KeyKind, key_id: &str) -> Zeroizing<String> {
    let kind = match kind {
        KeyKind::Raw256 => freehold_crypto::KeyKind::Raw256,
        KeyKind::Raw384 => freehold_crypto::KeyKind::Raw384,
        KeyKind::Ed25519 => freehold_crypto::KeyKind::Ed25519,
        KeyKind::Secp256k1 => freehold_crypto::KeyKind::Secp256k1,
    };
    Zeroizing::new(hex::encode(&*app_key(&root.secret[..], kind, key_id.as_bytes())))
}

/// The name under which the key of a scope hangs; for all but the app's own, one that no app can ask for itself.
fn scoped(guest: &Guest, caller: &Caller, ask: &GenerateKeyOf) -> Result<String, Response> {
    if let Err(refusal) = guest.settings().check_scope(ask.scope) {
        return Err(refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, refusal.to_string()));
    }
    let place = match (ask.scope, caller) {
        (KeyScope::App, _) => return Ok(ask.key_id.clone()),
        (KeyScope::Provider, _) => format!("provider/{}", guest.settings().provider),
        (KeyScope::Instance, _) => format!("instance/{}", identity(guest)?.instance_id),
        (KeyScope::Service, Caller::Service(name)) => format!("service/{name}"),
        (KeyScope::Service, Caller::App) => {
            let message = "this socket is no service's: the scope `service` has none here";
            return Err(refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, message));
        }
    };
    Ok(format!("freehold/scope/{place}/{}", ask.key_id))
}

pub(super) async fn generate(
    State(guest): State<Arc<Guest>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Response {
    let ask: GenerateKeyOf = match read(&body) {
        Ok(ask) => ask,
        Err(refusal) => return refusal,
    };
    let serving = match serving(&guest) {
        Ok(serving) => serving,
        Err(refusal) => return refusal,
    };
    if let Err(refusal) = check_id(&ask.key_id) {
        return refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, refusal);
    }
    let Some(root) = serving.roots.root(ask.generation) else {
        let message = "this generation of the root key is not served, or not here yet";
        return refuse(StatusCode::NOT_FOUND, LocalErrorCode::NotFound, message);
    };
    let name = match scoped(&guest, &caller, &ask) {
        Ok(name) => name,
        Err(refusal) => return refusal,
    };
    let key = derive(&root, ask.kind, &name).to_string();
    json(StatusCode::OK, &GeneratedKeyOf { key, generation: root.generation })
}

/// What an app knows already.
#[derive(Deserialize)]
pub(super) struct Known {
    after: Option<Generation>,
}

/// The generations that are held; with `after`, once there is a newer one, or after a while.
pub(super) async fn generations(State(guest): State<Arc<Guest>>, Query(known): Query<Known>) -> Response {
    let mut held = match serving(&guest) {
        Ok(serving) => serving.roots.generations(),
        Err(refusal) => return refusal,
    };
    if let Some(after) = known.after {
        let _elapsed = timeout(WAIT_MAX, held.wait_for(|held| held.newest > after)).await;
    }
    let held = *held.borrow();
    let answer = KeyGenerations { newest: held.newest, previous: held.previous, previous_until: held.previous_until };
    json(StatusCode::OK, &answer)
}

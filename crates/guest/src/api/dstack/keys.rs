//! Keys, certificates and signatures.

use axum::{extract::State, response::Response};
use freehold_rpc::{
    BareHex, DstackDeriveK256Key, DstackDeriveKey, DstackGetKey, DstackGetTlsKey, DstackK256Key, DstackKey, DstackSign,
    DstackSigned, DstackTlsKey, DstackVerified, DstackVerify, KeyScope,
};
use rand::{TryRng as _, rngs::SysRng};
use zeroize::Zeroizing;

use super::{Body, GuestState, Ready, answer, read};
use crate::{
    agent::Guest,
    clock::boot_ms,
    dstack::{
        AppKeys, CertificateAsk, Curve, DerivedKey, DstackError, Scheme, TlsAuthority, Usage, ratls_report_data,
        short_id, verify as verify_signature,
    },
};

impl Ready<'_> {
    /// dstack's keys are the same for every instance.
    fn check_scope(&self) -> Result<(), DstackError> {
        Ok(self.guest.settings().check_scope(KeyScope::App)?)
    }

    fn app_keys(&self) -> Result<AppKeys<'_>, DstackError> {
        self.check_scope()?;
        AppKeys::new(&self.root()?.secret, &self.guest.keys().account, self.guest.settings().app_id)
    }

    fn authority(&self) -> Result<TlsAuthority, DstackError> {
        TlsAuthority::new(&self.root()?.secret, &self.guest.settings().app_id.to_string())
    }

    fn now(&self) -> Result<u64, DstackError> {
        let life = self.guest.life();
        life.now_unix_s(boot_ms()).ok_or(DstackError::NotServing(life.stage().as_str()))
    }
}

fn chain(chain: &[[u8; 65]]) -> Vec<BareHex> {
    chain.iter().map(|signature| BareHex(signature.to_vec())).collect()
}

fn derived(guest: &Guest, path: &str, purpose: &str, curve: Curve) -> Result<DerivedKey, DstackError> {
    Ready::of(guest)?.app_keys()?.derive(path, purpose, curve)
}

pub(in super::super) async fn get_key(State(guest): GuestState, body: Body) -> Response {
    let make = || {
        let ask: DstackGetKey = read(&body)?;
        let key = derived(&guest, &ask.path, &ask.purpose, Curve::parse(&ask.algorithm)?)?;
        Ok(DstackKey { key: hex::encode(*key.secret), signature_chain: chain(&key.chain) })
    };
    answer(make())
}

pub(in super::super) async fn derive_k256_key(State(guest): GuestState, body: Body) -> Response {
    let make = || {
        let ask: DstackDeriveK256Key = read(&body)?;
        let key = derived(&guest, &ask.path, &ask.purpose, Curve::Secp256k1)?;
        Ok(DstackK256Key { k256_key: hex::encode(*key.secret), k256_signature_chain: chain(&key.chain) })
    };
    answer(make())
}

pub(in super::super) async fn sign(State(guest): GuestState, body: Body) -> Response {
    let make = || {
        let ask: DstackSign = read(&body)?;
        let scheme = Scheme::parse(&ask.algorithm)?;
        let signed = Ready::of(&guest)?.app_keys()?.sign(scheme, &ask.data.0)?;
        let signature = BareHex(signed.signature.to_vec());
        let signature_chain = [vec![signature.clone()], chain(&signed.chain)].concat();
        Ok(DstackSigned { signature, signature_chain, public_key: BareHex(signed.public) })
    };
    answer(make())
}

pub(in super::super) async fn verify(body: Body) -> Response {
    let make = || {
        let ask: DstackVerify = read(&body)?;
        let scheme = Scheme::parse(&ask.algorithm)?;
        let valid = verify_signature(scheme, &ask.data.0, &ask.signature.0, &ask.public_key.0)?;
        Ok(DstackVerified { valid })
    };
    answer(make())
}

pub(in super::super) async fn get_tls_key(State(guest): GuestState, body: Body) -> Response {
    answer(tls_key(&guest, &body).await)
}

async fn tls_key(guest: &Guest, body: &[u8]) -> Result<DstackTlsKey, DstackError> {
    let ask: DstackGetTlsKey = read(body)?;
    let ready = Ready::of(guest)?;
    let mut random = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(&mut *random).map_err(|_| DstackError::Randomness)?;
    let key = TlsAuthority::fresh_key(&random)?;
    let attested = if ask.usage_ra_tls {
        let quote = ready.tdx_quote(ratls_report_data(&key.public_der())).await?;
        let log = serde_json::to_vec(&guest.settings().event_log)?;
        Some((quote, log))
    } else {
        None
    };
    let certificate = CertificateAsk {
        subject: ask.subject,
        names: ask.alt_names,
        usage: Usage { server: ask.usage_server_auth, client: ask.usage_client_auth },
        not_before: ask.not_before,
        not_after: ask.not_after,
        attested,
        app_id: ask.with_app_info.then(|| short_id(&guest.settings().app_id).to_vec()),
    };
    let certificate_chain = ready.authority()?.issue(&key, certificate, ready.now()?)?;
    Ok(DstackTlsKey { key: key.pem(), certificate_chain })
}

pub(in super::super) async fn derive_key(State(guest): GuestState, body: Body) -> Response {
    let make = || {
        let ask: DstackDeriveKey = read(&body)?;
        let ready = Ready::of(&guest)?;
        ready.check_scope()?;
        let authority = ready.authority()?;
        let key = authority.key_of(&ask.path)?;
        let usage = Usage { server: true, client: true };
        let certificate = CertificateAsk { subject: ask.subject, names: ask.alt_names, usage, ..Default::default() };
        let certificate_chain = authority.issue(&key, certificate, ready.now()?)?;
        Ok(DstackTlsKey { key: key.pem(), certificate_chain })
    };
    answer(make())
}

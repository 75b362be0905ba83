//! Collateral of emulated GPUs: the certificates above devices, and revocation lists (`spec/gpu.md` §3).

use freehold_primitives::{Blob, Canonical as _, UnixSeconds, VERSION};
use rcgen::{
    Certificate, CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};

use super::{EmulatedGpu, GpuRevocation, keys::Key384};
use crate::collateral::{COLLATERAL_VALID_S, DAY_S, SLACK_S, moment};

/// The canonical document.
pub(crate) fn document(gpu: &EmulatedGpu, now_unix_s: UnixSeconds, revocation: GpuRevocation) -> Vec<u8> {
    let authority = &gpu.authority;
    let issued_at = now_unix_s.saturating_sub(SLACK_S) / DAY_S * DAY_S;
    let certificates = [&authority.provisioner, &authority.model, &authority.root];
    let revoked = |wanted: GpuRevocation, serial: Vec<u8>| (revocation == wanted).then_some(serial);
    let serial = |certificate: &Certificate| {
        certificate.params().serial_number.as_ref().map(|serial| serial.to_bytes()).unwrap_or_default()
    };
    let lists = [
        ((&authority.root, &authority.root_key), revoked(GpuRevocation::Model, serial(&authority.model))),
        ((&authority.model, &authority.model_key), revoked(GpuRevocation::Provisioner, serial(&authority.provisioner))),
        (
            (&authority.provisioner, &authority.provisioner_key),
            revoked(GpuRevocation::Device, gpu.device_serial.clone()),
        ),
    ];
    let lists: Vec<Blob> = match revocation {
        GpuRevocation::NoLists => Vec::new(),
        _ => lists.into_iter().map(|(issuer, revoked)| Blob(list(issuer, issued_at, revoked))).collect(),
    };
    let mut out = vec![VERSION];
    certificates.map(|one| Blob(one.der().to_vec())).to_vec().write(&mut out);
    lists.write(&mut out);
    out
}

fn list(issuer: (&Certificate, &Key384), issued_at: UnixSeconds, revoked: Option<Vec<u8>>) -> Vec<u8> {
    let revoked_certs = revoked.into_iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: moment(issued_at),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    });
    let number = u32::try_from(issued_at / DAY_S).expect("days since 1970 fit 32 bits for eleven million years");
    let number = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let params = CertificateRevocationListParams {
        this_update: moment(issued_at),
        next_update: moment(issued_at + COLLATERAL_VALID_S),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer.0, &issuer.1.pair).expect("fixed parameters make a revocation list").der().to_vec()
}

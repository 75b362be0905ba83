//! dstack's binary attestation, version 0: the writer of what `freehold_attestation::DstackAttestation` reads.

use freehold_rpc::EventLogEntry;

/// The container of a TDX quote: quote, events of register 3, the app's events among them, report data, configuration.
/// Events whose members are no hex are left out; the guest's own never are.
pub(crate) fn container(quote: &[u8], log: &[EventLogEntry], report_data: &[u8; 64], configuration: &str) -> Vec<u8> {
    let events: Vec<(&EventLogEntry, Vec<u8>, Vec<u8>)> = log
        .iter()
        .filter(|event| event.imr == 3)
        .filter_map(|event| Some((event, hex::decode(&event.digest).ok()?, hex::decode(&event.event_payload).ok()?)))
        .collect();
    // Version 0, variant 0: Intel TDX.
    let mut out = vec![0, 0];
    bytes(&mut out, quote);
    length(&mut out, events.len());
    for (event, digest, payload) in &events {
        out.extend(event.imr.to_le_bytes());
        out.extend(event.event_type.to_le_bytes());
        bytes(&mut out, digest);
        bytes(&mut out, event.event.as_bytes());
        bytes(&mut out, payload);
    }
    length(&mut out, events.len());
    for (event, _, payload) in &events {
        bytes(&mut out, event.event.as_bytes());
        bytes(&mut out, payload);
    }
    out.extend(report_data);
    bytes(&mut out, configuration.as_bytes());
    out
}

/// SCALE's compact length. Everything that is written here is far below 2³⁰.
fn length(out: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).unwrap_or(u32::MAX >> 2);
    match value {
        0..0x40 => out.push((value as u8) << 2),
        0x40..0x4000 => out.extend(((value as u16) << 2 | 1).to_le_bytes()),
        _ => out.extend((value << 2 | 2).to_le_bytes()),
    }
}

fn bytes(out: &mut Vec<u8>, content: &[u8]) {
    length(out, content.len());
    out.extend_from_slice(content);
}

//! A PEM reader and writer of the tests' own: they must not trust the code that they test.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn decode(pem: &str) -> Vec<Vec<u8>> {
    let bodies = pem.split("-----END CERTIFICATE-----\n").filter(|body| !body.is_empty());
    bodies.map(|body| bytes(&body.replace("-----BEGIN CERTIFICATE-----\n", "").replace('\n', ""))).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digit = |byte: u8| ALPHABET.iter().position(|letter| *letter == byte).unwrap_or(0) as u32;
        let value = group.iter().fold(0, |value, byte| value << 6 | digit(*byte));
        let padding = group.iter().filter(|byte| **byte == b'=').count();
        out.extend(&value.to_be_bytes()[1..4 - padding]);
    }
    out
}

pub(crate) fn encode(certificates: &[Vec<u8>]) -> String {
    let mut out = String::new();
    for der in certificates {
        let mut text = String::new();
        for group in der.chunks(3) {
            let mut value = [0; 4];
            value[1..=group.len()].copy_from_slice(group);
            let value = u32::from_be_bytes(value);
            for index in 0..4 {
                let digit = ALPHABET[(value >> (18 - 6 * index) & 63) as usize];
                text.push(if index <= group.len() { char::from(digit) } else { '=' });
            }
        }
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            out.push_str(core::str::from_utf8(line).unwrap());
            out.push('\n');
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}

//! What appd's clients send, and what it refuses.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn eth(gas_limit: serde_json::Value, to: &str, value: serde_json::Value, data: &str) -> Option<SignSubmit> {
    let data = json!({ "gas_limit": gas_limit, "to": to, "value": value, "data": data });
    serde_json::from_value(json!({ "tx": { "kind": "eth", "data": data } })).ok()
}

#[test]
fn forms_of_released_clients_are_read() {
    let ones = "11".repeat(20);
    let read = eth(json!(200_000), &ones, json!("0"), "dae1ee1f").unwrap();
    assert!(read.encrypt);
    let RoflTransaction::Eth(read) = read.tx else { panic!("it is Ethereum's") };
    assert_eq!((read.to.0, read.value.0, read.data.0), (vec![0x11; 20], [0; 32], vec![0xda, 0xe1, 0xee, 0x1f]));
    assert_eq!(read.gas_limit.0[29..], [3, 13, 64]);
    // No `to` at all, and more members than are known.
    let text =
        r#"{"encrypt":false,"tx":{"kind":"eth","data":{"gas_limit":"0x10","value":"0xff","data":"0x00","x":1}}}"#;
    let read: SignSubmit = serde_json::from_str(text).unwrap();
    let RoflTransaction::Eth(eth_read) = read.tx else { panic!("it is Ethereum's") };
    assert!(!read.encrypt && eth_read.to.0.is_empty() && eth_read.value.0[31] == 255 && eth_read.gas_limit.0[31] == 16);
    let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert!(eth(json!(0), "", json!(largest), "").is_some());
}

#[test]
fn what_is_no_integer_or_hex_is_refused() {
    let above = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    for value in [json!(-1), json!(1.5), json!(above), json!(""), json!("0x"), json!(" 1"), json!("1e3"), json!(null)] {
        assert!(eth(json!(0), "", value.clone(), "").is_none(), "{value}");
    }
    for text in ["0x", "1", "0x1", "zz", " 11", "1 1"] {
        assert!(eth(json!(0), text, json!(0), "").is_none(), "{text}");
        assert!(eth(json!(0), "", json!(0), text).is_none(), "{text}");
    }
}

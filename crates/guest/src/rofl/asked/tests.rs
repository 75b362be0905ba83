//! Both forms of a transaction, and everything that is none.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn read(encrypt: bool, kind: &str, data: serde_json::Value) -> Result<Asked, AskedError> {
    let request = json!({ "encrypt": encrypt, "tx": { "kind": kind, "data": data } });
    Asked::read(serde_json::from_value(request).unwrap())
}

fn eth(to: &str, value: &str, encrypt: bool) -> Result<Asked, AskedError> {
    read(encrypt, "eth", json!({ "gas_limit": 7, "to": to, "value": value, "data": "0102" }))
}

fn std_transaction(method: &str, body: CborValue<'_>, format: u64) -> String {
    let fee = CborValue::map([("gas", CborValue::Unsigned(9))]);
    let call = [("format", CborValue::Unsigned(format)), ("method", CborValue::Text(method)), ("body", body)];
    let fields =
        [("v", CborValue::Unsigned(1)), ("ai", CborValue::map([("fee", fee)])), ("call", CborValue::map(call))];
    hex::encode(CborValue::map(fields).to_vec())
}

#[test]
fn both_forms_say_the_same() {
    let asked = eth(&"05".repeat(20), "3", true).unwrap();
    let body = |name| {
        CborValue::map([
            (name, CborValue::Bytes(&[5; 20])),
            ("data", CborValue::Bytes(&[1, 2])),
            ("value", CborValue::Bytes(&[0, 3])),
        ])
    };
    let same = read(true, "std", json!(std_transaction("evm.Call", body("address"), 0))).unwrap();
    assert_eq!(same, Asked { gas_limit: 9, ..asked });
    let code = CborValue::map([("init_code", CborValue::Bytes(&[1])), ("value", CborValue::Bytes(&[]))]);
    let create = read(false, "std", json!(std_transaction("evm.Create", code, 0))).unwrap();
    assert_eq!((create.to, create.value_wei, create.data), (None, 0, vec![1]));
    assert_eq!(eth("", "0", false).unwrap().to, None);
}

#[test]
fn what_is_not_the_apps_to_send_is_refused() {
    assert!(matches!(eth("0102", "0", true), Err(AskedError::Address)));
    assert!(matches!(eth(&"05".repeat(21), "0", true), Err(AskedError::Address)));
    for module in MODULES {
        assert!(matches!(eth(&module.to_string(), "0", true), Err(AskedError::Module)));
    }
    assert!(matches!(eth("", "0", true), Err(AskedError::EncryptedCreation)));
    assert!(matches!(eth(&"05".repeat(20), "340282366920938463463374607431768211456", true), Err(AskedError::Value)));
    let body = || CborValue::map([("amount", CborValue::Null)]);
    for method in ["accounts.Transfer", "consensus.Deposit", "rofl.Create", "rofl.Register", "evm.Nothing", ""] {
        let refused = read(false, "std", json!(std_transaction(method, body(), 0)));
        assert!(matches!(refused, Err(AskedError::Method)), "{method}");
    }
    let refused = read(true, "std", json!(std_transaction("evm.Call", body(), 1)));
    assert!(matches!(refused, Err(AskedError::Format)));
    for bad in ["", "f6", "a0", "ff", "a163666f6f01"] {
        assert!(matches!(read(false, "std", json!(bad)), Err(AskedError::Malformed(_))), "{bad}");
    }
    let large = json!({ "gas_limit": 0, "to": "05".repeat(20), "value": 0, "data": "00".repeat(DATA_BYTES_MAX + 1) });
    assert!(matches!(read(true, "eth", large), Err(AskedError::TooLarge)));
    let gas = json!({ "gas_limit": "18446744073709551616", "to": "05".repeat(20), "value": 0, "data": "" });
    assert!(matches!(read(true, "eth", gas), Err(AskedError::Gas)));
}

//! Amounts of entries, and refusals in the module's own words.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_word_is_a_number_where_it_fits() {
    let mut word = [0; 32];
    word[31] = 7;
    assert_eq!(amount(&word), Some(7));
    word[15] = 1;
    assert_eq!(amount(&word), None);
}

#[test]
fn refusals_of_the_module_are_told_by_name() {
    let refused = |data: Option<Value>| NodeError::Refused {
        method: "eth_call".to_owned(),
        code: 3,
        message: "execution reverted".to_owned(),
        data,
    };
    let revert = IValidators::Refused { code: ModuleRefusal::JailRuns.code(), detail: 0 }.abi_encode();
    let data = |bytes: &[u8]| Some(Value::from(format!("0x{}", hex::encode(bytes))));
    assert_eq!(refusal(&refused(data(&revert))), Some(ModuleRefusal::JailRuns));
    assert_eq!(refusal(&refused(data(&revert[..20]))), None);
    assert_eq!(refusal(&refused(Some(Value::from("no hex")))), None);
    assert_eq!(refusal(&refused(None)), None);
}

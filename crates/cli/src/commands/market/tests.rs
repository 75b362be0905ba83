//! The words that people get.

use alloy_sol_types::SolError as _;
use serde_json::json;

use super::*;

#[test]
fn the_markets_refusals_are_told_in_words() {
    let told_of = |bytes: Vec<u8>| {
        let data = Some(json!(format!("0x{}", hex::encode(bytes))));
        reason(&NodeError::Refused {
            method: "eth_call".to_owned(),
            code: 3,
            message: "execution reverted".to_owned(),
            data,
        })
    };
    let full = told_of(IMarket::OfferFull { offer: 7 }.abi_encode()).unwrap();
    assert!(full.contains("offer 7"), "{full}");
    let show = told_of(IMarket::ShowHeader { closedAt: 12 }.abi_encode()).unwrap();
    assert!(show.contains("block 12") && show.contains("settleClosed"), "{show}");
    assert_eq!(told_of(vec![1, 2, 3, 4]), None);
}

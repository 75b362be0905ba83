//! Questions for events: read strictly, and never answered with silence where a bloom matches.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bloom, Log};
use freehold_primitives::{Account, AppId, Digest};

use super::filter::{Filter, FilterError, read_ask};

fn app() -> AppId {
    AppId::new([5; 20])
}

fn ask(query: &[(&str, String)]) -> Result<(Filter, Option<u64>), FilterError> {
    let query: BTreeMap<String, String> = query.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
    read_ask(&query, app())
}

#[test]
fn questions_are_read_strictly() {
    let address = "0x".to_owned() + &"c0".repeat(20);
    let (filter, from) =
        ask(&[("address", format!("{address},{}", "c1".repeat(20))), ("from", "7".to_owned())]).unwrap();
    assert_eq!((filter.addresses, from), (vec![Account([0xc0; 20]), Account([0xc1; 20])], Some(7)));
    let (filter, from) = ask(&[("life", "true".to_owned())]).unwrap();
    assert_eq!((filter.life, from), (Some(app()), None));
    let refused = |query: &[(&str, String)]| ask(query).unwrap_err();
    assert_eq!(refused(&[]), FilterError::Everything);
    assert_eq!(refused(&[("life", "false".to_owned())]), FilterError::Everything);
    assert_eq!(refused(&[("adress", address.clone())]), FilterError::Name("adress".to_owned()));
    assert_eq!(refused(&[("address", String::new())]), FilterError::Value("address"));
    assert_eq!(refused(&[("topic0", "c0".to_owned())]), FilterError::Value("topic0"));
    assert_eq!(refused(&[("from", "-1".to_owned()), ("address", address.clone())]), FilterError::Value("from"));
    assert_eq!(refused(&[("life", "yes".to_owned())]), FilterError::Value("life"));
    assert_eq!(refused(&[("address", vec![address; 17].join(","))]), FilterError::TooMany("address"));
}

#[test]
fn a_bloom_of_what_is_wanted_is_never_passed_over() {
    let log = |address: u8, topics: &[u8]| {
        let topics = topics.iter().map(|topic| B256::repeat_byte(*topic)).collect();
        Log::new_unchecked(Address::repeat_byte(address), topics, Vec::new().into())
    };
    let logs = [log(1, &[]), log(1, &[2]), log(1, &[2, 3]), log(4, &[2, 3, 5, 6])];
    let account = |byte| Account([byte; 20]);
    let topic = |byte| Digest([byte; 32]);
    let filters = [
        Filter { addresses: vec![account(1)], ..Filter::default() },
        Filter { topics: [vec![topic(2)], vec![topic(3)], vec![], vec![]], ..Filter::default() },
        Filter { topics: [vec![], vec![], vec![], vec![topic(6), topic(9)]], ..Filter::default() },
        Filter {
            addresses: vec![account(4), account(7)],
            topics: [vec![topic(2)], vec![], vec![], vec![]],
            life: None,
        },
    ];
    let mut matches = 0;
    for filter in &filters {
        for log in &logs {
            let bloom = [log].into_iter().collect::<Bloom>();
            if filter.matches(log) {
                matches += 1;
                assert!(filter.may_match(&bloom), "{filter:?} {log:?}");
            }
        }
        assert!(!filter.may_match(&Bloom::ZERO));
    }
    assert_eq!(matches, 3 + 2 + 1 + 1);
}

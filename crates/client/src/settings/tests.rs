//! Files of variables, and drafts without a chain.
#![allow(clippy::unwrap_used)]

use freehold_crypto::Share;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

fn draft() -> SettingsDraft {
    SettingsDraft {
        app: AppId::new([1; 20]),
        owner: Account([2; 20]),
        master: Share::from_bytes(0, &[3; 32]).unwrap().public(),
        key_generation: Some(0),
        next: AppSettings { generation: 5, ..AppSettings::default() },
    }
}

#[test]
fn files_of_variables_keep_every_letter() {
    let text =
        "# remark\n\nA=1\nexport B = two words \nC='a\n$b \"c\"\\n'\nD=\"x\\ny\\\"z\\q\nw\" # remark\nE=\nF=a=b#c\n";
    let pairs = parse_variables(text).unwrap();
    let expected =
        [("A", "1"), ("B", "two words"), ("C", "a\n$b \"c\"\\n"), ("D", "x\ny\"z\\q\nw"), ("E", ""), ("F", "a=b#c")];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for (bad, line) in
        [("A", 1), ("A=1\nB", 2), ("A=1\n\n=x", 3), ("A='x\ny", 1), ("A=\"\\", 1), ("1A=x", 1), ("A B=x", 1)]
    {
        let refused = parse_variables(bad).err().unwrap();
        assert!(matches!(refused, SettingsError::Line { line: found, .. } if found == line), "{bad:?}: {refused}");
    }
}

#[test]
fn drafts_refuse_what_the_chain_would() {
    let mut draft = draft();
    let mut rng = StdRng::seed_from_u64(1);
    assert!(matches!(draft.set_secret("1A", b"", &mut rng), Err(SettingsError::Name(_))));
    assert!(matches!(draft.set_secret("LD_PRELOAD", b"", &mut rng), Err(SettingsError::Reserved(_))));
    assert!(matches!(draft.set_public("Path", b""), Err(SettingsError::Reserved(_))));
    let long = vec![0; SETTING_BYTES_MAX + 1];
    assert!(matches!(draft.set_public("A", &long), Err(SettingsError::TooLong { .. })));
    draft.set_secret("A", b"first", &mut rng).unwrap();
    draft.set_public("B", b"second").unwrap();
    draft.set_public("A", b"now public").unwrap();
    assert_eq!(draft.settings().len(), 2);
    assert!(draft.settings().iter().all(|setting| setting.form == SettingForm::Public && setting.set_at == 5));
    // What is removed is of the form that was named.
    assert!(matches!(draft.remove("A", SettingForm::Sealed), Err(SettingsError::NotSet(_))));
    draft.remove("A", SettingForm::Public).unwrap();
    draft.limit(Some(SpendingLimits {
        per_transaction_wei: 1,
        per_day_wei: 1,
        per_day_count: 1,
        contracts: vec![Account([2; 20]), Account([1; 20]), Account([2; 20])],
        may_create: false,
    }));
    assert_eq!(draft.spending().unwrap().contracts, [Account([1; 20]), Account([2; 20])]);
    draft.document().unwrap();
    for name in ["C", "D", "E"] {
        draft.set_secret(name, &long[1..], &mut rng).unwrap();
    }
    assert!(matches!(draft.document(), Err(SettingsError::TooMuch)));
    draft.key_generation = None;
    assert!(matches!(draft.set_secret("A", b"", &mut rng), Err(SettingsError::NoContext)));
}

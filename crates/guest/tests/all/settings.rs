//! What an owner sets, as instances get it: sealed values open, changes arrive without a restart, and earlier sets, other
//! apps' values and moved values get nothing.

use std::time::Duration;

use freehold_crypto::SettingPlace;
use freehold_primitives::{
    AppId, Blob,
    entries::{AppSettings, Setting, SettingForm, SpendingLimits},
};
use freehold_rpc::{HttpError, LocalClient, SettingState};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::support::{FakeChain, FakeHost, Misbehaviour, app_id};

fn public(name: &str, set_at: u64, value: &[u8]) -> Setting {
    let (name, value) = (name.to_owned(), Blob(value.to_vec()));
    Setting { name, set_at, form: SettingForm::Public, key_generation: 0, value }
}

fn secret(chain: &FakeChain, name: &str, set_at: u64, value: &[u8]) -> Setting {
    let place = SettingPlace { app: &app_id(), name, set_at };
    sealed(chain, place, name, set_at, value)
}

fn sealed(chain: &FakeChain, place: SettingPlace<'_>, name: &str, set_at: u64, value: &[u8]) -> Setting {
    let value = Blob(place.seal(&chain.settings_key(0), value, &mut StdRng::seed_from_u64(set_at)));
    Setting { name: name.to_owned(), set_at, form: SettingForm::Sealed, key_generation: 0, value }
}

fn set(generation: u64, mut settings: Vec<Setting>) -> AppSettings {
    settings.sort_by(|one, other| one.name.cmp(&other.name));
    AppSettings { generation, settings, spending: None }
}

async fn reached(local: &LocalClient, generation: u64) {
    let end = Instant::now() + Duration::from_secs(15);
    while local.settings(None).await.map_or(u64::MAX, |report| report.generation) != generation {
        assert!(Instant::now() < end, "generation {generation} did not come");
        sleep(Duration::from_millis(50)).await;
    }
}

fn status(error: &HttpError) -> u16 {
    match error {
        HttpError::Refused { status, .. } => status.as_u16(),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_survive_and_changes_come_without_a_restart() {
    let host = FakeHost::new(Misbehaviour::default());
    let binary: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let lines = b"-----BEGIN-----\nline two\r\n\n'quoted' \"twice\" $HOME\n";
    host.chain.set_settings(AppSettings {
        spending: Some(SpendingLimits {
            per_transaction_wei: u128::MAX,
            per_day_wei: 1,
            per_day_count: 2,
            contracts: Vec::new(),
            may_create: false,
        }),
        ..set(
            1,
            vec![
                public("PLAIN", 1, b"for all"),
                secret(&host.chain, "KEY", 1, lines),
                secret(&host.chain, "BINARY", 1, &binary),
                secret(&host.chain, "EMPTY", 1, b""),
            ],
        )
    });
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    reached(&local, 1).await;
    let report = local.settings(None).await.unwrap();
    assert!(report.settings.iter().all(|setting| setting.state == SettingState::Open));
    assert_eq!(report.settings.iter().filter(|setting| setting.secret).count(), 3);
    assert_eq!(report.spending.unwrap().per_transaction_wei, u128::MAX.to_string());
    assert_eq!(local.setting("KEY").await.unwrap().value.0, lines);
    assert_eq!(local.setting("BINARY").await.unwrap().value.0, binary);
    assert_eq!(local.setting("EMPTY").await.unwrap().value.0, b"");
    assert_eq!(status(&local.setting("OTHER").await.err().unwrap()), 404);
    // No environment holds a zero byte.
    let environment = local.environment().await.unwrap();
    let names: Vec<&str> = environment.environment.keys().map(String::as_str).collect();
    assert_eq!(names, ["EMPTY", "KEY", "PLAIN"]);
    assert_eq!(environment.environment["KEY"].0, lines);

    // Another set: whoever waits hears of it, and what was removed is gone.
    let waiting = tokio::spawn({
        let local = local.clone();
        async move { local.settings(Some(1)).await }
    });
    host.chain.set_settings(set(2, vec![secret(&host.chain, "KEY", 2, b"new")]));
    let end = Instant::now() + Duration::from_secs(10);
    while local.reload_settings().await.unwrap().generation != 2 {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(waiting.await.unwrap().unwrap().generation, 2);
    assert_eq!(local.setting("KEY").await.unwrap().value.0, b"new");
    assert_eq!(status(&local.setting("PLAIN").await.err().unwrap()), 404);
    assert_eq!(host.chain.requests(), 0, "the boot's grant was enough");
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_owner_set_nothing_has_an_empty_set() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    reached(&local, 0).await;
    let report = local.settings(None).await.unwrap();
    assert!(report.settings.is_empty() && report.spending.is_none());
    assert!(local.environment().await.unwrap().environment.is_empty());
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_other_apps_names_sets_and_keys_do_not_open() {
    let host = FakeHost::new(Misbehaviour::default());
    let chain = &host.chain;
    let (own, other) = (app_id(), AppId::new([4; 20]));
    let place = |app, name, set_at| SettingPlace { app, name, set_at };
    let other_key = SettingPlace::derivation(&chain.genesis().derivation_polynomial[0], &other, 0).unwrap();
    let mut foreign = secret(chain, "FOREIGN", 1, b"x");
    foreign.value =
        Blob(place(&other, "FOREIGN", 1).seal(&other_key, b"of another app", &mut StdRng::seed_from_u64(1)));
    chain.set_settings(set(
        3,
        vec![
            foreign,
            // Sealed for this app's key, and said to be another app's.
            sealed(chain, place(&other, "APP", 1), "APP", 1, b"x"),
            // Moved under another name, and out of an earlier set.
            sealed(chain, place(&own, "ONE", 1), "NAME", 1, b"x"),
            sealed(chain, place(&own, "SET", 1), "SET", 2, b"x"),
            // A generation of the key that nobody serves.
            Setting { key_generation: 7, ..secret(chain, "LATER", 3, b"x") },
            Setting { value: Blob(vec![1; 10]), ..secret(chain, "SHORT", 3, b"x") },
            secret(chain, "GOOD", 3, b"good"),
        ],
    ));
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    reached(&local, 3).await;
    let report = local.settings(None).await.unwrap();
    let open: Vec<&str> = report
        .settings
        .iter()
        .filter(|setting| setting.state == SettingState::Open)
        .map(|setting| setting.name.as_str())
        .collect();
    assert_eq!(open, ["GOOD"]);
    assert_eq!(status(&local.setting("FOREIGN").await.err().unwrap()), 422);
    assert_eq!(local.environment().await.unwrap().environment.len(), 1);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_set_is_refused_whoever_plays_it_back() {
    let host = FakeHost::new(Misbehaviour::default());
    let before = set(1, vec![secret(&host.chain, "KEY", 1, b"leaked")]);
    host.chain.set_settings(before.clone());
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    reached(&local, 1).await;
    host.chain.set_settings(set(2, vec![secret(&host.chain, "KEY", 2, b"fresh")]));
    reached(&local, 2).await;
    // The relay proves the state of an older block, rightly: the header is too old for this instance.
    host.chain.set(|chain| chain.stale_proofs = true);
    let error = local.reload_settings().await.err().unwrap();
    assert_eq!(status(&error), 503, "{error}");
    assert_eq!(local.setting("KEY").await.unwrap().value.0, b"fresh");
    host.chain.set(|chain| chain.stale_proofs = false);
    // A chain that goes back itself.
    host.chain.set_settings(before);
    sleep(Duration::from_secs(1)).await;
    let error = local.reload_settings().await.err().unwrap();
    assert!(matches!(&error, HttpError::Refused { body, .. } if body.contains("generation 1")), "{error}");
    assert_eq!(local.setting("KEY").await.unwrap().value.0, b"fresh");
    guest.abort();
}

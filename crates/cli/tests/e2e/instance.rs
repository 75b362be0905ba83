//! Registrations of emulated instances whose accounts a test holds, ready to be sent to `Apps` by any client.
//!
//! Everything is known before anything is sent: the app's id follows from its creator's nonce.

use freehold_attestation::{development_policy, tdx::UnverifiedTdx};
use freehold_crypto::{AccountKey, app_id_from_creator_nonce, keyset_digest, report_data, subject_digest};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, FMSPC, Platform, TdReport};
use freehold_primitives::{
    Account, AppId, AppPolicy, Canonical as _, Digest, Ed25519Key, EvidenceKind, G1Point, Keyset, Registration,
    SubjectBody, TrustDomain, X25519Key,
    entries::{CollateralKind, collateral_key},
};
use serde_json::{Value, json};

use crate::support::{Running, quantity};

fn bytes(text: &Value) -> [u8; 32] {
    hex::decode(text.as_str().unwrap().trim_start_matches("0x")).unwrap().try_into().unwrap()
}

fn shown(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn report() -> TdReport {
    let image = AppImage { executable: Digest([2; 32]), arguments: vec!["feed".to_owned()], model: None };
    TdReport::launch(&Digest([1; 32]), &image)
}

/// What `Apps` and `Collateral` take for an app that `owner` makes with its transaction `nonce`, and for an instance for
/// each seed.
pub(crate) fn prepared(network: &Running, owner: Account, nonce: u64, seeds: &[u8]) -> Value {
    let platform = Platform::new(&DEVELOPMENT_SEED);
    let tip = network.call("eth_getBlockByNumber", json!(["latest", false])).unwrap();
    let status = network.call("freehold_status", json!([])).unwrap();
    let quote = platform.quote_v4(&report(), &[0; 64]);
    let registers = UnverifiedTdx::read(&quote).unwrap().measurement().clone();
    let policy = AppPolicy { evidence: development_policy(registers), lease_s_max: 500, ..AppPolicy::default() };
    let app = app_id_from_creator_nonce(&owner, nonce);
    let chain = Chain { tip: &tip, status: &status, platform: &platform, provider: owner };
    json!({
        "app": shown(app.as_bytes()),
        "policy": shown(policy.to_canonical()),
        "collateral": {
            "kind": CollateralKind::Dcap as u8,
            "key": shown(collateral_key(TrustDomain::Emulated, &FMSPC)),
            "document": shown(platform.collateral(quantity(&tip["timestamp"]))),
        },
        "instances": seeds.iter().map(|seed| chain.instance(app, *seed)).collect::<Vec<_>>(),
    })
}

struct Chain<'a> {
    tip: &'a Value,
    status: &'a Value,
    platform: &'a Platform,
    provider: Account,
}

impl Chain<'_> {
    fn instance(&self, app_id: AppId, seed: u8) -> Value {
        let key = AccountKey::from_bytes(&[seed; 32]).unwrap();
        let subject = SubjectBody {
            chain_id: self.status["chain_id"].as_u64().unwrap(),
            genesis_hash: Digest(bytes(&self.status["genesis_hash"])),
            app_id,
            provider: self.provider,
            account: key.account(),
            transport_key: G1Point([seed; 48]),
            config_digest: Digest([seed; 32]),
        };
        let keyset = Keyset {
            subject: subject_digest(&subject),
            not_after: quantity(&self.tip["timestamp"]) + 30 * 86_400,
            receipt_key: Ed25519Key([seed; 32]),
            hpke_key: X25519Key([seed; 32]),
            tls_keys: Vec::new(),
        };
        let id = subject_digest(&subject);
        let nonce = Digest(bytes(&self.tip["hash"]));
        let evidence = self.platform.quote_v4(&report(), &report_data(&keyset_digest(&keyset), Some(&nonce)));
        let registration = Registration {
            subject,
            keyset,
            nonce_height: quantity(&self.tip["number"]),
            nonce,
            evidence_kind: EvidenceKind::Tdx,
            trust_domain: TrustDomain::Emulated,
            family: FMSPC,
            lease_s: 300,
        };
        json!({
            "id": shown(id.as_bytes()),
            "key": shown([seed; 32]),
            "registration": shown(registration.to_canonical()),
            "evidence": shown(&evidence),
            "signature": shown(key.sign_registration(&registration, &evidence)),
        })
    }
}

//! An executor on the test network: the app that the genesis names, real emulated evidence, a registration, and what signs.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolCall as _;
use freehold_attestation::{development_policy, tdx::UnverifiedTdx};
use freehold_crypto::{
    AccountKey, AnswerSigner, app_id_from_creator_nonce, genesis_hash, keyset_digest, report_data,
    slots::{APPS, COLLATERAL},
    subject_digest,
};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, FMSPC, Platform, TdReport};
use freehold_primitives::{
    Account, AppId, AppPolicy, Blob, Canonical as _, Digest, Ed25519Key, EvidenceKind, G1Point, Genesis, Keyset,
    Registration, SubjectBody, TrustDomain, TrustRoot, X25519Key,
    entries::{CollateralKind, collateral_key},
};
use freehold_rpc::NodeClient;

use crate::chain::{owner, send_to};

mod abi {
    alloy_sol_types::sol!("../../contracts/interfaces/IApps.sol");
    alloy_sol_types::sol!("../../contracts/interfaces/ICollateral.sol");
}

/// The app: that of the owner's very first transaction.
pub(crate) fn app() -> AppId {
    app_id_from_creator_nonce(&owner().account(), 0)
}

/// The emulator's root, which the genesis must list.
pub(crate) fn root() -> TrustRoot {
    TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(platform().root_certificate()) }
}

fn platform() -> Platform {
    Platform::new(&DEVELOPMENT_SEED)
}

fn report() -> TdReport {
    TdReport::launch(&Digest([1; 32]), &AppImage { executable: Digest([2; 32]), arguments: Vec::new(), model: None })
}

fn key() -> AccountKey {
    AccountKey::from_bytes(&[9; 32]).unwrap()
}

fn subject(genesis: &Genesis) -> SubjectBody {
    SubjectBody {
        chain_id: genesis.chain_id,
        genesis_hash: genesis_hash(genesis),
        app_id: app(),
        provider: owner().account(),
        account: key().account(),
        transport_key: G1Point([3; 48]),
        config_digest: Digest([4; 32]),
    }
}

/// What signs for the instance that [`register`] registers.
pub(crate) fn signer(genesis: &Genesis) -> AnswerSigner {
    AnswerSigner::new(subject_digest(&subject(genesis)), key())
}

fn address(account: Account) -> Address {
    Address::from(account.0)
}

/// Creates the app, brings collateral and registers the instance: the owner's first three transactions.
pub(crate) async fn register(node: &NodeClient, genesis: &Genesis) {
    let registers = UnverifiedTdx::read(&platform().quote_v4(&report(), &[0; 64])).unwrap().measurement().clone();
    let policy = AppPolicy {
        evidence: development_policy(registers),
        lease_s_max: 500,
        boot_contexts: Vec::new(),
        ..AppPolicy::default()
    };
    let create = abi::IApps::createCall { scheme: 1, policy: policy.to_canonical().into() };
    send_to(node, 0, address(APPS), create.abi_encode().into()).await;
    let now = node.block("latest").await.unwrap().unwrap().timestamp.0;
    let collateral = abi::ICollateral::submitCall {
        kind: CollateralKind::Dcap as u8,
        key: collateral_key(TrustDomain::Emulated, &FMSPC).to_vec().into(),
        document: platform().collateral(now).into(),
    };
    send_to(node, 1, address(COLLATERAL), collateral.abi_encode().into()).await;
    let block = node.block("latest").await.unwrap().unwrap();
    let subject = subject(genesis);
    let keyset = Keyset {
        subject: subject_digest(&subject),
        not_after: now + 30 * 86_400,
        receipt_key: Ed25519Key([5; 32]),
        hpke_key: X25519Key([6; 32]),
        tls_keys: Vec::new(),
    };
    let bound = report_data(&keyset_digest(&keyset), Some(&block.hash));
    let evidence = platform().quote_v4(&report(), &bound);
    let registration = Registration {
        subject,
        keyset,
        nonce_height: block.number.0,
        nonce: block.hash,
        evidence_kind: EvidenceKind::Tdx,
        trust_domain: TrustDomain::Emulated,
        family: FMSPC,
        lease_s: 500,
    };
    let call = abi::IApps::registerCall {
        registration: registration.to_canonical().into(),
        evidence: evidence.clone().into(),
        signature: Bytes::from(key().sign_registration(&registration, &evidence)),
    };
    send_to(node, 2, address(APPS), call.abi_encode().into()).await;
}

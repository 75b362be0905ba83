//! Our own methods (`spec/rpc.md`): what a verifier, a guest and a host need.

use std::sync::Arc;

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::Address;
use alloy_rlp::Encodable as _;
use freehold_crypto::{StateKeyOrigin, slots};
use freehold_ledger::Visibility;
use freehold_primitives::{
    Account, Canonical as _, Digest, EvidenceKind, Height, KeyCeremony,
    entries::{CollateralEntry, CollateralKind, EntryKind},
};
use freehold_rpc::{
    CallDataKeyReport, CollateralDocument, Finality, HexBytes, KeyShare, KeyShares, LeafProof, NodeStatus, Proof,
    ProtocolReport, StateKeyReport, StatusMoment,
};
use jsonrpsee::{
    Extensions, RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde::Deserialize;

use super::{
    error::{confidential, internal, invalid_params, limit, not_found, refused, refused_share},
    params::{one, pair, three},
    server::{Duty, Rpc, method},
};
use crate::{
    health::health,
    key_service::{Released, ShareError},
};

/// Longest key of collateral within its kind, in bytes.
const COLLATERAL_KEY_BYTES_MAX: usize = 33;
/// Most slots of one proof request.
const SLOTS_MAX: usize = 256;

type Answer<T> = Result<T, ErrorObjectOwned>;

/// A height, as a JSON number or as Ethereum's quantity.
type HeightParam = freehold_rpc::QuantityU64;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "freehold_networkKey", |rpc, _| Ok(format!("0x{}", rpc.network_key()?)))?;
    method(module, "freehold_successions", successions)?;
    method(module, "freehold_genesis", |rpc, _| Ok(HexBytes(rpc.chain().genesis().to_canonical())))?;
    method(module, "freehold_getFinality", finality)?;
    method(module, "freehold_getProof", proof)?;
    method(module, "freehold_getContent", content)?;
    method(module, "freehold_collateral", collateral)?;
    method(module, "freehold_taint", super::taint::taint)?;
    method(module, "freehold_status", status)?;
    method(module, "freehold_health", |rpc, _| health(&rpc.gauges).map_err(internal))?;
    method(module, "oasis_callDataPublicKey", call_data_key)?;
    module.register_async_method("freehold_keyShares", key_shares).map(|_| ())
}

impl Rpc {
    /// The network key of the genesis: what names the network.
    fn first_network_key(&self) -> Answer<freehold_primitives::NetworkKey> {
        freehold_consensus::network_key(self.chain().genesis()).map_err(internal)
    }

    /// The network key in force.
    fn network_key(&self) -> Answer<freehold_primitives::NetworkKey> {
        let newest = self.chain().store.successions().map_err(internal)?.pop();
        newest.map_or_else(|| self.first_network_key(), |record| Ok(record.network_key))
    }
}

/// Every record by which a network key named the next one, oldest first.
fn successions(rpc: &Rpc, _: Params<'_>) -> Answer<Vec<HexBytes>> {
    let records = rpc.chain().store.successions().map_err(internal)?;
    Ok(records.iter().map(|record| HexBytes(record.to_canonical())).collect())
}

fn finality(rpc: &Rpc, params: Params<'_>) -> Answer<Option<Finality>> {
    let height: HeightParam = one(&params)?;
    let found = rpc.chain().store.finality(height.0).map_err(internal)?;
    Ok(found.map(|found| Finality {
        height: height.0,
        headers: found
            .headers
            .iter()
            .map(|header| {
                let mut bytes = Vec::new();
                header.encode(&mut bytes);
                HexBytes(bytes)
            })
            .collect(),
        payload_head: HexBytes(found.head.to_canonical()),
        certificate: HexBytes(found.certificate.to_canonical()),
    }))
}

/// A slot, as 32 bytes or as a quantity.
#[derive(Deserialize)]
struct SlotParam(alloy_primitives::U256);

fn proof(rpc: &Rpc, params: Params<'_>) -> Answer<Proof> {
    let (address, wanted, tag) = three::<Address, Vec<SlotParam>, BlockNumberOrTag>(&params)?;
    if wanted.len() > SLOTS_MAX {
        return Err(limit(format!("at most {SLOTS_MAX} slots a request")));
    }
    let chain = rpc.chain();
    let is_public = || chain.account_now(&address).map(|account| account.visibility == Visibility::Public);
    if !wanted.is_empty() && !is_public().map_err(internal)? {
        return Err(confidential(address));
    }
    let account = Account(address.0.0);
    let mut keys = vec![slots::account_key(&account)];
    keys.extend(wanted.iter().map(|slot| slots::storage_key(&account, &slot.0.to_be_bytes())));
    let found = chain.tree.prove_many(&keys).map_err(internal)?;
    let height = found.height.ok_or_else(|| not_found("nothing is executed yet"))?;
    if let Some(BlockNumberOrTag::Number(asked)) = tag
        && asked != height
    {
        return Err(refused(format!("proofs are made at the newest executed height, which is {height}, not {asked}")));
    }
    let root = found.root;
    let leaf = |(key, proof): (&Digest, Vec<u8>)| -> Answer<LeafProof> {
        // The value that the proof shows, so that both are of one moment.
        let value = freehold_crypto::verify_state(&root, key, &proof).map_err(internal)?;
        Ok(LeafProof { key: *key, value: value.map(HexBytes), proof: HexBytes(proof) })
    };
    let mut leaves = keys.iter().zip(found.proofs).map(leaf).collect::<Answer<Vec<_>>>()?.into_iter();
    let account = leaves.next().ok_or_else(|| internal("no account proof"))?;
    Ok(Proof { height, state_root: root, proofs: leaves.collect(), account })
}

fn content(rpc: &Rpc, params: Params<'_>) -> Answer<Option<HexBytes>> {
    let digest: Digest = one(&params)?;
    Ok(rpc.chain().store.content(&digest).map_err(internal)?.map(HexBytes))
}

fn collateral(rpc: &Rpc, params: Params<'_>) -> Answer<Option<CollateralDocument>> {
    let (kind, key) = pair::<String, HexBytes>(&params)?;
    let kind = EvidenceKind::from_word(&kind).and_then(CollateralKind::of);
    let kind = kind.ok_or_else(|| invalid_params("the kind must be tdx, sgx, snp, nitro or nvidia"))?;
    if key.0.len() > COLLATERAL_KEY_BYTES_MAX {
        return Err(invalid_params("no key of collateral is that long"));
    }
    let id = slots::collateral_id(kind, &key.0);
    let state = rpc.chain().state(rpc.newest()).map_err(internal)?;
    let store = &rpc.chain().store;
    let entry: Option<CollateralEntry> =
        freehold_ledger::read_entry(EntryKind::Collateral, &id, &state, store).map_err(internal)?;
    let Some(entry) = entry else { return Ok(None) };
    let document = store.content(&entry.digest).map_err(internal)?;
    let document = document.ok_or_else(|| internal("the collateral document is missing"))?;
    Ok(Some(CollateralDocument { entry: HexBytes(entry.to_canonical()), document: HexBytes(document) }))
}

fn status(rpc: &Rpc, _: Params<'_>) -> Answer<NodeStatus> {
    let chain = rpc.chain();
    let genesis = chain.genesis();
    let tip = rpc.shared.tip();
    let finalized = chain.store.finalized().map_err(internal)?.unwrap_or(0);
    Ok(NodeStatus {
        version: concat!("freehold/", env!("CARGO_PKG_VERSION")).to_owned(),
        chain_id: genesis.chain_id,
        genesis_hash: chain.context().genesis_hash(),
        network_key: rpc.first_network_key()?,
        latest: moment(rpc, tip.height())?,
        finalized: moment(rpc, finalized)?,
        validators: u32::try_from(genesis.validators.len()).unwrap_or(u32::MAX),
        production: genesis.is_production(),
        dev_traces: genesis.has_dev_traces(),
        key_ceremony: match genesis.key_ceremony {
            KeyCeremony::TrustedDealer => "trusted-dealer".to_owned(),
            KeyCeremony::Distributed => "distributed".to_owned(),
        },
        pool: rpc.shared.pool().mempool.len() as u64,
        state_keys: state_keys(rpc, rpc.newest())?,
        protocol: protocol(rpc, tip.height())?,
    })
}

fn protocol(rpc: &Rpc, height: Height) -> Answer<ProtocolReport> {
    let schedule = rpc.chain().protocol(height).map_err(internal)?;
    Ok(ProtocolReport {
        current: schedule.at(height),
        next: schedule.next,
        next_from: schedule.next_from,
        release: schedule.release,
        known: rpc.chain().context().protocol_newest(),
    })
}

fn state_keys(rpc: &Rpc, height: Height) -> Answer<StateKeyReport> {
    let status = rpc.chain().state_key_status(height).map_err(internal)?.unwrap_or_default();
    let done = || u16::from_be_bytes([status.cursor.0[0], status.cursor.0[1]]);
    Ok(StateKeyReport {
        origin: match rpc.chain().key_origin() {
            None => "none",
            Some(StateKeyOrigin::Development) => "development",
            Some(StateKeyOrigin::Quorum) => "quorum",
        }
        .to_owned(),
        generation: status.newest,
        previous: status.previous,
        // Tree keys are spread evenly, so the cursor's place says how much is done.
        re_encrypted_percent: status.previous.map_or(100, |_| (u32::from(done()) * 100 / 0x1_0000) as u8),
    })
}

fn moment(rpc: &Rpc, height: Height) -> Answer<StatusMoment> {
    let store = &rpc.chain().store;
    let header = store.header(height).map_err(internal)?.ok_or_else(|| internal("a header is missing"))?;
    let block_hash = store.block_hash(height).map_err(internal)?.ok_or_else(|| internal("a hash is missing"))?;
    Ok(StatusMoment { height, block_hash, time_unix_s: header.timestamp })
}

/// The key of the newest epoch, as Sapphire's clients ask for it. What stands for it is a state proof of the entry in
/// `Keys`; the signature that Sapphire's key manager makes has no counterpart here and is zero.
fn call_data_key(rpc: &Rpc, _: Params<'_>) -> Answer<CallDataKeyReport> {
    let (chain, height) = (rpc.chain(), rpc.newest());
    let header = chain.store.header(height).map_err(internal)?.ok_or_else(|| internal("the header is missing"))?;
    let state = chain.state(height).map_err(internal)?;
    let key = freehold_ledger::call_data_key(chain.context(), chain.parent(&header), &state).map_err(internal)?;
    let key = key.ok_or_else(|| not_found("the first block has not made a call-data key known yet"))?;
    Ok(CallDataKeyReport {
        key: HexBytes(key.public_key.to_vec()),
        checksum: HexBytes(key.checksum.to_vec()),
        signature: HexBytes(key.signature.to_vec()),
        epoch: key.epoch,
    })
}

async fn key_shares(params: Params<'static>, rpc: Arc<Rpc>, _: Extensions) -> Answer<KeyShares> {
    let grant: Digest = one(&params)?;
    let service = match &rpc.duty {
        Duty::Validator { service, .. } => service,
        Duty::Follower(forward) => {
            let shares = forward.ask("freehold_keyShares", serde_json::json!([format!("0x{grant}")])).await?;
            return serde_json::from_value(shares).map_err(internal);
        }
    };
    released(&rpc, Arc::clone(service).collect(grant).await)
}

/// What the key service gave, counted.
pub(super) fn released(rpc: &Rpc, collected: Result<Released, ShareError>) -> Answer<KeyShares> {
    let counts = &rpc.shared.counts;
    let released = collected.inspect_err(|why| counts.keys_refused.refused(why)).map_err(|error| match error {
        ShareError::State => internal(error),
        ShareError::Unknown => not_found(error),
        other => refused_share(other, other.code()),
    })?;
    counts.keys_released.inc();
    let shares = released.shares.into_iter().map(|(index, share)| KeyShare { index, share: HexBytes(share) });
    Ok(KeyShares { term: released.term, shares: shares.collect() })
}

//! Filters over JSON-RPC: `eth_newFilter` and its kin.

use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, FilterChanges, Log};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};

use super::{
    error::{limit, not_found},
    filters::{Watch, check_filter},
    params::one,
    server::{Rpc, method},
};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "eth_newFilter", |rpc, params| {
        let filter: Filter = one(&params)?;
        check_filter(&filter)?;
        install(rpc, Watch::Logs(Box::new(filter)))
    })?;
    method(module, "eth_newBlockFilter", |rpc, _| install(rpc, Watch::Blocks))?;
    method(module, "eth_newPendingTransactionFilter", |rpc, _| install(rpc, Watch::Pending))?;
    method(module, "eth_getFilterChanges", changes)?;
    method(module, "eth_getFilterLogs", logs)?;
    method(module, "eth_uninstallFilter", |rpc, params| {
        let id: U64 = one(&params)?;
        Ok(rpc.filters().uninstall(id.to()))
    })?;
    Ok(())
}

fn install(rpc: &Rpc, watch: Watch) -> Answer<U64> {
    // Logs of blocks from the filter's own start on count as new.
    let newest = rpc.newest();
    let seen = match &watch {
        Watch::Logs(filter) => match filter.block_option {
            FilterBlockOption::Range { from_block: Some(from), .. } => {
                from.as_number().map_or(newest, |from| from.saturating_sub(1).min(newest))
            }
            _ => newest,
        },
        _ => newest,
    };
    rpc.filters().install(watch, seen, rpc.shared.clock.now_s()).map(U64::from).map_err(limit)
}

fn changes(rpc: &Rpc, params: Params<'_>) -> Answer<FilterChanges> {
    let id: U64 = one(&params)?;
    let newest = rpc.newest();
    let poll = rpc.filters().poll(id.to(), newest, rpc.shared.clock.now_s());
    let poll = poll.ok_or_else(|| not_found("filter not found"))?;
    Ok(match poll.watch {
        Watch::Logs(filter) => {
            let to = match filter.block_option {
                FilterBlockOption::Range { to_block, .. } => {
                    to_block.and_then(|to| to.as_number()).map_or(newest, |to| to.min(newest))
                }
                FilterBlockOption::AtBlockHash(_) => newest,
            };
            FilterChanges::Logs(rpc.logs_between(&filter, poll.from, to)?)
        }
        Watch::Blocks => {
            let hashes = (poll.from..=newest).filter_map(|height| rpc.chain().block_hash(height));
            FilterChanges::Hashes(hashes.map(|hash| B256::from(hash.0)).collect())
        }
        Watch::Pending => FilterChanges::Hashes(poll.pending),
    })
}

fn logs(rpc: &Rpc, params: Params<'_>) -> Answer<Vec<Log>> {
    let id: U64 = one(&params)?;
    let found = rpc.filters().logs(id.to()).map(|(filter, first)| (filter.clone(), first));
    let (filter, first) = found.ok_or_else(|| not_found("filter not found"))?;
    match filter.block_option {
        // Without a start of its own it holds what came since it was made, however fast blocks go.
        FilterBlockOption::Range { from_block: None, to_block: None } => rpc.logs_between(&filter, first, rpc.newest()),
        _ => rpc.logs(&filter),
    }
}

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod admitted;
mod ancestry;
mod application;
mod backup;
mod chain;
mod clock;
mod counts;
mod exchange;
mod executor;
mod follower;
mod founder;
mod genesis;
mod health;
mod intake;
mod key_service;
mod member;
mod mempool;
mod metrics;
mod network;
mod pacing;
mod peers;
mod probe;
mod rpc;
mod shared;
mod standing;
mod state_keys;
mod store;
mod sync;
mod wire;

pub use backup::{BackupError, BackupScope, BackupSummary, MOVED_FILE, Opening, Sealing, restore_backup, write_backup};
pub use chain::ChainError;
pub use clock::Clock;
pub use executor::ExecutorError;
pub use follower::{ExecutorKeys, Follower, FollowerConfig, FollowerError, KeepStates, SyncFrom};
pub use founder::{Founder, FounderConfig, FounderError};
pub use freehold_consensus::{IdentityKey, Progress as FoundingProgress, network_key};
pub use genesis::{
    GenesisError, NewNetwork, ValidatorKeys, create_network, open_or_make_identity, read_genesis, read_identity,
    read_keys, validator_folder, write_genesis,
};
pub use member::{Member, MemberConfig, MemberError, PAYLOADS_KEPT};
pub use network::{Network, NetworkConfig, NetworkError};
#[doc(hidden)]
pub use probe::{catch_up_input, key_share_input, state_key_input, take_validator_state, transactions_input};
pub use rpc::ServerError;
pub use store::{
    BODIES_MIN, BlockRow, BlockStore, BlockStoreError, Change, Durable, ExecutedMark, FINALITY_SEARCH_MAX, Finality,
    FoundLog, HISTORY_WINDOW, LOG_BLOCKS_MAX, LOGS_MAX, LogQuery, OldState, OldStateError, PROOF_KEYS_MAX, PayloadRow,
    Proofs, QmdbTree, Recovery, StoreIdentity, TransactionPlace, TransactionRow, TreeError, TreeReader, WriteSet,
};
pub use sync::{Lie, SyncError, SyncedState, chain_genesis, sync_state};

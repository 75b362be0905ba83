#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod control;
mod dstack;
mod egress;
mod endpoint;
mod eth_view;
mod health;
mod hexed;
mod http_client;
mod ingress;
mod key_tls;
mod local;
mod local_client;
mod local_events;
mod local_fetch;
mod local_leases;
mod local_peers;
mod local_rofl;
mod local_settings;
mod node;
mod node_client;
mod provider;
mod sealed_log;
mod socket;
mod sync;
mod taint;
mod transaction;
mod verified;
mod vm_link;

#[cfg(test)]
mod tests;

pub use control::{CONTROL_BODY_BYTES_MAX, Endorsement, EndorsementWanted, RegistrationSubmit, RegistrationSubmitted};
pub use dstack::{
    DstackAttested, DstackDeriveK256Key, DstackDeriveKey, DstackEmitEvent, DstackGetKey, DstackGetTlsKey,
    DstackGpuInfo, DstackHashedQuote, DstackInfo, DstackK256Key, DstackKey, DstackQuote, DstackRefusal,
    DstackReportData, DstackSign, DstackSigned, DstackTcbInfo, DstackTdxQuote, DstackTlsKey, DstackVerified,
    DstackVerify, DstackVersion,
};
pub use egress::{EGRESS_VARIABLE, proxy_variables};
pub use endpoint::{Endpoint, EndpointError, SOCKET_PATH_BYTES_MAX};
pub use eth_view::{
    BlockView, Detail, EthBlock, EthTransaction, TIP_SUGGESTED_WEI, TransactionView, pending_transaction, revert_reason,
};
/// What [`VerifiedClient`] speaks of, for rooms that have no verifier of their own.
pub use freehold_verify::{ChainTrust, EntryKey};
pub use health::{
    KeyServiceReport, Latency, Machine, NodeHealth, NodeRole, Progress, ProtocolReport, Refused, TermReport,
    ValidatorReport, Warning,
};
pub use hexed::{BareHex, Base64Error, Base64Text, HexBytes, bare_signature, prefixed, prefixed_option};
pub use http_client::{HttpBody, HttpClient, HttpError, HttpLimits, HttpResponse, RequestBody, full_body, stream_body};
pub use ingress::{
    CHANNEL_ALPN, CHANNEL_ANSWER_BYTES_MAX, CHANNEL_FORMAT, ChannelAnswer, app_server_name, channel_nonce,
    instance_server_name, named_app,
};
pub use key_tls::{KeyExpected, key_connector};
pub use local::{
    AnchorReference, AppendReceipt, AppendedReceipt, Capabilities, EventLogEntry, GenerateKey, GenerateKeyOf,
    GeneratedKey, GeneratedKeyOf, HeaderReference, Health, HpkeConfig, HpkeOpen, HpkeOpened, Inclusion, InstanceInfo,
    KeyGenerations, KeyKind, KeyScope, LOCAL_BODY_BYTES_MAX, LocalError, LocalErrorBody, LocalErrorCode, QuoteAnswer,
    QuoteAsk, StoredReceipt, SubjectJson,
};
pub use local_client::LocalClient;
pub use local_events::{
    EVENTS_VALUES_MAX, EventLine, EventLog, EventStream, EventsAsk, EventsTold, LifeChoice, LifeEvent,
};
pub use local_fetch::{
    FETCH_BODY_BYTES_MAX, FETCH_FORMAT, FETCH_HEADER_BYTES_MAX, FETCH_HEADERS_MAX, FETCH_RESPONSE_BYTES_DEFAULT,
    FETCH_RESPONSE_BYTES_MAX, FETCH_ROOTS_MAX, FETCH_TIMEOUT_MS_DEFAULT, FETCH_TIMEOUT_MS_MAX, FetchAsk, FetchHeader,
    Fetched,
};
pub use local_leases::{
    AcquireLease, AdoptCounters, CountersReport, DiskReport, DiskState, IncrementCounter, IncrementedCounter,
    LeaseReport,
};
pub use local_peers::{
    OpenFromPeer, OpenedFromPeer, PEER_MESSAGE_BYTES_MAX, Peer, PeersReport, SealForPeer, SealedForPeer,
};
pub use local_rofl::{HexText, RoflData, RoflEthTransaction, RoflQuery, RoflTransaction, SignSubmit, WordText};
pub use local_settings::{Environment, SettingOutline, SettingState, SettingValue, SettingsReport, SpendingReport};
pub use node::{
    BlockSummary, CALL_KEYS_MAX, CallDataKeyReport, CallProof, CallPurpose, CollateralDocument, Finality,
    HEADER_RANGE_MAX, HEADERS_MAX, KeyShare, KeyShares, LeafProof, LogRecord, NodeStatus, Proof, QuantityU64, RawBlock,
    SignedAnswer, StateKeyReport, StatusMoment, TransactionReceipt,
};
pub use node_client::{Carrier, FeeQuote, NodeClient, NodeError};
pub use provider::{
    BUNDLE_SOURCE_BYTES_MAX, COMMAND_BYTES_MAX, COMMAND_SKEW_MS, CommandError, LOG_PAGE_BYTES_MAX, LogCount, LogEntry,
    LogPage, PROVIDER_BODY_BYTES_MAX, ProviderClient, ProviderError, ProviderInfo, ProviderTee, ProviderVm,
    RefusalCode, RentalAction, RentalCommand, RentalRefusal, RentalRefusalBody, RentalReport, RentalStage,
    SignedCommand,
};
pub use sealed_log::{
    LOG_KEY_SETTING, LOG_LINE_BYTES_MAX, LOG_SERVICE_VARIABLE, LogChain, LogGap, LogSealer, LogSecret, LogSource,
    OpenedRecord, RecordError, SEALED_LINE,
};
pub use socket::connect_plain;
pub use sync::{
    SYNC_AHEAD_MAX, SYNC_BLOCKS_MAX, SYNC_OPERATIONS_MAX, SYNC_PAGE_BYTES, SyncBlock, SyncContent, SyncCover, SyncPage,
    SyncPart, SyncPiece, SyncState,
};
pub use taint::{ChainDenial, TaintPage, TaintedGrant, TaintedInstance};
pub use transaction::CallTransaction;
pub use verified::{AnswerAsked, CallReads, Checked, Proven, VerifiedClient, VerifiedError};
pub use vm_link::{
    AskedStream, LinkEnd, LinkError, LinkReader, LinkService, LinkStream, LinkWriter, StartedLink, VM_FRAME_BYTES_MAX,
    VM_LINK_PORT, VM_LINK_PREFACE, VM_STREAM_WINDOW, VM_STREAMS_MAX, VmLink, relay,
};

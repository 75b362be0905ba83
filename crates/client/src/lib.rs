#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ask;
mod chat;
mod collect;
mod endpoints;
mod error;
mod exchange;
mod header;
mod ingress;
mod instance;
mod light;
mod policy_file;
mod prove;
mod register_call;
mod report;
mod settings;
mod upgrades;

#[cfg(test)]
mod tests;

pub use ask::{ANCHOR_WAIT, Answer, AskEvent, AskOptions, AskTarget, Asker, Texts};
pub use chat::{Chat, MESSAGES_MAX, Message, Role};
pub use collect::CollectError;
pub use endpoints::{
    ENDPOINTS_FILE, Endpoints, EndpointsError, NETWORK_KEY_FILE, pin_network_key, pinned_network_key, repin_network_key,
};
pub use error::AskError;
pub use exchange::{Exchange, ExchangeError, OpenResponse, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, SealedRequest};
pub use freehold_verify::{UpgradeDemand, UpgradeShortfall};
pub use header::{HeaderError, SavedHeader, fetch_header};
pub use ingress::{IngressClient, IngressError, IngressTarget, Proxy, ProxyEvent, VerifiedIngress};
pub use light::{
    ATTEMPT_MAX_DEFAULT, Backing, CHECKPOINT_FORMAT, CheckpointError, LIGHT_FILTERS_MAX, LIGHT_LOG_BLOCKS_MAX,
    LIGHT_LOGS_MAX, LightCall, LightClient, LightConfig, LightError, LightOutcome, LightServer, LightServerError,
    LightWatch, Unproven, Unsigned,
};
pub use policy_file::{POLICY_FILE_BYTES_MAX, PolicyFile, PolicyFileError};
pub use prove::{Answered, collect_proof};
pub use report::{Report, ReportError};
pub use settings::{SettingsDraft, SettingsError, parse_variables};
pub use upgrades::{AppUpgrades, UpgradesError};

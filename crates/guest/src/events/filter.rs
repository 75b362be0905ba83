//! Which events are wanted: read from a query, held against blooms and against logs.

use std::collections::BTreeMap;

use alloy_primitives::{Bloom, BloomInput, Log};
use freehold_primitives::{Account, AppId, Digest, Height};
use freehold_rpc::{BareHex, EVENTS_VALUES_MAX, EventLog, LifeEvent};
use freehold_verify::VerifiedBlock;
use thiserror::Error;

use super::life::{life_of, life_topic};

/// Why a question for events cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum FilterError {
    #[error("`{0}` is no part of a question for events: from, address, topic0 to topic3, life")]
    Name(String),
    #[error("a value of `{0}` cannot be read")]
    Value(&'static str),
    #[error("`{0}` names more than {EVENTS_VALUES_MAX} values")]
    TooMany(&'static str),
    #[error("name an address, a topic, or life=true: everything that happens on the chain is not told")]
    Everything,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    pub(super) addresses: Vec<Account>,
    pub(super) topics: [Vec<Digest>; 4],
    /// The app whose life is told too.
    pub(super) life: Option<AppId>,
}

/// Reads a query: the filter and the first height, where one is named.
pub(crate) fn read_ask(query: &BTreeMap<String, String>, app: AppId) -> Result<(Filter, Option<Height>), FilterError> {
    let (mut filter, mut from) = (Filter::default(), None);
    for (name, text) in query {
        match name.as_str() {
            "from" => from = Some(text.parse().map_err(|_| FilterError::Value("from"))?),
            "life" => {
                let is_told: bool = text.parse().map_err(|_| FilterError::Value("life"))?;
                filter.life = is_told.then_some(app);
            }
            "address" => filter.addresses = values("address", text)?,
            "topic0" => filter.topics[0] = values("topic0", text)?,
            "topic1" => filter.topics[1] = values("topic1", text)?,
            "topic2" => filter.topics[2] = values("topic2", text)?,
            "topic3" => filter.topics[3] = values("topic3", text)?,
            other => return Err(FilterError::Name(other.chars().take(32).collect())),
        }
    }
    if filter.wants_logs() || filter.life.is_some() { Ok((filter, from)) } else { Err(FilterError::Everything) }
}

fn values<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<Vec<T>, FilterError> {
    let texts: Vec<&str> = text.split(',').take(EVENTS_VALUES_MAX + 1).collect();
    if texts.len() > EVENTS_VALUES_MAX {
        return Err(FilterError::TooMany(name));
    }
    texts.into_iter().map(|text| text.parse().map_err(|_| FilterError::Value(name))).collect()
}

fn holds(bloom: &Bloom, bytes: &[u8]) -> bool {
    bloom.contains_input(BloomInput::Raw(bytes))
}

impl Filter {
    fn wants_logs(&self) -> bool {
        !self.addresses.is_empty() || self.topics.iter().any(|values| !values.is_empty())
    }

    /// Whether a block with this bloom can hold anything that is wanted.
    pub(super) fn may_match(&self, bloom: &Bloom) -> bool {
        let any = |values: &[&[u8]]| values.is_empty() || values.iter().any(|value| holds(bloom, value));
        let of_logs = || {
            let addresses: Vec<&[u8]> = self.addresses.iter().map(|account| account.0.as_slice()).collect();
            let mut topics = self.topics.iter().map(|topic| topic.iter().map(|digest| digest.0.as_slice()).collect());
            any(&addresses) && topics.all(|topic: Vec<&[u8]>| any(&topic))
        };
        let of_life = |app: &AppId| holds(bloom, life_topic(app).as_slice());
        (self.wants_logs() && of_logs()) || self.life.as_ref().is_some_and(of_life)
    }

    pub(super) fn matches(&self, log: &Log) -> bool {
        let is_address = self.addresses.is_empty() || self.addresses.contains(&Account(log.address.0.0));
        is_address
            && self.topics.iter().enumerate().all(|(place, values)| {
                let topic = log.topics().get(place).map(|topic| Digest(topic.0));
                values.is_empty() || topic.is_some_and(|topic| values.contains(&topic))
            })
    }

    /// Logs of a block that are wanted, in order.
    pub(super) fn logs(&self, block: &VerifiedBlock) -> Vec<EventLog> {
        if !self.wants_logs() {
            return Vec::new();
        }
        let wanted = |(index, (hash, log)): (usize, (Digest, &Log))| {
            self.matches(log).then(|| EventLog {
                address: Account(log.address.0.0),
                topics: log.topics().iter().map(|topic| Digest(topic.0)).collect(),
                data: BareHex(log.data.data.to_vec()),
                transaction_hash: hash,
                log_index: index as u64,
            })
        };
        all(block).enumerate().filter_map(wanted).collect()
    }

    /// What happened to the app in a block, in order.
    pub(super) fn life(&self, block: &VerifiedBlock) -> Vec<LifeEvent> {
        let Some(app) = &self.life else { return Vec::new() };
        all(block).filter_map(|(_, log)| life_of(app, log)).collect()
    }
}

/// All logs of a block with the transactions that made them.
fn all(block: &VerifiedBlock) -> impl Iterator<Item = (Digest, &Log)> {
    block.transactions().iter().flat_map(|transaction| {
        let hash = Digest(transaction.envelope.tx_hash().0);
        transaction.receipt.logs().iter().map(move |log| (hash, log))
    })
}

//! What the logs of the system modules say of one app.

use alloy_primitives::{B256, Log};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots::{APPS, KEYS};
use freehold_primitives::{Account, AppId, Digest};
use freehold_rpc::{BareHex, LifeEvent};

use crate::abi::{IApps, IKeys};

/// The topic that names an app: its 21 bytes, zeros behind them (Solidity ABI, `bytes21`).
pub(super) fn life_topic(app: &AppId) -> B256 {
    let mut topic = B256::ZERO;
    topic.0[..21].copy_from_slice(app.as_bytes());
    topic
}

/// What a log says of an app; `None` where it is of another, or says nothing that is told. A renewal is none: it changes nothing but
/// the end of a lease.
pub(super) fn life_of(app: &AppId, log: &Log) -> Option<LifeEvent> {
    if log.topics().get(1) != Some(&life_topic(app)) {
        return None;
    }
    let module = Account(log.address.0.0);
    let signature = *log.topics().first()?;
    if module == KEYS && signature == IKeys::ContextRotated::SIGNATURE_HASH {
        let event = IKeys::ContextRotated::decode_log(log).ok()?.data;
        let (context, generation, previous_until) = (event.context, event.generation, event.previousUntil);
        return Some(LifeEvent::KeyRotated { context, generation, previous_until });
    }
    if module != APPS {
        return None;
    }
    Some(match signature {
        IApps::InstanceRegistered::SIGNATURE_HASH => {
            let event = IApps::InstanceRegistered::decode_log(log).ok()?.data;
            LifeEvent::InstanceRegistered {
                instance_id: Digest(event.instance.0),
                account: Account(event.account.0.0),
                expires_at: event.expiresAt,
            }
        }
        IApps::InstanceClosed::SIGNATURE_HASH => {
            let event = IApps::InstanceClosed::decode_log(log).ok()?.data;
            LifeEvent::InstanceClosed { instance_id: Digest(event.instance.0), code: event.code }
        }
        IApps::AppUpdated::SIGNATURE_HASH => {
            LifeEvent::Upgraded { version: IApps::AppUpdated::decode_log(log).ok()?.data.version }
        }
        IApps::SettingsChanged::SIGNATURE_HASH => {
            LifeEvent::SettingsChanged { generation: IApps::SettingsChanged::decode_log(log).ok()?.data.generation }
        }
        IApps::Denied::SIGNATURE_HASH => {
            let event = IApps::Denied::decode_log(log).ok()?.data;
            LifeEvent::Denied { subject_kind: event.kind, subject: BareHex(event.subject.to_vec()) }
        }
        IApps::OwnerChanged::SIGNATURE_HASH => {
            let event = IApps::OwnerChanged::decode_log(log).ok()?.data;
            LifeEvent::OwnerChanged { owner: Account(event.newOwner.0.0) }
        }
        IApps::AppClosed::SIGNATURE_HASH => LifeEvent::AppClosed,
        _ => return None,
    })
}

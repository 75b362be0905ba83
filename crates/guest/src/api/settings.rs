//! What the app's owner set, for the app (`spec/settings.md` §5): names, single values, the environment, and word of a
//! newer set.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use freehold_primitives::entries::SettingForm;
use freehold_rpc::{
    Base64Text, Environment, LocalErrorCode, SettingOutline, SettingState, SettingValue, SettingsReport, SpendingReport,
};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    freehold::{reference, serving},
    json, or_refuse, refuse,
};
use crate::{
    agent::Guest,
    config::EnvironmentSocket,
    owner::{HeldSet, HeldSetting},
};

/// Longest wait for a newer set.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What an app knows already.
#[derive(Deserialize)]
pub(super) struct Known {
    after: Option<u64>,
}

/// Names and states; with `after`, once there is a newer set, or after a while.
pub(super) async fn settings(State(guest): State<Arc<Guest>>, Query(known): Query<Known>) -> Response {
    or_refuse!(serving(&guest));
    if let Some(after) = known.after {
        let mut held = guest.owner().held();
        let newer = held.wait_for(|held| held.as_ref().is_some_and(|held| held.generation > after));
        let _elapsed = timeout(WAIT_MAX, newer).await;
    }
    json(StatusCode::OK, &report(&*or_refuse!(held(&guest))))
}

/// Looks at the chain now.
pub(super) async fn reload(State(guest): State<Arc<Guest>>, _body: Bytes) -> Response {
    or_refuse!(serving(&guest));
    match guest.owner().look(&guest).await {
        Ok(held) => json(StatusCode::OK, &report(&held)),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::Unavailable, error.to_string()),
    }
}

pub(super) async fn value(State(guest): State<Arc<Guest>>, Path(name): Path<String>) -> Response {
    or_refuse!(serving(&guest));
    let held = or_refuse!(held(&guest));
    let Some(setting) = held.get(&name) else {
        return refuse(StatusCode::NOT_FOUND, LocalErrorCode::NotFound, "the owner set nothing of this name");
    };
    let Some(value) = &setting.value else {
        let message = "this setting does not open: the owner has to set it again";
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, LocalErrorCode::DecryptionFailed, message);
    };
    let answer = SettingValue {
        name,
        value: Base64Text(value.to_vec()),
        secret: is_secret(setting),
        set_at: setting.set_at,
        generation: held.generation,
    };
    json(StatusCode::OK, &answer)
}

/// Everything that can stand in an environment.
pub(super) async fn environment(State(guest): State<Arc<Guest>>) -> Response {
    or_refuse!(serving(&guest));
    let held = or_refuse!(held(&guest));
    let fits = |setting: &HeldSetting| {
        let value = setting.value.as_ref().filter(|value| !value.contains(&0))?;
        Some((setting.name.clone(), Base64Text(value.to_vec())))
    };
    let environment = held.settings.iter().filter_map(fits).collect();
    json(StatusCode::OK, &Environment { generation: held.generation, environment, missing: Vec::new() })
}

/// The environment of one service alone.
pub(super) async fn service_environment(
    State((guest, service)): State<(Arc<Guest>, Arc<EnvironmentSocket>)>,
) -> Response {
    or_refuse!(serving(&guest));
    let held = or_refuse!(held(&guest));
    let fits = |name: &str| {
        let value = held.get(name)?.value.as_ref()?;
        (!value.contains(&0)).then_some(value.as_slice())
    };
    let (filled, missing) = service.fill(fits);
    let environment = filled.into_iter().map(|(name, value)| (name, Base64Text(value))).collect();
    json(StatusCode::OK, &Environment { generation: held.generation, environment, missing })
}

fn held(guest: &Guest) -> Result<Arc<HeldSet>, Response> {
    guest.owner().newest().ok_or_else(|| {
        let reason = guest.owner().trouble().unwrap_or_else(|| "they were not looked at yet".to_owned());
        let message = format!("the owner's settings are not known: {reason}");
        refuse(StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::Unavailable, message)
    })
}

fn is_secret(setting: &HeldSetting) -> bool {
    setting.form == SettingForm::Sealed
}

fn report(held: &HeldSet) -> SettingsReport {
    let outline = |setting: &HeldSetting| SettingOutline {
        name: setting.name.clone(),
        secret: is_secret(setting),
        set_at: setting.set_at,
        state: if setting.value.is_some() { SettingState::Open } else { SettingState::Unreadable },
    };
    let spending = held.spending.as_ref().map(|limits| SpendingReport {
        per_transaction_wei: limits.per_transaction_wei.to_string(),
        per_day_wei: limits.per_day_wei.to_string(),
        per_day_count: limits.per_day_count,
        contracts: limits.contracts.clone(),
        may_create: limits.may_create,
    });
    SettingsReport {
        generation: held.generation,
        changed_at: held.changed_at,
        settings: held.settings.iter().map(outline).collect(),
        spending,
        header: reference(&held.header),
    }
}

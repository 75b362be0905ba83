//! The order in which services start: each behind those it waits for; a circle is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::Compose;
use crate::{
    error::{Fault, ManifestError},
    section::Item,
};

/// Names of the services, each behind those it depends on; among equals by name.
pub fn start_order(compose: &Compose) -> Vec<&str> {
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = compose
        .services
        .iter()
        .map(|(name, service)| (name.as_str(), service.depends_on.keys().map(String::as_str).collect()))
        .collect();
    let mut order = Vec::new();
    loop {
        let next = waiting.iter().find(|(_, needs)| needs.is_empty()).map(|(name, _)| *name);
        let Some(next) = next else { return order };
        waiting.remove(next);
        for needs in waiting.values_mut() {
            needs.remove(next);
        }
        order.push(next);
    }
}

/// Refuses dependencies that do not exist or run in a circle.
pub(super) fn check(compose: &Compose, services: &Item<'_>) -> Result<(), ManifestError> {
    for (name, service) in &compose.services {
        if let Some(missing) = service.depends_on.keys().find(|other| !compose.services.contains_key(*other)) {
            return Err(refuse(services, name, Fault::Undefined(missing.clone())));
        }
    }
    let order = start_order(compose);
    match compose.services.keys().find(|name| !order.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(refuse(services, name, Fault::Cycle)),
    }
}

fn refuse(services: &Item<'_>, name: &str, fault: Fault) -> ManifestError {
    let mut error = services.refuse(fault);
    error.key = format!("services.{name}.depends_on");
    error
}

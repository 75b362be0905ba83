//! Domains that a compose file names for its ports in ROFL's own annotations, `net.oasis.proxy.ports.PORT.…`.
//!
//! TLS ends in the guest and leads to the app's one API, the first port. What asks for anything else is refused: a domain that
//! silently led elsewhere would be worse.

use freehold_bundle::{Compose, DOMAINS_MAX, HostName, Ingress, Manifest};

use crate::error::ContainerError;

/// Beginning of the annotations.
const PREFIX: &str = "net.oasis.proxy.ports.";

/// How the app is reached: as its manifest says, and under the domains of the annotations.
///
/// # Errors
/// [`ContainerError::CannotRun`].
pub fn ingress(manifest: &Manifest, compose: &Compose) -> Result<Ingress, ContainerError> {
    let mut ingress = manifest.additions.ingress.clone();
    let first = compose.services.values().flat_map(|service| &service.ports).next().map(|port| port.published);
    for service in compose.services.values() {
        for (key, value) in &service.annotations {
            let Some((port, what)) = key.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.')) else { continue };
            let is_first = first.is_some_and(|first| port.parse() == Ok(first));
            match (what, value.as_str(), is_first) {
                ("mode", "terminate-tls", true) | ("mode", "ignore", false) => {}
                ("custom_domain", domain, true) => add(&mut ingress, domain)?,
                _ => {
                    let what = format!("`{key}: {value}` is not how its ports are offered");
                    return Err(ContainerError::cannot(
                        &what,
                        "TLS ends in the guest and leads to the first port: `terminate-tls`",
                    ));
                }
            }
        }
    }
    Ok(ingress)
}

fn add(ingress: &mut Ingress, domain: &str) -> Result<(), ContainerError> {
    let name = match HostName::parse(domain) {
        Some(HostName::Name(name)) if name.contains('.') && !name.contains('_') && name.len() <= 128 => name,
        _ => {
            return Err(ContainerError::cannot(
                &format!("`{domain}` is no domain"),
                "name one such as app.example.org",
            ));
        }
    };
    if !ingress.domains.contains(&name) {
        ingress.domains.push(name);
    }
    if ingress.domains.len() > DOMAINS_MAX {
        return Err(ContainerError::cannot("it has more domains than may lead to an app", "name 8 at most"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

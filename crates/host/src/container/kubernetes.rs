//! Manifests for Kubernetes: an app of containers as a Deployment under a confidential runtime class, out of the same plan that
//! runs it here.
//!
//! Pure and deterministic: the same bundle and choices give the same text, and no text of the app's is anything but a quoted text
//! in it (`yaml`). What Kubernetes cannot hold is refused; where it merely differs, a comment says so. Never run on a cluster.
//! Beside the agent runs what attends it (`attend`). Not here: its account's secret, which stands in an object of the cluster's.

mod objects;
mod yaml;

#[cfg(test)]
mod tests;

use freehold_bundle::Bundle;
use freehold_containers::Plan;
use freehold_primitives::{AppId, NetworkKey, TrustDomain};
use freehold_rpc::Endpoint;

use crate::{error::HostError, registry::Reference};

/// Longest name of a runtime class or a namespace, in characters.
const NAME_MAX: usize = 63;

/// What stands in manifests beside the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesOptions {
    /// Image of the guest agent and of what attends it, by digest: `freehold` is its entry point.
    pub agent_image: Reference,
    /// Runtime class of the pod, such as `kata-qemu-tdx`: each pod is a confidential VM.
    pub runtime_class: String,
    /// Namespace; that of whoever applies the manifests where there is none.
    pub namespace: Option<String>,
    /// App that each pod becomes an instance of.
    pub app_id: AppId,
    /// Node that is asked.
    pub node: Endpoint,
    /// Network key that the chain is believed under.
    pub network_key: NetworkKey,
    /// Whose evidence the VM's kernel gives; by the name of the runtime class where nothing is said.
    pub trust_domain: Option<TrustDomain>,
}

impl KubernetesOptions {
    /// Whose evidence the pod shows.
    fn domain(&self) -> Result<TrustDomain, HostError> {
        let by_name = match self.runtime_class.rsplit('-').next() {
            Some("tdx") => Some(TrustDomain::Intel),
            Some("snp") => Some(TrustDomain::Amd),
            _ => None,
        };
        let domain = self.trust_domain.or(by_name);
        let what = format!("the runtime class {} does not say whose evidence its VMs show", self.runtime_class);
        domain.ok_or_else(|| HostError::cannot(&what, "say intel or amd"))
    }
}

/// The manifests of a bundle, YAML documents one behind the other.
///
/// # Errors
/// [`HostError::CannotRun`] for what Kubernetes, or this writer, cannot hold as the app says it.
pub fn kubernetes_manifests(bundle: &Bundle, options: &KubernetesOptions) -> Result<String, HostError> {
    if options.agent_image.digest.is_none() {
        return Err(HostError::cannot("the agent's image is not named by digest", "write it as NAME@sha256:…"));
    }
    for name in [Some(&options.runtime_class), options.namespace.as_ref()].into_iter().flatten() {
        if !is_label(name) {
            let hint = "lower-case letters, digits and `-`, 63 at most";
            return Err(HostError::cannot(&format!("{name:?} is no name of a runtime class or namespace"), hint));
        }
    }
    let plan = Plan::of(bundle)?;
    if !plan.models.is_empty() {
        return Err(HostError::cannot("it names model files, which no host brings there", "put them into an image"));
    }
    if plan.ports.is_empty() {
        return Err(HostError::cannot(
            "it serves on FREEHOLD_APP_SOCKET, which no host relays there",
            "publish a port",
        ));
    }
    let made = objects::of(bundle, &plan, options)?;
    let mut text =
        String::from("# Made by `freehold app manifest --kubernetes`. It was validated, and never run on a cluster.\n");
    for note in made.notes {
        text.push_str(&format!("# {}\n", yaml::comment(&note)));
    }
    for object in made.objects {
        text.push_str("---\n");
        yaml::write(&object, &mut text);
    }
    Ok(text)
}

/// A name of RFC 1123.
fn is_label(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_edge = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
    let bytes = text.as_bytes();
    bytes.len() <= NAME_MAX && bytes.iter().all(|byte| good(*byte)) && is_edge(bytes.first()) && is_edge(bytes.last())
}

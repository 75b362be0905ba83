//! The objects: a Deployment, the policy of its network, a Service for published ports, a claim for storage that lasts.

use std::{collections::BTreeMap, net::SocketAddr};

use freehold_bundle::{Bundle, Condition, Egress, EgressTarget, ImageRef, ServiceRestart, StorageKind};
use freehold_containers::{CAPABILITIES, Health, Plan, Planned};
use serde_json::{Value, json};

use super::{KubernetesOptions, is_label};
use crate::{
    attend::{ATTENDED_CONFIG, ATTENDED_SERVED},
    bundle::key_scopes,
    error::HostError,
    registry::ImageName,
};

/// Where the agent has its sockets and its configuration, and each service the sockets of its own.
const SOCKETS: &str = "/run/freehold";
const RUN: &str = "/run";
/// Where the agent keeps its instance's receipts: a pod that is made anew is an instance of its own.
const STATE: &str = "/var/lib/freehold";
/// Where what attends it keeps the network's genesis.
const NETWORK: &str = "/var/lib/freehold-network";
/// Where the VM's kernel gives evidence. The runtimes of Kata take a folder of `/sys` out of the VM, and not of the node.
const EVIDENCE: &str = "/sys/kernel/config";
/// Sizes of the folders.
const SOCKETS_SIZE: &str = "1Mi";
const STATE_SIZE: &str = "256Mi";
const NETWORK_SIZE: &str = "16Mi";
/// Memory and processors of the agent, and of what attends it.
const AGENT_MEMORY: &str = "256Mi";
const AGENT_CPU: &str = "500m";
const ATTENDANT_MEMORY: &str = "128Mi";
const ATTENDANT_CPU: &str = "200m";
/// Key of the provider's secret in its object.
const SECRET_KEY: &str = "account";
/// Longest part of a name that is an app's or a service's.
const PART_MAX: usize = 40;

/// What was made.
pub(super) struct Made {
    pub(super) objects: Vec<Value>,
    /// Where Kubernetes does otherwise than the app says.
    pub(super) notes: Vec<String>,
}

struct Maker<'a> {
    bundle: &'a Bundle,
    plan: &'a Plan,
    options: &'a KubernetesOptions,
    /// Name of all objects.
    name: String,
    notes: Vec<String>,
}

pub(super) fn of(bundle: &Bundle, plan: &Plan, options: &KubernetesOptions) -> Result<Made, HostError> {
    let digest = bundle.digest().to_string();
    let name = format!("{}-{}", label(&bundle.manifest().name, "app"), &digest[..8]);
    let mut maker = Maker { bundle, plan, options, name, notes: Vec::new() };
    let network = maker.network()?;
    let mut objects = vec![maker.deployment()?, network];
    objects.extend(maker.service());
    objects.extend(maker.claim());
    Ok(Made { objects, notes: maker.notes })
}

/// A text as a part of a name: what is not allowed there becomes `-`.
fn label(text: &str, other: &str) -> String {
    let letters = text.chars().map(|letter| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9') => letter,
        _ => '-',
    });
    let cut: String = letters.take(PART_MAX).collect();
    let cut = cut.trim_matches('-');
    if cut.is_empty() { other.to_owned() } else { cut.to_owned() }
}

/// A text that Kubernetes fills no variables into.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

impl Maker<'_> {
    fn meta(&self) -> Value {
        let digest = format!("sha256:{}", self.bundle.digest());
        let mut meta = json!({
            "name": self.name,
            "labels": self.labels(),
            "annotations": { "freehold/bundle": digest, "freehold/version": self.bundle.manifest().version },
        });
        if let Some(namespace) = &self.options.namespace {
            meta["namespace"] = namespace.clone().into();
        }
        meta
    }

    fn labels(&self) -> Value {
        json!({ "app.kubernetes.io/name": self.name, "app.kubernetes.io/managed-by": "freehold" })
    }

    fn deployment(&mut self) -> Result<Value, HostError> {
        let (mut jobs, mut containers) = (vec![self.attendant()?, self.agent()], Vec::new());
        let plan = self.plan;
        for (index, (name, planned)) in plan.services.iter().enumerate() {
            let container = self.container(index, name, planned)?;
            if self.is_job(name, planned)? { jobs.push(container) } else { containers.push(container) }
        }
        if containers.is_empty() {
            return Err(HostError::cannot("every service of it is a job", "Kubernetes needs one that stays"));
        }
        let names: Vec<&String> = plan.services.keys().filter(|name| is_label(name)).collect();
        let pod = json!({
            "automountServiceAccountToken": false,
            "runtimeClassName": self.options.runtime_class,
            "enableServiceLinks": false,
            "hostAliases": [{ "ip": "127.0.0.1", "hostnames": names }],
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "terminationGracePeriodSeconds": plan.services.values().map(|one| one.grace_ms.div_ceil(1_000)).max(),
            "initContainers": jobs,
            "containers": containers,
            "volumes": self.volumes(),
        });
        Ok(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.meta(),
            "spec": {
                // Two at once would share a disk, and each is an instance of its own: more of them are more deployments.
                "replicas": 1,
                "strategy": { "type": "Recreate" },
                "selector": { "matchLabels": self.labels() },
                "template": { "metadata": { "labels": self.labels() }, "spec": pod },
            },
        }))
    }

    fn agent_image(&self) -> Option<String> {
        let reference = &self.options.agent_image;
        reference.digest.map(|digest| reference.name.pinned(&digest))
    }

    /// Services that have the local API, by the number of their folder.
    fn attended(&self) -> impl Iterator<Item = (usize, &String)> {
        let services = self.plan.services.iter().enumerate();
        services.filter(|(_, (_, planned))| planned.has_local_api).map(|(index, (name, _))| (index, name))
    }

    fn socket_mounts(&self) -> Vec<Value> {
        let own = json!({ "name": "freehold-sockets", "mountPath": SOCKETS });
        let of_service = |(index, _)| {
            let place = format!("{SOCKETS}/service-{index}");
            json!({ "name": format!("freehold-service-{index}"), "mountPath": place })
        };
        std::iter::once(own).chain(self.attended().map(of_service)).collect()
    }

    /// What attends the agent is there before it: its way to a node, and who pays.
    fn attendant(&self) -> Result<Value, HostError> {
        let options = self.options;
        let text = |text: &str| text.to_owned();
        let mut words = vec![text("host"), text("attend")];
        for (name, value) in [
            ("folder", SOCKETS.to_owned()),
            ("state-dir", STATE.to_owned()),
            ("data-dir", NETWORK.to_owned()),
            ("app", options.app_id.to_string()),
            ("rpc", options.node.to_string()),
            ("network-key", options.network_key.to_string()),
            ("trust-domain", options.domain()?.as_str().to_owned()),
        ] {
            words.extend([format!("--{name}"), literal(&value)]);
        }
        for (index, name) in self.attended() {
            words.extend([text("--service"), literal(&format!("{index}={name}"))]);
        }
        if self.plan.storage.0 == StorageKind::DiskPersistent {
            words.push(text("--keeps-files"));
        }
        for scope in key_scopes(self.bundle) {
            words.extend([text("--scope"), text(scope.as_str())]);
        }
        let mut mounts = self.socket_mounts();
        mounts.push(json!({ "name": "freehold-network", "mountPath": NETWORK }));
        let secret = json!({ "secretKeyRef": { "name": format!("{}-provider", self.name), "key": SECRET_KEY } });
        Ok(json!({
            "name": "freehold-attendant",
            "image": self.agent_image(),
            "args": words,
            "env": [{ "name": "FREEHOLD_ACCOUNT_KEY", "valueFrom": secret }],
            "restartPolicy": "Always",
            "startupProbe": waits_for(ATTENDED_CONFIG),
            "securityContext": security(true, &[]),
            "resources": resources(ATTENDANT_MEMORY.to_owned(), ATTENDANT_CPU.to_owned(), None),
            "volumeMounts": mounts,
        }))
    }

    /// The agent runs beside the containers and is there before them. It ends when its standard input does.
    fn agent(&self) -> Value {
        let config = format!("{SOCKETS}/{ATTENDED_CONFIG}");
        let mut mounts = self.socket_mounts();
        mounts.extend([
            json!({ "name": "freehold-state", "mountPath": STATE }),
            json!({ "name": "freehold-evidence", "mountPath": EVIDENCE }),
        ]);
        json!({
            "name": "freehold-agent",
            "image": self.agent_image(),
            "args": ["guest", "--config", config],
            "stdin": true,
            "restartPolicy": "Always",
            "startupProbe": waits_for(ATTENDED_SERVED),
            "securityContext": security(true, &[]),
            "resources": resources(AGENT_MEMORY.to_owned(), AGENT_CPU.to_owned(), None),
            "volumeMounts": mounts,
        })
    }

    fn container(&mut self, index: usize, name: &str, planned: &Planned) -> Result<Value, HostError> {
        if planned.asks_owner() {
            let what = format!("service `{name}` has settings of the owner in its environment");
            return Err(HostError::cannot(&what, "for Kubernetes let it read them over the local API"));
        }
        let limits = planned.limits;
        let environment =
            planned.environment.iter().map(|(name, value)| json!({"name": name, "value": literal(value)}));
        let added: &[&str] = if planned.user == "0" || planned.user == "root" { &CAPABILITIES } else { &[] };
        let mut container = json!({
            "name": format!("{}-{index}", label(name, "service")),
            "image": self.image(name)?,
            "command": planned.command.iter().map(|word| literal(word)).collect::<Vec<_>>(),
            "env": environment.collect::<Vec<_>>(),
            "workingDir": planned.working_dir,
            "securityContext": security(planned.is_read_only, added),
            "resources": resources(
                limits.memory_bytes.to_string(),
                format!("{}m", limits.cpu_milli),
                Some(limits.scratch_bytes().to_string()),
            ),
            "volumeMounts": self.mounts(index, planned),
        });
        self.run_as(name, planned, &mut container)?;
        if let Some(health) = &planned.health {
            container["readinessProbe"] = probe(health);
        }
        if !matches!(planned.restart, ServiceRestart::Always) && !self.is_job(name, planned)? {
            self.notes
                .push(format!("{name}: restart is another than `always`; Kubernetes starts it again whenever it ends"));
        }
        if planned.depends_on.values().any(|condition| *condition != Condition::Completed) {
            self.notes.push(format!("{name}: it does not wait for other services; Kubernetes starts all at once"));
        }
        Ok(container)
    }

    fn run_as(&self, name: &str, planned: &Planned, container: &mut Value) -> Result<(), HostError> {
        let (user, group) =
            planned.user.split_once(':').map_or((planned.user.as_str(), None), |(user, group)| (user, Some(group)));
        let of_image = self.bundle.images().iter().find(|image| image.digest == planned.image);
        if of_image.and_then(|image| image.program.user.as_deref()) == Some(planned.user.as_str()) {
            return Ok(());
        }
        let number = |text: &str| if text == "root" { Some(0) } else { text.parse::<u32>().ok() };
        match (number(user), group.map(number)) {
            (Some(user), None) => container["securityContext"]["runAsUser"] = user.into(),
            (Some(user), Some(Some(group))) => {
                container["securityContext"]["runAsUser"] = user.into();
                container["securityContext"]["runAsGroup"] = group.into();
            }
            _ => {
                let what =
                    format!("service `{name}` runs as the user {:?}, which its image does not run as", planned.user);
                return Err(HostError::cannot(&what, "Kubernetes takes numbers: name the user by its number"));
            }
        }
        Ok(())
    }

    fn image(&self, service: &str) -> Result<String, HostError> {
        let services = self.bundle.compose().map(|compose| &compose.services);
        let image = services.and_then(|services| services.get(service)).map(|service| &service.image);
        let Some(ImageRef { digest, name }) = image else {
            return Err(HostError::cannot("its compose file has no such service", "build it again"));
        };
        let name = ImageName::parse(name)
            .map_err(|error| HostError::cannot(&error.to_string(), "name it as its registry does"))?;
        Ok(name.pinned(digest))
    }

    /// A service that ends before those that wait for it start.
    fn is_job(&self, name: &str, planned: &Planned) -> Result<bool, HostError> {
        let waits = |other: &Planned| other.depends_on.get(name) == Some(&Condition::Completed);
        let is_job = self.plan.services.values().any(waits);
        let is_first = planned.depends_on.values().all(|condition| *condition == Condition::Completed);
        if is_job && !is_first {
            let what = format!("the job `{name}` waits for a service that stays");
            return Err(HostError::cannot(&what, "Kubernetes runs jobs before all services that stay"));
        }
        Ok(is_job)
    }

    fn mounts(&self, index: usize, planned: &Planned) -> Vec<Value> {
        let mut mounts: Vec<Value> = Vec::new();
        for (number, mount) in planned.mounts.iter().enumerate() {
            mounts.push(match &mount.source {
                None => json!({ "name": format!("memory-{index}-{number}"), "mountPath": mount.target }),
                Some(source) => {
                    let mut mounted =
                        json!({ "name": "storage", "mountPath": mount.target, "readOnly": mount.is_read_only });
                    if !source.is_empty() {
                        mounted["subPath"] = source.clone().into();
                    }
                    mounted
                }
            });
        }
        if planned.has_local_api {
            // The folder whole: a socket by itself would be looked for on the node, and is in the VM alone.
            mounts.push(json!({ "name": format!("freehold-service-{index}"), "mountPath": RUN }));
        }
        mounts
    }

    fn volumes(&self) -> Vec<Value> {
        let mut volumes = vec![
            json!({ "name": "freehold-sockets", "emptyDir": { "medium": "Memory", "sizeLimit": SOCKETS_SIZE } }),
            json!({ "name": "freehold-state", "emptyDir": { "sizeLimit": STATE_SIZE } }),
            json!({ "name": "freehold-network", "emptyDir": { "sizeLimit": NETWORK_SIZE } }),
            json!({ "name": "freehold-evidence", "hostPath": { "path": EVIDENCE } }),
        ];
        volumes.extend(self.attended().map(|(index, _)| {
            let memory = json!({ "medium": "Memory", "sizeLimit": SOCKETS_SIZE });
            json!({ "name": format!("freehold-service-{index}"), "emptyDir": memory })
        }));
        for (index, planned) in self.plan.services.values().enumerate() {
            let size = planned.limits.scratch_bytes().to_string();
            for (number, _) in planned.mounts.iter().enumerate().filter(|(_, mount)| mount.source.is_none()) {
                let memory = json!({ "medium": "Memory", "sizeLimit": size });
                volumes.push(json!({ "name": format!("memory-{index}-{number}"), "emptyDir": memory }));
            }
        }
        let (kind, bytes) = self.plan.storage;
        let size = bytes.to_string();
        volumes.extend(match kind {
            StorageKind::None => None,
            StorageKind::DiskPersistent => {
                Some(json!({ "name": "storage", "persistentVolumeClaim": { "claimName": self.name } }))
            }
            StorageKind::DiskEphemeral => Some(json!({ "name": "storage", "emptyDir": { "sizeLimit": size } })),
            StorageKind::Ram => {
                Some(json!({ "name": "storage", "emptyDir": { "medium": "Memory", "sizeLimit": size } }))
            }
        });
        volumes
    }

    fn claim(&self) -> Option<Value> {
        let (StorageKind::DiskPersistent, bytes) = self.plan.storage else { return None };
        Some(json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": self.meta(),
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": bytes.to_string() } },
            },
        }))
    }

    fn service(&self) -> Option<Value> {
        let ports = self.plan.ports.iter().map(|port| {
            json!({ "name": format!("port-{}", port.published), "protocol": "TCP", "port": port.published,
                "targetPort": port.target })
        });
        let ports: Vec<Value> = ports.collect();
        (!ports.is_empty()).then(|| {
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": self.meta(),
                "spec": { "type": "ClusterIP", "selector": self.labels(), "ports": ports },
            })
        })
    }

    /// Where the pod is closed to the outside, the node is reached by its address: a policy of networks knows no names.
    fn way_to_node(&self) -> Result<Value, HostError> {
        let Ok(address) = self.options.node.authority().parse::<SocketAddr>() else {
            let what = format!("the node {} is not named by its address and port", self.options.node);
            return Err(HostError::cannot(
                &what,
                "name it as http://10.0.0.1:8545, or let the manifest say `egress: open`",
            ));
        };
        Ok(rule_of(address))
    }

    /// Nobody gets in but to published ports, and out goes what the manifest opens.
    fn network(&mut self) -> Result<Value, HostError> {
        let open = &self.bundle.manifest().additions.egress;
        let mut egress = match open {
            Egress::Deny => Vec::new(),
            Egress::Open => vec![json!({})],
            Egress::Allow(targets) => targets.iter().map(rule).collect::<Result<_, _>>()?,
        };
        if *open != Egress::Open {
            egress.push(self.way_to_node()?);
            self.notes
                .push("the pod reaches the node that its attendant asks, and so do the app's containers".to_owned());
        }
        let ports = self.plan.ports.iter().map(|port| json!({ "protocol": "TCP", "port": port.target }));
        let ports: Vec<Value> = ports.collect();
        let ingress = if ports.is_empty() { json!([]) } else { json!([{ "ports": ports }]) };
        Ok(json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": self.meta(),
            "spec": {
                "podSelector": { "matchLabels": self.labels() },
                "policyTypes": ["Ingress", "Egress"],
                "ingress": ingress,
                "egress": egress,
            },
        }))
    }
}

fn waits_for(file: &str) -> Value {
    json!({
        "exec": { "command": ["test", "-f", format!("{SOCKETS}/{file}")] },
        "periodSeconds": 1,
        "failureThreshold": 120,
    })
}

fn rule_of(address: SocketAddr) -> Value {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    json!({
        "to": [{ "ipBlock": { "cidr": format!("{}/{bits}", address.ip()) } }],
        "ports": [{ "protocol": "TCP", "port": address.port() }],
    })
}

/// A target of a list: addresses alone can stand in the policy of a network.
fn rule(target: &EgressTarget) -> Result<Value, HostError> {
    let Ok(address) = target.to_string().parse::<SocketAddr>() else {
        let hint = "list addresses, or say `deny` or `open`";
        return Err(HostError::cannot("a policy of Kubernetes' networks knows addresses and no names", hint));
    };
    Ok(rule_of(address))
}

fn security(is_read_only: bool, added: &[&str]) -> Value {
    let added: Vec<&str> = added.iter().map(|name| name.trim_start_matches("CAP_")).collect();
    let mut capabilities = json!({ "drop": ["ALL"] });
    if !added.is_empty() {
        capabilities["add"] = added.into();
    }
    json!({
        "allowPrivilegeEscalation": false,
        "privileged": false,
        "readOnlyRootFilesystem": is_read_only,
        "capabilities": capabilities,
    })
}

fn resources(memory: String, cpu: String, scratch: Option<String>) -> Value {
    let mut bounds = BTreeMap::from([("memory", memory), ("cpu", cpu)]);
    bounds.extend(scratch.map(|scratch| ("ephemeral-storage", scratch)));
    json!({ "limits": bounds, "requests": bounds })
}

/// A check as Kubernetes counts: whole seconds, one at least.
fn probe(health: &Health) -> Value {
    let seconds = |ms: u64| ms.div_ceil(1_000).clamp(1, i32::MAX.unsigned_abs().into());
    json!({
        "exec": { "command": health.command.iter().map(|word| literal(word)).collect::<Vec<_>>() },
        "periodSeconds": seconds(health.interval_ms),
        "timeoutSeconds": seconds(health.timeout_ms),
        "failureThreshold": health.retries.clamp(1, 1_000),
        "initialDelaySeconds": health.start_ms.div_ceil(1_000).min(86_400),
    })
}

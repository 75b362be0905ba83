//! `proxy`: a local port in plain text that leads to a verified instance over TLS.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use freehold_client::{IngressClient, IngressTarget, Proxy, ProxyEvent, VerifiedIngress};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::app::{IngressNote, Network};
use crate::{args::ProxyArgs, output::Output};

/// Runs the command.
pub(crate) async fn run(args: ProxyArgs, output: Output) -> Result<ExitCode> {
    let Network { folder, node, network_key, .. } = Network::find(&args.network).await?;
    let address = match args.ingress {
        Some(address) => address,
        None => IngressNote::find(&folder, args.app).map(|note| note.address.to_string()).context(
            "no `app run --ingress` of this app is known here: name the ingress of its machine with --ingress",
        )?,
    };
    if !args.listen.ip().is_loopback() {
        output.warn(&format!(
            "{} is no loopback address: others of the network can use this port, in plain text",
            args.listen
        ));
    }
    let demand = args.demand.demand();
    let target = IngressTarget { address, rpc: node, network_key, app_id: args.app, instance_id: args.instance };
    let (events, heard) = mpsc::unbounded_channel();
    let proxy = Proxy::start(IngressClient::new(target).demanding(demand), args.listen, events).await?;
    let telling = tokio::spawn(tell(heard, output));
    let mut ready = shown(proxy.verified());
    ready["event"] = json!("ready");
    ready["proxy"] = json!(format!("http://{}", proxy.address()));
    output.object(&ready);
    output.text(&format!("http://{} leads to it; Ctrl-C stops it", proxy.address()));
    super::asked_to_stop().await?;
    drop(proxy);
    telling.abort();
    Ok(ExitCode::SUCCESS)
}

async fn tell(mut heard: mpsc::UnboundedReceiver<ProxyEvent>, output: Output) {
    while let Some(event) = heard.recv().await {
        match event {
            ProxyEvent::Verified(verified) => {
                let mut object = shown(&verified);
                object["event"] = json!("verified");
                output.object(&object);
                let instance = verified.instance();
                output.text(&format!(
                    "verified: instance {} ({}, tier {}), key {}",
                    instance.instance_id(),
                    instance.trust_domain().as_str(),
                    instance.tier(),
                    verified.spki_sha256(),
                ));
            }
            ProxyEvent::Refused { code, reason } => {
                output.object(&json!({ "event": "refused", "code": code, "text": reason }));
                output.note(&format!("refused ({code}): {reason}"));
            }
            _ => {}
        }
    }
}

fn shown(verified: &VerifiedIngress) -> Value {
    let instance = verified.instance();
    json!({
        "app_id": instance.app_id(),
        "instance_id": instance.instance_id(),
        "trust_domain": instance.trust_domain().as_str(),
        "tier": instance.tier(),
        "expires_at": instance.expires_at(),
        "server_name": verified.server_name(),
        "spki_sha256": verified.spki_sha256(),
        "acme_account": verified.acme_account(),
    })
}

//! The network's answers opened by the unmodified vetKD client, and refused once the chain says no.

use alloy_sol_types::{SolCall as _, sol};
use freehold_crypto::{KEY_INPUT, combine, wire_context};
use freehold_rpc::NodeError;
use ic_vetkeys::{EncryptedVetKey, MasterPublicKey, TransportSecretKey};

use super::*;

sol!("../../contracts/interfaces/IApps.sol");

#[tokio::test(flavor = "multi_thread")]
async fn a_running_network_releases_keys_that_vetkd_opens_and_revocation_ends_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let held = Held::take(folder.path())?;
    let wanted = Wanted::development(CHAIN_ID, VALIDATORS);
    let config = StackConfig { wanted, rpc: SocketAddr::from(([127, 0, 0, 1], 0)), app: None };
    let stack = Stack::start(&held, config, Output::new(true)).await?;
    let node = NodeClient::new(stack.endpoints.rpc.parse::<Endpoint>()?);
    let mut app = App::deploy(node.clone(), node.genesis().await?).await?;
    let instances = app.register(2).await?;

    // Every instance of the app has one key, and the vetKD client opens the same from the same answer.
    let ours = app.release(&instances[0]).await?;
    assert_eq!(ours.as_bytes(), app.release(&instances[1]).await?.as_bytes());
    let answer = node.key_shares(&instances[0].grant).await?;
    let shares: Vec<_> =
        answer.shares.iter().map(|share| EncryptedShare::from_bytes(&share.share.0)).collect::<Result<_, _>>()?;
    assert!(answer.term == 0 && shares.len() >= 3);
    let wire = combine(&shares, app.polynomial.threshold())?.to_bytes();
    // The client keeps scalars little-endian.
    let mut secret = *instances[0].transport.to_bytes();
    secret.reverse();
    let secret = TransportSecretKey::deserialize(&secret).expect("a scalar");
    let public = MasterPublicKey::deserialize(app.polynomial.master().as_bytes())
        .expect("a point")
        .derive_canister_key(app.id.as_bytes())
        .derive_sub_key(&wire_context(CONTEXT, 0)?);
    let theirs = EncryptedVetKey::deserialize(&wire)
        .expect("an encrypted key")
        .decrypt_and_verify(&secret, &public, KEY_INPUT)
        .expect("the client opens it");
    assert_eq!(ours.as_bytes(), theirs.serialize());
    // Another instance's transport key opens nothing of it.
    assert!(instances[1].transport.recover(&app.polynomial, &app.derivation()?, &shares).is_err());
    // A grant that the chain does not know.
    assert!(matches!(node.key_shares(&Digest([9; 32])).await, Err(NodeError::Refused { .. })));

    // The owner closes the app: the next block ends every grant, and shares at hand are served no more.
    let close = IApps::closeCall { app: (*app.id.as_bytes()).into() };
    let hash = app.send(slots::APPS, close.abi_encode(), GAS_CREATE).await?;
    app.executed(&[hash]).await?;
    let begun = Instant::now();
    for instance in &instances {
        assert!(node.key_shares(&instance.grant).await.is_err());
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    stack.stop().await;
    Ok(())
}

//! When a network has stopped its stores are free: another process may open them at once.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use freehold_node::{
    BlockStore, Clock, Network, NetworkConfig, NewNetwork, StoreIdentity, create_network, validator_folder,
};
use freehold_primitives::{Membership, Purpose};
use rand::{SeedableRng as _, rngs::StdRng};

#[test]
fn stores_are_free_when_a_network_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewNetwork {
        chain_id: 23_291,
        validators: 1,
        purpose: Purpose::Development,
        timestamp_ms: Clock::system().now_ms(),
        trust_roots: Vec::new(),
        allocations: Vec::new(),
        membership: Membership::default(),
    };
    let genesis = create_network(folder.path(), &new, &mut StdRng::seed_from_u64(1)).unwrap();
    let identity = StoreIdentity { chain_id: 23_291, genesis_hash: freehold_crypto::genesis_hash(&genesis) };
    let store = validator_folder(folder.path(), 0).join("blocks.redb");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for _ in 0..3 {
        let config = NetworkConfig {
            folder: folder.path().to_path_buf(),
            genesis: genesis.clone(),
            rpc: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock: Clock::system(),
            signer: None,
        };
        let network = runtime.block_on(Network::start(config)).unwrap();
        // A client that stays connected, and has asked something.
        let mut client = TcpStream::connect(network.rpc).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\nhost: node\r\n\r\n").unwrap();
        assert!(client.read(&mut [0; 64]).unwrap() > 0);
        runtime.block_on(network.stop());
        BlockStore::open(&store, &identity).unwrap();
    }
}

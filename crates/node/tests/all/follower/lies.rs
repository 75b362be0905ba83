//! Every lie that a source can tell is caught, said with its code, and another source makes good what it withheld.

use std::time::Duration;

use freehold_node::{FollowerError, KeepStates, SyncError, SyncFrom};
use serde_json::{Value, json};

use super::{
    liar::{Twist, flip, liar},
    net::{Choice, Net, WAIT, follow, reach},
};

/// Lies of one who serves a state, with the code of each.
const OF_STATE: [(&str, u16, Twist); 7] = [
    ("another genesis", 2, |method, answer| {
        if method == "freehold_genesis" {
            flip(answer, 8);
        }
    }),
    ("a header that nobody signed", 2, |method, answer| {
        if method == "freehold_getFinality" && !answer.is_null() {
            flip(&mut answer["headers"][0], -40);
        }
    }),
    ("another state root", 11, |method, answer| {
        if method == "freehold_syncState" {
            flip(&mut answer["state_root"], 3);
        }
    }),
    ("another log", 11, |method, answer| {
        if method == "freehold_syncState" {
            flip(&mut answer["log_root"], 3);
        }
    }),
    ("changed operations", 12, |method, answer| {
        if method == "freehold_syncOperations" {
            flip(answer, -50);
        }
    }),
    ("changed content", 10, |method, answer| {
        if method == "freehold_syncContent" {
            flip(&mut answer["pieces"][0]["bytes"], 0);
        }
    }),
    ("changed headers", 4, |method, answer| {
        if method == "freehold_getHeaders" {
            flip(&mut answer[0], 40);
        }
    }),
];

/// Lies of one who serves blocks, with the code of each.
const OF_BLOCKS: [(&str, u16, Twist); 9] = [
    ("changed writes", 9, |method, answer| blocks(method, answer, |block| flip(&mut block["writes"], 45))),
    ("another payload", 6, |method, answer| blocks(method, answer, |block| flip(&mut block["payload"], 60))),
    ("another certificate", 3, |method, answer| {
        if method == "freehold_syncBlocks" && !answer["cover"].is_null() {
            flip(&mut answer["cover"]["certificate"], 70);
        }
    }),
    ("another certificate of a payload", 8, |method, answer| {
        blocks(method, answer, |block| {
            if !block["certificate"].is_null() {
                flip(&mut block["certificate"], 120);
            }
        });
    }),
    ("another header", 4, |method, answer| {
        if method == "freehold_syncBlocks" && !answer["cover"].is_null() {
            flip(&mut answer["blocks"][0]["header"], 100);
        }
    }),
    ("another seed", 7, |method, answer| {
        blocks(method, answer, |block| {
            if !block["seed"].is_null() {
                flip(&mut block["seed"], 10);
            }
        });
    }),
    ("a withheld receipt", 4, |method, answer| {
        blocks(method, answer, |block| block["receipts"] = json!([]));
    }),
    ("a block left out", 5, |method, answer| {
        if method == "freehold_syncBlocks"
            && let Some(blocks) = answer["blocks"].as_array_mut()
            && blocks.len() > 1
        {
            blocks.remove(0);
        }
    }),
    ("an answer without end", 1, |method, answer| {
        if method == "freehold_syncBlocks" {
            answer["blocks"] = json!([{ "payload": "0".repeat(41 * 1024 * 1024) }]);
        }
    }),
];

fn blocks(method: &str, answer: &mut Value, twist: impl Fn(&mut Value)) {
    if method == "freehold_syncBlocks" {
        answer["blocks"].as_array_mut().unwrap().iter_mut().for_each(twist);
    }
}

fn code(error: &FollowerError) -> Option<u16> {
    match error {
        FollowerError::Sync(error @ SyncError::Lied { .. }) => Some(error.code()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_the_state_are_caught() {
    let net = Net::start().await;
    let user = net.user();
    let public = user.deploy(Choice::Public).await;
    user.keep(public, 5).await;
    for (what, expected, twist) in OF_STATE {
        let (endpoint, handle) = liar(&net.endpoint(), twist).await;
        let folder = tempfile::tempdir().unwrap();
        let refused = follow(net.follower(folder.path(), vec![endpoint.clone()])).await;
        let error = refused.err().unwrap_or_else(|| panic!("{what} is taken for true"));
        assert_eq!(code(&error), Some(expected), "{what}: {error}");
        assert!(!folder.path().join("blocks.redb").exists(), "{what} is kept");
        // The same folder, with an honest source behind the liar.
        let followed = follow(net.follower(folder.path(), vec![endpoint, net.endpoint()])).await;
        let followed = followed.unwrap_or_else(|error| panic!("{what} stops an honest source: {error}"));
        assert_eq!(user.at(&followed.client).read(public).await, 5, "{what}");
        followed.follower.stop().await;
        drop(handle);
    }
    net.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_blocks_are_caught() {
    let net = Net::start().await;
    let user = net.user();
    let public = user.deploy(Choice::Public).await;
    let block = user.keep(public, 5).await;
    reach(&user.client, block + 2).await;
    for (what, expected, twist) in OF_BLOCKS {
        let (endpoint, handle) = liar(&net.endpoint(), twist).await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = net.follower(folder.path(), vec![endpoint.clone()]);
        (config.from, config.keep_states) = (SyncFrom::Genesis, KeepStates::All);
        let mut followed = follow(config.clone()).await.unwrap();
        let ended = tokio::time::timeout(WAIT, followed.ended.recv()).await;
        let error = ended.unwrap_or_else(|_| panic!("{what} is taken for true")).unwrap();
        assert_eq!(code(&error), Some(expected), "{what}: {error}");
        followed.follower.stop().await;
        config.sources.push(net.endpoint());
        let followed = follow(config).await.unwrap();
        reach(&followed.client, block).await;
        assert_eq!(user.at(&followed.client).read(public).await, 5, "{what}");
        followed.follower.stop().await;
        drop(handle);
    }
    net.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_blocks_come_from_another_source() {
    let net = Net::start().await;
    let user = net.user();
    let public = user.deploy(Choice::Public).await;
    let (endpoint, _handle) = liar(&net.endpoint(), |method, answer| {
        if method == "freehold_syncBlocks" {
            *answer = json!({ "blocks": [], "cover": null });
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let followed = follow(net.follower(folder.path(), vec![endpoint, net.endpoint()])).await.unwrap();
    for word in 1..4 {
        let block = user.keep(public, word).await;
        reach(&followed.client, block).await;
    }
    followed.follower.stop().await;
    net.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_documents_are_asked_for_when_they_are_missed() {
    let net = Net::start().await;
    let user = net.user();
    let public = user.deploy(Choice::Public).await;
    user.keep(public, 5).await;
    // The code of an account is missed at once, and only a source that has it ends the sync.
    let (endpoint, _handle) = liar(&net.endpoint(), |method, answer| match method {
        "freehold_syncContent" => *answer = json!({ "pieces": [], "next": null }),
        "freehold_getContent" => *answer = Value::Null,
        _ => {}
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let refused = follow(net.follower(folder.path(), vec![endpoint.clone()])).await.err().unwrap();
    assert!(matches!(refused, FollowerError::Sync(SyncError::NotKept { .. })), "{refused}");
    let followed = follow(net.follower(folder.path(), vec![endpoint, net.endpoint()])).await.unwrap();
    // Entries are missed when they are read; then they come.
    let call = async {
        while followed.client.eth_call(&public, Vec::new()).await.is_err()
            || followed.client.call::<Value>("freehold_status", ()).await.is_err()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(WAIT, call).await.unwrap();
    assert_eq!(user.at(&followed.client).read(public).await, 5);
    followed.follower.stop().await;
    net.network.stop().await;
}

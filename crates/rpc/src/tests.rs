//! Tests of the forms and of the clients against small servers on loopback.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use freehold_primitives::Digest;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixListener},
};

use crate::*;

/// Answers each connection's first request with fixed bytes, then closes.
async fn serve_once(answer: &'static str) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = vec![0; 65536];
                let _ = stream.read(&mut bytes).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    endpoint
}

fn short() -> HttpLimits {
    let short = Duration::from_millis(300);
    HttpLimits { connect: short, head: short, pause: short, body_bytes_max: 100 }
}

#[test]
fn endpoints_are_read_and_written() {
    for good in ["http://127.0.0.1:80", "http://[::1]:8545", "http://node-1.example:1", "unix:/run/a.sock"] {
        assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
    }
    let long = format!("unix:/{}", "a".repeat(101));
    for bad in ["", "http://", "https://a:1", "http://a b:1", "http://a:99999", "unix:relative", "http://a/b:1", &long]
    {
        assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
    }
}

#[test]
fn base64_is_strict_and_round_trips() {
    for length in 0..40_u8 {
        let bytes = Base64Text((0..length).map(|i| i.wrapping_mul(37)).collect());
        let text = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<Base64Text>(&text).unwrap(), bytes);
    }
    assert_eq!(serde_json::to_value(Base64Text(b"foob".to_vec())).unwrap(), json!("Zm9vYg=="));
    for bad in ["Zg", "Zh==", "Z===", "====", "Zm 9", "Zm9-", "Zm9v\n"] {
        assert!(serde_json::from_value::<Base64Text>(json!(bad)).is_err(), "{bad}");
    }
}

#[test]
fn both_hex_forms_are_read() {
    let plain: KeyShare = serde_json::from_value(json!({"index": 0, "share": "00ff"})).unwrap();
    let prefixed: KeyShare = serde_json::from_value(json!({"index": 0, "share": "0x00ff"})).unwrap();
    assert_eq!(plain, prefixed);
    assert_eq!(serde_json::to_value(&plain).unwrap(), json!({"index": 0, "share": "0x00ff"}));
    let leaf = LeafProof { key: Digest([1; 32]), value: None, proof: HexBytes(vec![]) };
    let value = serde_json::to_value(&leaf).unwrap();
    assert_eq!(value, json!({"key": format!("0x{}", "01".repeat(32)), "value": null, "proof": "0x"}));
    assert_eq!(serde_json::from_value::<LeafProof>(value).unwrap(), leaf);
    assert!(serde_json::from_value::<HexBytes>(json!("0x0")).is_err());
    assert_eq!(serde_json::from_value::<QuantityU64>(json!("0x10")).unwrap(), QuantityU64(16));
    assert_eq!(serde_json::from_value::<QuantityU64>(json!(16)).unwrap(), QuantityU64(16));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = NodeClient::with_limits(endpoint, short()).chain_id().await.unwrap_err();
    assert!(matches!(error, NodeError::Unreachable(HttpError::Unreachable { .. })), "{error}");
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let error = NodeClient::with_limits(endpoint, short()).chain_id().await.unwrap_err();
    assert!(matches!(error, NodeError::Unreachable(HttpError::Timeout { .. })), "{error}");
}

fn with_length(body: &str) -> &'static str {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak()
}

#[tokio::test]
async fn refusals_and_garbage_are_told_apart() {
    let refused = with_length(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}"#);
    let error = NodeClient::new(serve_once(refused).await).chain_id().await.unwrap_err();
    assert!(matches!(error, NodeError::Refused { code: -32601, .. }), "{error}");
    let error = NodeClient::new(serve_once(with_length("hello")).await).chain_id().await.unwrap_err();
    assert!(matches!(error, NodeError::Malformed { .. }), "{error}");
    let other = with_length(r#"{"jsonrpc":"2.0","id":7,"result":"0x10"}"#);
    let error = NodeClient::new(serve_once(other).await).chain_id().await.unwrap_err();
    assert!(matches!(error, NodeError::Malformed { .. }), "{error}");
    let large = with_length(&".".repeat(101));
    let error = NodeClient::with_limits(serve_once(large).await, short()).chain_id().await.unwrap_err();
    assert!(matches!(error, NodeError::Unreachable(HttpError::TooLarge { .. })), "{error}");
}

#[tokio::test]
async fn connections_are_kept_and_replaced_when_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let accepted = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::spawn(async move {
                // Two answers per connection, then it closes.
                for _ in 0..2 {
                    let mut bytes = vec![0; 4096];
                    if stream.read(&mut bytes).await.unwrap_or(0) == 0 {
                        return;
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue").await.unwrap();
                }
            });
        }
    });
    let client = HttpClient::new(Endpoint::unix(&path).unwrap());
    for _ in 0..4 {
        assert!(client.get_json::<bool>("/").await.unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_streamed_body_arrives_in_pieces() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint: Endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let mut read = Vec::new();
        while !read.ends_with(b"0\r\n\r\n") {
            let count = stream.read(&mut bytes).await.unwrap();
            read.extend_from_slice(&bytes[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b"2\r\nde\r\n0\r\n\r\n").await.unwrap();
    });
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    sender.send(Ok("one".into())).await.unwrap();
    sender.send(Ok("two".into())).await.unwrap();
    drop(sender);
    let request = http::Request::post("/").body(stream_body(receiver)).unwrap();
    let mut response = HttpClient::new(endpoint).send(request).await.unwrap();
    assert_eq!(response.body.next().await.unwrap().unwrap(), "abc");
    assert_eq!(response.body.next().await.unwrap().unwrap(), "de");
    assert!(response.body.next().await.unwrap().is_none());
}

//! A server of JSON-RPC that answers as a function says: HTTP/1.1 by hand, so that it can break every rule.

use std::{future::Future, pin::Pin, sync::Arc};

use freehold_rpc::Endpoint;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A result.
    Result(Value),
    /// An error.
    Refused(i64, String),
    /// This text as the result, whatever it is.
    ResultText(Vec<u8>),
    /// These bytes as the whole body.
    Body(Vec<u8>),
    /// A body without end.
    Endless,
    /// Nothing, for ever.
    Hang,
}

pub(crate) type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(String, Value) -> Answering + Send + Sync>;

/// A handler that needs not wait.
pub(crate) fn at_once(answer: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Handler {
    Arc::new(move |method, params| {
        let reply = answer(&method, &params);
        Box::pin(async move { reply })
    })
}

/// Starts a server on the current runtime, for as long as that runs.
pub(crate) async fn serve(handler: Handler) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&handler)));
        }
    });
    format!("http://{address}").parse().unwrap()
}

async fn connection(mut stream: TcpStream, handler: Handler) {
    while let Some(request) = read(&mut stream).await {
        let method = request["method"].as_str().unwrap().to_owned();
        let reply = handler(method, request["params"].clone()).await;
        let id = &request["id"];
        let body = match reply {
            Reply::Result(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string().into_bytes(),
            Reply::Refused(code, message) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
                    .to_string()
                    .into_bytes()
            }
            Reply::ResultText(text) => {
                let head = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":");
                [head.as_bytes(), &text, b"}"].concat()
            }
            Reply::Body(body) => body,
            Reply::Endless => return endless(stream).await,
            Reply::Hang => return std::future::pending().await,
        };
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}

async fn endless(mut stream: TcpStream) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x1_0000], b"\r\n"].concat();
    if stream.write_all(head).await.is_ok() {
        while stream.write_all(&chunk).await.is_ok() {}
    }
}

async fn read(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |text| text.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return serde_json::from_slice(&bytes[end + 4..end + 4 + length]).ok();
            }
        }
        let read = stream.read(&mut piece).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&piece[..read]);
    }
}

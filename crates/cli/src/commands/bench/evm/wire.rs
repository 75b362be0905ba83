//! A JSON-RPC connection that costs its side little: blocking, kept open, one request at a time.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// Only a hang lasts as long.
const WAIT: Duration = Duration::from_secs(60);
/// Longest answer.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(super) struct Wire {
    host: String,
    stream: BufReader<TcpStream>,
    line: String,
}

impl Wire {
    /// Connects to `address:port`.
    pub(super) fn connect(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("nothing listens on {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WAIT))?;
        Ok(Self { host: host.to_owned(), stream: BufReader::new(stream), line: String::new() })
    }

    /// Posts a body and gives the answer's.
    pub(super) fn post(&mut self, body: &str) -> Result<Vec<u8>> {
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut length = None;
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line)? == 0 {
                bail!("{} closed the connection", self.host);
            }
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse::<usize>().context("a length that is no number")?);
            }
        }
        let length = length.filter(|length| *length <= ANSWER_BYTES_MAX).context("an answer without a fit length")?;
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// Calls a method: its result, or its error's message.
    pub(super) fn call(&mut self, method: &str, params: &Value) -> Result<Result<Value, String>> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answer: Value = serde_json::from_slice(&self.post(&body)?).context("an answer that is no JSON")?;
        Ok(match answer.get("error") {
            Some(error) => Err(error["message"].as_str().unwrap_or("no message").to_owned()),
            None => Ok(answer["result"].clone()),
        })
    }

    /// Calls a method that must not fail.
    pub(super) fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.call(method, params)?.map_err(|message| anyhow::anyhow!("{method}: {message}"))
    }
}

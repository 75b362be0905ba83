//! The head of a request over plain HTTP, as far as it says whom the client asks.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::hello::Hello;

/// Longest head, in bytes; what stands behind it is passed on as it comes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Bytes that are read at once.
const PIECE: usize = 1024;
const END: &[u8] = b"\r\n\r\n";

/// Reads a head: `None` where what came is none, or where the client ended before it was whole. The caller bounds its time.
pub(super) async fn read(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Hello>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; PIECE]);
    let length = loop {
        if let Some(at) = bytes.windows(END.len()).position(|part| part == END) {
            break at;
        }
        let count = client.read(&mut piece).await?;
        if count == 0 || bytes.len() + count > HEAD_BYTES_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..count]);
    };
    let Ok(head) = std::str::from_utf8(&bytes[..length]) else { return Ok(None) };
    let mut lines = head.split("\r\n");
    if !lines.next().is_some_and(|line| line.contains(" HTTP/1.")) {
        return Ok(None);
    }
    let hosts = lines.filter_map(|line| line.split_once(':')).filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    let hosts: Vec<&str> = hosts.map(|(_, host)| host.trim()).collect();
    // One that names two hosts reads in two ways.
    let name = match hosts.as_slice() {
        [host] => host.split(':').next().filter(|name| !name.is_empty()).map(str::to_ascii_lowercase),
        _ => None,
    };
    Ok(Some(Hello { name, bytes }))
}

//! A client's first message, as far as it says where the client wants to go.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_rustls::rustls::server::Acceptor;

/// Largest first message, in bytes: one record of TLS. Those of clients are below 2 KiB.
pub(super) const HELLO_BYTES_MAX: usize = 16 * 1024 + 5;
/// Bytes that are read at once.
const PIECE: usize = 4 * 1024;

/// A first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    /// The name that the client asks for, in lower case; `None` where it names nobody.
    pub(super) name: Option<String>,
    /// Everything that was read, to be passed on as it came.
    pub(super) bytes: Vec<u8>,
}

/// Reads a first message: `None` where what came is none, or where the client ended before it was whole. The caller bounds its time.
pub(super) async fn read(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Hello>> {
    let (mut acceptor, mut bytes) = (Acceptor::default(), Vec::new());
    let mut piece = [0; PIECE];
    loop {
        let count = client.read(&mut piece).await?;
        if count == 0 || bytes.len() + count > HELLO_BYTES_MAX {
            return Ok(None);
        }
        let mut fresh = &piece[..count];
        bytes.extend_from_slice(fresh);
        while !fresh.is_empty() {
            if acceptor.read_tls(&mut fresh).is_err() {
                return Ok(None);
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                    return Ok(Some(Hello { name, bytes }));
                }
                Ok(None) => {}
                Err(_) => return Ok(None),
            }
        }
    }
}

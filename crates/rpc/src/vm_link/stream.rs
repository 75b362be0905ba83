//! One stream: reading, writing, and joining it to a socket. A half that is dropped before its end resets the stream.

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Semaphore,
};

use super::{
    LinkService, VM_FRAME_BYTES_MAX, VM_STREAM_WINDOW,
    frame::{Kind, frame},
    table::{Inbox, Opened, Shared},
};

/// Credit is given back in pieces of at least this.
const GIVEN_BACK_MIN: u32 = VM_STREAM_WINDOW / 4;

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// Resets its stream when the last half is dropped, unless both ends have ended.
struct Handle {
    stream: u32,
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.reset(self.stream);
    }
}

/// A stream that the peer asks for. Dropped, it is refused.
pub struct AskedStream {
    service: LinkService,
    stream: LinkStream,
}

impl AskedStream {
    pub(super) fn new(service: LinkService, opened: Opened, shared: &Arc<Shared>) -> Self {
        Self { service, stream: LinkStream::new(opened, shared) }
    }

    /// What it is for.
    pub const fn service(&self) -> LinkService {
        self.service
    }

    /// Accepts it: from now on the peer may send.
    ///
    /// # Errors
    /// When the link is over.
    pub fn accept(mut self) -> io::Result<LinkStream> {
        self.stream.reader.give(VM_STREAM_WINDOW)?;
        Ok(self.stream)
    }
}

/// A stream, both ways.
pub struct LinkStream {
    /// What the peer sends.
    pub reader: LinkReader,
    /// What is sent to it.
    pub writer: LinkWriter,
}

impl LinkStream {
    pub(super) fn new(opened: Opened, shared: &Arc<Shared>) -> Self {
        let handle = Arc::new(Handle { stream: opened.stream, shared: Arc::clone(shared) });
        Self {
            reader: LinkReader { handle: Arc::clone(&handle), inbox: opened.inbox, owed: 0 },
            writer: LinkWriter { handle, sendable: opened.sendable },
        }
    }
}

/// The half that reads.
pub struct LinkReader {
    handle: Arc<Handle>,
    inbox: Inbox,
    /// Bytes that were read and not yet given back as credit.
    owed: u32,
}

impl LinkReader {
    /// The next bytes; `None` once the peer has ended. The bytes before count as read.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionReset`]: the peer reset the stream, or the link is over.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.owed >= GIVEN_BACK_MIN {
            let owed = std::mem::take(&mut self.owed);
            // The peer may have ended meanwhile: then nothing is owed to it.
            let _ = self.give(owed);
        }
        let piece = self.inbox.recv().await.ok_or_else(broken)?;
        self.owed += u32::try_from(piece.len()).expect("a frame is at most VM_FRAME_BYTES_MAX bytes");
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Everything up to the peer's end.
    ///
    /// # Errors
    /// As [`LinkReader::next`]; [`io::ErrorKind::InvalidData`] above `limit` bytes.
    pub async fn to_end(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > limit {
                return Err(io::ErrorKind::InvalidData.into());
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    fn give(&mut self, credit: u32) -> io::Result<()> {
        let Handle { stream, shared } = &*self.handle;
        if !shared.give(*stream, credit) {
            return Err(broken());
        }
        if shared.signals.try_send(frame(Kind::Credit, *stream, &credit.to_be_bytes())).is_err() {
            // The peer reads nothing of what it is told.
            shared.finish();
            return Err(broken());
        }
        Ok(())
    }
}

/// The half that writes.
pub struct LinkWriter {
    handle: Arc<Handle>,
    sendable: Arc<Semaphore>,
}

impl LinkWriter {
    /// Waits until the peer accepts the stream.
    pub(super) async fn accepted(&self) -> io::Result<()> {
        // Given back at once: it only shows that there is credit.
        self.sendable.acquire().await.map(drop).map_err(|_| io::ErrorKind::ConnectionRefused.into())
    }

    /// Sends bytes, as the peer takes them.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionReset`]: the peer reset the stream, or the link is over.
    pub async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let one = self.sendable.acquire().await.map_err(|_| broken())?;
            // Nobody else takes of this stream's credit, so what is there stays.
            let more = self.sendable.available_permits().min(bytes.len() - 1).min(VM_FRAME_BYTES_MAX - 1);
            one.forget();
            self.sendable.forget_permits(more);
            let (piece, rest) = bytes.split_at(1 + more);
            self.put(frame(Kind::Data, self.handle.stream, piece)).await?;
            bytes = rest;
        }
        Ok(())
    }

    /// Says that nothing follows.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionReset`]: the link is over.
    pub async fn end(&mut self) -> io::Result<()> {
        self.put(frame(Kind::End, self.handle.stream, &[])).await?;
        self.handle.shared.ended(self.handle.stream);
        Ok(())
    }

    async fn put(&self, frame: Vec<u8>) -> io::Result<()> {
        self.handle.shared.data.send(frame).await.map_err(|_| broken())
    }
}

/// Carries bytes between a stream and a socket, each way until its end.
///
/// # Errors
/// What the first side says that breaks; the stream is reset then, and the socket dropped.
pub async fn relay(stream: LinkStream, socket: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let (mut read, mut write) = tokio::io::split(socket);
    let LinkStream { mut reader, mut writer } = stream;
    let inward = async {
        while let Some(piece) = reader.next().await? {
            write.write_all(&piece).await?;
        }
        write.shutdown().await
    };
    let outward = async {
        let mut piece = vec![0; VM_FRAME_BYTES_MAX];
        loop {
            match read.read(&mut piece).await? {
                0 => return writer.end().await,
                count => writer.send(&piece[..count]).await?,
            }
        }
    };
    tokio::try_join!(inward, outward).map(drop)
}

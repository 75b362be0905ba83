//! The link at work: one task reads frames and one writes them.

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::mpsc,
};

use super::{
    AskedStream, LinkEnd, LinkError, LinkService, LinkStream, VM_FRAME_BYTES_MAX, VM_LINK_PREFACE, VM_STREAMS_MAX,
    frame::{HEADER_BYTES, Header, Kind, credit, open_frame},
    table::{SIGNALS_MAX, Shared},
};

/// Frames of data that may wait for the pipe: with their payload a MiB.
const DATA_MAX: usize = 64;

/// One end of a link: what opens streams. Clones are of the same link.
#[derive(Clone)]
pub struct VmLink {
    shared: Arc<Shared>,
}

/// What [`VmLink::start`] gives.
pub struct StartedLink<F> {
    /// Opens streams.
    pub link: VmLink,
    /// Streams that the peer asks for.
    pub asked: mpsc::Receiver<AskedStream>,
    /// Carries everything; it resolves when the link is over, with the reason. Dropped, the link is over too.
    pub carrier: F,
}

impl VmLink {
    /// Starts an end over a pipe.
    pub fn start(
        end: LinkEnd,
        reader: impl AsyncRead + Unpin + Send + 'static,
        writer: impl AsyncWrite + Unpin + Send + 'static,
    ) -> StartedLink<impl Future<Output = LinkError> + Send> {
        let (signals, signals_out) = mpsc::channel(SIGNALS_MAX);
        let (data, data_out) = mpsc::channel(DATA_MAX);
        let shared = Arc::new(Shared::new(end, signals, data));
        // Every stream that may be open may wait here to be looked at.
        let (ask, asked) = mpsc::channel(2 * VM_STREAMS_MAX);
        let over = Over(Arc::clone(&shared));
        let carrier = async move {
            let shared = &over.0;
            tokio::select! {
                error = receive(reader, shared, &ask) => error,
                error = send(writer, signals_out, data_out) => error,
            }
        };
        StartedLink { link: Self { shared }, asked, carrier }
    }

    /// Opens a stream and waits until the peer accepts it.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`]: the peer does not, or the link is over; [`io::ErrorKind::ResourceBusy`]: too many
    /// are open.
    ///
    /// # Panics
    /// When the service is not this end's to ask for.
    pub async fn open(&self, service: LinkService) -> io::Result<LinkStream> {
        let shared = &self.shared;
        assert!(service.asked_by() == shared.end(), "a service is asked for by one end alone");
        let (number, stream) = {
            let opened = shared.open().ok_or(io::ErrorKind::ResourceBusy)?;
            (opened.stream, LinkStream::new(opened, shared))
        };
        if shared.signals.send(open_frame(number, service)).await.is_err() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        stream.writer.accepted().await?;
        Ok(stream)
    }

    /// Whether the link is over.
    pub fn is_over(&self) -> bool {
        self.shared.is_over()
    }
}

/// Ends every stream with the carrier.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.finish();
    }
}

async fn receive(reader: impl AsyncRead + Unpin, shared: &Arc<Shared>, ask: &mpsc::Sender<AskedStream>) -> LinkError {
    let mut reader = BufReader::with_capacity(4 * VM_FRAME_BYTES_MAX, reader);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => LinkError::Closed,
        _ => LinkError::Io(error),
    };
    let mut preface = [0; VM_LINK_PREFACE.len()];
    if let Err(error) = reader.read_exact(&mut preface).await {
        return failed(error);
    }
    if &preface != VM_LINK_PREFACE {
        return LinkError::Preface;
    }
    loop {
        let mut header = [0; HEADER_BYTES];
        if let Err(error) = reader.read_exact(&mut header).await {
            return failed(error);
        }
        let header = match Header::read(header) {
            Ok(header) => header,
            Err(error) => return error,
        };
        let mut payload = vec![0; header.length];
        if let Err(error) = reader.read_exact(&mut payload).await {
            return failed(error);
        }
        if let Err(error) = arrived(header, payload, shared, ask) {
            return error;
        }
        // Answers that the peer does not read have ended it from elsewhere.
        if shared.is_over() {
            return LinkError::Flood;
        }
    }
}

/// One frame.
fn arrived(
    header: Header,
    payload: Vec<u8>,
    shared: &Arc<Shared>,
    ask: &mpsc::Sender<AskedStream>,
) -> Result<(), LinkError> {
    let Header { kind, stream, .. } = header;
    match kind {
        Kind::Open => {
            let (service, opened) = shared.opened_by_peer(stream, payload[0])?;
            // Without room, or with nobody to answer, it is dropped: that refuses it.
            let _ = ask.try_send(AskedStream::new(service, opened, shared));
            Ok(())
        }
        Kind::Data => shared.received(stream, Bytes::from(payload)),
        Kind::End => shared.peer_ended(stream),
        Kind::Reset => shared.peer_reset(stream),
        Kind::Credit => shared.credited(stream, credit(&payload)?),
    }
}

async fn send(
    mut writer: impl AsyncWrite + Unpin,
    mut signals: mpsc::Receiver<Vec<u8>>,
    mut data: mpsc::Receiver<Vec<u8>>,
) -> LinkError {
    let carry = async {
        writer.write_all(VM_LINK_PREFACE).await?;
        loop {
            let frame = tokio::select! {
                biased;
                Some(frame) = signals.recv() => frame,
                Some(frame) = data.recv() => frame,
                else => return Ok(()),
            };
            writer.write_all(&frame).await?;
            writer.flush().await?;
        }
    };
    match carry.await {
        Ok(()) => LinkError::Closed,
        Err(error) => LinkError::Io(error),
    }
}

//! The streams of one end: who opened what, how much credit either side has, and what an arriving frame does to it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use super::{
    LinkEnd, LinkError, LinkService, VM_STREAM_WINDOW, VM_STREAMS_MAX,
    frame::{Kind, frame},
};

/// Small frames (opens, credits, resets) that may wait for the pipe.
pub(super) const SIGNALS_MAX: usize = 4096;

/// What a stream's reader gets: bytes, and an empty piece for the peer's end. A channel that closes without is a reset.
pub(super) type Inbox = mpsc::UnboundedReceiver<Bytes>;

/// One open stream.
struct Entry {
    /// To its reader; `None` once the peer has ended. What waits in it is bounded by `receivable`.
    inbox: Option<mpsc::UnboundedSender<Bytes>>,
    /// Bytes that the peer may still send.
    receivable: u32,
    /// Bytes that this end may still send.
    sendable: Arc<Semaphore>,
    /// Whether this end has ended.
    is_ended: bool,
    is_own: bool,
}

/// The state behind [`Shared`].
struct Table {
    /// Number of the next own stream; `None` when there are no more.
    next: Option<u32>,
    /// Highest number that the peer opened.
    highest: u32,
    open: BTreeMap<u32, Entry>,
    is_over: bool,
}

/// What every stream of an end shares.
pub(super) struct Shared {
    end: LinkEnd,
    table: Mutex<Table>,
    /// Small frames, before data.
    pub(super) signals: mpsc::Sender<Vec<u8>>,
    /// Data, and the ends behind it.
    pub(super) data: mpsc::Sender<Vec<u8>>,
}

/// A new stream's parts.
pub(super) struct Opened {
    pub(super) stream: u32,
    pub(super) inbox: Inbox,
    pub(super) sendable: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(end: LinkEnd, signals: mpsc::Sender<Vec<u8>>, data: mpsc::Sender<Vec<u8>>) -> Self {
        let next = Some(match end {
            LinkEnd::Host => 2,
            LinkEnd::Guest => 1,
        });
        let table = Mutex::new(Table { next, highest: 0, open: BTreeMap::new(), is_over: false });
        Self { end, table, signals, data }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn end(&self) -> LinkEnd {
        self.end
    }

    /// A stream of this end's; `None` where there are too many, or the link is over. The peer may send at once; this end not
    /// before the peer gives credit.
    pub(super) fn open(&self) -> Option<Opened> {
        let mut table = self.table();
        if table.is_over || table.open.values().filter(|entry| entry.is_own).count() >= VM_STREAMS_MAX {
            return None;
        }
        let stream = table.next?;
        table.next = stream.checked_add(2);
        Some(table.add(stream, Owner::This))
    }

    /// Takes a stream of the peer's.
    pub(super) fn opened_by_peer(&self, stream: u32, service: u8) -> Result<(LinkService, Opened), LinkError> {
        let known = LinkService::from_byte(service).filter(|service| service.asked_by() == self.end.peer());
        let known = known.ok_or(LinkError::Service(service))?;
        let mut table = self.table();
        if !self.end.peer().owns(stream) || stream <= table.highest {
            return Err(LinkError::Stream(stream));
        }
        table.highest = stream;
        if table.open.values().filter(|entry| !entry.is_own).count() >= 2 * VM_STREAMS_MAX {
            return Err(LinkError::Flood);
        }
        Ok((known, table.add(stream, Owner::Peer)))
    }

    /// Bytes came.
    pub(super) fn received(&self, stream: u32, data: Bytes) -> Result<(), LinkError> {
        let mut table = self.table();
        let Some(entry) = table.known(self.end, stream)? else { return Ok(()) };
        let length = u32::try_from(data.len()).map_err(|_| LinkError::Credit(stream))?;
        let Some(inbox) = &entry.inbox else { return Err(LinkError::Stream(stream)) };
        entry.receivable = entry.receivable.checked_sub(length).ok_or(LinkError::Credit(stream))?;
        // A reader that is gone resets its stream; until then its bytes are dropped.
        let _ = inbox.send(data);
        Ok(())
    }

    /// The peer sends no more.
    pub(super) fn peer_ended(&self, stream: u32) -> Result<(), LinkError> {
        let mut table = self.table();
        let Some(entry) = table.known(self.end, stream)? else { return Ok(()) };
        let Some(inbox) = entry.inbox.take() else { return Err(LinkError::Stream(stream)) };
        let _ = inbox.send(Bytes::new());
        if entry.is_ended {
            table.open.remove(&stream);
        }
        Ok(())
    }

    /// The peer gave credit.
    pub(super) fn credited(&self, stream: u32, credit: u32) -> Result<(), LinkError> {
        let mut table = self.table();
        let Some(entry) = table.known(self.end, stream)? else { return Ok(()) };
        if entry.sendable.available_permits() + credit as usize > VM_STREAM_WINDOW as usize {
            return Err(LinkError::Credit(stream));
        }
        entry.sendable.add_permits(credit as usize);
        Ok(())
    }

    /// The peer reset a stream.
    pub(super) fn peer_reset(&self, stream: u32) -> Result<(), LinkError> {
        let mut table = self.table();
        table.known(self.end, stream)?;
        if let Some(entry) = table.open.remove(&stream) {
            entry.sendable.close();
        }
        Ok(())
    }

    /// Notes credit that is about to be given; `false` where the stream is over.
    pub(super) fn give(&self, stream: u32, credit: u32) -> bool {
        let mut table = self.table();
        let Some(entry) = table.open.get_mut(&stream).filter(|entry| entry.inbox.is_some()) else { return false };
        entry.receivable += credit;
        true
    }

    /// Notes that this end sends no more.
    pub(super) fn ended(&self, stream: u32) {
        let mut table = self.table();
        let Some(entry) = table.open.get_mut(&stream) else { return };
        entry.is_ended = true;
        if entry.inbox.is_none() {
            table.open.remove(&stream);
        }
    }

    /// Forgets a stream that is not over and tells the peer. A signal that finds no room ends the link elsewhere: whoever
    /// reads nothing is cut off ([`LinkError::Flood`]).
    pub(super) fn reset(&self, stream: u32) {
        let removed = self.table().open.remove(&stream);
        if let Some(entry) = removed {
            entry.sendable.close();
            if self.signals.try_send(frame(Kind::Reset, stream, &[])).is_err() {
                self.finish();
            }
        }
    }

    /// Ends every stream.
    pub(super) fn finish(&self) {
        let mut table = self.table();
        table.is_over = true;
        for (_, entry) in std::mem::take(&mut table.open) {
            entry.sendable.close();
        }
    }

    /// Whether the link is over.
    pub(super) fn is_over(&self) -> bool {
        self.table().is_over
    }
}

/// Who opened a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    This,
    Peer,
}

impl Table {
    fn add(&mut self, stream: u32, owner: Owner) -> Opened {
        let (sender, inbox) = mpsc::unbounded_channel();
        let is_own = owner == Owner::This;
        // Whoever opens grants at once and waits; whoever is asked grants when it accepts.
        let (receivable, credit) = if is_own { (VM_STREAM_WINDOW, 0) } else { (0, VM_STREAM_WINDOW) };
        let sendable = Arc::new(Semaphore::new(credit as usize));
        let entry = Entry { inbox: Some(sender), receivable, sendable: Arc::clone(&sendable), is_ended: false, is_own };
        self.open.insert(stream, entry);
        Opened { stream, inbox, sendable }
    }

    /// The stream of a frame; `None` where it is over already and its last frames were still under way.
    fn known(&mut self, end: LinkEnd, stream: u32) -> Result<Option<&mut Entry>, LinkError> {
        let was_opened = if end.owns(stream) {
            stream > 0 && self.next.is_none_or(|next| stream < next)
        } else {
            stream > 0 && stream <= self.highest
        };
        if was_opened { Ok(self.open.get_mut(&stream)) } else { Err(LinkError::Stream(stream)) }
    }
}

//! An app's log as its provider keeps it: sealed records alone, in order, numbered, in files that rotate.
//!
//! Invariant: a number is given once, also after a kill; what is dropped to keep the bound is the oldest. The records are
//! chained by who sealed them (`spec/logs.md`), so that what is missing shows to who opens them. Not here: opening them.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

use freehold_rpc::{LOG_PAGE_BYTES_MAX, LogCount, LogEntry};

/// A file is followed by another one from this size on, in bytes.
const SEGMENT_BYTES: u64 = 256 * 1024;
/// Most bytes that are kept of one app's log.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Ending of the files; their names are the numbers of their first records.
const ENDING: &str = "log";

/// A file of the log.
struct Segment {
    first: u64,
    bytes: u64,
}

/// A log on the disk.
pub(crate) struct LogStore {
    folder: PathBuf,
    segments: VecDeque<Segment>,
    next: u64,
    dropped: u64,
    open: Option<File>,
}

impl LogStore {
    /// Opens the log of a folder, and cuts off what a kill left half written.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut firsts = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let first = path.file_stem().and_then(|name| name.to_str()?.parse::<u64>().ok());
            firsts.extend(first.filter(|_| path.extension().is_some_and(|ending| ending == ENDING)));
        }
        firsts.sort_unstable();
        let (mut segments, mut next) = (VecDeque::new(), 0);
        for first in firsts {
            let path = file_name(&folder, first);
            let text = fs::read(&path)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            if whole < text.len() {
                File::options().write(true).open(&path)?.set_len(u64::try_from(whole).unwrap_or(0))?;
            }
            let lines = text[..whole].iter().filter(|byte| **byte == b'\n').count();
            next = first + u64::try_from(lines).unwrap_or(0);
            segments.push_back(Segment { first, bytes: u64::try_from(whole).unwrap_or(0) });
        }
        Ok(Self { folder, segments, next, dropped: 0, open: None })
    }

    /// Appends a sealed record, in base64.
    pub(crate) fn append(&mut self, at_ms: u64, record: &str) -> io::Result<()> {
        let is_full = self.segments.back().is_none_or(|last| last.bytes >= SEGMENT_BYTES);
        if is_full {
            self.segments.push_back(Segment { first: self.next, bytes: 0 });
            self.open = None;
        }
        let last = self.segments.back_mut().expect("one was just made");
        let file = match &mut self.open {
            Some(file) => file,
            none => {
                let options = File::options().append(true).create(true).to_owned();
                none.insert(options.open(file_name(&self.folder, last.first))?)
            }
        };
        let line = format!("{at_ms} {record}\n");
        file.write_all(line.as_bytes())?;
        last.bytes += u64::try_from(line.len()).unwrap_or(0);
        self.next += 1;
        while self.bytes() > LOG_BYTES_MAX && self.segments.len() > 1 {
            if let Some(oldest) = self.segments.pop_front() {
                fs::remove_file(file_name(&self.folder, oldest.first))?;
            }
        }
        Ok(())
    }

    /// Counts lines that are not kept.
    pub(crate) const fn drop_lines(&mut self, lines: u64) {
        self.dropped = self.dropped.saturating_add(lines);
    }

    pub(crate) fn count(&self) -> LogCount {
        let first = self.segments.front().map_or(self.next, |oldest| oldest.first);
        LogCount { first, next: self.next, bytes: self.bytes(), dropped: self.dropped }
    }

    /// Records from a number on, as many as a page holds.
    pub(crate) fn read(&self, from: u64) -> io::Result<Vec<LogEntry>> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (index, segment) in self.segments.iter().enumerate() {
            let end = self.segments.get(index + 1).map_or(self.next, |next| next.first);
            if end <= from {
                continue;
            }
            let lines = BufReader::new(File::open(file_name(&self.folder, segment.first))?).lines();
            for (number, line) in (segment.first..end).zip(lines) {
                let line = line?;
                if number < from {
                    continue;
                }
                bytes += line.len();
                if bytes > LOG_PAGE_BYTES_MAX && !found.is_empty() {
                    return Ok(found);
                }
                let (at_ms, record) = line.split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
                let at_ms = at_ms.parse().map_err(|_| io::ErrorKind::InvalidData)?;
                found.push(LogEntry { number, at_ms, record: record.to_owned() });
            }
        }
        Ok(found)
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

fn file_name(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.{ENDING}"))
}

//! Hostile YAML into a bounded tree: one document, no anchors, aliases, merge keys or tags, no key twice.
//!
//! Scalars keep their text; what a text means is decided where it is read (`section`), so that no version of a package
//! becomes a float and no country becomes a bool.

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::error::{Fault, ManifestError};

/// Deepest nesting.
pub(crate) const DEPTH_MAX: usize = 16;
/// Most values in a file.
pub(crate) const VALUES_MAX: usize = 10_000;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text, and whether it stands in quotes.
    Scalar(String, Quotes),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// Whether a scalar stands in quotes: `null` in quotes is a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    Plain,
    Quoted,
}

/// A key, its line and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: u32,
    pub(crate) node: Node,
}

impl Node {
    /// Whether nothing stands here.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(text, Quotes::Plain) if matches!(text.as_str(), "" | "~" | "null"))
    }
}

/// Reads a file of at most `bytes_max` bytes.
pub(crate) fn parse(file: &'static str, bytes: &[u8], bytes_max: u64) -> Result<Node, ManifestError> {
    let refuse = |line, fault| ManifestError { file, line, key: String::new(), fault };
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > bytes_max {
        return Err(refuse(1, Fault::TooLarge { bytes: length, bound: bytes_max }));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| refuse(1, Fault::Encoding))?;
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|error| refuse(line_number(error.marker().line()), Fault::Syntax(error.info().to_owned())))?;
        let line = line_number(span.start.line());
        builder.take(event, line).map_err(|fault| refuse(line, fault))?;
    }
    builder.root.ok_or_else(|| refuse(1, Fault::Documents))
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// A collection that is still open.
enum Open {
    List(u32, Vec<Node>),
    /// The entries so far, and a key that waits for its value.
    Map(u32, Vec<Entry>, Option<(String, u32)>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    values: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: u32) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err(Fault::Documents),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Alias(_) => Err(Fault::Anchor),
            Event::Scalar(text, style, anchor, tag) => {
                plain(anchor, tag.is_some())?;
                let quotes = if style == ScalarStyle::Plain { Quotes::Plain } else { Quotes::Quoted };
                self.put(Node { line, value: Value::Scalar(text.into_owned(), quotes) })
            }
            Event::SequenceStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.begin(Open::List(line, Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.begin(Open::Map(line, Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(line, items)) => self.put(Node { line, value: Value::List(items) }),
                Some(Open::Map(line, entries, _)) => self.put(Node { line, value: Value::Map(entries) }),
                None => Ok(()),
            },
        }
    }

    fn begin(&mut self, open: Open) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault::Depth(DEPTH_MAX));
        }
        if let Some(Open::Map(_, _, None)) = self.open.last() {
            return Err(Fault::Key);
        }
        self.open.push(open);
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), Fault> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(Fault::TooMany(VALUES_MAX));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, waiting)) => match waiting.take() {
                Some((key, line)) => entries.push(Entry { key, line, node }),
                None => *waiting = Some(key_of(node, entries)?),
            },
        }
        Ok(())
    }
}

fn plain(anchor: usize, tagged: bool) -> Result<(), Fault> {
    match (anchor, tagged) {
        (0, false) => Ok(()),
        (0, true) => Err(Fault::Tag),
        _ => Err(Fault::Anchor),
    }
}

fn key_of(node: Node, entries: &[Entry]) -> Result<(String, u32), Fault> {
    let Value::Scalar(key, _) = node.value else { return Err(Fault::Key) };
    if key == "<<" {
        return Err(Fault::Anchor);
    }
    if key.is_empty() || key.chars().any(char::is_control) {
        return Err(Fault::Key);
    }
    if entries.iter().any(|entry| entry.key == key) {
        return Err(Fault::Duplicate);
    }
    Ok((key, node.line))
}

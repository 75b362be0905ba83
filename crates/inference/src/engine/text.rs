//! From token bytes to text that may leave: whole UTF-8 characters only, and never a part of a stop string.

/// Text of an answer as it grows.
pub(crate) struct TextBuilder {
    stops: Vec<String>,
    /// Bytes after the last whole character.
    partial: Vec<u8>,
    /// Characters held back because a stop string may begin in them.
    held: String,
    stopped: bool,
}

impl TextBuilder {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self {
            stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(),
            partial: Vec::new(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Whether a stop string has been met.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Adds a token's bytes; gives the text that may leave now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.partial.extend_from_slice(bytes);
        let held = &mut self.held;
        let rest = take_text(&self.partial, |text| held.push_str(text));
        self.partial.drain(..self.partial.len() - rest);
        self.release()
    }

    /// Ends the text: what was held back leaves, an unfinished character as U+FFFD.
    pub(crate) fn finish(&mut self) -> String {
        if self.stopped {
            return String::new();
        }
        if !self.partial.is_empty() {
            self.partial.clear();
            self.held.push(char::REPLACEMENT_CHARACTER);
        }
        let mut out = self.release();
        if !self.stopped {
            out.push_str(&std::mem::take(&mut self.held));
        }
        out
    }

    fn release(&mut self) -> String {
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.stopped = true;
            let mut out = std::mem::take(&mut self.held);
            out.truncate(at);
            return out;
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }
}

/// Length of the longest end of `text` that begins `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let most = text.len().min(stop.len().saturating_sub(1));
    (1..=most)
        .rev()
        .find(|length| stop.is_char_boundary(*length) && text.as_bytes().ends_with(&stop.as_bytes()[..*length]))
        .unwrap_or(0)
}

/// Gives whole characters to `sink`, bytes that can be no character as U+FFFD; returns how many bytes at the end may
/// still become one.
fn take_text(bytes: &[u8], mut sink: impl FnMut(&str)) -> usize {
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                sink(text);
                return 0;
            }
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                sink(std::str::from_utf8(good).unwrap_or_default());
                match error.error_len() {
                    None => return bad.len(),
                    Some(length) => {
                        sink("\u{fffd}");
                        rest = &bad[length..];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

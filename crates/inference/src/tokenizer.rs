//! Text to tokens and back, from the vocabulary inside a GGUF file.
//!
//! Token ids are those of llama.cpp (`spec/vectors/inference/`): special tokens are cut out first, longest text first;
//! what lies between is split by the vocabulary's rule and merged by byte-pair encoding. No normalisation takes place.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use freehold_primitives::Digest;
use regex::Regex;
use thiserror::Error;
use tokenizers::{
    Model as _,
    models::bpe::{BPE, Vocab},
};

use crate::{
    digest::{Running, update_framed},
    gguf::ModelBytes,
};

/// Most entries of a vocabulary.
const VOCABULARY_MAX: usize = 1 << 20;
/// Longest piece that is merged as one, in bytes; longer ones (no real text has them) are cut, so that the work stays
/// bounded.
const PIECE_BYTES_MAX: usize = 1 << 16;
/// Splitting rules, by the name in the file.
const RULES: [(&str, Rule); 8] = [
    ("smollm", Rule::DigitsThenGpt2),
    ("gpt-2", Rule::Gpt2),
    ("gpt2", Rule::Gpt2),
    ("default", Rule::Gpt2),
    ("qwen2", Rule::Qwen2),
    ("llama-bpe", Rule::Llama3),
    ("llama3", Rule::Llama3),
    ("llama-v3", Rule::Llama3),
];

/// Texts that end an answer in every vocabulary that has them, whatever kind the file gives them: llama.cpp's rule.
const ENDS: [&str; 15] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
];

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+";
const QWEN2: &str = r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
const LLAMA3: &str = r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";
const DIGIT: &str = r"\p{N}";

/// Why a vocabulary cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A tokenizer model other than byte-pair encoding over bytes.
    #[error("tokenizer model `{name}` is not supported; supported is: gpt2 (byte-level BPE)")]
    Model {
        /// The file's model.
        name: String,
    },
    /// A splitting rule that is not known.
    #[error("tokenizer rule `{name}` is not supported; supported are: smollm, qwen2, llama-bpe, llama3, gpt-2")]
    Rule {
        /// The file's rule.
        name: String,
    },
    /// The vocabulary is missing or inconsistent.
    #[error("the tokenizer's `{key}` is missing or malformed")]
    Malformed {
        /// The key.
        key: String,
    },
    /// The byte-pair encoder refused the vocabulary.
    #[error("the vocabulary was refused by the encoder")]
    Encoder(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How text is cut before merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Gpt2,
    DigitsThenGpt2,
    Qwen2,
    Llama3,
}

/// Kind of a vocabulary entry (GGUF's numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// A tokenizer.
pub struct Tokenizer {
    encoder: BPE,
    rule: Rule,
    digit: Regex,
    pattern: Regex,
    /// Bytes of each token as they appear in text; empty for control tokens.
    pieces: Vec<Vec<u8>>,
    /// Tokens that are recognised in text, longest first.
    specials: Vec<(String, u32)>,
    ends: Vec<u32>,
    begin: Option<u32>,
    begin_text: String,
    end_text: String,
    digest: Digest,
    to_char: [char; 256],
}

struct Parts {
    tokens: Vec<String>,
    kinds: Vec<Kind>,
    merges: Vec<(String, String)>,
}

impl Tokenizer {
    /// Builds the tokenizer of a model file.
    pub(crate) fn new(model: &ModelBytes) -> Result<Self, TokenizerError> {
        let name = model.text("tokenizer.ggml.model").unwrap_or("none");
        if name != "gpt2" {
            return Err(TokenizerError::Model { name: name.to_owned() });
        }
        let rule_name = model.text("tokenizer.ggml.pre").unwrap_or("default");
        let rule = RULES
            .iter()
            .find(|(name, _)| *name == rule_name)
            .map(|(_, rule)| *rule)
            .ok_or_else(|| TokenizerError::Rule { name: rule_name.to_owned() })?;
        let mut parts = Parts::read(model)?;
        let vocabulary: Vocab = (0..).zip(&parts.tokens).map(|(id, token)| (token.clone(), id)).collect();
        let digest = parts.digest(rule_name, model);
        let encoder = BPE::builder()
            .vocab_and_merges(vocabulary, std::mem::take(&mut parts.merges))
            .ignore_merges(rule == Rule::Llama3)
            .build()
            .map_err(TokenizerError::Encoder)?;
        let special = |key: &str| {
            model.integer(key).and_then(|id| u32::try_from(id).ok()).filter(|id| (*id as usize) < parts.tokens.len())
        };
        let begin_id = special("tokenizer.ggml.bos_token_id");
        let end_id = special("tokenizer.ggml.eos_token_id");
        let text = |id: Option<u32>| id.map(|id| parts.tokens[id as usize].clone()).unwrap_or_default();
        let mut ends: Vec<u32> =
            [end_id, special("tokenizer.ggml.eot_token_id"), special("tokenizer.ggml.eom_token_id")]
                .into_iter()
                .flatten()
                .collect();
        for (id, token) in (0..).zip(&parts.tokens) {
            if ENDS.contains(&token.as_str()) && !ends.contains(&id) {
                ends.push(id);
            }
        }
        let to_char = byte_alphabet();
        let pattern = match rule {
            Rule::Gpt2 | Rule::DigitsThenGpt2 => GPT2,
            Rule::Qwen2 => QWEN2,
            Rule::Llama3 => LLAMA3,
        };
        let adds_begin = model.boolean("tokenizer.ggml.add_bos_token").unwrap_or(rule == Rule::Llama3);
        Ok(Self {
            encoder,
            rule,
            digit: compile(DIGIT),
            pattern: compile(pattern),
            specials: specials(&parts),
            begin: begin_id.filter(|_| adds_begin),
            begin_text: text(begin_id),
            end_text: text(end_id),
            pieces: pieces(&parts, &to_char),
            ends,
            digest,
            to_char,
        })
    }

    /// Digest of everything that decides the ids: rule, vocabulary, kinds, merges, special ids.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Entries of the vocabulary.
    pub(crate) fn vocabulary(&self) -> usize {
        self.pieces.len()
    }

    /// Text of the token that begins a sequence, as templates see it.
    pub(crate) fn begin_text(&self) -> &str {
        &self.begin_text
    }

    /// Text of the token that ends a sequence, as templates see it.
    pub(crate) fn end_text(&self) -> &str {
        &self.end_text
    }

    /// Whether a token ends an answer.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// Bytes that a token adds to the text.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.pieces.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// Tokens of a text in which special tokens count as such.
    ///
    /// # Errors
    /// [`TokenizerError::Encoder`] where the encoder fails, which no text is known to cause.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        for segment in self.segments(text) {
            match segment {
                Segment::Special(id) => ids.push(id),
                Segment::Text(text) => self.encode_plain(text, &mut ids)?,
            }
        }
        if let Some(begin) = self.begin
            && ids.first() != Some(&begin)
        {
            ids.insert(0, begin);
        }
        Ok(ids)
    }

    /// Cuts special tokens out of a text, the longest first over the whole text, as llama.cpp does.
    fn segments<'a>(&self, text: &'a str) -> Vec<Segment<'a>> {
        let mut segments = vec![Segment::Text(text)];
        for (special, id) in &self.specials {
            if !text.contains(special.as_str()) {
                continue;
            }
            let mut next = Vec::with_capacity(segments.len() + 2);
            for segment in segments {
                let Segment::Text(text) = segment else {
                    next.push(segment);
                    continue;
                };
                let mut from = 0;
                for (start, found) in text.match_indices(special.as_str()) {
                    if start > from {
                        next.push(Segment::Text(&text[from..start]));
                    }
                    next.push(Segment::Special(*id));
                    from = start + found.len();
                }
                if from < text.len() {
                    next.push(Segment::Text(&text[from..]));
                }
            }
            segments = next;
        }
        segments
    }

    fn encode_plain(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        if self.rule != Rule::DigitsThenGpt2 {
            return self.encode_split(text, ids);
        }
        let mut from = 0;
        for digit in self.digit.find_iter(text) {
            if digit.start() > from {
                self.encode_split(&text[from..digit.start()], ids)?;
            }
            self.encode_split(digit.as_str(), ids)?;
            from = digit.end();
        }
        if from < text.len() {
            self.encode_split(&text[from..], ids)?;
        }
        Ok(())
    }

    fn encode_split(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let mut at = 0;
        while at < text.len() {
            let (start, mut end) = match self.pattern.find_at(text, at) {
                Some(found) => (found.start(), found.end()),
                None => (at, text.len()),
            };
            if start > at {
                end = start; // A stretch that no alternative covers stands alone.
            } else {
                end = leave_last_space(self.rule, text, at, end);
            }
            self.encode_piece(&text[at..end], ids)?;
            at = end;
        }
        Ok(())
    }

    fn encode_piece(&self, piece: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        for block in piece.as_bytes().chunks(PIECE_BYTES_MAX) {
            let word: String = block.iter().map(|byte| self.to_char[usize::from(*byte)]).collect();
            let tokens = self.encoder.tokenize(&word).map_err(TokenizerError::Encoder)?;
            ids.extend(tokens.iter().map(|token| token.id));
        }
        Ok(())
    }
}

enum Segment<'a> {
    Text(&'a str),
    Special(u32),
}

impl Parts {
    fn read(model: &ModelBytes) -> Result<Self, TokenizerError> {
        let fault = |key: &str| TokenizerError::Malformed { key: key.to_owned() };
        let array = |key: &str| match model.content.metadata.get(key) {
            Some(Value::Array(values)) if values.len() <= VOCABULARY_MAX => Ok(values),
            _ => Err(fault(key)),
        };
        let texts = |key: &str| {
            array(key)?
                .iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text.clone()),
                    _ => Err(fault(key)),
                })
                .collect::<Result<Vec<String>, _>>()
        };
        let tokens = texts("tokenizer.ggml.tokens")?;
        let merges = texts("tokenizer.ggml.merges")?
            .into_iter()
            .map(|merge| match merge.split_once(' ') {
                Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
                None => Err(fault("tokenizer.ggml.merges")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let kind = |value: &Value| match value {
            Value::I32(2) | Value::U32(2) => Kind::Unknown,
            Value::I32(3) | Value::U32(3) => Kind::Control,
            Value::I32(4) | Value::U32(4) => Kind::UserDefined,
            Value::I32(5) | Value::U32(5) => Kind::Unused,
            Value::I32(6) | Value::U32(6) => Kind::Byte,
            _ => Kind::Normal,
        };
        let mut kinds: Vec<Kind> = array("tokenizer.ggml.token_type")?.iter().map(kind).collect();
        for (kind, token) in kinds.iter_mut().zip(&tokens) {
            if ENDS.contains(&token.as_str()) {
                *kind = Kind::Control;
            }
        }
        if kinds.len() != tokens.len() || tokens.is_empty() {
            return Err(fault("tokenizer.ggml.token_type"));
        }
        Ok(Self { tokens, kinds, merges })
    }

    fn digest(&self, rule: &str, model: &ModelBytes) -> Digest {
        let mut hash = Running::default();
        hash.update(b"freehold tokenizer\n");
        update_framed(&mut hash, b"gpt2");
        update_framed(&mut hash, rule.as_bytes());
        for (token, kind) in self.tokens.iter().zip(&self.kinds) {
            update_framed(&mut hash, token.as_bytes());
            hash.update(&[*kind as u8]);
        }
        for (left, right) in &self.merges {
            update_framed(&mut hash, left.as_bytes());
            update_framed(&mut hash, right.as_bytes());
        }
        for key in ["bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id"] {
            let id = model.integer(&format!("tokenizer.ggml.{key}"));
            hash.update(&id.unwrap_or(u64::MAX).to_be_bytes());
        }
        hash.update(&[model.boolean("tokenizer.ggml.add_bos_token").map_or(2, u8::from)]);
        hash.digest()
    }
}

/// The patterns are constants that the tests compile.
fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern that the tests compile")
}

/// A run of white space before a word leaves its last character to the word: the effect of `\s+(?!\S)` before `\s+`.
/// Where the rule lets line ends close a run (all but GPT-2's), such a run stays whole.
fn leave_last_space(rule: Rule, text: &str, start: usize, end: usize) -> usize {
    let run = &text[start..end];
    let gpt2 = matches!(rule, Rule::Gpt2 | Rule::DigitsThenGpt2);
    let word_follows = text[end..].chars().next().is_some_and(|next| !next.is_whitespace());
    if !word_follows || !run.chars().all(char::is_whitespace) || (!gpt2 && run.ends_with(['\r', '\n'])) {
        return end;
    }
    match run.char_indices().next_back() {
        Some((last, _)) if last > 0 => start + last,
        _ => end,
    }
}

fn specials(parts: &Parts) -> Vec<(String, u32)> {
    let mut found: Vec<(String, u32)> = (0..)
        .zip(parts.tokens.iter().zip(&parts.kinds))
        .filter(|(_, (text, kind))| {
            matches!(kind, Kind::Control | Kind::UserDefined | Kind::Unknown) && !text.is_empty()
        })
        .map(|(id, (text, _))| (text.clone(), id))
        .collect();
    found.sort_by_key(|(text, id)| (std::cmp::Reverse(text.len()), *id));
    found
}

/// Bytes of each token: byte-level text decoded for normal tokens, the text itself for user-defined ones, nothing for
/// the rest.
fn pieces(parts: &Parts, to_char: &[char; 256]) -> Vec<Vec<u8>> {
    let to_byte: HashMap<char, u8> = (0..=255).zip(to_char).map(|(byte, char)| (*char, byte)).collect();
    let decode = |text: &str| {
        let bytes: Option<Vec<u8>> = text.chars().map(|char| to_byte.get(&char).copied()).collect();
        bytes.unwrap_or_else(|| text.as_bytes().to_vec())
    };
    parts
        .tokens
        .iter()
        .zip(&parts.kinds)
        .map(|(text, kind)| match kind {
            Kind::Normal | Kind::Byte => decode(text),
            Kind::UserDefined => text.as_bytes().to_vec(),
            Kind::Unknown | Kind::Control | Kind::Unused => Vec::new(),
        })
        .collect()
}

/// The printable stand-ins of bytes in byte-level vocabularies: printable Latin-1 stands for itself, the rest follows
/// from U+0100 on.
fn byte_alphabet() -> [char; 256] {
    let mut alphabet = ['\0'; 256];
    let mut next = 0x100_u32;
    for byte in 0..=255_u8 {
        alphabet[usize::from(byte)] = match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                let char = char::from_u32(next).unwrap_or('\0');
                next += 1;
                char
            }
        };
    }
    alphabet
}

#[cfg(test)]
mod tests;

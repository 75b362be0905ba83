//! Reading the tree of a file: each key at most once, its path kept for errors, and every key that nobody read refused.

use crate::{
    error::{Fault, ManifestError},
    yaml::{Entry, Node, Quotes, Value},
};

/// A value on its way to a type, with the path that leads to it.
#[derive(Debug, Clone)]
pub(crate) struct Item<'a> {
    pub(crate) file: &'static str,
    pub(crate) path: String,
    pub(crate) node: &'a Node,
}

impl<'a> Item<'a> {
    pub(crate) fn refuse(&self, fault: Fault) -> ManifestError {
        ManifestError { file: self.file, line: self.node.line, key: self.path.clone(), fault }
    }

    /// An error that the text here has another form than it should.
    pub(crate) fn form(&self, wanted: &'static str) -> ManifestError {
        let found = match &self.node.value {
            Value::Scalar(text, _) => text.chars().take(80).collect(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        };
        self.refuse(Fault::Form { found, wanted })
    }

    pub(crate) fn text(&self) -> Result<String, ManifestError> {
        match &self.node.value {
            Value::Scalar(text, _) if !self.node.is_null() => Ok(text.clone()),
            _ => Err(self.refuse(Fault::Type("a text"))),
        }
    }

    pub(crate) fn number(&self, min: u64, max: u64) -> Result<u64, ManifestError> {
        let Value::Scalar(text, Quotes::Plain) = &self.node.value else {
            return Err(self.refuse(Fault::Type("a whole number")));
        };
        let number: u64 = text.parse().map_err(|_| self.refuse(Fault::Type("a whole number")))?;
        if (min..=max).contains(&number) { Ok(number) } else { Err(self.refuse(Fault::Range { min, max })) }
    }

    pub(crate) fn is_true(&self) -> Result<bool, ManifestError> {
        match &self.node.value {
            Value::Scalar(text, Quotes::Plain) if text == "true" => Ok(true),
            Value::Scalar(text, Quotes::Plain) if text == "false" => Ok(false),
            _ => Err(self.refuse(Fault::Type("true or false"))),
        }
    }

    /// One of a closed set of words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)], wanted: &'static str) -> Result<T, ManifestError> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| self.form(wanted))
    }

    pub(crate) fn list(&self) -> Result<Vec<Self>, ManifestError> {
        let Value::List(items) = &self.node.value else { return Err(self.refuse(Fault::Type("a list"))) };
        let item = |(index, node)| Self { file: self.file, path: format!("{}[{index}]", self.path), node };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// A map whose keys are names that the author chose.
    pub(crate) fn entries(&self) -> Result<Vec<(String, Self)>, ManifestError> {
        let Value::Map(entries) = &self.node.value else { return Err(self.refuse(Fault::Type("a map"))) };
        Ok(entries.iter().map(|entry| (entry.key.clone(), self.below(entry))).collect())
    }

    /// A map whose keys are ours.
    pub(crate) fn section(&self) -> Result<Section<'a>, ManifestError> {
        let Value::Map(entries) = &self.node.value else { return Err(self.refuse(Fault::Type("a map"))) };
        Ok(Section { item: self.clone(), entries, known: Vec::new() })
    }

    fn below(&self, entry: &'a Entry) -> Self {
        let path = if self.path.is_empty() { entry.key.clone() } else { format!("{}.{}", self.path, entry.key) };
        Self { file: self.file, path, node: &entry.node }
    }
}

/// A map whose keys are ours: what is read is noted, and what is not is refused at the end.
pub(crate) struct Section<'a> {
    pub(crate) item: Item<'a>,
    entries: &'a [Entry],
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The value of a key; `None` where it is absent or null.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!entry.node.is_null()).then(|| self.item.below(entry))
    }

    /// The value of a key that must stand there.
    pub(crate) fn need(&mut self, key: &'static str) -> Result<Item<'a>, ManifestError> {
        self.get(key).ok_or_else(|| {
            let path = if self.item.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.item.path) };
            Item { path, ..self.item.clone() }.refuse(Fault::Missing)
        })
    }

    /// Refuses keys that are known elsewhere and have no place here, each with its reason.
    pub(crate) fn unsupported(&self, table: &[(&str, &'static str)]) -> Result<(), ManifestError> {
        for entry in self.entries {
            if let Some((_, reason)) = table.iter().find(|(key, _)| *key == entry.key) {
                return Err(self.item.below(entry).refuse(Fault::Unsupported(reason)));
            }
        }
        Ok(())
    }

    /// The extension keys `x-…`, whose content nobody reads.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.key.as_str()).filter(|key| key.starts_with("x-"))
    }

    /// Refuses every key that was not read.
    pub(crate) fn end(self) -> Result<(), ManifestError> {
        let unread = |entry: &&Entry| !self.known.contains(&entry.key.as_str()) && !entry.key.starts_with("x-");
        match self.entries.iter().find(unread) {
            None => Ok(()),
            Some(entry) => {
                let mut error = self.item.below(entry).refuse(Fault::Unknown(self.known.join(", ")));
                error.line = entry.line;
                Err(error)
            }
        }
    }
}

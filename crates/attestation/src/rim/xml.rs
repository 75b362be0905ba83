//! The subset of XML that RIM files use, and its canonical form (Canonical XML 1.1).
//!
//! Accepted are elements, attributes and text in ASCII, and nothing else: no declaration, no comment, no processing
//! instruction, no document type, no CDATA, no reference of any kind, no carriage return, no `xml:` names. In this subset
//! canonicalisation changes nothing but the spelling of tags, so that it can be read in one page; and the tree that is
//! canonicalised is the tree that is read afterwards, so that a signature cannot cover something else.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

/// Most elements in one document.
const ELEMENTS_MAX: usize = 1024;
/// Deepest nesting.
const DEPTH_MAX: usize = 16;
/// Most attributes and declarations of one element.
const ATTRIBUTES_MAX: usize = 32;
/// What may not stand anywhere: references, declarations, comments, CDATA, processing instructions.
const FORBIDDEN: [&str; 3] = ["&", "<!", "<?"];

/// Namespaces in scope: prefix and URI, later ones first in force.
pub(crate) type Scope = Vec<(String, String)>;

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    /// As written, prefix included.
    name: String,
    /// Namespace of the name.
    namespace: String,
    /// Declarations on this element.
    declared: Scope,
    attributes: Vec<Attribute>,
    pub(crate) children: Vec<Node>,
}

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attribute {
    name: String,
    /// Empty for a name without prefix.
    namespace: String,
    value: String,
}

/// What stands inside an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// Whether this is the name, in this namespace.
    pub(crate) fn is(&self, namespace: &str, local: &str) -> bool {
        self.namespace == namespace && local_name(&self.name) == local
    }

    /// Value of an attribute, by namespace (empty: without prefix) and local name.
    pub(crate) fn attribute(&self, namespace: &str, local: &str) -> Option<&str> {
        let named = |one: &&Attribute| one.namespace == namespace && local_name(&one.name) == local;
        self.attributes.iter().find(named).map(|one| one.value.as_str())
    }

    /// Namespaces, local names and values of all attributes.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.attributes.iter().map(|one| (one.namespace.as_str(), local_name(&one.name), one.value.as_str()))
    }

    /// Namespaces declared here.
    pub(crate) const fn declared(&self) -> &Scope {
        &self.declared
    }

    /// Child elements; `None` when text other than white space stands between them.
    pub(crate) fn elements(&self) -> Option<Vec<&Self>> {
        let mut elements = Vec::new();
        for child in &self.children {
            match child {
                Node::Element(element) => elements.push(element),
                Node::Text(text) if is_blank(text) => {}
                Node::Text(_) => return None,
            }
        }
        Some(elements)
    }

    /// The text of an element without child elements.
    pub(crate) fn text(&self) -> Option<&str> {
        match self.children.as_slice() {
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Canonical XML 1.1 of this element as the top of what is written; `outside` are the namespaces in scope above it.
    /// `omitted` is a child element that is left out.
    pub(crate) fn canonical(&self, outside: &Scope, omitted: Option<&Self>) -> String {
        let mut out = String::new();
        let mut scope = outside.clone();
        extend(&mut scope, &self.declared);
        let mut shown = scope.clone();
        shown.sort();
        self.write(&shown, &scope, omitted, &mut out);
        out
    }

    /// Writes the element with the given namespace declarations (Canonical XML 1.0 §2.3).
    fn write(&self, shown: &Scope, scope: &Scope, omitted: Option<&Self>, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (prefix, uri) in shown {
            let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            out.push_str(&format!(" {name}=\"{uri}\""));
        }
        let mut attributes: Vec<&Attribute> = self.attributes.iter().collect();
        attributes.sort_by_key(|one| (one.namespace.as_str(), local_name(&one.name)));
        for attribute in attributes {
            out.push_str(&format!(" {}=\"{}\"", attribute.name, attribute.value));
        }
        out.push('>');
        for child in &self.children {
            match child {
                Node::Text(text) => out.push_str(text),
                Node::Element(element) if omitted.is_some_and(|omitted| core::ptr::eq(omitted, element)) => {}
                Node::Element(element) => {
                    let mut inner = scope.clone();
                    extend(&mut inner, &element.declared);
                    let mut shown: Scope =
                        element.declared.iter().filter(|declared| !scope.contains(declared)).cloned().collect();
                    shown.sort();
                    element.write(&shown, &inner, omitted, out);
                }
            }
        }
        out.push_str(&format!("</{}>", self.name));
    }
}

/// Reads a document of the subset; `None` for anything else.
pub(crate) fn parse(file: &[u8]) -> Option<Element> {
    let text = core::str::from_utf8(file).ok()?;
    let plain = |byte: u8| byte == b'\n' || byte == b'\t' || (0x20..0x7f).contains(&byte);
    if !text.bytes().all(plain) || FORBIDDEN.iter().any(|forbidden| text.contains(forbidden)) {
        return None;
    }
    let mut reader = Reader::from_str(text);
    let mut open: Vec<(Element, Scope)> = Vec::new();
    let mut root = None;
    let mut count = 0;
    loop {
        let event = reader.read_event().ok()?;
        let closed = match event {
            Event::Start(tag) | Event::Empty(tag)
                if root.is_some() || open.len() == DEPTH_MAX || count == ELEMENTS_MAX =>
            {
                drop(tag);
                return None;
            }
            Event::Start(tag) => {
                count += 1;
                let entry = element(&tag, open.last().map(|(_, scope)| scope))?;
                open.push(entry);
                continue;
            }
            Event::Empty(tag) => {
                count += 1;
                element(&tag, open.last().map(|(_, scope)| scope))?.0
            }
            Event::End(_) => open.pop()?.0,
            Event::Text(text) => {
                let text = core::str::from_utf8(&text).ok()?;
                match open.last_mut() {
                    Some((parent, _)) if !text.contains('>') => parent.children.push(Node::Text(text.to_owned())),
                    None if is_blank(text) => {}
                    _ => return None,
                }
                continue;
            }
            Event::Eof => break,
            _ => return None,
        };
        match open.last_mut() {
            Some((parent, _)) => parent.children.push(Node::Element(closed)),
            None => root = Some(closed),
        }
    }
    if open.is_empty() { root } else { None }
}

/// One start tag with the scope inside it.
fn element(tag: &BytesStart<'_>, outside: Option<&Scope>) -> Option<(Element, Scope)> {
    let name = name_of(tag.name().as_ref())?;
    let mut declared = Scope::new();
    let mut plain = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.ok()?;
        let key = name_of(attribute.key.as_ref())?;
        let value = core::str::from_utf8(&attribute.value).ok()?.to_owned();
        if value.contains(['<', '>', '"', '\t', '\n']) || plain.len() + declared.len() == ATTRIBUTES_MAX {
            return None;
        }
        match key.split_once(':') {
            Some(("xmlns", prefix)) if !value.is_empty() => declared.push((prefix.to_owned(), value)),
            None if key == "xmlns" && !value.is_empty() => declared.push((String::new(), value)),
            Some(("xmlns" | "xml", _)) => return None,
            None if key == "xmlns" => return None,
            _ => plain.push((key, value)),
        }
    }
    let mut scope = outside.cloned().unwrap_or_default();
    extend(&mut scope, &declared);
    let mut attributes: Vec<Attribute> = Vec::new();
    for (name, value) in plain {
        let namespace = if name.contains(':') { resolve(&scope, &name)? } else { String::new() };
        let twin = |one: &Attribute| one.namespace == namespace && local_name(&one.name) == local_name(&name);
        if attributes.iter().any(twin) {
            return None;
        }
        attributes.push(Attribute { name, namespace, value });
    }
    let namespace = resolve(&scope, &name)?;
    Some((Element { name, namespace, declared, attributes, children: Vec::new() }, scope))
}

/// Adds declarations to a scope, each in place of an older one of its prefix.
pub(crate) fn extend(scope: &mut Scope, declared: &Scope) {
    for (prefix, uri) in declared {
        scope.retain(|(other, _)| other != prefix);
        scope.push((prefix.clone(), uri.clone()));
    }
}

/// The namespace of a name; every name must have one.
fn resolve(scope: &Scope, name: &str) -> Option<String> {
    let prefix = name.split_once(':').map_or("", |(prefix, _)| prefix);
    scope.iter().find(|(other, _)| other == prefix).map(|(_, uri)| uri.clone())
}

fn local_name(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

/// A name: letters, digits, `-`, `_` and `.`, with at most one colon inside.
fn name_of(bytes: &[u8]) -> Option<String> {
    let name = core::str::from_utf8(bytes).ok()?;
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let parts: Vec<&str> = name.split(':').collect();
    (parts.len() <= 2 && parts.into_iter().all(part)).then(|| name.to_owned())
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| b" \n\t".contains(&byte))
}

//! A walk over every leaf of a proof, each changed in its own copy (the demo and the tests use it).
//!
//! A copy stays canonical, so that what refuses it is the link that covers the leaf and not the spelling. Beside leaves,
//! each element of each list is left out once.

use freehold_crypto::{parse_canonical, to_jcs};
use serde_json::{Map, Value};

use super::read::{DocumentError, PROOF_BYTES_MAX};
use crate::link::Link;

/// One changed copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// JSON pointer (RFC 6901) of what was changed; a list element that was left out ends in `/-N`.
    pub pointer: String,
    /// The link whose section holds it; `None` for `format`, whose change makes it no proof at all.
    pub link: Option<Link>,
    /// The changed file.
    pub text: String,
}

/// Every copy of a proof with one leaf changed or one list element left out, one at a time.
///
/// Strings get one character changed (a hex digit stays a hex digit), numbers grow by one, booleans flip, null becomes
/// 0, empty strings become `0`.
///
/// # Errors
/// [`DocumentError::Newline`], [`DocumentError::Form`]: only a canonical document can be walked.
pub fn mutations(text: &str) -> Result<impl Iterator<Item = Mutation> + use<>, DocumentError> {
    let line = text.strip_suffix('\n').ok_or(DocumentError::Newline)?;
    let document = parse_canonical(line, PROOF_BYTES_MAX)?;
    let mut places = Vec::new();
    collect(&document, &mut Vec::new(), &mut places);
    Ok(places.into_iter().filter_map(move |place| place.apply(&document)))
}

#[derive(Debug, Clone)]
enum Step {
    Member(String),
    Index(usize),
}

struct Place {
    steps: Vec<Step>,
    left_out: Option<usize>,
}

fn collect(value: &Value, steps: &mut Vec<Step>, places: &mut Vec<Place>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                steps.push(Step::Member(name.clone()));
                collect(member, steps, places);
                steps.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places.push(Place { steps: steps.clone(), left_out: Some(index) });
                steps.push(Step::Index(index));
                collect(item, steps, places);
                steps.pop();
            }
        }
        _ => places.push(Place { steps: steps.clone(), left_out: None }),
    }
}

impl Place {
    fn apply(&self, document: &Value) -> Option<Mutation> {
        let mut copy = document.clone();
        let target = self.steps.iter().try_fold(&mut copy, |value, step| match step {
            Step::Member(name) => value.get_mut(name),
            Step::Index(index) => value.get_mut(index),
        })?;
        match (self.left_out, target.as_array_mut()) {
            (Some(index), Some(items)) => drop(items.remove(index)),
            _ => change(target),
        }
        let mut text = to_jcs(&copy).ok()?;
        text.push('\n');
        Some(Mutation { pointer: self.pointer(), link: self.link(), text })
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.steps {
            pointer.push('/');
            match step {
                Step::Member(name) => pointer.push_str(&name.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        if let Some(index) = self.left_out {
            pointer.push_str(&format!("/-{index}"));
        }
        pointer
    }

    fn link(&self) -> Option<Link> {
        match self.steps.first() {
            Some(Step::Member(name)) => Link::ALL.into_iter().find(|link| link.as_str() == name),
            _ => None,
        }
    }
}

fn change(value: &mut Value) {
    *value = match &*value {
        Value::String(text) => Value::String(changed_text(text)),
        Value::Number(number) => match number.as_u64() {
            Some(number) if number < 1 << 52 => Value::from(number + 1),
            _ => Value::from(0),
        },
        Value::Bool(flag) => Value::Bool(!flag),
        Value::Null => Value::from(0),
        Value::Array(_) | Value::Object(_) => Value::Object(Map::new()),
    };
}

/// Changes the middle character: a hex digit into another one, anything else into `0` or `1`.
fn changed_text(text: &str) -> String {
    let middle = text.chars().count() / 2;
    let swap = |character: char| match character.to_digit(16) {
        Some(digit) if !character.is_ascii_uppercase() => char::from_digit(digit ^ 1, 16).unwrap_or('0'),
        _ if character == '0' => '1',
        _ => '0',
    };
    if text.is_empty() {
        return "0".to_owned();
    }
    text.chars()
        .enumerate()
        .map(|(index, character)| if index == middle { swap(character) } else { character })
        .collect()
}

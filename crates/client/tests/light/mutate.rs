//! Every way in which one part of a JSON value can be another: flipped, cut, missing, doubled, out of order.

use serde_json::{Value, json};

/// A name for the change, and the changed value.
pub(crate) type Changed = (String, Value);

/// All changes of a value.
pub(crate) fn changes(value: &Value) -> Vec<Changed> {
    let mut all = Vec::new();
    collect(value, "result", &mut |what, changed| all.push((what, changed)));
    all
}

fn collect(value: &Value, path: &str, found: &mut dyn FnMut(String, Value)) {
    match value {
        Value::Null => found(format!("{path} is there"), json!("0x01")),
        Value::Bool(bit) => found(format!("{path} is turned"), json!(!bit)),
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or_default();
            for other in [number + 1, number.saturating_sub(1), 0, u64::MAX] {
                found(format!("{path} is {other}"), json!(other));
            }
        }
        Value::String(text) => texts(text, path, found),
        Value::Array(items) => arrays(items, path, found),
        Value::Object(members) => {
            for (name, member) in members {
                let put = |changed: Option<Value>| {
                    let mut members = members.clone();
                    match changed {
                        Some(changed) => members.insert(name.clone(), changed),
                        None => members.remove(name),
                    };
                    Value::Object(members)
                };
                found(format!("{path}.{name} is missing"), put(None));
                found(format!("{path}.{name} is null"), put(Some(Value::Null)));
                collect(member, &format!("{path}.{name}"), &mut |what, changed| found(what, put(Some(changed))));
            }
        }
    }
}

fn texts(text: &str, path: &str, found: &mut dyn FnMut(String, Value)) {
    let digits = text.len().saturating_sub(2);
    if digits > 0 {
        for place in [2, 2 + digits / 3, 2 + digits / 2, 2 + digits - 1] {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
            found(format!("{path} differs at {place}"), json!(String::from_utf8(bytes).unwrap()));
        }
        found(format!("{path} is shorter"), json!(text[..text.len().saturating_sub(2).max(2)]));
    }
    found(format!("{path} is longer"), json!(format!("{text}00")));
    found(format!("{path} is empty"), json!("0x"));
}

fn arrays(items: &[Value], path: &str, found: &mut dyn FnMut(String, Value)) {
    found(format!("{path} is empty"), json!([]));
    for index in 0..items.len() {
        let mut fewer = items.to_vec();
        fewer.remove(index);
        found(format!("{path} without {index}"), Value::Array(fewer));
        collect(&items[index], &format!("{path}[{index}]"), &mut |what, changed| {
            let mut items = items.to_vec();
            items[index] = changed;
            found(what, Value::Array(items));
        });
    }
    if let (Some(first), Some(last)) = (items.first(), items.last()) {
        let doubled = [items, std::slice::from_ref(last)].concat();
        found(format!("{path} doubled"), Value::Array(doubled));
        let mut turned = items.to_vec();
        turned.reverse();
        if first != last {
            found(format!("{path} in another order"), Value::Array(turned));
        }
    }
}

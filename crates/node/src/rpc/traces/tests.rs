//! Marks stand on the frames that were open, and on no others.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

#[test]
fn open_frames_of_a_tree_are_marked() {
    let mut value = json!({ "type": "CALL", "calls": [
        { "type": "CALL", "n": 0 },
        { "type": "CALL", "n": 1, "calls": [{ "type": "STATICCALL", "n": 2 }] },
    ] });
    mark_tree(value.as_object_mut().unwrap(), 2);
    assert_eq!(value["confidential"], true);
    assert!(value["calls"][0].get("confidential").is_none());
    assert_eq!(value["calls"][1]["confidential"], true);
    assert!(value["calls"][1]["calls"][0].get("confidential").is_none(), "that frame had ended");
}

#[test]
fn open_frames_of_a_list_are_marked() {
    let frame = |address: Value| json!({ "traceAddress": address });
    let mut frames = vec![frame(json!([])), frame(json!([0])), frame(json!([1])), frame(json!([1, 0]))];
    mark_flat(&mut frames, 3);
    let marked: Vec<bool> = frames.iter().map(|frame| frame.get("confidential").is_some()).collect();
    assert_eq!(marked, [true, false, true, true]);
    let mut frames = vec![frame(json!([])), frame(json!([0]))];
    mark_flat(&mut frames, 1);
    assert!(frames[0].get("confidential").is_some() && frames[1].get("confidential").is_none());
}

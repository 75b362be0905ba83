//! The subset of XML and its canonical form.

use super::xml::{Element, Node, parse};

fn canonical(text: &str) -> Option<String> {
    parse(text.as_bytes()).map(|root| root.canonical(&Vec::new(), None))
}

#[test]
fn tags_are_spelled_in_one_way() {
    let text =
        "<a  xmlns:p='u:p'\n xmlns='u:d' z = \"1\" b='2' p:a='3'><p:c xmlns:p='u:p' /> x\n<c xmlns='u:e'><d/></c></a >";
    let expected =
        "<a xmlns=\"u:d\" xmlns:p=\"u:p\" b=\"2\" z=\"1\" p:a=\"3\"><p:c></p:c> x\n<c xmlns=\"u:e\"><d></d></c></a>";
    assert_eq!(canonical(text).as_deref(), Some(expected));
    assert_eq!(canonical(expected).as_deref(), Some(expected));
}

#[test]
fn a_prefix_that_is_declared_again_is_written_again() {
    let text = "<a xmlns=\"u:1\"><b xmlns=\"u:2\"><c xmlns=\"u:1\"><d xmlns=\"u:1\"></d></c></b></a>";
    let expected = "<a xmlns=\"u:1\"><b xmlns=\"u:2\"><c xmlns=\"u:1\"><d></d></c></b></a>";
    assert_eq!(canonical(text).as_deref(), Some(expected));
}

#[test]
fn attributes_are_sorted_by_namespace_then_name() {
    let text = "<a xmlns=\"u:d\" xmlns:x=\"u:2\" xmlns:y=\"u:1\" x:b=\"\" y:c=\"\" x:a=\"\" d=\"\"></a>";
    let expected = "<a xmlns=\"u:d\" xmlns:x=\"u:2\" xmlns:y=\"u:1\" d=\"\" y:c=\"\" x:a=\"\" x:b=\"\"></a>";
    assert_eq!(canonical(text).as_deref(), Some(expected));
}

#[test]
fn an_inner_element_shows_all_namespaces_in_scope() {
    let root = parse(b"<a xmlns=\"u:d\" xmlns:p=\"u:p\"><b></b></a>").unwrap();
    let Some(Node::Element(inner)) = root.children.first() else { panic!("b is the only child") };
    assert_eq!(inner.canonical(root.declared(), None), "<b xmlns=\"u:d\" xmlns:p=\"u:p\"></b>");
    assert_eq!(root.canonical(&Vec::new(), Some(inner)), "<a xmlns=\"u:d\" xmlns:p=\"u:p\"></a>");
}

#[test]
fn what_is_outside_the_subset_is_refused() {
    let cases = [
        ("declaration", "<?xml version=\"1.0\"?><a xmlns=\"u\"/>"),
        ("document type", "<!DOCTYPE a><a xmlns=\"u\"/>"),
        ("comment", "<a xmlns=\"u\"><!-- --></a>"),
        ("cdata", "<a xmlns=\"u\"><![CDATA[x]]></a>"),
        ("reference", "<a xmlns=\"u\">&amp;</a>"),
        ("reference in a value", "<a xmlns=\"u\" b=\"&#10;\"/>"),
        ("carriage return", "<a xmlns=\"u\">\r</a>"),
        ("line feed in a value", "<a xmlns=\"u\" b=\"1\n2\"/>"),
        ("non-ASCII", "<a xmlns=\"u\">\u{e9}</a>"),
        ("greater-than in text", "<a xmlns=\"u\">></a>"),
        ("no namespace", "<a/>"),
        ("unknown prefix", "<a xmlns=\"u\"><p:b/></a>"),
        ("xml name", "<a xmlns=\"u\" xml:id=\"1\"/>"),
        ("undeclared namespace", "<a xmlns=\"u\"><b xmlns=\"\"/></a>"),
        ("attribute twice", "<a xmlns=\"u\" b=\"1\" b=\"2\"/>"),
        ("attribute twice by namespace", "<a xmlns=\"u\" xmlns:p=\"v\" xmlns:q=\"v\" p:b=\"1\" q:b=\"2\"/>"),
        ("declaration twice", "<a xmlns=\"u\" xmlns=\"v\"/>"),
        ("two roots", "<a xmlns=\"u\"/><a xmlns=\"u\"/>"),
        ("text outside", "x<a xmlns=\"u\"/>"),
        ("open end", "<a xmlns=\"u\">"),
        ("wrong end", "<a xmlns=\"u\"><b></a></b>"),
        ("end alone", "</a>"),
        ("empty", ""),
    ];
    for (fault, text) in cases {
        assert_eq!(canonical(text), None, "{fault}");
    }
    let deep = |count: usize| format!("<a xmlns=\"u\">{}{}</a>", "<a>".repeat(count), "</a>".repeat(count));
    assert!(canonical(&deep(15)).is_some());
    assert_eq!(canonical(&deep(16)), None);
}

#[test]
fn names_are_compared_by_namespace() {
    let root: Element = parse(b"<p:a xmlns:p=\"u:1\" xmlns:q=\"u:1\" q:b=\"1\" c=\"2\">t</p:a>").unwrap();
    assert!(root.is("u:1", "a") && !root.is("u:2", "a") && !root.is("u:1", "p:a"));
    assert_eq!((root.attribute("u:1", "b"), root.attribute("", "c"), root.text()), (Some("1"), Some("2"), Some("t")));
    assert_eq!(root.attribute("", "b"), None);
}

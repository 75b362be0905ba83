//! Templates: rendering, raised and accidental failures.
#![allow(clippy::unwrap_used)]

use super::*;

const CHAT: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<s>default</s>\n' }}{% endif %}{{ '<' + message['role'] + '>' + message['content'].strip() + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned() }
}

#[test]
fn renders_python_flavoured_templates() {
    let template = Template::new(Some(CHAT), "", "").unwrap();
    let prompt = template.render(&[message("user", " hi ")]).unwrap();
    assert_eq!(prompt, "<s>default</s>\n<user>hi\n<assistant>");
}

#[test]
fn missing_and_broken_templates_are_told_apart() {
    assert!(matches!(Template::new(None, "", ""), Err(TemplateError::Missing)));
    assert!(matches!(Template::new(Some("{% for %}"), "", ""), Err(TemplateError::Syntax(_))));
    let long = "a".repeat(TEMPLATE_BYTES_MAX + 1);
    assert!(matches!(Template::new(Some(&long), "", ""), Err(TemplateError::TooLarge { .. })));
}

#[test]
fn a_template_may_refuse_messages() {
    let template = Template::new(Some("{{ raise_exception('roles must alternate') }}"), "", "").unwrap();
    match template.render(&[message("user", "x")]) {
        Err(TemplateError::Refused { reason }) => assert_eq!(reason, "roles must alternate"),
        other => panic!("{:?}", other.err()),
    }
    let template = Template::new(Some("{{ messages.nothing.nowhere }}"), "", "").unwrap();
    assert!(matches!(template.render(&[]), Err(TemplateError::Failed(_))));
}

//! Promises: every numbered line of `SPECIFICATION.md` names an existing test, or says "not yet".
//!
//! A promise is `- **P1.2** text — \`path/to/file.rs::test_name\`` or `… — not yet: why`.

use std::{collections::BTreeSet, path::Path};

use anyhow::Result;

use super::{Report, read};

pub(super) fn check(root: &Path, report: &mut Report) -> Result<()> {
    let text = read(&root.join("SPECIFICATION.md"))?;
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("- **P")) {
        let number = line.trim_start_matches("- **").split("**").next().unwrap_or_default().to_owned();
        if !seen.insert(number.clone()) {
            report.fault(format!("SPECIFICATION.md has {number} twice"));
        }
        let Some((_, proof)) = line.rsplit_once(" — ") else {
            report.fault(format!("SPECIFICATION.md: {number} names neither a test nor \"not yet\""));
            continue;
        };
        if proof.starts_with("not yet") {
            report.not_yet += 1;
            continue;
        }
        let tests: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            report.fault(format!("SPECIFICATION.md: {number} names neither a test nor \"not yet\""));
        }
        for test in &tests {
            if !exists(root, test) {
                report.fault(format!("SPECIFICATION.md: {number} names the test {test}, which does not exist"));
            }
        }
        report.tested += 1;
    }
    if seen.is_empty() {
        report.fault("SPECIFICATION.md holds no promise");
    }
    Ok(())
}

fn exists(root: &Path, test: &str) -> bool {
    let Some((path, name)) = test.rsplit_once("::") else { return false };
    std::fs::read_to_string(root.join(path)).is_ok_and(|text| text.contains(&format!("fn {name}(")))
}

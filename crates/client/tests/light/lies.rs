//! A lying server is caught: every field of every answer to every question, changed in every way.

use std::sync::OnceLock;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    cases::{Case, all},
    chain::Chain,
    mutate::changes,
    server::Reply,
    tape::{Tape, text},
};

/// Changed bytes for each answer.
const BYTES: usize = 4;
/// Long lists of changes are thinned out to about this many, evenly; which ones, chance says, so that every run tries others.
const CHANGES_MAX: usize = 12;

/// Real answers to every question, recorded once.
fn tapes() -> &'static [(Case, Tape)] {
    static TAPES: OnceLock<Vec<(Case, Tape)>> = OnceLock::new();
    TAPES.get_or_init(|| {
        let chain = Chain::with_executor(1);
        let record = |case: Case| {
            let tape = Tape::record(&chain, &case);
            (case, tape)
        };
        all().into_iter().map(record).collect()
    })
}

#[test]
fn true_answers_are_told_again() {
    for (case, tape) in tapes() {
        assert!(!tape.truth.is_null(), "{}", case.name);
        let told = tape.play(case, None).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(told, tape.truth, "{}", case.name);
    }
}

#[test]
fn a_change_of_any_field_is_refused_or_has_no_effect() {
    let (mut count, mut refused) = (0_u32, 0_u32);
    let mut rng = rand::rng();
    for (case, tape) in tapes() {
        for (name, answer) in &tape.answers {
            let all = changes(answer);
            let step = all.len().div_ceil(CHANGES_MAX).max(1);
            for (what, changed) in all.into_iter().skip(rng.random_range(0..step)).step_by(step) {
                tape.check(case, (name.clone(), Reply::Result(changed)), &what);
                count += 1;
            }
            refused += u32::from(tape.play(case, Some((name.clone(), Reply::Result(serde_json::json!({}))))).is_err());
        }
    }
    eprintln!("{count} changed answers, none believed");
    assert!(count > 400 && refused > 50, "{count} changes, {refused} refused");
}

#[test]
fn a_change_of_any_byte_is_refused_or_has_no_effect() {
    let seed: u64 = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    for (case, tape) in tapes() {
        for (name, answer) in &tape.answers {
            let bytes = text(answer);
            for _ in 0..BYTES {
                let (mut changed, place) = (bytes.clone(), rng.random_range(0..bytes.len()));
                changed[place] = rng.random_range(0x20..0x7f);
                let what = format!("byte {place} is {:#x}, seed {seed}", changed[place]);
                tape.check(case, (name.clone(), Reply::ResultText(changed)), &what);
            }
        }
    }
}

#[test]
fn an_answer_of_another_question_is_refused_or_has_no_effect() {
    let tapes = tapes();
    for (index, (case, tape)) in tapes.iter().enumerate() {
        let (_, other) = &tapes[(index + 1) % tapes.len()];
        for name in tape.answers.keys() {
            let method = name.split(' ').next();
            for (found, answer) in other.answers.iter().filter(|(found, _)| found.split(' ').next() == method) {
                if found != name {
                    tape.check(case, (name.clone(), Reply::Result(answer.clone())), found);
                }
            }
        }
    }
}

#[test]
fn garbage_is_refused() {
    let garbage: [&[u8]; 6] = [b"", b"null", b"{", b"<html></html>", b"{\"jsonrpc\":\"2.0\",\"id\":1}", &[0xff; 64]];
    for (case, tape) in tapes() {
        for name in tape.answers.keys() {
            for body in garbage {
                tape.check(case, (name.clone(), Reply::Body(body.to_vec())), "garbage");
            }
        }
    }
}

#[test]
fn oversized_and_hanging_answers_end_in_time() {
    let ends = |case: &Case, tape: &Tape, reply: Reply| {
        let name = tape.answers.keys().next_back().unwrap();
        let begun = std::time::Instant::now();
        let error = tape.play(case, Some((name.clone(), reply))).unwrap_err();
        assert!(matches!(error.code(), 1 | 5), "{}: {error}", case.name);
        assert!(begun.elapsed().as_secs() < 20, "{}", case.name);
    };
    for (case, tape) in tapes() {
        ends(case, tape, Reply::Endless);
    }
    // Who hangs costs time alone: some at once.
    for some in tapes().chunks(8) {
        std::thread::scope(|scope| {
            for (case, tape) in some {
                scope.spawn(move || ends(case, tape, Reply::Hang));
            }
        });
    }
}

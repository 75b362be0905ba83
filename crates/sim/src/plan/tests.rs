//! Plans: within f, and unmoved where another class of faults is left out.

use super::{Fault, Options, Plan, Role, Step, Succeeds};

fn plan(seed: u64, without: Option<Fault>) -> Plan {
    let mut options = Options { nodes: Some(4), ..Options::new(seed) };
    if let Some(fault) = without {
        options.faults.remove(&fault);
    }
    Plan::new(&options)
}

#[test]
fn at_most_f_machines_lie_or_forget() {
    for seed in 0..500 {
        let plan = Plan::new(&Options::new(seed));
        let bad = plan.roles.iter().filter(|role| **role != Role::Honest).count();
        assert!(bad <= usize::from((plan.nodes - 1) / 3), "seed {seed}: {:?}", plan.roles);
        let wiped = plan.steps.iter().filter(|(_, step)| matches!(step, Step::Wipe(_))).count();
        assert!(wiped <= bad);
        assert!(plan.steps.is_sorted_by_key(|(at, _)| *at));
    }
}

#[test]
fn leaving_a_class_out_moves_no_other() {
    let crashes = |plan: &Plan| -> Vec<_> {
        plan.steps.iter().filter(|(_, step)| matches!(step, Step::Crash(_))).copied().collect()
    };
    for seed in 0..100 {
        let (all, less) = (plan(seed, None), plan(seed, Some(Fault::Partitions)));
        assert_eq!(crashes(&all), crashes(&less), "seed {seed}");
        assert!(!less.steps.iter().any(|(_, step)| matches!(step, Step::Cut(_))));
        assert_eq!((all.link, all.skew_ms, all.roles), (less.link, less.skew_ms, less.roles));
    }
}

#[test]
fn every_class_happens() {
    let plans: Vec<_> = (0..300).map(|seed| Plan::new(&Options::new(seed))).collect();
    let any = |what: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| what(plan)).count();
    let step = |wanted: fn(&Step) -> bool| any(&|plan: &Plan| plan.steps.iter().any(|(_, step)| wanted(step)));
    let role = |wanted: fn(&Role) -> bool| any(&|plan: &Plan| plan.roles.iter().any(wanted));
    assert!(step(|step| matches!(step, Step::Cut(_))) > 50);
    assert!(step(|step| matches!(step, Step::CrashAll)) > 50);
    assert!(step(|step| matches!(step, Step::Crash(_))) > 50);
    assert!(role(|role| *role == Role::Twin) > 10);
    assert!(role(|role| *role == Role::Forgets) > 3);
    assert!(role(|role| *role == Role::Loses) > 5);
    assert!(step(|step| matches!(step, Step::Join(_))) > 10);
    assert!(step(|step| matches!(step, Step::Resign(_))) > 5);
    assert!(step(|step| matches!(step, Step::Succeed(Succeeds::NetworkKey))) > 10);
    assert!(step(|step| matches!(step, Step::Succeed(Succeeds::Master))) > 10);
    assert!(role(|role| matches!(role, Role::Lies(_))) > 10);
    assert!(role(|role| matches!(role, Role::Hostile(_))) > 10);
    assert!(any(&|plan: &Plan| plan.term_blocks.is_some()) > 20);
}

#[test]
fn classes_have_names() {
    for fault in Fault::ALL {
        assert_eq!(fault.as_str().parse(), Ok(fault));
    }
    let refused = "gremlins".parse::<Fault>();
    assert!(refused.is_err_and(|refusal| refusal.to_string().contains("partitions")));
}

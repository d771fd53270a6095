//! Shrinks a failing plan as long as it violates the same property.

use super::{
    plan::Plan,
    properties::{Property, Violation},
};

/// The smallest plan found, and its violation.
pub(super) fn shrink(
    plan: &Plan,
    violation: Violation,
    fails: impl Fn(&Plan) -> Option<Violation>,
) -> (Plan, Violation) {
    let property: Property = violation.property;
    let (mut best, mut how) = (plan.clone(), violation);
    let attempt = |smaller: Plan, best: &mut Plan, how: &mut Violation| {
        let found = fails(&smaller).filter(|found| found.property == property);
        if let Some(found) = found {
            (*best, *how) = (smaller, found);
            return true;
        }
        false
    };
    loop {
        let mut smaller = false;
        // Leaves out half of the faults, then a quarter, …, then one.
        let mut size = best.faults.len().next_power_of_two() / 2;
        while size > 0 {
            let mut at = 0;
            while at < best.faults.len() {
                let mut plan = best.clone();
                plan.faults.drain(at..(at + size).min(plan.faults.len()));
                if attempt(plan, &mut best, &mut how) {
                    smaller = true;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        for mend in [
            |plan: &mut Plan| plan.network.late = 0.0,
            |plan: &mut Plan| plan.network.duplicates = 0.0,
            |plan: &mut Plan| plan.network.errors = 0.0,
            |plan: &mut Plan| plan.network.loss = 0.0,
        ] {
            let mut plan = best.clone();
            mend(&mut plan);
            let changed = format!("{:?}", plan.network) != format!("{:?}", best.network);
            smaller |= changed && attempt(plan, &mut best, &mut how);
        }
        while best.nodes.len() > 1 {
            let mut plan = best.clone();
            plan.nodes.pop();
            let last = plan.nodes.len();
            plan.faults.retain(|fault| fault.kind.node() != Some(last));
            if !attempt(plan, &mut best, &mut how) {
                break;
            }
            smaller = true;
        }
        if !smaller {
            return (best, how);
        }
    }
}

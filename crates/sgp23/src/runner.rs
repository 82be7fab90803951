//! Runs the test cases that [`table`](crate::table) lists.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crypto::Curve;
use rsp::finding::Finding;
use world::SeededRandom;

use crate::arrange::{CodeRotation, arrange};
use crate::binding::Binding;
use crate::case::{Case, Need, Scope};
use crate::report::{Entry, Report};
use crate::server::Server;
use crate::testbed::Testbed;
use crate::verdict::{Stop, Verdict};

/// The cases to run, with their bindings and curves.
#[derive(Clone, Debug)]
pub struct Selection {
    /// A text that must occur in the identifier, clause, function or title. Empty selects all
    /// cases.
    pub filter: String,
    /// Bindings of ES9+.
    pub bindings: Vec<Binding>,
    /// Curves of the eUICC's certificates.
    pub curves: Vec<Curve>,
    /// True if a finding fails a case that passes otherwise.
    pub strict: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            filter: String::new(),
            bindings: vec![Binding::Json, Binding::Asn1],
            curves: vec![Curve::P256, Curve::BrainpoolP256r1],
            strict: false,
        }
    }
}

impl Selection {
    /// Returns the variants with which a case is run.
    fn ways(&self, scope: Scope) -> Vec<(Binding, Curve)> {
        let mut ways = Vec::new();
        for curve in &self.curves {
            ways.extend(self.bindings.iter().map(|binding| (*binding, *curve)));
        }
        match scope {
            Scope::Es9Plus => ways,
            Scope::Json => {
                ways.into_iter().find(|(binding, _)| *binding == Binding::Json).into_iter().collect()
            }
            Scope::Asn1 => {
                ways.into_iter().find(|(binding, _)| *binding == Binding::Asn1).into_iter().collect()
            }
            Scope::Once => ways.into_iter().next().into_iter().collect(),
        }
    }
}

/// Runs the selected cases in sequence. Calls `progress` after each one, with the number of all cases.
pub async fn run(
    server: &Server,
    table: &[Case],
    selection: &Selection,
    mut progress: impl FnMut(&Entry, usize),
) -> Report {
    let codes = CodeRotation::default();
    let random = SeededRandom::new(server.world.random::<32>());
    let mut report = Report::default();
    let chosen = table.iter().filter(|case| selection.filter.is_empty() || case.matches(&selection.filter));
    let runs: Vec<_> = chosen.map(|case| (case, selection.ways(case.scope))).collect();
    let all = runs.iter().map(|(_, ways)| ways.len()).sum();
    for (case, ways) in runs {
        for (binding, curve) in ways {
            let random = random.branch(&format!("{} {} {binding} {curve}", case.function, case.title));
            let findings = Mutex::default();
            let verdict = run_one(server, case, (binding, curve), &random, &codes, &findings).await;
            let mut findings = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
            for operator in [&server.operator, &server.second_operator].into_iter().flatten() {
                findings.extend(operator.take_findings());
            }
            let entry = Entry::new(case, binding, curve, verdict).with_findings(findings, selection.strict);
            progress(&entry, all);
            report.entries.push(entry);
        }
    }
    report
}

async fn run_one(
    server: &Server,
    case: &Case,
    (binding, curve): (Binding, Curve),
    random: &SeededRandom,
    codes: &CodeRotation,
    findings: &Mutex<BTreeSet<Finding>>,
) -> Verdict {
    for need in &case.needs {
        let (is_there, what) = match need {
            Need::Operator => (server.operator.is_some(), "an operator with a client certificate"),
            Need::SecondOperator => {
                (server.second_operator.is_some(), "a second operator with a client certificate")
            }
            Need::UntrustedCertificate => {
                (server.stranger.is_some(), "a client certificate of a CI that the server does not trust")
            }
            Need::Admin => (server.admin.is_some(), "the admin API"),
            Need::Inbox => (server.inbox.is_some(), "an endpoint at which the server can call the operator"),
        };
        if !is_there {
            return Err(Stop::needs(what));
        }
    }
    let mut testbed = Testbed::new(server, binding, curve, random, findings)?;
    if let Some(order) = &case.order {
        testbed.placed_order = Some(arrange(&testbed, order, codes).await?);
    }
    (case.run)(&testbed).await
}

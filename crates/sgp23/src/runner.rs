//! Runs the cases of a table, such as [`table`](crate::table).

use crypto::Curve;

use crate::binding::Binding;
use crate::report::{Entry, Report};
use crate::subject::{Case, Findings, Scope, Subject, Variant};

/// The cases to run, with their bindings and curves.
#[derive(Clone, Debug)]
pub struct Selection {
    /// A text that must occur in the identifier, clause, function or title. Empty selects all
    /// cases.
    pub filter: String,
    /// Bindings of the HTTP interface.
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
            Scope::Full => ways,
            Scope::Bindings => {
                let first = self.curves.first().copied();
                ways.into_iter().filter(|(_, curve)| Some(*curve) == first).collect()
            }
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

/// Runs the selected cases in sequence. Calls `progress` after each one, with the number of all
/// cases.
pub async fn run<S: Subject>(
    subject: &S,
    table: &[Case<S>],
    selection: &Selection,
    mut progress: impl FnMut(&Entry, usize),
) -> Report {
    let random = subject.random();
    let mut report = Report::default();
    let chosen = table.iter().filter(|case| selection.filter.is_empty() || case.matches(&selection.filter));
    let runs: Vec<_> = chosen.map(|case| (case, selection.ways(case.scope))).collect();
    let all = runs.iter().map(|(_, ways)| ways.len()).sum();
    for (case, ways) in runs {
        for (binding, curve) in ways {
            let random = random.branch(&format!("{} {} {binding} {curve}", case.function, case.title));
            let findings = Findings::default();
            let variant = Variant { binding, curve, random, findings: &findings };
            let verdict = subject.execute(case, variant).await;
            let entry = Entry::new(case, binding, curve, verdict);
            let entry = entry.with_findings(findings.into_set(), selection.strict);
            progress(&entry, all);
            report.entries.push(entry);
        }
    }
    report
}

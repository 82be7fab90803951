//! The test cases. [`table`](crate::table) lists them.

use std::sync::Arc;

use world::BoxFuture;

use crate::order::Order;
use crate::testbed::Testbed;
use crate::verdict::Verdict;

/// The implementation of a case. It calls the server and stops at the first violation of the
/// standard.
pub type Run = Arc<dyn for<'a> Fn(&'a Testbed<'a>) -> BoxFuture<'a, Verdict> + Send + Sync>;

/// The bindings and curves that a case is run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Both bindings and both curves.
    Es9Plus,
    /// The JSON binding, on one curve.
    Json,
    /// The ASN.1 binding, on one curve.
    Asn1,
    /// One run, because the case tests another interface.
    Once,
}

/// A requirement of a case besides access to ES9+.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An operator with a client certificate.
    Operator,
    /// A second operator with another client certificate.
    SecondOperator,
    /// A client certificate of a CI that the server does not trust.
    UntrustedCertificate,
    /// The admin API.
    Admin,
    /// An endpoint at which the server can call the operator.
    Inbox,
}

/// A requirement of the standard and its test.
#[derive(Clone)]
pub struct Case {
    /// The section, name and test sequence in SGP.23, if they are known.
    pub id: Option<String>,
    /// The clause of SGP.22 with the requirement.
    pub clause: &'static str,
    /// The name of the function as the standard spells it.
    pub function: &'static str,
    /// The requirement in one sentence.
    pub title: String,
    /// The bindings and curves of the case.
    pub scope: Scope,
    /// The order that must be placed before the case.
    pub order: Option<Order>,
    /// The other needs of the case.
    pub needs: Vec<Need>,
    /// The implementation.
    pub run: Run,
}

impl Case {
    /// Creates an ES9+ case without needs.
    pub fn new(function: &'static str, clause: &'static str, title: impl Into<String>, run: Run) -> Self {
        Self {
            id: None,
            clause,
            function,
            title: title.into(),
            scope: Scope::Es9Plus,
            order: None,
            needs: Vec::new(),
            run,
        }
    }

    /// Sets the identifier in SGP.23: the section and name of a test, and the number of its
    /// sequence, if it is known.
    #[must_use]
    pub fn id<'a>(self, test: &str, sequence: impl Into<Option<&'a str>>) -> Self {
        Self { id: sequence.into().map(|sequence| format!("{test} #{sequence}")), ..self }
    }

    /// Sets the order that the case needs.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        Self { order: Some(order), ..self }
    }

    /// Sets the bindings and curves.
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Adds a need.
    #[must_use]
    pub fn need(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// True if the filter text occurs in the case's identifier, clause, function or title.
    pub fn matches(&self, filter: &str) -> bool {
        let filter = filter.to_lowercase();
        let texts = [self.id.as_deref().unwrap_or_default(), self.clause, self.function, &self.title];
        texts.iter().any(|text| text.to_lowercase().contains(&filter))
    }
}

/// Creates a [`Run`] from an async expression over the testbed.
macro_rules! run {
    (|$testbed:ident| $body:expr) => {{
        let run: $crate::case::Run = std::sync::Arc::new(move |$testbed: &$crate::testbed::Testbed<'_>| {
            Box::pin(async move { $body })
        });
        run
    }};
}

pub(crate) use run;

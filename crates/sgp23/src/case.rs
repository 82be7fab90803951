//! A row of the table.

use std::sync::Arc;

use world::BoxFuture;

use crate::bench::Bench;
use crate::order::Order;
use crate::verdict::Verdict;

/// What a case does: it talks to the server and ends with the first thing that is not as the standard says.
pub type Run = Arc<dyn for<'a> Fn(&'a Bench<'a>) -> BoxFuture<'a, Verdict> + Send + Sync>;

/// In which of the bindings and on which of the curves a case is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In both bindings, on both curves.
    Es9Plus,
    /// In the JSON binding, on one curve.
    Json,
    /// In the ASN.1 binding, on one curve.
    Asn1,
    /// Once: it is about another interface.
    Once,
}

/// What a case needs besides the way to ES9+.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An operator with a client certificate.
    Operator,
    /// A second operator with another client certificate.
    SecondOperator,
    /// A client certificate of a CI that the server does not trust.
    StrangersCertificate,
    /// The admin API.
    Admin,
    /// A place where the server can call the operator.
    Inbox,
}

/// One requirement and how it is held against a server.
#[derive(Clone)]
pub struct Case {
    /// Section, name and test sequence in SGP.23, where they are known.
    pub id: Option<&'static str>,
    /// Where SGP.22 asks for it.
    pub clause: &'static str,
    /// The function in the standard's spelling.
    pub function: &'static str,
    /// What is asked, in a sentence.
    pub title: String,
    /// Where it is run.
    pub scope: Scope,
    /// What must wait at the server.
    pub order: Option<Order>,
    /// What else it needs.
    pub needs: Vec<Need>,
    /// What it does.
    pub run: Run,
}

impl Case {
    /// A case of ES9+ that needs nothing.
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

    /// With its identifier in SGP.23.
    #[must_use]
    pub fn id(self, id: &'static str) -> Self {
        Self { id: Some(id), ..self }
    }

    /// With something that must wait at the server.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        Self { order: Some(order), ..self }
    }

    /// Run there only.
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// With something else that it needs.
    #[must_use]
    pub fn need(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Whether a person who types this means the case.
    pub fn matches(&self, filter: &str) -> bool {
        let filter = filter.to_lowercase();
        let texts = [self.id.unwrap_or_default(), self.clause, self.function, &self.title];
        texts.iter().any(|text| text.to_lowercase().contains(&filter))
    }
}

/// Makes a [`Run`] of an async function of the bench.
macro_rules! run {
    (|$bench:ident| $body:expr) => {{
        let run: $crate::case::Run =
            std::sync::Arc::new(move |$bench: &$crate::bench::Bench<'_>| Box::pin(async move { $body }));
        run
    }};
}

pub(crate) use run;

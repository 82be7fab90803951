//! /admin/v1/operators: registered operators.

use http::StatusCode;
use rsp::ids::{Oid, SmdpAddress};
use rsp_server::api::{Arguments, Function, NoQuery, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdminApi, Context, Input, Problem, ensured::Ensured};
use crate::records::{OPERATORS, Operator};

/// GET /admin/v1/operators
pub(super) struct List;
/// PUT /admin/v1/operators/{identifier}
pub(super) struct Register;
/// GET /admin/v1/operators/{identifier}
pub(super) struct Show;
/// DELETE /admin/v1/operators/{identifier}
pub(super) struct Remove;

/// The data of an operator, without its identifier.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OperatorFacts {
    /// The registeredID in the subjectAltName of its client certificate.
    certificate_oid: Oid,
    /// The address of its ES2+.HandleDownloadProgressInfo endpoint. Without it, no progress is
    /// reported.
    es2plus_address: Option<SmdpAddress>,
}

/// An operator to register.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOperator {
    identifier: String,
    certificate_oid: Oid,
    es2plus_address: Option<SmdpAddress>,
}

/// A registered operator.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperatorView {
    /// functionRequesterIdentifier.
    identifier: String,
    /// The registeredID in the subjectAltName of its client certificate.
    certificate_oid: Oid,
    /// The address of its ES2+.HandleDownloadProgressInfo endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    es2plus_address: Option<SmdpAddress>,
}

const UNKNOWN: &[(StatusCode, &str)] =
    &[(StatusCode::NOT_FOUND, "No operator is registered with this identifier")];

impl Function<AdminApi> for List {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/admin/v1/operators";
    const SUMMARY: &'static str = "Lists all registered operators";
    type Arguments = Arguments;
    type Reply = Vec<OperatorView>;

    async fn execute(Input { context, .. }: Input<'_, '_, '_, Self>) -> Result<Vec<OperatorView>, Problem> {
        let operators = context.decision.tx.list(&OPERATORS, "").await?;
        Ok(operators.into_iter().map(|(_, operator)| OperatorView::from(operator)).collect())
    }
}

impl Function<AdminApi> for Register {
    const VERB: Verb = Verb::Put;
    const PATH: &'static str = "/admin/v1/operators/{identifier}";
    const SUMMARY: &'static str =
        "Registers an operator; its functionRequesterIdentifier can then only be used with its certificate";
    const PROBLEMS: &'static [(StatusCode, &'static str)] =
        &[(StatusCode::BAD_REQUEST, "The body is malformed")];
    type Arguments = Arguments<String, NoQuery, OperatorFacts>;
    type Reply = OperatorView;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<OperatorView, Problem> {
        let OperatorFacts { certificate_oid, es2plus_address } = arguments.body.clone();
        let operator = Operator { identifier: arguments.id.clone(), certificate_oid, es2plus_address };
        context.decision.tx.put(&OPERATORS, &operator.identifier, &operator)?;
        Ok(operator.into())
    }
}

impl Function<AdminApi> for Show {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/admin/v1/operators/{identifier}";
    const SUMMARY: &'static str = "Returns a registered operator";
    const PROBLEMS: &'static [(StatusCode, &'static str)] = UNKNOWN;
    type Arguments = Arguments<String>;
    type Reply = OperatorView;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<OperatorView, Problem> {
        operator(context, &arguments.id).await.map(OperatorView::from)
    }
}

impl Function<AdminApi> for Remove {
    const VERB: Verb = Verb::Delete;
    const PATH: &'static str = "/admin/v1/operators/{identifier}";
    const SUMMARY: &'static str = "Unregisters an operator; its orders stay";
    const PROBLEMS: &'static [(StatusCode, &'static str)] = UNKNOWN;
    type Arguments = Arguments<String>;
    type Reply = ();

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<(), Problem> {
        let operator = operator(context, &arguments.id).await?;
        context.decision.tx.delete(&OPERATORS, &operator.identifier);
        Ok(())
    }
}

async fn operator(context: &mut Context<'_, '_>, identifier: &str) -> Result<Operator, Problem> {
    context.decision.tx.get(&OPERATORS, identifier).await?.ok_or_else(|| {
        Problem::not_found(
            format!("there is no operator {identifier:?}"),
            "no operator is registered with this identifier",
            "GET /admin/v1/operators lists the registered operators; PUT registers one",
        )
    })
}

impl NewOperator {
    /// Registers the operator unless its identifier is already registered.
    pub(super) async fn ensure(&self, context: &mut Context<'_, '_>) -> Result<Ensured<Operator>, Problem> {
        let Self { identifier, certificate_oid, es2plus_address } = self.clone();
        let tx = &mut *context.decision.tx;
        if let Some(kept) = tx.get(&OPERATORS, &identifier).await? {
            return Ok(Ensured::Existing(kept));
        }
        let operator = Operator { identifier, certificate_oid, es2plus_address };
        tx.put(&OPERATORS, &operator.identifier, &operator)?;
        Ok(Ensured::Created(operator))
    }
}

impl From<Operator> for OperatorView {
    fn from(operator: Operator) -> Self {
        let Operator { identifier, certificate_oid, es2plus_address } = operator;
        Self { identifier, certificate_oid, es2plus_address }
    }
}

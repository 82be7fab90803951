//! /admin/v1/operators: registered operators.

use rsp::ids::{Oid, SmdpAddress};
use rsp_server::{
    Namespace,
    api::{Arguments, Listing, NoId, NoQuery, Page},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Problem, ensured::Ensured};
use crate::records::{OPERATORS, Operator};

/// The data of an operator, without its identifier.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OperatorFacts {
    /// The registeredID in the subjectAltName of its client certificate.
    certificate_oid: Oid,
    /// The address of its ES2+.HandleDownloadProgressInfo endpoint. Without it, no progress is
    /// reported.
    es2plus_address: Option<SmdpAddress>,
    /// The namespace of its stock, which no operator of another namespace can use. Default: default.
    #[serde(default)]
    namespace: Namespace,
}

/// An operator to register.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOperator {
    identifier: String,
    certificate_oid: Oid,
    es2plus_address: Option<SmdpAddress>,
    #[serde(default)]
    namespace: Namespace,
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
    /// The namespace of its stock.
    namespace: Namespace,
}

/// GET /admin/v1/operators
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<NoQuery>>,
) -> Result<Page<OperatorView>, Problem> {
    let select = |_: &str, operator| Some(OperatorView::from(operator));
    Ok(arguments.query.page(context.decision.tx, &OPERATORS, select).await?)
}

/// PUT /admin/v1/operators/{identifier}
pub(super) async fn register(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<String, NoQuery, OperatorFacts>,
) -> Result<OperatorView, Problem> {
    let OperatorFacts { certificate_oid, es2plus_address, namespace } = arguments.body.clone();
    let operator = Operator { identifier: arguments.id.clone(), certificate_oid, es2plus_address, namespace };
    context.decision.tx.put(&OPERATORS, &operator.identifier, &operator)?;
    Ok(operator.into())
}

/// GET /admin/v1/operators/{identifier}
pub(super) async fn show(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<String>,
) -> Result<OperatorView, Problem> {
    operator(context, &arguments.id).await.map(OperatorView::from)
}

/// DELETE /admin/v1/operators/{identifier}
pub(super) async fn remove(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<String>,
) -> Result<(), Problem> {
    let operator = operator(context, &arguments.id).await?;
    context.decision.tx.delete(&OPERATORS, &operator.identifier);
    Ok(())
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
        let Self { identifier, certificate_oid, es2plus_address, namespace } = self.clone();
        let tx = &mut *context.decision.tx;
        if let Some(kept) = tx.get(&OPERATORS, &identifier).await? {
            return Ok(Ensured::Existing(kept));
        }
        let operator = Operator { identifier, certificate_oid, es2plus_address, namespace };
        tx.put(&OPERATORS, &operator.identifier, &operator)?;
        Ok(Ensured::Created(operator))
    }
}

impl From<Operator> for OperatorView {
    fn from(operator: Operator) -> Self {
        let Operator { identifier, certificate_oid, es2plus_address, namespace } = operator;
        Self { identifier, certificate_oid, es2plus_address, namespace }
    }
}

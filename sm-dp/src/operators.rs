//! Registered operators: the certificate that each one authenticates with, and the address that
//! receives its progress reports.

use rsp_server::Namespace;
use world::{Fault, Tx};

use crate::{
    records::{OPERATORS, Operator},
    server::SmDpPlus,
};

/// Returns the operators that own the stock of this namespace. Every operator can order stock
/// without owners, such as that of the default namespace.
pub(crate) async fn owners(tx: &mut Tx<'_>, namespace: &Namespace) -> Result<Vec<Operator>, Fault> {
    if namespace.is_default() {
        return Ok(Vec::new());
    }
    let all = tx.list(&OPERATORS, "").await?.into_iter().map(|(_, operator)| operator);
    Ok(all.filter(|operator| operator.namespace == *namespace).collect())
}

impl SmDpPlus {
    /// Adds or replaces an operator in the records.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn register_operator(&self, operator: &Operator) -> Result<(), Fault> {
        world::transact(self.records(), |tx| {
            let put = tx.put(&OPERATORS, &operator.identifier, operator);
            Box::pin(async { put })
        })
        .await
    }

    /// Returns every registered operator.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn operators(&self) -> Result<Vec<Operator>, Fault> {
        let all = Tx::begin(self.records()).list(&OPERATORS, "").await?;
        Ok(all.into_iter().map(|(_, operator)| operator).collect())
    }
}

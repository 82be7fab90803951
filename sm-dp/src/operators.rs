//! Operators that are known by name: who may call ES2+ as whom, and where each hears how its downloads go.

use world::{Fault, Tx};

use crate::{
    records::{OPERATORS, Operator},
    server::SmDpPlus,
};

impl SmDpPlus {
    /// Makes an operator known, or known anew. It lasts, as everything in the records.
    ///
    /// # Errors
    /// The records fail.
    pub async fn register_operator(&self, operator: &Operator) -> Result<(), Fault> {
        world::transact(self.records(), |tx| {
            let put = tx.put(&OPERATORS, &operator.identifier, operator);
            Box::pin(async { put })
        })
        .await
    }

    /// Every operator that is known by name.
    ///
    /// # Errors
    /// The records fail.
    pub async fn operators(&self) -> Result<Vec<Operator>, Fault> {
        let all = Tx::begin(self.records()).list(&OPERATORS, "").await?;
        Ok(all.into_iter().map(|(_, operator)| operator).collect())
    }
}

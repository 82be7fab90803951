//! Preset contents of a server: profiles, orders and operators as in the API, created unless they
//! exist.

use std::fmt;

use world::{BoxFuture, Fault};

use super::{Context, Problem, function::Call};
pub use super::{operators::NewOperator, orders::NewOrder, stock::NewProfile};
use crate::{
    SmDpPlus,
    records::{Operator, Profile},
};

/// The outcome of ensuring that an entry exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensured<T> {
    /// It did not exist and was created.
    Created(T),
    /// It existed and was left unchanged.
    Existing(T),
}

impl<T> Ensured<T> {
    /// Returns the entry.
    pub fn into_inner(self) -> T {
        let (Self::Created(it) | Self::Existing(it)) = self;
        it
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>, what: impl FnOnce(&T) -> String) -> fmt::Result {
        match self {
            Self::Created(it) => f.write_str(&what(it)),
            Self::Existing(it) => write!(f, "{} (unchanged)", what(it)),
        }
    }
}

impl fmt::Display for Ensured<Profile> {
    /// Writes the profile, its state, its MatchingID, and if it is unchanged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, |profile| {
            let order = profile.order.as_ref().and_then(|order| order.matching_id.as_ref());
            let order = order.map(|matching_id| format!(" under MatchingID {matching_id:?}"));
            format!("profile {} is {}{}", profile.iccid, profile.state, order.unwrap_or_default())
        })
    }
}

impl fmt::Display for Ensured<Operator> {
    /// Writes the operator, its certificate, and if it is unchanged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, |operator| {
            format!("operator {:?} has certificate {}", operator.identifier, operator.certificate_oid)
        })
    }
}

impl SmDpPlus {
    /// Adds a profile to the stock unless its ICCID is already there.
    ///
    /// # Errors
    /// Fails if the package is invalid or the records fail.
    pub async fn ensure_profile(&self, new: &NewProfile) -> Result<Ensured<Profile>, Fault> {
        self.ensure(new).await
    }

    /// Places an order unless it exists. Returns its profile.
    ///
    /// # Errors
    /// Fails if the order is contradictory, if it conflicts with existing records, or if the
    /// records fail.
    pub async fn ensure_order(&self, new: &NewOrder) -> Result<Ensured<Profile>, Fault> {
        self.ensure(new).await
    }

    /// Registers an operator unless its identifier is registered.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn ensure_operator(&self, new: &NewOperator) -> Result<Ensured<Operator>, Fault> {
        self.ensure(new).await
    }

    async fn ensure<T>(&self, new: &dyn Call<Ensured<T>>) -> Result<Ensured<T>, Fault> {
        self.decide(false, new).await.map_err(|problem| problem.fault)
    }
}

macro_rules! ensured {
    ($($new:ty => $made:ty),+) => { $(
        impl Call<Ensured<$made>> for $new {
            fn execute<'a>(
                &'a self,
                context: &'a mut Context<'_, '_>,
            ) -> BoxFuture<'a, Result<Ensured<$made>, Problem>> {
                Box::pin(self.ensure(context))
            }
        }
    )+ };
}

ensured!(NewProfile => Profile, NewOrder => Profile, NewOperator => Operator);

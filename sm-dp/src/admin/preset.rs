//! What a bench begins with: the same profiles, orders and operators that the API takes, made unless they are there.

use std::fmt;

use world::{BoxFuture, Fault};

use super::{Context, Problem, function::Call};
pub use super::{operators::NewOperator, orders::NewOrder, stock::NewProfile};
use crate::{
    SmDpPlus,
    records::{Operator, Profile},
};

/// What came of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensured<T> {
    /// It was not there, and is now.
    Made(T),
    /// It was there, and was left as it is.
    Kept(T),
}

impl<T> Ensured<T> {
    /// The thing itself.
    pub fn into_inner(self) -> T {
        let (Self::Made(it) | Self::Kept(it)) = self;
        it
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>, what: impl FnOnce(&T) -> String) -> fmt::Result {
        match self {
            Self::Made(it) => f.write_str(&what(it)),
            Self::Kept(it) => write!(f, "{}, left as it was", what(it)),
        }
    }
}

impl fmt::Display for Ensured<Profile> {
    /// Which profile, how it stands, and whether that is new.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, |profile| {
            let order = profile.order.as_ref().and_then(|order| order.matching_id.as_ref());
            let order = order.map(|matching_id| format!(" under MatchingID {matching_id:?}"));
            format!("profile {} is {}{}", profile.iccid, profile.state, order.unwrap_or_default())
        })
    }
}

impl fmt::Display for Ensured<Operator> {
    /// Which operator, by which certificate, and whether that is new.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, |operator| {
            format!("operator {:?} has certificate {}", operator.identifier, operator.certificate_oid)
        })
    }
}

impl SmDpPlus {
    /// Puts a profile into stock unless its ICCID is there.
    ///
    /// # Errors
    /// It cannot be, or the records fail.
    pub async fn ensure_profile(&self, new: &NewProfile) -> Result<Ensured<Profile>, Fault> {
        self.ensure(new).await
    }

    /// Places an order unless it is there; the profile it is for.
    ///
    /// # Errors
    /// It contradicts itself, what is there is in its way, or the records fail.
    pub async fn ensure_order(&self, new: &NewOrder) -> Result<Ensured<Profile>, Fault> {
        self.ensure(new).await
    }

    /// Makes an operator known unless its name is.
    ///
    /// # Errors
    /// The records fail.
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

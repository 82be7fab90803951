//! What a bench begins with: the same profiles and orders that the API takes, made unless they are there.

use std::fmt;

use world::{BoxFuture, Fault};

use super::{Context, Problem, function::Call};
pub use super::{orders::NewOrder, stock::NewProfile};
use crate::{SmDpPlus, records::Profile};

/// Something that the server is to have.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A profile in stock.
    Stock(Box<NewProfile>),
    /// An order.
    Orders(Box<NewOrder>),
}

/// What came of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensured<T> {
    /// It was not there, and is now.
    Made(T),
    /// It was there, and was left as it is.
    Kept(T),
}

impl Entry {
    /// A profile package (TCA, DER) of which nothing more is said.
    pub fn package(package: Vec<u8>) -> Self {
        Self::Stock(Box::new(NewProfile::of(package)))
    }
}

impl<T> Ensured<T> {
    /// The thing itself.
    pub fn into_inner(self) -> T {
        let (Self::Made(it) | Self::Kept(it)) = self;
        it
    }
}

impl fmt::Display for Ensured<Profile> {
    /// Which profile, how it stands, and whether that is new.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (profile, end) = match self {
            Self::Made(profile) => (profile, ""),
            Self::Kept(profile) => (profile, ", left as it was"),
        };
        write!(f, "profile {} is {}", profile.iccid, profile.state)?;
        if let Some(matching_id) = profile.order.as_ref().and_then(|order| order.matching_id.as_ref()) {
            write!(f, " under MatchingID {matching_id:?}")?;
        }
        f.write_str(end)
    }
}

impl SmDpPlus {
    /// Makes what the entry says unless it is there; the profile that it is about.
    ///
    /// # Errors
    /// The entry cannot be, what is there is in its way, or the records fail.
    pub async fn ensure(&self, entry: &Entry) -> Result<Ensured<Profile>, Fault> {
        self.decide(false, entry).await.map_err(|problem| problem.fault)
    }
}

impl Call<Ensured<Profile>> for Entry {
    fn execute<'a>(
        &'a self,
        context: &'a mut Context<'_, '_>,
    ) -> BoxFuture<'a, Result<Ensured<Profile>, Problem>> {
        Box::pin(async move {
            match self {
                Self::Stock(new) => new.ensure(context).await,
                Self::Orders(new) => new.ensure(context).await,
            }
        })
    }
}
